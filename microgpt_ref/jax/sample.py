"""Sampling: one token at a time from the model's distribution, with temperature and top-k."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, PRNGKeyArray

from microgpt_ref._arguments import check_sampling, check_tokens
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters
from microgpt_ref.jax.gpt import forward

State = tuple[Int[Array, "B T"], Int[Array, ""]]


def keep_top_k(logits: Float[Array, "B V"], top_k: int) -> Float[Array, "B V"]:
    """All but the k largest logits set to −∞; ties with the k-th stay (Fan et al. 2018)."""
    kth = lax.top_k(logits, min(top_k, logits.shape[-1]))[0][:, -1:]  # (B, 1)
    return jnp.where(logits < kth, -jnp.inf, logits)


def choose(
    logits: Float[Array, "B V"], key: PRNGKeyArray, temperature: float = 1.0, top_k: int | None = None
) -> Int[Array, " B"]:
    """One token a row; temperature 0 takes the likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    return jax.random.categorical(key, logits)


@partial(jax.jit, static_argnames=("config", "temperature", "top_k", "steps"))
def _continue(
    parameters: Parameters,
    window: Int[Array, "B T"],
    length: Int[Array, ""],
    key: PRNGKeyArray,
    config: GPTConfig,
    temperature: float,
    top_k: int | None,
    steps: int,
) -> Int[Array, "B steps"]:
    """`steps` new tokens. `window` has `config.context` places, of which the first `length` are filled.

    What stands behind them cannot be seen: the mask hides the future. So one shape serves every length,
    and the program is compiled once.
    """

    def step(state: State, key: PRNGKeyArray) -> tuple[State, Int[Array, " B"]]:
        window, length = state
        logits = forward(parameters, window, config)[:, length - 1]  # (B, V)
        chosen = choose(logits, key, temperature, top_k).astype(window.dtype)  # (B,)
        full = length == config.context
        window = jnp.where(full, jnp.roll(window, -1, axis=1), window)  # the oldest token drops out
        length = jnp.where(full, length, length + 1)
        return (window.at[:, length - 1].set(chosen), length), chosen

    _, chosen = lax.scan(step, (window, length), jax.random.split(key, steps))  # (steps, B)
    return chosen.T


def generate(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    config: GPTConfig,
    max_new_tokens: int,
    key: PRNGKeyArray,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Int[Array, "B T_all"]:
    """The prompt and its continuation, T + max_new_tokens ids a row.

    Beyond the context the model sees the last `config.context` tokens only.

    Raises:
        ValueError: for an empty prompt, a negative temperature or count, top_k below 1, or an id that is
            not in the vocabulary.
    """
    check_sampling(tokens.shape[1], max_new_tokens, temperature, top_k)
    seen = tokens[:, -config.context :]
    if not isinstance(tokens, jax.core.Tracer):
        check_tokens(np.asarray(tokens)[:, -config.context :], config)
    window = jnp.pad(seen, ((0, 0), (0, config.context - seen.shape[1])))  # (B, context)
    new = _continue(
        parameters, window, jnp.asarray(seen.shape[1]), key, config, temperature, top_k, max_new_tokens
    )
    return jnp.concatenate((tokens, new), axis=1)
