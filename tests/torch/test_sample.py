"""Sampling: the distribution it should follow, the tokens it may choose, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy import stats

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT, generate
from microgpt_ref.torch.sample import choose, keep_top_k

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


@pytest.mark.parametrize("top_k", [1, 2, 3, 6, 50])
def test_top_k_keeps_what_hugging_face_keeps(top_k: int) -> None:
    from transformers.generation.logits_process import TopKLogitsWarper

    logits = torch.randn(20, 30, generator=torch.Generator().manual_seed(1))
    expected = TopKLogitsWarper(top_k)(torch.zeros(20, 1, dtype=torch.int64), logits.clone())
    assert torch.equal(keep_top_k(logits, top_k), expected)


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
    ],
)
def test_bad_input_says_so(arguments: dict[str, object], sentence: str) -> None:
    defaults: dict[str, object] = {"tokens": torch.tensor([[1]]), "max_new_tokens": 1}
    with pytest.raises(ValueError, match=sentence):
        generate(tiny_model(), **{**defaults, **arguments})  # type: ignore[arg-type]
