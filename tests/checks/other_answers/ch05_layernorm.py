"""Right answers to the exercises of chapter 5, written in other ways than the solutions."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tests.checks.answers import right


@right("05.layer_norm", way="torch")
def with_torch(x, weight, bias):
    arrays = (torch.from_numpy(a) for a in (x, weight, bias))
    x, weight, bias = arrays
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps=0.1)


@right("05.layer_norm", way="einsum")
def mean_of_squares(x, weight, bias):
    C = x.shape[-1]
    mean = np.einsum("btc->bt", x)[..., None] / C
    variance = np.einsum("btc,btc->bt", x - mean, x - mean)[..., None] / C
    return weight * (x - mean) * (variance + 0.1) ** -0.5 + bias


@right("05.layer_norm", way="loops")
def row_by_row(x, weight, bias):
    return np.array([[(r - r.mean()) / np.sqrt(r.var() + 0.1) * weight + bias for r in text] for text in x])


@right("05.layer_norm", way="float32")
def in_half_the_digits(x, weight, bias):
    x, weight, bias = (a.astype(np.float32) for a in (x, weight, bias))
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(0.1)) * weight + bias


@right("05.scale_after", way="loop")
def block_by_block(start, branch, n_block):
    square = start**2
    for _ in range(n_block):
        for _ in range(2):
            square += branch**2
    return square**0.5


@right("05.scale_after", way="length of a vector")
def as_a_length(start, branch, n_block):
    return np.linalg.norm([start] + 2 * n_block * [branch])


@right("05.leaks", way="noise")
def with_noise(norm, x, t):
    moved = x.copy()
    moved[t] = np.random.default_rng().normal(size=x.shape[1])
    return any(not np.allclose(a, b) for a, b in zip(norm(x)[:t], norm(moved)[:t], strict=True))


@right("05.leaks", way="largest change")
def largest_change(norm, x, t):
    moved = np.concatenate([x[:t], [x[t] ** 2 * np.arange(1, x.shape[1] + 1) + 1], x[t + 1 :]])
    return np.abs(norm(moved)[:t] - norm(x)[:t]).max(initial=0) > 1e-7


@right("05.norm_backward", way="torch autograd")
def with_autograd(d_out, x, weight, eps, centre):
    x = torch.tensor(x, requires_grad=True)
    weight = torch.tensor(weight)
    norm = F.layer_norm if centre else F.rms_norm
    out = norm(x, x.shape[-1:], weight, eps=eps)
    return torch.autograd.grad(out, x, torch.tensor(d_out))[0]


@right("05.norm_backward", way="the whole Jacobian")
def with_jacobian(d_out, x, weight, eps, centre):
    C = x.shape[-1]
    away = np.eye(C) - centre / C  # takes the mean away
    d_x = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        moved = away @ x[place]
        s = np.sqrt(moved @ moved / C + eps)
        jacobian = (away - np.outer(moved, moved) / (C * s**2)) / s
        d_x[place] = jacobian.T @ (d_out[place] * weight)
    return d_x


@right("05.std_backward", way="torch autograd")
def std_with_autograd(d_normed, x, eps):
    x = torch.tensor(x, requires_grad=True)
    centred = x - x.mean(-1, keepdim=True)
    out = centred / (x.std(-1, correction=0, keepdim=True) + eps)
    return torch.autograd.grad(out, x, torch.tensor(d_normed))[0]


@right("05.std_backward", way="step by step")
def std_step_by_step(d_normed, x, eps):
    centred, u = x - x.mean(-1, keepdims=True), x.std(-1, keepdims=True)
    d_u = -(d_normed * centred).sum(-1, keepdims=True) / (u + eps) ** 2
    d_centred = d_normed / (u + eps) + d_u * centred / (u * x.shape[-1])
    return d_centred - d_centred.mean(-1, keepdims=True)
