"""The step of one token with a cache as one compiled function: the fast path of `cache.read`.

Compiling takes a while, once for a model's shape; PyTorch keeps the result on disk. After that a step
spends most of its time on reading the weights and the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from microgpt_ref.torch.cache import (
    Kept,
    KVCache,
    Places,
    Turns,
    embed,
    find_places,
    grouped_attention,
    read_block,
)
from microgpt_ref.torch.gpt import GPT, Head
from microgpt_ref.torch.rows import replace_layers


def stored(x: Float[Tensor, "*shape"]) -> Float[Tensor, " numbers"]:
    """The numbers of x in one line, which the compiler stores, as this is a view by strides.

    Otherwise it would compute each of them, with the norm or the softmax that they come from, again wherever
    it is used.
    """
    return x.reshape(-1).as_strided((x.numel(),), (1,))


def sum_linear(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None,
) -> Float[Tensor, "*batch outputs"]:
    """x Wᵀ + b for one row, as sums of products: compiled, a loop that reads the weight once, in order."""
    out = (weight * stored(x)).sum(-1)  # (outputs,)
    return (out if bias is None else out + bias).view(*x.shape[:-1], -1)


def sum_attention(
    q: Float[Tensor, "1 H 1 D"],
    k: Float[Tensor, "1 n_kv_head filled D"],
    v: Float[Tensor, "1 n_kv_head filled D"],
    visible: None,
    scale: float,
) -> Float[Tensor, "1 H 1 D"]:
    """softmax(q kᵀ · scale) v for one query of one row that sees all, as sums of products."""
    (_, kv, filled, D), H = k.shape, q.shape[1]
    q = stored(q * scale).view(kv, H // kv, 1, D)  # (n_kv_head, groups, 1, D)
    weights = (q * k[0].unsqueeze(1)).sum(-1).softmax(-1)  # (n_kv_head, groups, filled)
    weights = stored(weights).view(kv, H // kv, filled, 1)  # (n_kv_head, groups, filled, 1)
    return (weights * v[0].unsqueeze(1)).sum(2).view(1, H, 1, D)  # (1, H, 1, D)


class SumLinear(nn.Linear):
    """`nn.Linear` by `sum_linear`."""

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """x Wᵀ + b."""
        return sum_linear(x, self.weight, self.bias)


class SumHead(Head):
    """The head by `sum_linear`."""

    def forward(self, x: Float[Tensor, "B T C"], embedding: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
        """x Wᵀ + b."""
        return sum_linear(x, embedding if self.weight is None else self.weight, self.bias)


class CompiledReader:
    """`cache.read` for one token a row, compiled.

    Args:
        model: the model.
        cache: where its keys and values are kept; filled by `cache.read` before.
    """

    def __init__(self, model: GPT, cache: KVCache) -> None:
        one_row = len(cache.lengths) == 1 and model.embedding.weight.device.type == "cpu"
        self.plain, self.cache = model, cache
        self.model = replace_layers(model, {nn.Linear: SumLinear, Head: SumHead}) if one_row else model
        layers = range(model.config.n_layer)
        self.keys, self.values = [cache.keys[i] for i in layers], [cache.values[i] for i in layers]

    @torch.inference_mode()
    def read(self, tokens: Int[Tensor, "B 1"]) -> Float[Tensor, "B V"]:
        """Append one token a row to the cache; the logits after it."""
        cache, device = self.cache, tokens.device
        ragged = len(set(cache.lengths)) > 1
        visible = find_places(self.plain, tokens, cache).visible if ragged else None
        positions = torch.tensor(cache.lengths, device=device)[:, None]  # (B, 1)
        last = max(cache.lengths) + 1
        turns, filled = cache.turns(self.plain, last), min(last, cache.size)
        logits = step(self.model, tokens, self.keys, self.values, positions, visible, turns, filled)
        cache.lengths = [length + 1 for length in cache.lengths]
        return logits


@torch.compile(dynamic=True)
def step(
    model: GPT,
    tokens: Int[Tensor, "B 1"],
    keys: Sequence[Kept],
    values: Sequence[Kept],
    positions: Int[Tensor, "B 1"],
    visible: Bool[Tensor, "B 1 1 filled"] | None,
    turns: Turns | None,
    filled: int,
) -> Float[Tensor, "B V"]:
    """All layers for one token a row, each layer's keys and values (B, n_kv_head, size, D) by themselves."""
    rows, size = torch.arange(len(tokens), device=tokens.device), keys[0].shape[2]
    if turns is not None:
        turns = turns[0][positions].unsqueeze(1), turns[1][positions].unsqueeze(1)
    write = (rows, slice(None), positions[:, 0] % size)
    attend = sum_attention if isinstance(model.head, SumHead) else grouped_attention
    places = Places(positions, write, filled, visible, turns, attend)
    x = embed(model, tokens, places)  # (B, 1, C)
    for block, k, v in zip(model.blocks, keys, values, strict=True):
        x = read_block(block, x, k, v, places)  # type: ignore[arg-type]
    return model.head(model.final_norm(x), model.embedding.weight)[:, 0]  # (B, V)
