"""Right answers to the exercises of chapter 14, written in other ways than the solutions."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from microgpt_ref.lora import LoRAConfig
from microgpt_ref.torch.lora import LoRALinear
from tests.checks.answers import right


@right("14.count_lora", way="torch's own layers")
def count_by_modules(inputs, outputs, rank):
    layer = nn.Linear(inputs, outputs, bias=False)
    lora = LoRALinear(layer, LoRAConfig(rank=rank))
    return layer.weight.numel(), lora.A.numel() + lora.B.numel(), 1 / (1 / inputs + 1 / outputs)


@right("14.count_lora", way="an equation, solved")
def count_by_solving(inputs, outputs, rank):
    even = np.linalg.solve([[inputs + outputs]], [inputs * outputs])[0]
    return np.prod([inputs, outputs]), np.sum([rank * inputs, rank * outputs]), even


@right("14.answer_targets", way="cumulative sums")
def by_counting_marks(ids, assistant, end_assistant):
    opened = (ids == assistant).cumsum() - (ids == end_assistant).cumsum()
    return np.where(opened[:-1] > 0, ids[1:], -1)


@right("14.answer_targets", way="groups of a list")
def by_groups(ids, assistant, end_assistant):
    place, targets = 0, [-1] * (len(ids) - 1)
    for is_end, group in itertools.groupby(ids.tolist(), key=lambda token: token == end_assistant):
        turn = list(group)
        if not is_end and assistant in turn:
            for t in range(place + turn.index(assistant), min(place + len(turn), len(ids) - 1)):
                targets[t] = int(ids[t + 1])
        place += len(turn)
    return targets


@right("14.answer_targets", way="torch")
def with_torch(ids, assistant, end_assistant):
    tokens = torch.from_numpy(ids)
    opened = torch.cumsum((tokens == assistant).long() - (tokens == end_assistant).long(), 0)
    return tokens[1:].masked_fill(opened[:-1] == 0, -1)


@right("14.merge_adapters", way="one einsum a pair")
def by_einsum(W, adapters):
    W = W.copy()
    for A, B, alpha in adapters:
        W += np.einsum("or,ri->oi", B, A) * alpha / B.shape[1]
    return W


@right("14.merge_adapters", way="adapters side by side")
def by_stacking(W, adapters):
    if not adapters:
        return W
    A = np.vstack([A * alpha / len(A) for A, _, alpha in adapters])
    return W + np.hstack([B for _, B, _ in adapters]) @ A


@right("14.merge_adapters", way="the reference's layers, on unit vectors")
def by_running(W, adapters):
    outputs, inputs = W.shape
    total = torch.from_numpy(W.T.copy())
    for A, B, alpha in adapters:
        layer = nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
        lora = LoRALinear(layer, LoRAConfig(rank=len(A), alpha=alpha))
        lora.A.data, lora.B.data = torch.from_numpy(A), torch.from_numpy(B)
        total = total + lora(torch.eye(inputs, dtype=torch.float64)) - layer.weight.T
    return total.T


@right("14.merged_rank", way="an experiment")
def by_trying(outputs, inputs, ranks, same_A):
    one = torch.randn(max(ranks), inputs, dtype=torch.float64)
    change = torch.zeros(outputs, inputs, dtype=torch.float64)
    for r in ranks:
        A = one if same_A else torch.randn(r, inputs, dtype=torch.float64)
        change += torch.randn(outputs, r, dtype=torch.float64) @ A
    return torch.linalg.matrix_rank(change)


@right("14.merged_rank", way="branches")
def by_cases(outputs, inputs, ranks, same_A):
    rank = 0
    for r in ranks:
        rank = r if same_A else rank + r
        if rank > outputs:
            rank = outputs
        if rank > inputs:
            rank = inputs
    return rank


@right("14.lora_backward", way="the merged weight")
def through_the_merged_weight(d_out, x, W, A, B, alpha):
    scale = alpha / A.shape[0]
    d_change = d_out.T @ x  # the gradient of the merged weight
    return d_out @ (W + scale * B @ A), scale * B.T @ d_change, scale * d_change @ A.T


@right("14.lora_backward", way="loops")
def row_by_row(d_out, x, W, A, B, alpha):
    scale = alpha / len(A)
    d_x, d_A, d_B = np.zeros_like(x), np.zeros_like(A), np.zeros_like(B)
    for t in range(len(x)):
        d_low = scale * B.T @ d_out[t]
        d_x[t] = W.T @ d_out[t] + A.T @ d_low
        d_A += np.outer(d_low, x[t])
        d_B += scale * np.outer(d_out[t], A @ x[t])
    return d_x, d_A, d_B


@right("14.cut_adapter", way="roots in both")
def roots_in_both(A, B, rank):
    U, S, Vt = np.linalg.svd(B @ A)
    root = np.sqrt(S[:rank])
    return root[:, None] * Vt[:rank], U[:, :rank] * root


@right("14.cut_adapter", way="QR first, without the large product")
def small_product(A, B, rank):
    Q_B, R_B = np.linalg.qr(B)
    Q_A, R_A = np.linalg.qr(A.T)
    U, S, Vt = np.linalg.svd(R_B @ R_A.T)
    return (S[:rank, None] * Vt[:rank]) @ Q_A.T, Q_B @ U[:, :rank]


@right("14.cut_adapter", way="torch")
def projected(A, B, rank):
    A, B = torch.from_numpy(A), torch.from_numpy(B)
    U = torch.linalg.svd(B @ A)[0][:, :rank]
    return U.T @ B @ A, U
