"""How the text is read while it grows: anew for each token, or with a KV cache.

Up to the context both give the same logits. Beyond it:

- Without a cache the last `context` tokens are read again for each new one. The oldest token drops out and
  every position moves down by one.
- With a cache and rotary positions or none, the oldest key and value drop out and positions go on counting:
  every layer is attention with a sliding window. In deeper layers that is not the same as reading the window
  again, since the keys that are kept were made when older tokens were still in sight.
- With a cache and learned or sinusoidal positions, which end at the context, the window is read again from
  there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from microgpt_ref._arguments import check_tokens
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters
from microgpt_ref.jax.cache import KVCache, empty_cache, read
from microgpt_ref.jax.gpt import forward
from microgpt_ref.sampling import prompt_windows

Logits = Float[Array, "B V"]


class State(NamedTuple):
    """A batch of texts while they grow."""

    window: Int[Array, "B context"]
    """The last tokens of each row, from the left; what stands behind the last one cannot be seen."""
    lengths: Int[Array, " B"]
    """How many tokens each row has, counted from the window's beginning at the start."""
    seen: Bool[Array, "B V"]
    """Which tokens occurred, in the whole prompt too."""
    cache: KVCache | None


def start(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    config: GPTConfig,
    lengths: Sequence[int] | None = None,
    padding: str = "right",
    cached: bool = True,
) -> State:
    """The prompts as windows of one shape, whatever their lengths.

    Raises:
        ValueError: for lengths that do not fit, and (outside `jit`) an id that is not in the vocabulary.
    """
    B, T = tokens.shape
    columns, held = prompt_windows(T, lengths, B, padding, config.context)
    window = jnp.take_along_axis(tokens, columns, axis=1)
    if not isinstance(tokens, jax.core.Tracer):
        check_tokens(np.asarray(window), config)
    window = jnp.pad(window, ((0, 0), (0, config.context - window.shape[1])))  # (B, context)
    columns, whole = prompt_windows(T, lengths, B, padding, T)
    there = np.arange(columns.shape[1]) < whole[:, None]
    seen = jnp.zeros((B, config.vocab_size), bool)  # (B, V)
    seen = seen.at[np.arange(B)[:, None], jnp.take_along_axis(tokens, columns, axis=1)].max(there)  # (B, V)
    return State(window, jnp.asarray(held), seen, empty_cache(parameters, B, config) if cached else None)


def append(state: State, chosen: Int[Array, " B"], config: GPTConfig) -> State:
    """One more token a row; the oldest of a full window drops out."""
    rows, full = jnp.arange(len(chosen)), state.lengths >= config.context  # (B,) each
    window = jnp.where(full[:, None], jnp.roll(state.window, -1, axis=1), state.window)  # (B, context)
    place = jnp.minimum(state.lengths, config.context - 1)  # (B,)
    window = window.at[rows, place].set(chosen.astype(window.dtype))  # (B, context)
    return State(window, state.lengths + 1, state.seen.at[rows, chosen].set(True), state.cache)


def first_logits(parameters: Parameters, state: State, config: GPTConfig) -> tuple[Logits, State]:
    """Of the token after the prompts."""
    if state.cache is None:
        return window_logits(parameters, state, config), state
    logits, cache = read(parameters, state.window, state.lengths, state.cache, config, config.context)
    return logits, state._replace(cache=cache)


def next_logits(
    parameters: Parameters, state: State, last: Int[Array, " B"], config: GPTConfig, longest: int
) -> tuple[Logits, State]:
    """Of the token after the last one, which the cache does not hold yet.

    Args:
        longest: a bound on the length of the text.
    """

    def by_window(state: State) -> tuple[Logits, KVCache | None]:
        return window_logits(parameters, state, config), state.cache

    def by_cache(state: State) -> tuple[Logits, KVCache | None]:
        assert state.cache is not None
        return read(parameters, last[:, None], jnp.ones_like(state.lengths), state.cache, config, longest)

    if state.cache is None:
        logits, cache = by_window(state)
    elif config.position in ("learned", "sinusoidal"):
        beyond = (state.lengths > config.context).any()  # of one row: then all are read by the window
        logits, cache = lax.cond(beyond, by_window, by_cache, state)
    else:
        logits, cache = by_cache(state)
    return logits, state._replace(cache=cache)


def window_logits(parameters: Parameters, state: State, config: GPTConfig) -> Logits:
    """By reading the whole window."""
    last = jnp.minimum(state.lengths, config.context) - 1  # (B,)
    logits = forward(parameters, state.window, config)  # (B, context, V)
    return jnp.take_along_axis(logits, last[:, None, None], axis=1)[:, 0]  # (B, V)
