"""Sampling: the distribution it should follow, the tokens it may choose, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy import stats

from microgpt_ref import checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.sampling import PAD, Sampling
from microgpt_ref.torch import GPT, generate, sample
from microgpt_ref.torch.sample import choose, stream
from tests.decoding import (
    FILTERS,
    Filter,
    apply,
    penalised_by_hugging_face,
    random_logits,
    random_prompt,
    random_seen,
    rolling_prompts,
    stable_sort,
)

LOGITS = torch.tensor([[2.0, 0.0, 1.0, -1.0, 1.0, 0.5]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 3])
def test_frequencies_follow_the_distribution(temperature: float, top_k: int | None) -> None:
    n = 20_000
    generator = torch.Generator().manual_seed(0)
    chosen = choose(LOGITS.expand(n, -1), temperature, top_k, generator)[:, 0]
    seen = np.bincount(chosen.numpy(), minlength=6)
    weights = np.exp(LOGITS[0].double().numpy() / temperature)
    weights[[] if top_k is None else [1, 3, 5]] = 0
    kept = weights > 0
    assert seen[~kept].sum() == 0
    assert stats.chisquare(seen[kept], n * weights[kept] / weights.sum()).pvalue > 1e-3


@pytest.mark.parametrize("each", FILTERS, ids=str)
def test_filters_keep_what_hugging_face_keeps(each: Filter) -> None:
    for seed in range(5):
        logits = random_logits(seed)
        found = apply(getattr(sample, each.name), logits, each.strength)
        np.testing.assert_array_equal(found, each.expected(logits))
        np.testing.assert_array_equal(np.sort(found), np.sort(each.expected(logits, stable=False)))


@pytest.mark.parametrize("penalty", [1.0, 1.3, 0.7])
def test_the_penalty_is_hugging_face_s(penalty: float) -> None:
    logits, (tokens, seen) = random_logits(0), random_seen(1)
    expected = penalised_by_hugging_face(tokens, logits, penalty)
    np.testing.assert_array_equal(apply(sample.penalise_repetition, logits, seen, penalty), expected)


def test_all_of_them_in_hugging_face_s_order() -> None:
    """Its own `generate` builds the list of processors and applies them; only the draw is left to us."""
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.3}
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=16, n_embd=8, n_layer=1, n_head=1)).eval()
    logits, (tokens, seen) = random_logits(0), random_seen(1)
    config, _ = theirs._prepare_generation_config(None, do_sample=True, **settings)
    processors = theirs._get_logits_processor(config, input_ids_seq_length=12)
    with stable_sort():
        expected = processors(torch.from_numpy(tokens), torch.from_numpy(logits))
    found = sample.process(torch.from_numpy(logits), Sampling(**settings), torch.from_numpy(seen))  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected)
    assert 1 < float(found.isfinite().sum(-1).double().mean()) < 15


def test_temperature_zero_takes_the_likeliest() -> None:
    assert choose(LOGITS, temperature=0).tolist() == [[0]]


def tiny_model() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=11, context=8, d_model=16, n_layer=1, n_head=2, dropout=0.5))


def test_same_seed_same_text_and_the_prompt_stays() -> None:
    model, prompt = tiny_model(), torch.tensor([[1, 2, 3], [4, 5, 6]])
    a, b = (generate(model, prompt, 20, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (2, 23)
    assert torch.equal(a[:, :3], prompt)
    other = generate(model, prompt, 20, generator=torch.Generator().manual_seed(6))
    assert not torch.equal(a, other)


def test_greedy_equals_a_loop_by_hand_beyond_the_context() -> None:
    model = tiny_model().eval()
    tokens = [1, 2, 3]
    for _ in range(15):
        tokens.append(int(model(torch.tensor([tokens[-8:]]))[0, -1].argmax()))
    assert generate(model, torch.tensor([[1, 2, 3]]), 15, temperature=0)[0].tolist() == tokens


def test_dropout_is_off_while_sampling_and_on_again_after() -> None:
    model = tiny_model().train()
    prompt = torch.tensor([[1, 2]])
    assert torch.equal(generate(model, prompt, 9, temperature=0), generate(model, prompt, 9, temperature=0))
    assert model.training


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"temperature": -1.0}, "temperature=-1.0 is negative"),
        ({"top_k": 0}, "top_k=0 keeps nothing"),
        ({"max_new_tokens": -1}, "max_new_tokens=-1 is negative"),
        ({"tokens": torch.zeros(1, 0, dtype=torch.int64)}, "tokens is empty"),
        ({"top_p": 1.1}, "top_p=1.1 is outside"),
        ({"min_p": -1.0}, "min_p=-1.0 is outside"),
        ({"repetition_penalty": 0.0}, "repetition_penalty=0.0 is not positive"),
        ({"stop": [[]]}, "stop holds an empty sequence"),
        ({"lengths": [1, 1]}, "lengths has 2 numbers for 1 rows"),
        ({"lengths": [0]}, "lengths holds 0, but each prompt has at least one token and tokens is 1 wide"),
        ({"lengths": [2]}, "lengths holds 2"),
        ({"lengths": [1], "padding": "both"}, "padding='both' is not known"),
    ],
)
def test_bad_input_says_so(arguments: dict[str, object], sentence: str) -> None:
    defaults: dict[str, object] = {"tokens": torch.tensor([[1]]), "max_new_tokens": 1}
    with pytest.raises(ValueError, match=sentence):
        generate(tiny_model(), **{**defaults, **arguments})  # type: ignore[arg-type]


def pad(prompts: list[list[int]], side: str) -> torch.Tensor:
    """One batch, padded with a token that is in the vocabulary."""
    longest = max(map(len, prompts))
    filled = [
        ([1] * (longest - len(p)) + p) if side == "left" else p + [1] * (longest - len(p)) for p in prompts
    ]
    return torch.tensor(filled)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("padding", ["left", "right"])
def test_prompts_of_different_lengths_give_the_tokens_of_each_alone(padding: str, cache: bool) -> None:
    """Greedy and penalised, from within the context to far beyond it, and from beyond it on."""
    for seed, prompt in enumerate([*rolling_prompts(2), random_prompt(3, position="learned")]):
        model, context = prompt.model(torch.float64), prompt.config.context
        rng = np.random.default_rng(seed)
        prompts = [rng.integers(0, 7, n).tolist() for n in (3, 1, context, context + 4)]
        settings = {"temperature": 0.0, "repetition_penalty": 1.2, "cache": cache}
        together = generate(
            model,
            pad(prompts, padding),
            context + 3,
            **settings,  # type: ignore[arg-type]
            lengths=[len(p) for p in prompts],
            padding=padding,
        )
        for p, row in zip(prompts, together, strict=True):
            alone = generate(model, torch.tensor([p]), context + 3, **settings)[0]  # type: ignore[arg-type]
            assert row[-context - 3 :].tolist() == alone[len(p) :].tolist()


def test_rows_stop_on_their_own_and_then_give_the_pad() -> None:
    """The tokens before are those of a run without stopping; the stop itself is given out."""
    model, prompt = tiny_model(), torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    free = generate(model, prompt, 30, generator=torch.Generator().manual_seed(3))[:, 3:].tolist()
    stop: list[int | list[int]] = [free[0][4], free[1][8:11], free[2][20:22]]
    stopped = generate(model, prompt, 30, generator=torch.Generator().manual_seed(3), stop=stop)[:, 3:]

    def end(row: list[int]) -> int:
        sequences = [[s] if isinstance(s, int) else s for s in stop]
        return next(n for n in range(1, 31) if any(row[:n][-len(s) :] == s for s in sequences))

    ends = [end(row) for row in free]
    assert stopped.shape[1] == max(ends) > min(ends)
    for row, whole, n in zip(stopped.tolist(), free, ends, strict=True):
        assert row == whole[:n] + [PAD] * (max(ends) - n)


def test_a_stop_that_begins_in_the_prompt_does_not_count() -> None:
    model, prompt = tiny_model(), torch.tensor([[1, 2, 3]])
    first = int(generate(model, prompt, 1, temperature=0)[0, -1])
    for stop, count in (([[3, first]], 5), ([first], 1), ([[first]], 1)):
        assert len(list(stream(model, prompt, 5, temperature=0, stop=stop))) <= count  # type: ignore[arg-type]
    assert len(list(stream(model, prompt, 1, temperature=0, stop=[[3, first]]))) == 1
    assert len(list(stream(model, prompt, 2, temperature=0, stop=[[3, first]]))) == 2


def test_the_penalty_counts_the_prompt_but_not_its_padding() -> None:
    model = tiny_model().eval()
    torch.nn.init.normal_(model.embedding.weight)
    prompts = [[2, 3], [2, 3, 4, 5, 6]]
    new = generate(model, pad(prompts, "right"), 9, temperature=0, repetition_penalty=1.5, lengths=[2, 5])[
        :, 5:
    ]
    for text, row in zip(prompts, new.tolist(), strict=True):
        for token in row:
            logits = model(torch.tensor([text[-8:]]))[0, -1:].detach().numpy()
            assert token == penalised_by_hugging_face(np.array([text]), logits, 1.5).argmax()
            text.append(token)
    assert (
        new.tolist()
        != generate(model, pad(prompts, "right"), 9, temperature=0, lengths=[2, 5])[:, 5:].tolist()
    )


def test_it_streams() -> None:
    """Each token comes before the next is computed."""
    calls = []
    model = tiny_model()
    model.head.register_forward_hook(lambda *_: calls.append(1))
    steps = stream(model, torch.tensor([[1, 2]]), 1_000_000)
    for n in range(1, 12):
        assert next(steps).shape == (1, 1)
        assert len(calls) == n
    steps.close()


def test_leaving_early_restores_the_mode() -> None:
    model = tiny_model().train()
    steps = stream(model, torch.tensor([[1]]), 5)
    next(steps)
    assert not model.training
    steps.close()
    assert model.training


def test_a_model_that_reads_in_its_own_way_is_read_without_a_cache() -> None:
    from microgpt_ref.torch.speedrun import SpeedrunGPT

    torch.manual_seed(0)
    config = GPTConfig(vocab_size=11, context=8, d_model=16, n_layer=1, n_head=2, position="rotary")
    model = SpeedrunGPT(config, {2: 50}, zero_init=False).eval()
    torch.nn.init.normal_(model.ngrams.tables["2"].weight)  # type: ignore[union-attr, arg-type]
    prompt = torch.tensor([[1, 2, 3]])
    assert torch.equal(
        generate(model, prompt, 20, temperature=0), generate(model, prompt, 20, temperature=0, cache=False)
    )


def test_the_shipped_model_around_the_border_of_its_context() -> None:
    """A whole context and one: the same greedy story with and without a cache, and on without a gap."""
    model, tokenizer = checkpoint.load_model(checkpoint.shipped())
    context = model.config.context
    story = tokenizer.decode(
        generate(model, torch.tensor([tokenizer.encode("\n")]), 520, temperature=0)[0].tolist()
    )
    prompt = torch.tensor([tokenizer.encode(story[: context - 6])])
    with_cache, without = (
        generate(model, prompt, 7, temperature=0, cache=cache)[0].tolist() for cache in (True, False)
    )
    assert with_cache == without
    assert tokenizer.decode(with_cache) == story[: context + 1]
