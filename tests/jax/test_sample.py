"""Sampling in JAX: the distribution, greedy text beyond the context, and what it refuses."""

from functools import partial

import jax
import numpy as np
import pytest
import torch
from scipy import stats

from microgpt_ref import numpy as in_numpy
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import cache, generate, initialise, sample
from microgpt_ref.jax.sample import choose, keep_top_k
from microgpt_ref.sampling import PAD, Sampling
from microgpt_ref.torch import GPT
from microgpt_ref.torch import generate as torch_generate
from tests.decoding import (
    FILTERS,
    Filter,
    Prompt,
    on_the_border,
    penalised_by_hugging_face,
    random_logits,
    random_prompt,
    random_seen,
    rolling_prompts,
)
from tests.frameworks.cases import random_parameters
from tests.frameworks.seeding import Bug, seeded

LOGITS = jax.numpy.asarray([[2.0, 0.0, 1.0, -1.0, 1.0, 0.5]])
CONFIG = GPTConfig(vocab_size=11, context=8, d_model=16, n_layer=1, n_head=2, position="rotary", dropout=0.5)
PARAMETERS = {name: a.astype(np.float32) for name, a in random_parameters(CONFIG, 0).items()}
PROMPT = jax.numpy.asarray([[1, 2, 3], [4, 5, 6]])


def parameters() -> dict[str, jax.Array]:
    return {name: jax.numpy.asarray(array) for name, array in PARAMETERS.items()}


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("top_k", [None, 3])
def test_frequencies_follow_the_distribution(temperature: float, top_k: int | None) -> None:
    n = 20_000
    logits = jax.numpy.broadcast_to(LOGITS, (n, 6))
    seen = np.bincount(np.asarray(choose(logits, jax.random.key(0), temperature, top_k)), minlength=6)
    weights = np.exp(np.asarray(LOGITS[0], np.float64) / temperature)
    weights[[] if top_k is None else [1, 3, 5]] = 0
    kept = weights > 0
    assert seen[~kept].sum() == 0
    assert stats.chisquare(seen[kept], n * weights[kept] / weights.sum()).pvalue > 1e-3


@pytest.mark.parametrize("top_k", [1, 3, 6, 50])
def test_top_k_keeps_what_torch_keeps(top_k: int) -> None:
    from microgpt_ref.torch.sample import keep_top_k as in_torch

    logits = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    expected = in_torch(torch.from_numpy(logits), top_k).numpy()
    np.testing.assert_array_equal(keep_top_k(jax.numpy.asarray(logits), top_k), expected)


def test_temperature_zero_is_the_likeliest_of_each_step() -> None:
    """Also past the context of 8, where the oldest token drops out; the logits are NumPy's."""
    tokens = np.asarray(generate(parameters(), PROMPT, CONFIG, 15, jax.random.key(0), temperature=0.0))
    assert tokens.shape == (2, 18)
    np.testing.assert_array_equal(tokens[:, :3], PROMPT)
    for t in range(3, 18):
        logits = in_numpy.forward(PARAMETERS, tokens[:, max(0, t - 8) : t], CONFIG)[0][:, -1]
        np.testing.assert_array_equal(tokens[:, t], logits.argmax(-1))


@pytest.mark.slow
def test_greedy_text_is_torch_s() -> None:
    model = GPT(CONFIG).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in PARAMETERS.items()})
    for prompt in (PROMPT[:, :1], jax.numpy.tile(PROMPT, (1, 4))):
        expected = torch_generate(model, torch.tensor(prompt.tolist()), 15, temperature=0)
        found = generate(parameters(), prompt, CONFIG, 15, jax.random.key(0), temperature=0.0)
        np.testing.assert_array_equal(found, expected.numpy())


def test_same_key_same_text_and_each_row_its_own() -> None:
    prompt = jax.numpy.tile(PROMPT[:1], (8, 1))
    a, b, other = (
        generate(parameters(), prompt, CONFIG, 20, jax.random.key(seed), temperature=20.0)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, other)
    assert len(np.unique(a, axis=0)) == 8
    assert a.min() >= 0
    assert a.max() < CONFIG.vocab_size


@pytest.mark.slow
def test_it_can_be_called_from_compiled_code() -> None:
    run = jax.jit(generate, static_argnames=("config", "max_new_tokens", "temperature", "top_k"))
    arguments = (parameters(), PROMPT, CONFIG, 6, jax.random.key(1))
    np.testing.assert_array_equal(run(*arguments), generate(*arguments))


def test_no_new_tokens() -> None:
    np.testing.assert_array_equal(generate(parameters(), PROMPT, CONFIG, 0, jax.random.key(0)), PROMPT)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"temperature": -1.0}, "temperature=-1.0 is negative"),
        ({"top_k": 0}, "top_k=0 keeps nothing"),
        ({"max_new_tokens": -1}, "max_new_tokens=-1 is negative"),
        ({"tokens": np.zeros((1, 0), int)}, "tokens is empty"),
        ({"tokens": np.array([[11]])}, "tokens holds 11, but the ids are 0 to 10"),
    ],
)
def test_bad_input_says_so(arguments: dict[str, object], sentence: str) -> None:
    defaults = {"tokens": np.array([[1]]), "max_new_tokens": 1}
    settings = {**defaults, **arguments}
    settings["tokens"] = jax.numpy.asarray(settings["tokens"])
    with pytest.raises(ValueError, match=sentence):
        generate(initialise(CONFIG), config=CONFIG, key=jax.random.key(0), **settings)  # type: ignore[arg-type]


