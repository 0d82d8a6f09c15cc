"""Right answers to the exercises of chapter 3, written in other ways than the solutions."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.checks.answers import right


@right("03.one_hot", way="identity")
def rows_of_the_identity(tokens, V):
    return np.eye(V)[tokens]


@right("03.one_hot", way="torch")
def with_torch(tokens, V):
    return F.one_hot(torch.from_numpy(tokens), V)


@right("03.one_hot", way="index pairs")
def two_indices(tokens, V):
    rows = np.zeros((len(tokens), V))
    rows[np.arange(len(tokens)), tokens] = 1
    return rows


@right("03.add_rows", way="add.at")
def with_add_at(d_x, tokens, V):
    d_table = np.zeros((V, d_x.shape[-1]))
    np.add.at(d_table, tokens, d_x)
    d_table[0] = 0
    return d_table


@right("03.add_rows", way="torch autograd")
def with_padding_idx(d_x, tokens, V):
    table = torch.zeros(V, d_x.shape[-1], dtype=torch.float64, requires_grad=True)
    out = F.embedding(torch.from_numpy(tokens), table, padding_idx=0)
    out.backward(torch.from_numpy(d_x))
    return table.grad


@right("03.add_rows", way="bincount")
def channel_by_channel(d_x, tokens, V):
    weights = np.where(tokens[..., None] == 0, 0, d_x)
    columns = [np.bincount(tokens.ravel(), weights[..., c].ravel(), V) for c in range(d_x.shape[-1])]
    return np.stack(columns, axis=1)


@right("03.scores_that_stay", way="loops")
def pair_by_pair(kind, T, place):
    stays = np.zeros((T, T), dtype=bool)
    for t in range(T):
        for s in range(T):
            t_new, s_new = t + 5 * (t >= place), s + 5 * (s >= place)
            if kind == "none":
                stays[t, s] = True
            elif kind == "added":
                stays[t, s] = (t_new, s_new) == (t, s)
            else:
                stays[t, s] = t_new - s_new == t - s
    return stays


@right("03.scores_that_stay", way="torch")
def with_masks(kind, T, place):
    moved = torch.arange(T) >= place
    same = moved[:, None] == moved
    return {"none": same | ~same, "added": same & ~moved, "rotary": same}[kind]


@right("03.rotate_complex", way="matrices")
def matrix_products(x):
    T, D = x.shape
    out = []
    for t in range(T):
        matrix = np.zeros((D, D))
        for i in range(D // 2):
            angle, j = t / 1_000 ** (2 * i / D), i + D // 2
            matrix[i, i] = matrix[j, j] = np.cos(angle)
            matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
        out.append(matrix @ x[t])
    return np.array(out)


@right("03.rotate_complex", way="torch")
def with_torch_polar(x):
    T, D = x.shape
    angles = torch.arange(T)[:, None] * 1_000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    z = torch.complex(*torch.from_numpy(x).chunk(2, dim=1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([z.real, z.imag], dim=1)


@right("03.rotate_complex", way="polar")
def lengths_and_directions(x):
    T, D = x.shape
    first, second = x[:, : D // 2], x[:, D // 2 :]
    length, direction = np.hypot(first, second), np.arctan2(second, first)
    direction = direction + np.arange(T)[:, None] * 1_000.0 ** (-2 * np.arange(D // 2) / D)
    return np.hstack([length * np.cos(direction), length * np.sin(direction)])


@right("03.rotate_back", way="torch autograd")
def with_autograd(d_out, angles):
    x = torch.zeros(d_out.shape, dtype=torch.float64, requires_grad=True)
    a, b = x.chunk(2, dim=-1)
    cos, sin = torch.from_numpy(np.cos(angles)), torch.from_numpy(np.sin(angles))
    out = torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    return torch.autograd.grad(out, x, torch.from_numpy(d_out))[0]


@right("03.rotate_back", way="complex")
def conjugate(d_out, angles):
    half = d_out.shape[1] // 2
    z = (d_out[:, :half] + 1j * d_out[:, half:]) * np.conj(np.exp(1j * angles))
    return np.c_[z.real, z.imag]


@right("03.slower_base", way="logarithms")
def with_logarithms(base, D):
    slowest = -(D - 2) / D * math.log(base) - math.log(2)
    return math.exp(-slowest * D / (D - 2))


@right("03.slower_base", way="bisection")
def halving(base, D):
    low, high = base, base * 100
    for _ in range(100):
        middle = (low * high) ** 0.5
        slow_enough = middle ** (-(D - 2) / D) * 2 <= base ** (-(D - 2) / D)
        low, high = (low, middle) if slow_enough else (middle, high)
    return high
