"""The KV cache: keys and values of earlier tokens are kept, so that a new token costs one token's work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import merge_heads, rotary_angles, rotate, softmax, split_heads
from microgpt_ref.numpy.basics import Parameters, linear
from microgpt_ref.numpy.ffn import ffn
from microgpt_ref.numpy.gpt import RESIDUALS, norm_pair, sinusoidal_positions
from microgpt_ref.numpy.norm import norm, rms_norm
from microgpt_ref.parameters import part

Kept = Float[np.ndarray, "B n_kv_head context D"]
New = Float[np.ndarray, "B n C"]


class KVCache:
    """Keys (after rotation) and values of the last `context` tokens of each row, in every layer.

    Position p has place p mod `context`: when all places are taken, a new token takes that of the oldest, and
    positions go on counting. So a query sees itself and the `context` − 1 positions before it in every layer,
    as in sliding-window attention (Beltagy et al. 2020). Memory: 2 · N · B · n_kv_head · context · D numbers.

    Args:
        parameters: of the model; they give the number format.
        rows: B.
        config: of the model.
    """

    def __init__(self, parameters: Parameters, rows: int, config: GPTConfig) -> None:
        shape = (config.n_layer, rows, config.kv_heads, config.context, config.head_width)
        self.keys = np.zeros(shape, parameters["embedding.weight"].dtype)  # (N, B, n_kv_head, context, D)
        self.values = np.zeros_like(self.keys)  # (N, B, n_kv_head, context, D)
        self.lengths = np.zeros(rows, int)
        """How many tokens of each row were read: the position of its next one."""


class Places(NamedTuple):
    """Where new tokens stand and what they see: the same in every layer."""

    positions: Int[np.ndarray, "B n"]
    write: tuple[Int[np.ndarray, "B 1"], slice, Int[np.ndarray, "B n"]]
    """Index into keys and values of the places to write."""
    visible: Bool[np.ndarray, "B n context"]
    angles: Float[np.ndarray, "B 1 n half"] | None


def read(
    parameters: Parameters,
    tokens: Int[np.ndarray, "B n"],
    cache: KVCache,
    config: GPTConfig,
    lengths: Sequence[int] | None = None,
) -> Float[np.ndarray, "B V"]:
    """Append tokens to the cache; the logits after the last token of each row.

    Any number of tokens may be read at any time. Those that push older ones out of a full cache are read one
    at a time.

    Args:
        lengths: how many tokens of each row count, from the left; the rest is padding. Only for the first
            read, of at most `config.context` tokens.

    Raises:
        ValueError: for `lengths` where they cannot be, and for learned or sinusoidal positions beyond the
            context.
    """
    (B, n), most = tokens.shape, int(cache.lengths.max())
    if lengths is not None and (most or n > config.context):
        raise ValueError(
            f"lengths needs an empty cache with a place for each of the {n} tokens, but this one holds "
            f"{most} and has {config.context}; read each row into a cache of its own"
        )
    if most + n > config.context and config.position in ("learned", "sinusoidal"):
        raise ValueError(
            f"position={config.position!r} ends at the context of {config.context}, but the tokens reach "
            f"position {most + n}; read the last ones into a new cache"
        )
    fit = max(config.context - most, 1)
    if n > fit:
        parts = [tokens[:, :fit], *np.split(tokens[:, fit:], n - fit, axis=1)]
        return [read(parameters, part, cache, config) for part in parts][-1]
    places = find_places(tokens, cache, config)
    x = embed(tokens, parameters, config, places)  # (B, n, C)
    for layer, (keys, values) in enumerate(zip(cache.keys, cache.values, strict=True)):
        x = read_block(x, part(parameters, f"blocks.{layer}"), keys, values, places, config)
    counts = np.full(B, n) if lengths is None else np.asarray(lengths)  # (B,)
    cache.lengths = cache.lengths + counts  # (B,)
    x = x[np.arange(B), counts - 1][:, None]  # (B, 1, C)
    final_norm, _ = norm_pair(config.final_norm)
    x, _ = final_norm(x, part(parameters, "final_norm"), config)
    weight = parameters["embedding.weight" if config.tied_head else "head.weight"]  # (V, C)
    return linear(x, weight, parameters.get("head.bias"))[0][:, 0]  # (B, V)


def find_places(tokens: Int[np.ndarray, "B n"], cache: KVCache, config: GPTConfig) -> Places:
    """Where tokens that follow what the cache holds go.

    A place up to the query's position holds something, at most `context` − 1 positions back. What padding
    left is behind that, until a token takes its place.
    """
    (B, n), size = tokens.shape, config.context
    positions = cache.lengths[:, None] + np.arange(n)  # (B, n)
    write = (np.arange(B)[:, None], slice(None), positions % size)
    visible = np.arange(size) <= positions[..., None]  # (B, n, context)
    angles = None
    if config.position == "rotary":
        contexts = int(positions.max()) // size + 1
        table = rotary_angles(contexts * size, config.head_width, config.rope_base)
        angles = table[positions][:, None]  # (B, 1, n, D/2)
    return Places(positions, write, visible, angles)


def embed(tokens: Int[np.ndarray, "B n"], parameters: Parameters, config: GPTConfig, places: Places) -> New:
    """Token vectors with the vectors of their positions in the whole text added."""
    x = parameters["embedding.weight"][tokens] * config.embedding_scale  # (B, n, C)
    if config.position == "learned":
        x += parameters["position.weight"][places.positions]
    if config.position == "sinusoidal":
        table = sinusoidal_positions(config.context, config.d_model)  # (context, C)
        x += table[places.positions].astype(x.dtype)
    return x


def read_block(
    x: New, parameters: Parameters, keys: Kept, values: Kept, places: Places, config: GPTConfig
) -> New:
    """One block's step along the residual stream; its new keys and values go into the cache."""

    def attention_branch(y: New) -> tuple[New, None]:
        return read_attention(y, part(parameters, "attention"), keys, values, places, config), None

    residual, _ = RESIDUALS[config.norm_position]
    ffn_norm, _ = norm_pair(config.ffn_norm)
    x, _ = residual(x, attention_branch, lambda y: norm(y, part(parameters, "attention_norm"), config))
    x, _ = residual(
        x,
        lambda y: ffn(y, part(parameters, "ffn"), config),
        lambda y: ffn_norm(y, part(parameters, "ffn_norm"), config),
    )
    return x


