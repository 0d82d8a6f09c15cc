"""The KV cache: keys and values of earlier tokens are kept, so that a new token costs one token's work.

`read` is the model's forward pass with a cache: the same layers, but only the new tokens go through them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from microgpt_ref.torch.attention import Attention, rotary_angles, rotate
from microgpt_ref.torch.gpt import GPT, Block
from microgpt_ref.torch.norm import rms_norm

Kept = Float[Tensor, "B n_kv_head size D"]
Turns = tuple[Float[Tensor, "*rows half"], Float[Tensor, "*rows half"]]


class KVCache:
    """Keys (after rotation) and values of the last `size` tokens of each row, in every layer.

    Position p has place p mod `size`: when all places are taken, a new token takes that of the oldest, and
    positions go on counting. So a query sees itself and the `size` − 1 positions before it in every layer, as
    in sliding-window attention (Beltagy et al. 2020). Memory: 2 · N · B · n_kv_head · size · D numbers.

    Args:
        model: whose keys and values they are.
        rows: B.
        size: places a row; None, and at most: the model's context.
    """

    def __init__(self, model: GPT, rows: int, size: int | None = None) -> None:
        config = model.config
        self.size = config.context if size is None else min(size, config.context)
        embedding = model.embedding.weight
        shape = (config.n_layer, rows, config.kv_heads, self.size, config.head_width)
        self.keys = torch.zeros(shape, dtype=embedding.dtype, device=embedding.device)
        self.values = torch.zeros_like(self.keys)
        self.lengths = [0] * rows
        """How many tokens of each row were read: the position of its next one."""
        self.rotary: Turns | None = None
        if config.position == "rotary":
            attention = model.blocks[0].attention
            self.rotary = attention.cos, attention.sin  # type: ignore[assignment]

    def turns(self, model: GPT, upto: int) -> Turns | None:
        """Cosines and sines of the rotary angles, a row a position, for at least `upto` positions."""
        if self.rotary is None:
            return None
        (cos, sin), config = self.rotary, model.config
        if upto > len(cos):  # twice as many as needed, so that this is rare
            angles = rotary_angles(2 * upto, config.head_width, config.rope_base)[len(cos) :].to(cos.device)
            cos = torch.cat((cos, angles.cos().to(cos.dtype)))
            sin = torch.cat((sin, angles.sin().to(sin.dtype)))
            self.rotary = cos, sin
        return self.rotary


def grouped_attention(
    q: Float[Tensor, "B H n D"],
    k: Float[Tensor, "B n_kv_head filled D"],
    v: Float[Tensor, "B n_kv_head filled D"],
    visible: Bool[Tensor, "*rows n filled"] | None,
    scale: float,
) -> Float[Tensor, "B H n D"]:
    """softmax(q kᵀ · scale) v over what is visible; heads that share a k and v ask it together, uncopied."""
    B, H, n, D = q.shape
    groups = H // k.shape[1]
    if visible is not None and groups > 1:
        visible = visible.repeat(*[1] * (visible.dim() - 2), groups, 1)
    q = q.reshape(B, H // groups, groups * n, D)  # (B, n_kv_head, groups · n, D)
    heads = functional.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=scale)
    return heads.reshape(B, H, n, D)  # (B, H, n, D)


class Places(NamedTuple):
    """Where the new tokens stand in the text and in the cache, and what they see: the same in every layer."""

    positions: slice | Int[Tensor, "B 1"]
    """Rows of the table of positions: a slice, or (B, 1) where each row is at another."""
    write: tuple[slice | Int[Tensor, " B"], ...]
    """Index into keys and values (B, n_kv_head, size, D) of the places to write."""
    filled: int
    """How many places are in use, from the first."""
    visible: Bool[Tensor, "*rows n filled"] | None
    """(n, filled) or (B, 1, 1, filled): which of them a new token sees; None: all."""
    turns: Turns | None
    """Cosines and sines of the new tokens' positions."""
    attend: Callable[..., Tensor] = grouped_attention


