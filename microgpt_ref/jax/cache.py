"""The KV cache: keys and values of earlier tokens are kept, so that a new token costs one token's work.

The buffers have a fixed size, so one compiled program serves every length of the text.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.attention import merge_heads, softmax, split_heads, turn
from microgpt_ref.jax.basics import Parameters, at_least_float32, linear
from microgpt_ref.jax.ffn import ffn
from microgpt_ref.jax.gpt import RESIDUALS, head
from microgpt_ref.jax.norm import no_norm, norm, rms_norm
from microgpt_ref.numpy.attention import rotary_angles
from microgpt_ref.numpy.gpt import sinusoidal_positions
from microgpt_ref.parameters import part

Kept = Float[Array, "B n_kv_head context D"]
New = Float[Array, "B n C"]


class KVCache(NamedTuple):
    """Keys (after rotation) and values of the last `context` tokens of each row, in every layer.

    Position p has place p mod `context`: when all places are taken, a new token takes that of the oldest, and
    positions go on counting. So a query sees itself and the `context` − 1 positions before it in every layer,
    as in sliding-window attention (Beltagy et al. 2020).
    """

    keys: tuple[Kept, ...]
    """One array a layer: inside `jit` each is written in place; one array of all layers would be copied."""
    values: tuple[Kept, ...]
    lengths: Int[Array, " B"]
    """How many tokens of each row were read: the position of its next one."""


class Places(NamedTuple):
    """Where new tokens stand and what they see: the same in every layer."""

    positions: Int[Array, "B n"]
    write: tuple[Array, slice, Array]
    """Index into keys and values of the places to write."""
    visible: Bool[Array, "B n context"]
    turns: tuple[Array, Array] | None
    """Cosines and sines of the rotary angles, (B, 1, n, D/2) each."""


def empty_cache(parameters: Parameters, rows: int, config: GPTConfig) -> KVCache:
    """Room for `context` tokens a row: 2 · N · B · n_kv_head · context · D numbers."""
    shape = (rows, config.kv_heads, config.context, config.head_width)
    zeros = jnp.zeros(shape, parameters["embedding.weight"].dtype)  # (B, n_kv_head, context, D)
    layers = (zeros,) * config.n_layer
    return KVCache(layers, layers, jnp.zeros(rows, jnp.int32))


def read(
    parameters: Parameters,
    tokens: Int[Array, "B n"],
    counts: Int[Array, " B"],
    cache: KVCache,
    config: GPTConfig,
    longest: int,
) -> tuple[Float[Array, "B V"], KVCache]:
    """Append tokens to the cache; the logits after the last token of each row.

    Several tokens at once must find their places free: a full cache takes one at a time. Rows of different
    `counts` must be the first that are read.

    Args:
        counts: how many of the tokens of each row count, from the left; the rest is padding.
        longest: a bound on the length of the text, for the table of rotary angles. Learned and sinusoidal
            positions end at `config.context`: beyond it, read the last tokens into an empty cache.
    """
    places = find_places(tokens, cache, config, longest)
    x = embed(tokens, parameters, config, places)  # (B, n, C)
    layers = []
    for layer, kept in enumerate(zip(cache.keys, cache.values, strict=True)):
        x, *kept_too = read_block(x, part(parameters, f"blocks.{layer}"), *kept, places, config)
        layers.append(kept_too)
    keys, values = zip(*layers, strict=True)
    x = jnp.take_along_axis(x, (counts - 1)[:, None, None], axis=1)  # (B, 1, C)
    return head(x, parameters, config)[:, 0], KVCache(keys, values, cache.lengths + counts)


def find_places(tokens: Int[Array, "B n"], cache: KVCache, config: GPTConfig, longest: int) -> Places:
    """Where tokens that follow what the cache holds go.

    A place up to the query's position holds something, at most `context` − 1 positions back. What padding
    left is behind that, until a token takes its place.
    """
    (B, n), size = tokens.shape, config.context
    positions = cache.lengths[:, None] + jnp.arange(n)  # (B, n)
    write = (jnp.arange(B)[:, None], slice(None), positions % size)
    visible = jnp.arange(size) <= positions[..., None]  # (B, n, context)
    turns = None
    if config.position == "rotary":
        angles = rotary_angles(max(longest, size), config.head_width, config.rope_base)
        dtype = cache.keys[0].dtype
        cos, sin = (jnp.asarray(table, dtype)[positions] for table in (np.cos(angles), np.sin(angles)))
        turns = cos[:, None], sin[:, None]
    return Places(positions, write, visible, turns)


def embed(tokens: Int[Array, "B n"], parameters: Parameters, config: GPTConfig, places: Places) -> New:
    """Token vectors with the vectors of their positions in the whole text added."""
    x = parameters["embedding.weight"][tokens] * config.embedding_scale  # (B, n, C)
    if config.position == "learned":
        x = x + parameters["position.weight"][places.positions]
    if config.position == "sinusoidal":
        table = jnp.asarray(sinusoidal_positions(config.context, config.d_model), x.dtype)  # (context, C)
        x = x + table[places.positions]
    return x


def read_block(
    x: New, parameters: Parameters, keys: Kept, values: Kept, places: Places, config: GPTConfig
) -> tuple[New, Kept, Kept]:
    """One block's step along the residual stream, and the layer's keys and values with the new ones."""
    kept = keys, values

    def attention_branch(y: Array) -> Array:
        nonlocal kept
        out, *new = read_attention(y, part(parameters, "attention"), *kept, places, config)
        kept = new[0], new[1]
        return out

    residual = RESIDUALS[config.norm_position]
    ffn_norm = norm if config.ffn_norm else no_norm
    x = residual(x, attention_branch, lambda y: norm(y, part(parameters, "attention_norm"), config))
    x = residual(
        x,
        lambda y: ffn(y, part(parameters, "ffn"), config),
        lambda y: ffn_norm(y, part(parameters, "ffn_norm"), config),
    )
    return x, kept[0], kept[1]


def read_attention(
    x: New, parameters: Parameters, keys: Kept, values: Kept, places: Places, config: GPTConfig
) -> tuple[New, Kept, Kept]:
    """Causal self-attention of the new tokens over all that the cache holds, themselves included."""
    C, kv_width = config.d_model, config.kv_heads * config.head_width
    qkv = linear(x, **part(parameters, "qkv"))  # (B, n, C + 2 kv_width)
    q, k, v = jnp.split(qkv, [C, C + kv_width], axis=-1)
    q, k, v = split_heads(q, config.n_head), split_heads(k, config.kv_heads), split_heads(v, config.kv_heads)
    if places.turns is not None:
        q, k = turn(q, *places.turns), turn(k, *places.turns)
    if config.qk_norm:
        q, k = rms_norm(q, eps=config.norm_eps), rms_norm(k, eps=config.norm_eps)
    keys = keys.at[places.write].set(k.swapaxes(1, 2))  # (B, n_kv_head, context, D)
    values = values.at[places.write].set(v.swapaxes(1, 2))  # (B, n_kv_head, context, D)
    heads = grouped_attention(q, keys, values, places.visible, config.score_scale)
    return linear(merge_heads(heads), **part(parameters, "out")), keys, values


def grouped_attention(
    q: Float[Array, "B H n D"],
    k: Kept,
    v: Kept,
    visible: Bool[Array, "B n context"],
    scale: float,
) -> Float[Array, "B H n D"]:
    """softmax(q kᵀ · scale) v over what is visible; heads that share a k and v ask it together, uncopied."""
    B, H, n, D = q.shape
    q = q.reshape(B, k.shape[1], -1, n, D)  # (B, n_kv_head, groups, n, D)
    scores = jnp.einsum("bkgnd,bksd->bkgns", q, k) * scale  # (B, n_kv_head, groups, n, context)
    scores = jnp.where(visible[:, None, None], at_least_float32(scores), -jnp.inf)
    heads = jnp.einsum("bkgns,bksd->bkgnd", softmax(scores).astype(v.dtype), v)
    return heads.reshape(B, H, n, D)  # (B, H, n, D)
