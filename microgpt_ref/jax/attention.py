"""Causal self-attention: the formula, rotary positions, and the layer around them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Key, Parameters, at_least_float32, dropout, linear
from microgpt_ref.jax.norm import rms_norm
from microgpt_ref.numpy.attention import rotary_angles
from microgpt_ref.parameters import part

Heads = Float[Array, "B H T D"]
SharedHeads = Float[Array, "B n_kv_head T D"]  # fewer than H with grouped queries


def softmax(scores: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """Weights that sum to one along the last axis; taking off the maximum only prevents overflow."""
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(-1, keepdims=True)))
    return weights / weights.sum(-1, keepdims=True)


def attention(
    q: Heads,
    k: Heads,
    v: Heads,
    scale: float,
    dropout_probability: float = 0.0,
    key: Key = None,
) -> Heads:
    """softmax(q kᵀ · scale) v with every later position masked (Vaswani et al. 2017, eq. 1).

    Args:
        scale: factor on the scores, usually 1/√D.
        dropout_probability: probability of zeroing a weight.
        key: source of the dropout; None outside training.
    """
    T = q.shape[-2]
    scores = q @ k.swapaxes(-1, -2) * scale  # (B, H, T, T)
    future = jnp.triu(jnp.ones((T, T), dtype=bool), k=1)  # (T, T)
    weights = softmax(jnp.where(future, -jnp.inf, at_least_float32(scores)))  # (B, H, T, T)
    return dropout(weights.astype(v.dtype), dropout_probability, key) @ v  # (B, H, T, D)


def rotate(x: Heads, angles: Float[np.ndarray, "T half"]) -> Heads:
    """Turn channel i together with channel i + D/2 by the angle of its position (the pairing Llama uses).

    Args:
        angles: made by NumPy in float64, since float32 would be wrong by whole degrees at far positions;
            inside `jit` its cosines and sines are constants.
    """
    return turn(x, jnp.asarray(np.cos(angles), x.dtype), jnp.asarray(np.sin(angles), x.dtype))


def turn(x: Heads, cos: Float[Array, "*rows T half"], sin: Float[Array, "*rows T half"]) -> Heads:
    """The rotation itself, by angles of which only cosines and sines are known."""
    first, second = jnp.split(x, 2, axis=-1)  # (B, H, T, D/2) each
    return jnp.concatenate((first * cos - second * sin, first * sin + second * cos), axis=-1)


def split_heads(x: Float[Array, "B T width"], n_head: int) -> Heads:
    """(B, T, H·D) → (B, H, T, D): cut the channels into heads first, then bring the heads forward."""
    B, T, width = x.shape
    return x.reshape(B, T, n_head, width // n_head).swapaxes(1, 2)


def merge_heads(x: Heads) -> Float[Array, "B T width"]:
    """(B, H, T, D) → (B, T, H·D), the inverse of `split_heads`."""
    B, H, T, D = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * D)


def place(q: Heads, k: SharedHeads, config: GPTConfig) -> tuple[Heads, SharedHeads]:
    """What happens to q and k before they meet: rotary positions and RMS norm, where configured."""
    if config.position == "rotary":
        angles = rotary_angles(q.shape[-2], config.head_width, config.rope_base)  # (T, D/2)
        q, k = rotate(q, angles), rotate(k, angles)
    if config.qk_norm:
        q, k = rms_norm(q, eps=config.norm_eps), rms_norm(k, eps=config.norm_eps)
    return q, k


def attention_layer(
    x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig, key: Key = None
) -> Float[Array, "B T C"]:
    """Multi-head causal self-attention, C → C. Rows of `qkv.weight`: all of q, then k, then v."""
    C, kv_width = config.d_model, config.kv_heads * config.head_width
    qkv = linear(x, **part(parameters, "qkv"))  # (B, T, C + 2 kv_width)
    q, k, v = jnp.split(qkv, [C, C + kv_width], axis=-1)
    q, k, v = split_heads(q, config.n_head), split_heads(k, config.kv_heads), split_heads(v, config.kv_heads)
    q, k = place(q, k, config)
    groups = config.n_head // config.kv_heads
    if groups > 1:  # one k and v for several q
        k, v = jnp.repeat(k, groups, axis=1), jnp.repeat(v, groups, axis=1)  # (B, H, T, D) each
    heads = attention(q, k, v, config.score_scale, config.dropout, key)  # (B, H, T, D)
    return linear(merge_heads(heads), **part(parameters, "out"))  # (B, T, C)