def read_attention(
    x: New, parameters: Parameters, keys: Kept, values: Kept, places: Places, config: GPTConfig
) -> New:
    """Causal self-attention of the new tokens over all that the cache holds, themselves included."""
    C, kv_width = config.d_model, config.kv_heads * config.head_width
    qkv, _ = linear(x, **part(parameters, "qkv"))  # (B, n, C + 2 kv_width)
    q, k, v = np.split(qkv, [C, C + kv_width], axis=-1)
    q, k, v = split_heads(q, config.n_head), split_heads(k, config.kv_heads), split_heads(v, config.kv_heads)
    if places.angles is not None:
        q, k = rotate(q, places.angles), rotate(k, places.angles)
    if config.qk_norm:
        (q, _), (k, _) = rms_norm(q, eps=config.norm_eps), rms_norm(k, eps=config.norm_eps)
    keys[places.write], values[places.write] = k.swapaxes(1, 2), v.swapaxes(1, 2)
    heads = grouped_attention(q, keys, values, places.visible, config.score_scale)
    out, _ = linear(merge_heads(heads), **part(parameters, "out"))  # (B, n, C)
    return out


def grouped_attention(
    q: Float[np.ndarray, "B H n D"],
    k: Kept,
    v: Kept,
    visible: Bool[np.ndarray, "B n context"],
    scale: float,
) -> Float[np.ndarray, "B H n D"]:
    """softmax(q kᵀ · scale) v over what is visible; heads that share a k and v ask it together, uncopied."""
    B, H, n, D = q.shape
    q = q.reshape(B, k.shape[1], -1, n, D) * scale  # (B, n_kv_head, groups, n, D)
    scores = q @ k[:, :, None].swapaxes(-1, -2)  # (B, n_kv_head, groups, n, context)
    weights = softmax(np.where(visible[:, None, None], scores, -np.inf))
    return (weights @ v[:, :, None]).reshape(B, H, n, D)  # (B, H, n, D)