@torch.inference_mode()
def read(
    model: GPT, tokens: Int[Tensor, "B n"], cache: KVCache, lengths: Sequence[int] | None = None
) -> Float[Tensor, "B V"]:
    """Append tokens to the cache; the logits after the last token of each row.

    Any number of tokens may be read at any time. Those that push older ones out of a full cache, or that
    follow rows of different lengths, are read one at a time.

    Args:
        lengths: how many tokens of each row count, from the left; the rest is padding. Only for the first
            read, of at most `cache.size` tokens.

    Raises:
        ValueError: for `lengths` where they cannot be, and for learned or sinusoidal positions beyond the
            context.
    """
    (B, n), before = tokens.shape, cache.lengths
    most = max(before) + n
    if lengths is not None and (any(before) or n > cache.size):
        raise ValueError(
            f"lengths needs an empty cache with a place for each of the {n} tokens, but this one holds "
            f"{max(before)} and has {cache.size}; read each row into a cache of its own"
        )
    if most > model.config.context and model.config.position in ("learned", "sinusoidal"):
        raise ValueError(
            f"position={model.config.position!r} ends at the context of {model.config.context}, but the "
            f"tokens reach position {most}; read the last ones into a new cache"
        )
    fit = cache.size - before[0] if len(set(before)) == 1 else 0  # tokens that can be read in one go
    if n > max(fit, 1):
        parts = [tokens[:, :fit]] * (fit > 0) + list(tokens[:, max(fit, 0) :].split(1, dim=1))
        return [read(model, part, cache) for part in parts][-1]
    places = find_places(model, tokens, cache)
    x = embed(model, tokens, places)  # (B, n, C)
    for block, keys, values in zip(model.blocks, cache.keys, cache.values, strict=True):
        x = read_block(block, x, keys, values, places)  # type: ignore[arg-type]
    cache.lengths = [b + c for b, c in zip(before, [n] * B if lengths is None else lengths, strict=True)]
    x = x[:, -1:] if lengths is None else x[range(B), [length - 1 for length in lengths]].unsqueeze(1)
    return model.head(model.final_norm(x), model.embedding.weight)[:, 0]  # (B, V)


def find_places(model: GPT, tokens: Int[Tensor, "B n"], cache: KVCache) -> Places:
    """Where tokens that follow what the cache holds go. Several at once must find their places free."""
    (B, n), device, size = tokens.shape, tokens.device, cache.size
    first, last = min(cache.lengths), max(cache.lengths) + n
    filled, turns = min(last, size), cache.turns(model, last)
    everything = slice(None)
    if first + n == last:
        place = first % size
        positions: slice | Tensor = slice(first, last)
        write: tuple[slice | Tensor, ...] = (everything, everything, slice(place, place + n))
        visible = None if n == 1 else torch.ones(n, filled, dtype=torch.bool, device=device).tril(first)
    else:  # one token a row, each row at a position of its own
        positions = torch.tensor(cache.lengths, device=device)[:, None]  # (B, 1)
        write = (torch.arange(B, device=device), everything, positions[:, 0] % size)
        visible = (torch.arange(filled, device=device) <= positions)[:, None, None]
    if turns is not None:
        cos, sin = (z[positions] for z in turns)
        turns = (cos, sin) if cos.dim() == 2 else (cos.unsqueeze(1), sin.unsqueeze(1))
    return Places(positions, write, filled, visible, turns)


def embed(model: GPT, tokens: Int[Tensor, "B n"], places: Places) -> Float[Tensor, "B n C"]:
    """Token vectors with the vectors of their positions in the whole text added."""
    x = model.embedding(tokens) * model.config.embedding_scale  # (B, n, C)
    if model.config.position == "learned":
        x = x + model.position.weight[places.positions]
    if model.config.position == "sinusoidal":
        x = x + model.positions[places.positions]
    return x


def read_block(
    block: Block, x: Float[Tensor, "B n C"], keys: Kept, values: Kept, places: Places
) -> Float[Tensor, "B n C"]:
    """One block's step along the residual stream; its new keys and values go into the cache."""

    def attention(y: Tensor) -> Tensor:
        return read_attention(block.attention, y, keys, values, places)

    x = block.residual(x, attention, block.attention_norm)  # (B, n, C)
    return block.residual(x, block.ffn, block.ffn_norm)  # (B, n, C)


def read_attention(
    layer: Attention, x: Float[Tensor, "B n C"], keys: Kept, values: Kept, places: Places
) -> Float[Tensor, "B n C"]:
    """Causal self-attention of the new tokens over all that the cache holds, themselves included."""
    config, (B, n, C) = layer.config, x.shape
    q, k, v = layer.heads(x)
    if places.turns is not None:
        q, k = (rotate(z, *places.turns) for z in (q, k))
    if config.qk_norm:
        q, k = (rms_norm(z, eps=config.norm_eps) for z in (q, k))
    one_a_row = isinstance(places.positions, Tensor)
    keys[places.write] = k[:, :, 0] if one_a_row else k
    values[places.write] = v[:, :, 0] if one_a_row else v
    keys, values = keys.narrow(2, 0, places.filled), values.narrow(2, 0, places.filled)
    heads = places.attend(q, keys, values, places.visible, config.score_scale)
    return layer.out(heads.transpose(1, 2).reshape(B, n, C))  # (B, n, C)
