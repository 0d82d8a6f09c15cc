"""Sampling: one token at a time from the model's distribution, with the usual filters on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from microgpt_ref._arguments import check_sampling
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import softmax
from microgpt_ref.numpy.basics import Parameters
from microgpt_ref.numpy.cache import KVCache
from microgpt_ref.numpy.readers import Text
from microgpt_ref.sampling import PAD, Sampling, Stop, Stopping

Logits = Float[np.ndarray, "B V"]


def keep_top_k(logits: Logits, top_k: int) -> Logits:
    """All but the k largest logits set to −∞; ties with the k-th stay (Fan et al. 2018)."""
    kth = np.sort(logits)[:, -min(top_k, logits.shape[-1])][:, None]  # (B, 1)
    return np.where(logits < kth, -np.inf, logits).astype(logits.dtype)


def keep_top_p(logits: Logits, top_p: float) -> Logits:
    """The nucleus: the fewest likeliest tokens with probability `top_p` together (Holtzman et al. 2020).

    The others are set to −∞. The likeliest always stays; of tokens that are equally likely, those with the
    smaller ids go first.
    """
    ascending = logits.argsort(-1, kind="stable")  # (B, V)
    goes = np.cumsum(softmax(np.take_along_axis(logits, ascending, -1)), -1) <= 1 - top_p  # (B, V)
    goes[:, -1] = False
    out = logits.copy()
    np.put_along_axis(out, ascending, np.where(goes, -np.inf, np.take_along_axis(out, ascending, -1)), -1)
    return out


def keep_min_p(logits: Logits, min_p: float) -> Logits:
    """Tokens less likely than `min_p` times the likeliest set to −∞ (Nguyen et al. 2024)."""
    probabilities = softmax(logits)  # (B, V)
    too_small = probabilities < min_p * probabilities.max(-1, keepdims=True)  # (B, V)
    return np.where(too_small, -np.inf, logits).astype(logits.dtype)


def penalise_repetition(logits: Logits, seen: Bool[np.ndarray, "B V"], penalty: float) -> Logits:
    """Logits of tokens that occurred: positive ones divided, negative multiplied (Keskar et al. 2019)."""
    return np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)


def process(logits: Logits, sampling: Sampling, seen: Bool[np.ndarray, "B V"] | None = None) -> Logits:
    """The logits after all that is asked for, in Hugging Face's order; their softmax is what is drawn from.

    Args:
        sampling: the settings; a temperature of 0 is left out, as it changes no order.
        seen: which tokens occurred; only the repetition penalty needs it.
    """
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
    logits: Logits,
    sampling: Sampling,
    rng: np.random.Generator,
    seen: Bool[np.ndarray, "B V"] | None = None,
) -> Int[np.ndarray, " B"]:
    """One token a row: where a uniform number falls among the summed probabilities.

    Temperature 0 takes the likeliest.
    """
    logits = process(logits, sampling, seen)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    summed = np.cumsum(softmax(logits.astype(np.float64)), -1)  # (B, V)
    return (summed <= rng.random((len(logits), 1)) * summed[:, -1:]).sum(-1)  # (B,)


def stream(
    parameters: Parameters,
    tokens: Int[np.ndarray, "B T"],
    config: GPTConfig,
    max_new_tokens: int,
    rng: np.random.Generator,
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
) -> Iterator[Int[np.ndarray, "B 1"]]:
    """The new tokens, one step at a time.

    Of a prompt longer than the context the model sees the last `config.context` tokens. Beyond the context a
    cache with rotary positions or none lets the oldest key and value drop out, and each layer is attention
    with a sliding window. Without a cache, and with learned or sinusoidal positions, the last
    `config.context` tokens are read again for each new one.

    Args:
        rng: source of the draws.
        temperature, top_k, top_p, min_p, repetition_penalty: see `microgpt_ref.sampling.Sampling`. The
            penalty counts the prompt too.
        stop: token ids, or sequences of them, that end a row. They are given out. A row that has stopped
            gives −1 while others go on; when all have stopped, the stream ends.
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
    stopping, text = Stopping(stop, rows=len(tokens)), Text(tokens, config, lengths, padding)
    kept = KVCache(parameters, len(tokens), config) if cache else None
    for _ in range(max_new_tokens):
        chosen = draw(text.logits(parameters, kept), sampling, rng, text.seen)  # (B,)
        text.append(chosen)
        yield np.where(stopping.stopped, PAD, chosen)[:, None]
        if stopping.sequences:
            stopping.add(chosen.tolist())
            if all(stopping.stopped):
                return


def generate(
    parameters: Parameters,
    tokens: Int[np.ndarray, "B T"],
    config: GPTConfig,
    max_new_tokens: int,
    rng: np.random.Generator,
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
) -> Int[np.ndarray, "B T_all"]:
    """The prompts as they were given, then the new tokens: T + max_new_tokens ids a row, or fewer.

    See `stream` for the arguments and errors.
    """
    steps = stream(
        parameters,
        tokens,
        config,
        max_new_tokens,
        rng,
        temperature,
        top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=stop,
        lengths=lengths,
        padding=padding,
        cache=cache,
    )
    return np.concatenate((tokens, *steps), axis=1)
