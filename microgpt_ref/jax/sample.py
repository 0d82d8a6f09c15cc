"""Sampling: one token at a time from the model's distribution, with the usual filters on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int, PRNGKeyArray, Shaped

from microgpt_ref._arguments import check_sampling
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters, at_least_float32
from microgpt_ref.jax.readers import State, append, first_logits, next_logits, start
from microgpt_ref.sampling import PAD, Sampling, Stop, Stopping

Logits = Float[Array, "B V"]


def keep_top_k(logits: Logits, top_k: int) -> Logits:
    """All but the k largest logits set to −∞; ties with the k-th stay (Fan et al. 2018)."""
    kth = lax.top_k(logits, min(top_k, logits.shape[-1]))[0][:, -1:]  # (B, 1)
    return jnp.where(logits < kth, -jnp.inf, logits)


def keep_top_p(logits: Logits, top_p: float) -> Logits:
    """The nucleus: the fewest likeliest tokens with probability `top_p` together (Holtzman et al. 2020).

    The others are set to −∞. The likeliest always stays; of tokens that are equally likely, those with the
    smaller ids go first.
    """
    ascending = jnp.argsort(logits, axis=-1, stable=True)  # (B, V)
    probabilities = jax.nn.softmax(jnp.take_along_axis(logits, ascending, -1))  # (B, V)
    goes = (probabilities.cumsum(-1) <= 1 - top_p).at[:, -1].set(False)  # (B, V)
    goes = jnp.take_along_axis(goes, jnp.argsort(ascending, axis=-1), -1)  # (B, V)
    return jnp.where(goes, -jnp.inf, logits)


def keep_min_p(logits: Logits, min_p: float) -> Logits:
    """Tokens less likely than `min_p` times the likeliest set to −∞ (Nguyen et al. 2024)."""
    probabilities = jax.nn.softmax(logits)  # (B, V)
    return jnp.where(probabilities < min_p * probabilities.max(-1, keepdims=True), -jnp.inf, logits)


def penalise_repetition(logits: Logits, seen: Bool[Array, "B V"], penalty: float) -> Logits:
    """Logits of tokens that occurred: positive ones divided, negative multiplied (Keskar et al. 2019)."""
    return jnp.where(seen, jnp.where(logits > 0, logits / penalty, logits * penalty), logits)


def process(logits: Logits, sampling: Sampling, seen: Bool[Array, "B V"] | None = None) -> Logits:
    """The logits after all that is asked for, in Hugging Face's order; their softmax is what is drawn from.

    Args:
        sampling: the settings; a temperature of 0 is left out, as it changes no order.
        seen: which tokens occurred; only the repetition penalty needs it.
    """
    logits = at_least_float32(logits)  # (B, V)
    if sampling.repetition_penalty != 1 and seen is not None:
        logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def draw(
    logits: Logits, key: PRNGKeyArray, sampling: Sampling, seen: Bool[Array, "B V"] | None = None
) -> Int[Array, " B"]:
    """One token a row; temperature 0 takes the likeliest."""
    logits = process(logits, sampling, seen)
    return logits.argmax(-1) if sampling.temperature == 0 else jax.random.categorical(key, logits)


def choose(
    logits: Logits,
    key: PRNGKeyArray,
    temperature: float = 1.0,
    top_k: int | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    seen: Bool[Array, "B V"] | None = None,
) -> Int[Array, " B"]:
    """`draw` with the settings one by one."""
    return draw(logits, key, Sampling(temperature, top_k, top_p, min_p, repetition_penalty), seen)


class Plan(NamedTuple):
    """What is fixed when the programs are compiled."""

    config: GPTConfig
    sampling: Sampling
    steps: int


@partial(jax.jit, static_argnames="plan")
def first_token(
    parameters: Parameters, state: State, key: PRNGKeyArray, plan: Plan
) -> tuple[State, Int[Array, " B"]]:
    """Read the prompts and choose."""
    logits, state = first_logits(parameters, state, plan.config)
    chosen = draw(logits, key, plan.sampling, state.seen)  # (B,)
    return append(state, chosen, plan.config), chosen


@partial(jax.jit, static_argnames="plan")
def next_token(
    parameters: Parameters, state: State, last: Int[Array, " B"], key: PRNGKeyArray, plan: Plan
) -> tuple[State, Int[Array, " B"]]:
    """Read the last token and choose."""
    logits, state = next_logits(parameters, state, last, plan.config, plan.config.context + plan.steps)
    chosen = draw(logits, key, plan.sampling, state.seen)  # (B,)
    return append(state, chosen, plan.config), chosen


@partial(jax.jit, static_argnames="plan")
def all_tokens(
    parameters: Parameters, state: State, keys: Shaped[Array, "steps ..."], plan: Plan
) -> Int[Array, "B steps"]:
    """`plan.steps` tokens in one compiled program."""

    def step(carry: tuple[State, Array], key: PRNGKeyArray) -> tuple[tuple[State, Array], Array]:
        state, chosen = next_token(parameters, *carry, key, plan)
        return (state, chosen), chosen

    carry = first_token(parameters, state, keys[0], plan)
    _, others = lax.scan(step, carry, keys[1:])  # (steps - 1, B)
    return jnp.concatenate((carry[1][None], others)).T  # (B, steps)


def one_by_one(
    parameters: Parameters, state: State, key: PRNGKeyArray, plan: Plan, stop: Stop
) -> Iterator[Int[Array, "B 1"]]:
    """Each step one call of a compiled program, until all rows have stopped."""
    stopping, chosen = Stopping(stop, rows=len(state.window)), None
    keys, context = jax.random.split(key, plan.steps), plan.config.context
    plan = plan._replace(steps=-(-plan.steps // context) * context)  # one program for many numbers of steps
    for step_key in keys:
        if chosen is None:
            state, chosen = first_token(parameters, state, step_key, plan)
        else:
            state, chosen = next_token(parameters, state, chosen, step_key, plan)
        given = jnp.where(np.array(stopping.stopped), PAD, chosen)  # (B,)
        yield given[:, None].astype(state.window.dtype)
        if stopping.sequences:
            stopping.add(chosen.tolist())
            if all(stopping.stopped):
                return


def stream(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    config: GPTConfig,
    max_new_tokens: int,
    key: PRNGKeyArray,
    temperature: float = 1.0,
    top_k: int | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: Stop = (),
    lengths: Sequence[int] | None = None,
    padding: str = "right",
    cache: bool = True,
) -> Iterator[Int[Array, "B 1"]]:
    """The new tokens, one step at a time; see `generate`, which is faster where nothing can stop it."""
    sampling = check_sampling(
        tokens.shape[1],
        max_new_tokens,
        temperature,
        top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    state = start(parameters, tokens, config, lengths, padding, cache)
    yield from one_by_one(parameters, state, key, Plan(config, sampling, max_new_tokens), stop)


def generate(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    config: GPTConfig,
    max_new_tokens: int,
    key: PRNGKeyArray,
    temperature: float = 1.0,
    top_k: int | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: Stop = (),
    lengths: Sequence[int] | None = None,
    padding: str = "right",
    cache: bool = True,
) -> Int[Array, "B T_all"]:
    """The prompts as they were given, then the new tokens: T + max_new_tokens ids a row, or fewer.

    Of a prompt longer than the context the model sees the last `config.context` tokens. Beyond the context a
    cache with rotary positions or none lets the oldest key and value drop out, and each layer is attention
    with a sliding window. Without a cache, and with learned or sinusoidal positions, the last
    `config.context` tokens are read again for each new one.

    Args:
        temperature, top_k, top_p, min_p, repetition_penalty: see `microgpt_ref.sampling.Sampling`. The
            penalty counts the prompt too.
        stop: token ids, or sequences of them, that end a row. They are given out. A row that has stopped
            gives −1 while others go on; when all have stopped, the result ends.
        lengths: for prompts of different lengths in one batch: how many tokens each has. The rest is padding,
            whose ids do not matter.
        padding: the side of it, "right" or "left".
        cache: whether keys and values are kept, or the window is read again for each token.

    Raises:
        ValueError: for an empty prompt, a setting that cannot be meant, or an id that is not in the
            vocabulary.
    """
    sampling = check_sampling(
        tokens.shape[1],
        max_new_tokens,
        temperature,
        top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    state = start(parameters, tokens, config, lengths, padding, cache)
    plan = Plan(config, sampling, max_new_tokens)
    if stop:
        new = one_by_one(parameters, state, key, plan, stop)
        return jnp.concatenate((tokens, *new), axis=1)
    if max_new_tokens == 0:
        return tokens
    new = all_tokens(parameters, state, jax.random.split(key, max_new_tokens), plan)
    return jnp.concatenate((tokens, new.astype(tokens.dtype)), axis=1)