def model_in_jax(prompt: Prompt) -> dict[str, jax.Array]:
    """Its parameters in float32."""
    return {name: jax.numpy.asarray(array, np.float32) for name, array in prompt.parameters.items()}


@pytest.mark.parametrize("each", FILTERS, ids=str)
def test_filters_keep_what_hugging_face_keeps(each: Filter) -> None:
    logits = random_logits(0)
    found = np.asarray(getattr(sample, each.name)(jax.numpy.asarray(logits), each.strength))
    clear = ~on_the_border(logits, each)
    np.testing.assert_array_equal(found[clear], each.expected(logits)[clear])


def test_the_penalty_is_hugging_face_s() -> None:
    logits, (tokens, seen) = random_logits(0), random_seen(1)
    found = sample.penalise_repetition(jax.numpy.asarray(logits), jax.numpy.asarray(seen), 1.3)
    np.testing.assert_allclose(found, penalised_by_hugging_face(tokens, logits, 1.3), rtol=1e-6)


def test_all_of_them_together_are_torch_s() -> None:
    from microgpt_ref.torch.sample import process

    settings = Sampling(0.7, 20, 0.9, 0.05, 1.3)
    logits, (_, seen) = random_logits(0), random_seen(1)
    expected = process(torch.from_numpy(logits), settings, torch.from_numpy(seen))
    found = sample.process(jax.numpy.asarray(logits), settings, jax.numpy.asarray(seen))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def check_text(prompt: Prompt, new_tokens: int, cached: bool = True) -> None:
    """Twenty prompts of different lengths in one batch give PyTorch's text, greedy and penalised."""
    context = prompt.config.context
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 7, (20, context))
    lengths = [1, context, *rng.integers(1, context + 1, 18).tolist()]
    settings = {"repetition_penalty": 1.2, "lengths": lengths, "padding": "left", "cache": cached}
    expected = torch_generate(prompt.model(), torch.from_numpy(tokens), new_tokens, temperature=0, **settings)
    found = generate(
        model_in_jax(prompt),
        jax.numpy.asarray(tokens),
        prompt.config,
        new_tokens,
        jax.random.key(0),
        temperature=0.0,
        **settings,
    )
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_prompts_give_torch_s_text_with_a_cache(seed: int) -> None:
    check_text(random_prompt(seed), 10)


@pytest.mark.slow
@pytest.mark.parametrize("position", ["rotary", "learned"])
def test_and_without(position: str) -> None:
    check_text(random_prompt(3, position=position, n_layer=2), 10, cached=False)


def check_parts(prompt: Prompt) -> None:
    """In parts, and then token by token beyond the context, the logits are NumPy's."""
    from microgpt_ref.numpy.cache import KVCache, read

    parameters = model_in_jax(prompt)
    ours, theirs = (
        cache.empty_cache(parameters, 2, prompt.config),
        KVCache(prompt.parameters, 2, prompt.config),
    )
    tokens = np.random.default_rng(0).integers(0, 7, (2, 3 + prompt.config.context))
    compiled = jax.jit(lambda *arrays: cache.read(*arrays, prompt.config, 20))
    for part in np.split(tokens, range(3, tokens.shape[1]), axis=1):
        counts = jax.numpy.full(2, part.shape[1])
        found, ours = compiled(parameters, jax.numpy.asarray(part), counts, ours)
        np.testing.assert_allclose(
            found, read(prompt.parameters, part, theirs, prompt.config), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_logits_are_numpy_s(seed: int) -> None:
    check_parts(rolling_prompts(2)[seed])


@pytest.mark.slow
def test_streaming_gives_the_same_and_stops() -> None:
    arguments = (parameters(), PROMPT, CONFIG, 12, jax.random.key(3))
    whole = np.asarray(generate(*arguments))[:, 3:]
    steps = list(sample.stream(*arguments))
    np.testing.assert_array_equal(np.concatenate(steps, axis=1), whole)
    stop = [whole[0, 2:4].tolist(), int(whole[1, 7])]
    stopped = np.asarray(generate(*arguments, stop=stop))[:, 3:]
    ends = [int((row != PAD).sum()) for row in stopped]
    assert ends[0] <= 4
    assert ends[1] <= 8
    assert max(ends) == stopped.shape[1]
    for row, all_of_it, end in zip(stopped, whole, ends, strict=True):
        np.testing.assert_array_equal(row[:end], all_of_it[:end])
        assert (row[end:] == PAD).all()


ROTARY = random_prompt(3, position="rotary", n_layer=2)
BUGS = [
    Bug("position off by one after the first part", cache.find_places,
        "cache.lengths[:, None]", "jnp.maximum(cache.lengths - 1, 0)[:, None]", partial(check_parts, ROTARY)),
    Bug("the future is visible within a part", cache.find_places,
        "<= positions[..., None]", "<= positions[..., None] + 1", partial(check_parts, ROTARY)),
    Bug("keys cached before they are turned", cache.read_attention,
        "q, k = turn(q, *places.turns), turn(k, *places.turns)", "q = turn(q, *places.turns)",
        partial(check_parts, ROTARY)),
    Bug("the newest drops out", cache.find_places,
        "positions % size", "jnp.minimum(positions, size - 1)", partial(check_parts, ROTARY)),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_mistakes_are_noticed(bug: Bug) -> None:
    bug.notices()
    with seeded(bug), pytest.raises(AssertionError):
        bug.notices()
