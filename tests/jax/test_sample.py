"""Sampling in JAX: the distribution, greedy text beyond the context, and what it refuses."""

import jax
import numpy as np
import pytest
import torch
from scipy import stats

from microgpt_ref import numpy as in_numpy
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import generate, initialise
from microgpt_ref.jax.sample import choose, keep_top_k
from microgpt_ref.torch import GPT
from microgpt_ref.torch import generate as torch_generate
from tests.frameworks.cases import random_parameters

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
