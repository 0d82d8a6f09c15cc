"""Sampling in NumPy: Hugging Face's filters, the distribution, and PyTorch's greedy text."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from microgpt_ref.numpy import cache, readers, sample
from microgpt_ref.numpy.sample import draw, generate, stream
from microgpt_ref.sampling import PAD, Sampling
from microgpt_ref.torch import generate as torch_generate
from tests.decoding import (
    FILTERS,
    Filter,
    on_the_border,
    penalised_by_hugging_face,
    random_logits,
    random_prompt,
    random_seen,
    rolling_prompts,
)
from tests.frameworks.seeding import Bug, seeded


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("each", FILTERS, ids=str)
def test_filters_keep_what_hugging_face_keeps(each: Filter) -> None:
    for seed in range(5):
        logits = random_logits(seed)
        found, clear = getattr(sample, each.name)(logits, each.strength), ~on_the_border(logits, each)
        assert found.dtype == logits.dtype
        np.testing.assert_array_equal(found[clear], each.expected(logits)[clear])


def test_the_penalty_is_hugging_face_s() -> None:
    logits, (tokens, seen) = random_logits(0), random_seen(1)
    expected = penalised_by_hugging_face(tokens, logits, 1.3)
    np.testing.assert_allclose(sample.penalise_repetition(logits, seen, 1.3), expected, rtol=1e-6)


def test_all_of_them_together_are_torch_s() -> None:
    from microgpt_ref.torch.sample import process

    settings = Sampling(0.7, 20, 0.9, 0.05, 1.3)
    logits, (_, seen) = random_logits(0), random_seen(1)
    expected = process(torch.from_numpy(logits), settings, torch.from_numpy(seen))
    np.testing.assert_allclose(sample.process(logits, settings, seen), expected, rtol=1e-5)


def test_frequencies_follow_the_distribution() -> None:
    n, logits = 20_000, np.array([[2.0, 0.0, 1.0, -1.0, 1.0, 0.5]])
    seen = np.bincount(draw(np.repeat(logits, n, axis=0), Sampling(0.5, top_k=3), rng()), minlength=6)
    weights = np.exp(logits[0] / 0.5)
    weights[[1, 3, 5]] = 0
    kept = weights > 0
    assert seen[~kept].sum() == 0
    assert stats.chisquare(seen[kept], n * weights[kept] / weights.sum()).pvalue > 1e-3


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 100, 25)], ids=str)
def test_greedy_text_is_torch_s(seeds: range) -> None:
    """Of 100 random architectures, from the prompt to beyond the context; some also without a cache."""
    for seed in seeds:
        prompt = random_prompt(seed)
        n, model = prompt.config.context + 2 - prompt.tokens.shape[1], prompt.model(torch.float64)
        for kept in (True, False)[: 2 if seed % 5 == 0 else 1]:
            expected = torch_generate(model, torch.from_numpy(prompt.tokens), n, temperature=0, cache=kept)
            found = generate(prompt.parameters, prompt.tokens, prompt.config, n, rng(), 0.0, cache=kept)
            np.testing.assert_array_equal(found, expected.numpy(), str(seed))


def check_text(seed: int, position: str) -> None:
    """Prompts of different lengths, padded on the left, give PyTorch's text, as far as beyond the context."""
    prompt = random_prompt(seed, position=position, n_layer=2)
    context = prompt.config.context
    tokens = rng().integers(0, 7, (3, context + 2))
    arguments = {"repetition_penalty": 1.3, "lengths": [2, context + 2, context - 1], "padding": "left"}
    expected = torch_generate(
        prompt.model(torch.float64), torch.from_numpy(tokens), context + 2, temperature=0, **arguments
    )
    found = generate(prompt.parameters, tokens, prompt.config, context + 2, rng(), 0.0, **arguments)
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("position", ["rotary", "none", "learned", "sinusoidal"])
def test_prompts_of_different_lengths(position: str) -> None:
    for seed in range(4):
        check_text(seed, position)


def check_parts(seed: int) -> None:
    """However the text is cut, beyond the context too, the logits are PyTorch's."""
    from microgpt_ref.torch.cache import KVCache, read

    prompt = rolling_prompts(6)[seed]
    tokens = rng().integers(0, 7, (2, 3 * prompt.config.context))
    ours = cache.KVCache(prompt.parameters, 2, prompt.config)
    model = prompt.model(torch.float64)
    theirs = KVCache(model, 2)
    for part in np.split(tokens, [2, 3, 6, 13], axis=1):
        found = cache.read(prompt.parameters, part, ours, prompt.config)
        np.testing.assert_allclose(found, read(model, torch.from_numpy(part), theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_the_logits_are_torch_s_however_the_text_is_cut(seed: int) -> None:
    check_parts(seed)


def test_stop_and_seed() -> None:
    prompt = random_prompt(1)
    arguments = (prompt.parameters, prompt.tokens, prompt.config, 12)
    free = generate(*arguments, rng(), 1.5)
    T = prompt.tokens.shape[1]
    stopped = generate(*arguments, rng(), 1.5, stop=[free[0, T + 2 : T + 4].tolist()])
    width = stopped.shape[1]
    for row, whole in zip(stopped, free, strict=True):
        end = len(row) - int((row == PAD).sum())
        np.testing.assert_array_equal(row[:end], whole[:end])
        np.testing.assert_array_equal(row[end:], PAD)
    assert (stopped[0] != PAD).sum() <= T + 4
    assert width <= T + 12


def test_it_streams() -> None:
    prompt = random_prompt(0)
    steps = stream(prompt.parameters, prompt.tokens, prompt.config, 10**9, rng())
    assert [next(steps).shape for _ in range(20)] == [(2, 1)] * 20


def test_bad_input_says_so() -> None:
    prompt = random_prompt(0)
    with pytest.raises(ValueError, match="tokens holds 99, but the ids are 0 to 6"):
        generate(prompt.parameters, prompt.tokens + 99 - prompt.tokens, prompt.config, 1, rng())
    with pytest.raises(ValueError, match="top_p=2 is outside"):
        generate(prompt.parameters, prompt.tokens, prompt.config, 1, rng(), top_p=2)


def parts() -> None:
    for seed in range(6):
        check_parts(seed)


BUGS = [
    Bug("position off by one after the first part", cache.find_places,
        "cache.lengths[:, None]", "np.maximum(cache.lengths - 1, 0)[:, None]", parts),
    Bug("the future is visible within a part", cache.find_places,
        "<= positions[..., None]", "<= (positions * 0 + positions[:, -1:])[..., None]", parts),
    Bug("keys cached before they are turned", cache.read_attention,
        "q, k = rotate(q, places.angles), rotate(k, places.angles)", "q = rotate(q, places.angles)", parts),
    Bug("padding visible to short prompts", cache.find_places,
        "<= positions[..., None]", "<= (positions * 0 + positions.max(0))[..., None]",
        lambda: [check_text(seed, "none") for seed in range(6)]),
    Bug("the newest drops out", cache.find_places,
        "positions % size", "np.minimum(positions, size - 1)", parts),
    Bug("the window does not move", readers.Text.append,
        "np.roll(self.window[row], -1)", "self.window[row]", partial(check_text, 0, "learned")),
]  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_mistakes_are_noticed(bug: Bug) -> None:
    bug.notices()
    with seeded(bug), pytest.raises(AssertionError):
        bug.notices()
