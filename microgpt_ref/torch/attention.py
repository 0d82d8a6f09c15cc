"""Causal self-attention: the plain formula, PyTorch's fused version of it, and the layer around them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.norm import rms_norm

Heads = Float[Tensor, "B H T D"]
SharedHeads = Float[Tensor, "B n_kv_head T D"]  # fewer than H with grouped queries


def plain_attention(
    q: Heads,
    k: Heads,
    v: Heads,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Heads:
    """softmax(q kᵀ · scale) v with every later position masked (Vaswani et al. 2017, eq. 1).

    Args:
        scale: factor on the scores; None means 1/√D.
        dropout: probability of zeroing a weight; the caller passes 0 outside training.
    """
    T, D = q.shape[-2:]
    scores = q @ k.transpose(-1, -2) * (1 / math.sqrt(D) if scale is None else scale)  # (B, H, T, T)
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(diagonal=1)  # (T, T)
    weights = scores.masked_fill(future, float("-inf")).softmax(-1)  # (B, H, T, T)
    weights = functional.dropout(weights, dropout)
    return weights @ v  # (B, H, T, D)


def sdpa_attention(
    q: Heads,
    k: Heads,
    v: Heads,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Heads:
    """The same function, fused: the (T, T) weights are never all in memory (Dao et al. 2022)."""
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scale)


def blockwise_attention(
    q: Heads,
    k: Heads,
    v: Heads,
    scale: float | None = None,
    dropout: float = 0.0,
    block_size: int = 128,
) -> Heads:
    """The same function, `block_size` queries at a time, each against positions up to its block's end.

    So most of the masked half is never computed, and one block's weights fit in the cache. Compiled, and in
    bf16, this is the fastest of the three on a CPU.

    Args:
        block_size: queries in one block.
    """
    T, D = q.shape[-2:]
    scale = 1 / math.sqrt(D) if scale is None else scale
    blocks = []
    for start in range(0, T, block_size):
        end = min(start + block_size, T)
        block = end - start
        scores = q[..., start:end, :] @ k[..., :end, :].transpose(-1, -2)  # (B, H, block, end)
        # bf16 has 8 bits: enough for the products, too few for the sum of a softmax
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale  # (B, H, block, end)
        ones = torch.ones(block, end, dtype=torch.bool, device=q.device)  # (block, end)
        future = ones.triu(diagonal=start + 1)  # (block, end)
        weights = wide.masked_fill(future, float("-inf")).softmax(-1).to(v.dtype)  # (B, H, block, end)
        out = functional.dropout(weights, dropout) @ v[..., :end, :]  # (B, H, block, D)
        blocks.append(out)
    return torch.cat(blocks, dim=-2)  # (B, H, T, D)


ATTENTIONS: dict[str, Callable[..., Tensor]] = {
    "plain": plain_attention,
    "sdpa": sdpa_attention,
    "blockwise": blockwise_attention,
}


def rotary_angles(context: int, head_width: int, base: float) -> Float[Tensor, "T half"]:
    """Angle of each pair of channels at each position: t · base^(−2i/D) (Su et al. 2021, eq. 15)."""
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)  # (D/2,)
    positions = torch.arange(context, dtype=torch.float64)  # (T,)
    return torch.outer(positions, frequencies)  # (T, D/2)


def rotate(
    x: Heads,
    cos: Float[Tensor, "*rows T half"],
    sin: Float[Tensor, "*rows T half"],
) -> Heads:
    """Turn channel i together with channel i + D/2 by the angle of its position (the pairing Llama uses)."""
    first, second = x.chunk(2, dim=-1)  # (B, H, T, D/2) each
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)  # (..., T, D/2) each
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class Attention(nn.Module):
    """Multi-head causal self-attention, C → C. Rows of `qkv.weight`: all of q, then k, then v."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig, implementation: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.attention = ATTENTIONS[implementation]
        C, D = config.d_model, config.head_width
        self.qkv = nn.Linear(C, C + 2 * config.kv_heads * D, bias=config.qkv_bias)
        self.out = nn.Linear(C, C, bias=config.attention_out_bias)
        if config.position == "rotary":
            angles = rotary_angles(config.context, D, config.rope_base)  # (T, D/2)
            dtype = torch.get_default_dtype()
            self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
            self.register_buffer("sin", angles.sin().to(dtype), persistent=False)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Each position takes from itself and what came before."""
        config, (B, T, C) = self.config, x.shape
        q, k, v = self.heads(x)
        if config.position == "rotary":
            q, k = (rotate(z, self.cos[:T], self.sin[:T]) for z in (q, k))
        if config.qk_norm:
            q, k = (rms_norm(z, eps=config.norm_eps) for z in (q, k))
        groups = config.n_head // config.kv_heads
        if groups > 1:
            k, v = (z.repeat_interleave(groups, dim=1) for z in (k, v))  # (B, H, T, D) each
        dropout = config.dropout if self.training else 0.0
        heads = self.attention(q, k, v, config.score_scale, dropout)  # (B, H, T, D)
        return self.out(heads.transpose(1, 2).reshape(B, T, C))  # (B, T, C)

    def heads(self, x: Float[Tensor, "B T C"]) -> tuple[Heads, SharedHeads, SharedHeads]:
        """q (B, H, T, D), and k and v (B, n_kv_head, T, D)."""
        config, (B, T, C) = self.config, x.shape
        D = config.head_width
        q, k, v = self.qkv(x).split([C, config.kv_heads * D, config.kv_heads * D], dim=-1)
        q = q.view(B, T, config.n_head, D).transpose(1, 2)  # (B, H, T, D)
        k, v = (z.view(B, T, config.kv_heads, D).transpose(1, 2) for z in (k, v))  # (B, n_kv_head, T, D) each
        return q, k, v
