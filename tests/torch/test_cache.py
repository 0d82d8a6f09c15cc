"""The KV cache: the model's own logits, however the text is cut, and beyond the context those of a window."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from microgpt_ref.torch import GPT, cache, generate
from microgpt_ref.torch.cache import KVCache, read
from tests.decoding import Prompt, random_prompt, rolling_prompts
from tests.frameworks.seeding import Bug, seeded

TOLERANCE = 1e-6  # in float64; the model's table of rotary angles is rounded to float32, that beyond is not


def close(a: Tensor, b: Tensor) -> None:
    """The same logits, relative to the largest."""
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= TOLERANCE * float(b.abs().max())


def read_in_parts(model: GPT, tokens: Tensor, sizes: list[int]) -> Tensor:
    """The logits after each part of the text, (B, parts, V)."""
    kept = KVCache(model, len(tokens))
    return torch.stack([read(model, part, kept) for part in tokens.split(sizes, dim=1)], dim=1)


def random_parts(T: int, seed: int) -> list[int]:
    """Sizes from 1 to 4 that make up T."""
    sizes: list[int] = []
    rng = np.random.default_rng(seed)
    while sum(sizes) < T:
        sizes.append(min(int(rng.integers(1, 5)), T - sum(sizes)))
    return sizes


def sliding_window_logits(prompt: Prompt, tokens: Tensor) -> Tensor:
    """One plain forward pass over the whole text, in which each position sees `context` tokens at most."""
    context, L = prompt.config.context, tokens.shape[1]
    long = Prompt(prompt.config.replace(context=L), prompt.parameters, prompt.tokens)
    back = torch.arange(L)[:, None] - torch.arange(L)
    hidden = (back < 0) | (back >= context)

    def windowed(q: Tensor, k: Tensor, v: Tensor, scale: float, dropout: float) -> Tensor:
        return (q @ k.transpose(-1, -2) * scale).masked_fill(hidden, -math.inf).softmax(-1) @ v

    model = long.model(torch.float64)
    for block in model.blocks:
        block.attention.attention = windowed  # type: ignore[union-attr, assignment]
    with torch.no_grad():
        return model(tokens)


def check_parts(prompt: Prompt, seed: int) -> None:
    """Within the context: the logits after each part are those of the plain model."""
    model = prompt.model(torch.float64)
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(0, 7, (2, prompt.config.context)))
    sizes = random_parts(prompt.config.context, seed)
    with torch.no_grad():
        expected = model(tokens)[:, np.cumsum(sizes) - 1]
    close(read_in_parts(model, tokens, sizes), expected)


def check_sliding(prompt: Prompt, seed: int) -> None:
    """Four contexts long, in parts: at every border the logits of a sliding window over the whole text."""
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(0, 7, (2, 4 * prompt.config.context)))
    sizes = random_parts(tokens.shape[1], seed)
    expected = sliding_window_logits(prompt, tokens)[:, np.cumsum(sizes) - 1]
    close(read_in_parts(prompt.model(torch.float64), tokens, sizes), expected)


def check_lengths(prompt: Prompt, seed: int, new_tokens: int) -> None:
    """Prompts of different lengths together: after every token the logits of each prompt on its own."""
    model, context = prompt.model(torch.float64), prompt.config.context
    rng = np.random.default_rng(seed)
    lengths = [1, context, *rng.integers(1, context + 1, 2).tolist()]
    tokens = torch.from_numpy(rng.integers(0, 7, (len(lengths), context + new_tokens)))
    kept, alone = KVCache(model, len(lengths)), [KVCache(model, 1) for _ in lengths]
    prompts = tokens[:, :context]
    expected = [read(model, row[None, :n], own) for row, n, own in zip(prompts, lengths, alone, strict=True)]
    close(read(model, prompts, kept, lengths), torch.cat(expected))
    for t in range(context, context + new_tokens):
        expected = [read(model, tokens[i : i + 1, t : t + 1], own) for i, own in enumerate(alone)]
        close(read(model, tokens[:, t : t + 1], kept), torch.cat(expected))


@pytest.mark.parametrize("seed", range(20))
def test_the_logits_are_the_model_s_however_the_text_is_cut(seed: int) -> None:
    check_parts(random_prompt(seed), seed)


@pytest.mark.parametrize("seed", range(8))
def test_beyond_the_context_it_is_attention_with_a_sliding_window(seed: int) -> None:
    check_sliding(rolling_prompts(8)[seed], seed)


@pytest.mark.parametrize("seed", range(8))
def test_padding_is_not_seen(seed: int) -> None:
    prompt = rolling_prompts(8)[seed]
    check_lengths(prompt, seed, new_tokens=prompt.config.context + 2)


@pytest.mark.parametrize("position", ["learned", "sinusoidal"])
def test_padding_is_not_seen_with_positions_that_end(position: str) -> None:
    check_lengths(random_prompt(3, position=position, n_layer=2), 3, new_tokens=0)


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 100, 20)], ids=str)
def test_greedy_text_is_the_same_with_and_without(seeds: range) -> None:
    """Of 100 random architectures, in float32; where it must be, also far beyond the context."""
    for seed in seeds:
        prompt = random_prompt(seed)
        model, tokens = prompt.model(), torch.from_numpy(prompt.tokens)
        with_cache, without = (
            generate(model, tokens, prompt.new_tokens(), temperature=0, cache=cache)
            for cache in (True, False)
        )
        assert torch.equal(with_cache, without), seed


def test_logits_in_float32() -> None:
    for seed in range(5):
        prompt = random_prompt(seed)
        model, tokens = prompt.model(), torch.from_numpy(prompt.tokens)
        kept = KVCache(model, len(tokens))
        steps = torch.stack([read(model, token, kept) for token in tokens.split(1, dim=1)], dim=1)
        with torch.no_grad():
            torch.testing.assert_close(steps, model(tokens), rtol=1e-5, atol=1e-5)


def test_a_smaller_cache_is_a_smaller_window() -> None:
    prompt = random_prompt(1, position="learned", n_layer=1)
    model = prompt.model(torch.float64)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 7, (2, prompt.config.context)))
    small, whole = KVCache(model, 2, size=3), KVCache(model, 2)
    for t, token in enumerate(tokens.split(1, dim=1)):
        same = torch.equal(read(model, token, small), read(model, token, whole))
        assert same == (t < 3)
    assert small.keys.shape[3] == 3


def test_one_cost_a_token_however_far() -> None:
    """The cache does not grow, and its length counts on."""
    prompt = rolling_prompts(1)[0]
    model = prompt.model()
    kept = KVCache(model, 1)
    shape = kept.keys.shape
    for n in range(5 * prompt.config.context):
        assert kept.lengths == [n]
        read(model, torch.tensor([[n % 7]]), kept)
        assert kept.keys.shape == shape
    assert shape[3] == prompt.config.context


def test_positions_that_end_say_so() -> None:
    prompt = random_prompt(1, position="learned")
    kept = KVCache(prompt.model(), 1)
    tokens = torch.zeros(1, prompt.config.context, dtype=torch.int64)
    read(prompt.model(), tokens, kept)
    with pytest.raises(ValueError, match="position='learned' ends at the context of 8, but the tokens reach"):
        read(prompt.model(), tokens[:, :1], kept)


def test_lengths_in_the_middle_of_a_text_say_so() -> None:
    prompt = rolling_prompts(1)[0]
    model = prompt.model()
    kept = KVCache(model, 1)
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    read(model, tokens, kept)
    with pytest.raises(
        ValueError, match="lengths needs an empty cache with a place for each of the 2 tokens"
    ):
        read(model, tokens, kept, lengths=[1])


def each(check: Callable[..., None], **changes: object) -> Callable[[], None]:
    """The check on a few models."""
    models = [random_prompt(seed, n_layer=2, **changes) for seed in range(3)]
    return lambda: [check(model, seed) for seed, model in enumerate(models)] and None


padding = partial(check_lengths, new_tokens=3)
BUGS = [
    Bug("rotary position off by one with a cache", cache.find_places,
        "slice(first, last)", "slice(max(first - 1, 0), max(first - 1, 0) + n)",
        each(check_parts, position="rotary")),
    Bug("learned position starts again with each part", cache.find_places,
        "slice(first, last)", "slice(0, n)", each(check_parts, position="learned")),
    Bug("mask wrong for several tokens on a cache that is not empty", cache.find_places,
        ".tril(first)", ".tril()", each(check_parts)),
    Bug("no mask for several tokens", cache.find_places,
        "None if n == 1 else", "None if n else", each(check_parts)),
    Bug("keys cached before they are turned", cache.read_attention,
        "keys[places.write] = k[:, :, 0] if one_a_row else k",
        "k = layer.heads(x)[1]; keys[places.write] = k[:, :, 0] if one_a_row else k",
        each(check_parts, position="rotary")),
    Bug("padding visible to short prompts", cache.find_places,
        "<= positions)", "<= positions.amax(0, keepdim=True))", each(padding, position="none")),
    Bug("every row at the position of the longest", cache.find_places,
        "torch.tensor(cache.lengths, device=device)", "torch.full((B,), max(cache.lengths))",
        each(padding, position="rotary")),
    Bug("logits of the padding", cache.read,
        "[length - 1 for length in lengths]", "[n - 1 for length in lengths]",
        each(padding, position="none")),
    Bug("the newest key drops out instead of the oldest", cache.find_places,
        "place = first % size", "place = min(first, size - 1)", each(check_sliding, position="rotary")),
    Bug("positions start again when the cache is full", cache.find_places,
        "slice(first, last)", "slice(first % size, first % size + n)",
        each(check_sliding, position="rotary")),
    Bug("one place stays empty", cache.find_places,
        "min(last, size)", "min(last, size - 1)", each(check_sliding, position="none")),
    Bug("angles beyond the context are those of its beginning", cache.KVCache.turns,
        "[len(cos) :]", "[: 2 * upto - len(cos)]", each(check_sliding, position="rotary")),
    Bug("grouped heads in turn", cache.grouped_attention,
        "q.reshape(B, H // groups, groups * n, D)",
        "q.reshape(B, groups, H // groups, n, D).transpose(1, 2).reshape(B, H // groups, groups * n, D)",
        lambda: check_parts(random_prompt(3, n_layer=2), 3)),
]  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_mistakes_are_noticed(bug: Bug) -> None:
    bug.notices()
    with seeded(bug), pytest.raises(AssertionError):
        bug.notices()
