"""Causal self-attention, forward and backward: the formula, rotary positions, and the layer around them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.basics import (
    Parameters,
    Saved,
    dropout,
    dropout_backward,
    linear,
    linear_backward,
)
from microgpt_ref.numpy.norm import rms_norm, rms_norm_backward
from microgpt_ref.parameters import named, part

Heads = Float[np.ndarray, "B H T D"]
SharedHeads = Float[np.ndarray, "B n_kv_head T D"]  # fewer than H with grouped queries


class SavedAttention(NamedTuple):
    """What `attention` keeps for its backward pass; `used` are the weights after dropout."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    weights: np.ndarray
    used: np.ndarray
    keep: Saved
    scale: float


class SavedLayer(NamedTuple):
    """What `attention_layer` keeps, in the order of its steps."""

    qkv: Saved
    place: Saved
    heads: SavedAttention
    out: Saved
    config: GPTConfig


def softmax(scores: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
    """Weights that sum to one along the last axis; taking off the maximum only prevents overflow."""
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return weights


def softmax_backward(
    d_weights: Float[np.ndarray, "*batch n"], weights: Float[np.ndarray, "*batch n"]
) -> Float[np.ndarray, "*batch n"]:
    """d_scores = w · (d_w − Σ w d_w): each row loses what it would have gained on average."""
    average = np.einsum("...n,...n->...", weights, d_weights)[..., None]
    return weights * (d_weights - average)


def attention(
    q: Heads,
    k: Heads,
    v: Heads,
    scale: float,
    dropout_probability: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Heads, SavedAttention]:
    """softmax(q kᵀ · scale) v with every later position masked (Vaswani et al. 2017, eq. 1).

    Args:
        scale: factor on the scores, usually 1/√D.
        dropout_probability: probability of zeroing a weight.
        rng: source of the dropout; None outside training.
    """
    T = q.shape[-2]
    scores = (q * scale) @ k.swapaxes(-1, -2)  # (B, H, T, T)
    future = np.triu(np.ones((T, T), dtype=bool), k=1)  # (T, T)
    weights = softmax(np.where(future, -np.inf, scores))  # (B, H, T, T)
    used, keep = dropout(weights, dropout_probability, rng)  # (B, H, T, T)
    return used @ v, SavedAttention(q, k, v, weights, used, keep, scale)


def attention_backward(d_out: Heads, saved: SavedAttention) -> tuple[Heads, Heads, Heads]:
    """Gradients of q, k and v. The mask needs no line of its own: a weight of zero passes no gradient."""
    q, k, v, weights, used, keep, scale = saved
    d_v = used.swapaxes(-1, -2) @ d_out  # (B, H, T, D)
    d_weights = dropout_backward(d_out @ v.swapaxes(-1, -2), keep)  # (B, H, T, T)
    d_scores = softmax_backward(d_weights, weights)  # (B, H, T, T)
    d_q = d_scores @ k * scale  # (B, H, T, D)
    d_k = d_scores.swapaxes(-1, -2) @ (q * scale)  # (B, H, T, D)
    return d_q, d_k, d_v


def rotary_angles(context: int, head_width: int, base: float) -> Float[np.ndarray, "T half"]:
    """Angle of each pair of channels at each position: t · base^(−2i/D) (Su et al. 2021, eq. 15), float64."""
    frequencies = base ** (-np.arange(0, head_width, 2) / head_width)  # (D/2,)
    return np.outer(np.arange(context), frequencies)  # (T, D/2)


def rotate(x: Heads, angles: Float[np.ndarray, "*rows T half"]) -> Heads:
    """Turn channel i together with channel i + D/2 by the angle of its position (the pairing Llama uses)."""
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)  # (..., T, D/2) each
    first, second = np.split(x, 2, axis=-1)  # (B, H, T, D/2) each
    return np.concatenate((first * cos - second * sin, first * sin + second * cos), axis=-1)


def rotate_backward(d_out: Heads, angles: Float[np.ndarray, "T half"]) -> Heads:
    """The transpose of a rotation turns back: the same, by the negative angles."""
    return rotate(d_out, -angles)


