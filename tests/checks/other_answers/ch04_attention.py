"""Right answers to the exercises of chapter 4, written in other ways than the solutions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from tests.checks.answers import right


@right("04.causal_mask", way="loops")
def row_by_row(scores):
    weights = np.zeros_like(scores)
    for place in np.ndindex(scores.shape[:-1]):
        t = place[-1]
        row = scores[place][: t + 1]
        row = np.exp(row - row.max())
        weights[place][: t + 1] = row / row.sum()
    return weights


@right("04.causal_mask", way="torch")
def masked_fill(scores):
    T = scores.shape[-1]
    future = torch.ones(T, T).triu(1).bool()
    return torch.from_numpy(scores).masked_fill(future, float("-inf")).softmax(-1)


@right("04.causal_mask", way="jax")
def with_jax(scores):
    with jax.enable_x64(True):
        scores = jnp.asarray(scores)
        return jax.nn.softmax(jnp.where(jnp.tri(scores.shape[-1], dtype=bool), scores, -jnp.inf))


@right("04.unit_scores", way="einsum")
def scaled_first(q, k, a, b):
    D = q.shape[1]
    return np.einsum("id,jd->ij", q / (a * D**0.25), k / (b * D**0.25))


@right("04.unit_scores", way="loops")
def one_by_one(q, k, a, b):
    scores = np.empty((len(q), len(k)))
    for i in range(len(q)):
        for j in range(len(k)):
            scores[i, j] = sum(q[i] * k[j]) / np.sqrt(a**2 * b**2 * len(q[i]))
    return scores


@right("04.split_heads", way="split and stack")
def split_twice(qkv, H):
    return np.stack([np.stack(np.split(p, H, axis=-1), axis=1) for p in np.split(qkv, 3, axis=-1)])


@right("04.split_heads", way="torch")
def unflatten(qkv, H):
    return torch.from_numpy(qkv).unflatten(-1, (3, H, -1)).permute(2, 0, 3, 1, 4)


@right("04.sliding_window", way="loops")
def slices(q, k, v, window=4):
    out = []
    for t in range(len(q)):
        start = max(0, t - window + 1)
        scores = k[start : t + 1] @ q[t] / np.sqrt(len(q[t]))
        weights = np.exp(scores - scores.max())
        out.append(weights @ v[start : t + 1] / weights.sum())
    return np.stack(out)


@right("04.sliding_window", way="torch's own attention")
def with_sdpa(q, k, v, window=4):
    t = torch.arange(len(q))
    distance = t[:, None] - t
    seen = (distance >= 0) & (distance < window)
    return F.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)), attn_mask=seen)


@right("04.tempered_backward", way="torch autograd")
def with_autograd(d_weights, scores, temperature):
    s = torch.tensor(scores, requires_grad=True)
    t = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    torch.softmax(s / t, -1).backward(torch.tensor(d_weights))
    return torch.cat([s.grad, t.grad[None]])


@right("04.tempered_backward", way="the whole Jacobian")
def with_jacobian(d_weights, scores, temperature):
    powers = np.exp(scores / temperature)
    w = powers / powers.sum()
    jacobian = np.diag(w) - np.outer(w, w)
    d_z = jacobian @ d_weights
    return np.concatenate([d_z / temperature, [-np.dot(d_z, scores) / temperature**2]])