def split_heads(x: Float[np.ndarray, "B T width"], n_head: int) -> Heads:
    """(B, T, H·D) → (B, H, T, D): cut the channels into heads first, then bring the heads forward."""
    B, T, width = x.shape
    return x.reshape(B, T, n_head, width // n_head).swapaxes(1, 2)


def merge_heads(x: Heads) -> Float[np.ndarray, "B T width"]:
    """(B, H, T, D) → (B, T, H·D), the inverse of `split_heads`."""
    B, H, T, D = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * D)


def place(q: Heads, k: SharedHeads, config: GPTConfig) -> tuple[Heads, SharedHeads, Saved]:
    """What happens to q and k before they meet: rotary positions and RMS norm, where configured."""
    angles, saved_q, saved_k = None, None, None
    if config.position == "rotary":
        angles = rotary_angles(q.shape[-2], config.head_width, config.rope_base)  # (T, D/2)
        q, k = rotate(q, angles), rotate(k, angles)
    if config.qk_norm:
        q, saved_q = rms_norm(q, eps=config.norm_eps)
        k, saved_k = rms_norm(k, eps=config.norm_eps)
    return q, k, (angles, saved_q, saved_k)


def place_backward(d_q: Heads, d_k: SharedHeads, saved: Saved) -> tuple[Heads, SharedHeads]:
    """The same steps back, last first."""
    angles, saved_q, saved_k = saved
    if saved_q is not None:
        (d_q, _), (d_k, _) = rms_norm_backward(d_q, saved_q), rms_norm_backward(d_k, saved_k)
    if angles is not None:
        d_q, d_k = rotate_backward(d_q, angles), rotate_backward(d_k, angles)
    return d_q, d_k


def attention_layer(
    x: Float[np.ndarray, "B T C"],
    parameters: Parameters,
    config: GPTConfig,
    rng: np.random.Generator | None = None,
) -> tuple[Float[np.ndarray, "B T C"], SavedLayer]:
    """Multi-head causal self-attention, C → C. Rows of `qkv.weight`: all of q, then k, then v."""
    C, kv_width = config.d_model, config.kv_heads * config.head_width
    qkv, saved_qkv = linear(x, **part(parameters, "qkv"))  # (B, T, C + 2 kv_width)
    q, k, v = np.split(qkv, [C, C + kv_width], axis=-1)
    q, k, v = split_heads(q, config.n_head), split_heads(k, config.kv_heads), split_heads(v, config.kv_heads)
    q, k, saved_place = place(q, k, config)
    groups = config.n_head // config.kv_heads
    if groups > 1:  # one k and v for several q
        k, v = np.repeat(k, groups, axis=1), np.repeat(v, groups, axis=1)  # (B, H, T, D) each
    heads, saved_heads = attention(q, k, v, config.score_scale, config.dropout, rng)  # (B, H, T, D)
    out, saved_out = linear(merge_heads(heads), **part(parameters, "out"))  # (B, T, C)
    return out, SavedLayer(saved_qkv, saved_place, saved_heads, saved_out, config)


def attention_layer_backward(
    d_out: Float[np.ndarray, "B T C"], saved: SavedLayer
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """Gradients of x and of the layer's parameters."""
    saved_qkv, saved_place, saved_heads, saved_out, config = saved
    d_merged, d_out_parameters = linear_backward(d_out, saved_out)  # (B, T, C)
    d_q, d_k, d_v = attention_backward(split_heads(d_merged, config.n_head), saved_heads)
    B, H, T, D = d_k.shape
    if config.kv_heads < H:  # a shared k or v gathers from all that used it
        d_k, d_v = (z.reshape(B, config.kv_heads, -1, T, D).sum(2) for z in (d_k, d_v))
    d_q, d_k = place_backward(d_q, d_k, saved_place)
    d_qkv = np.concatenate([merge_heads(z) for z in (d_q, d_k, d_v)], axis=-1)  # (B, T, C + 2 kv_width)
    d_x, d_qkv_parameters = linear_backward(d_qkv, saved_qkv)  # (B, T, C)
    return d_x, named("qkv", d_qkv_parameters) | named("out", d_out_parameters)
