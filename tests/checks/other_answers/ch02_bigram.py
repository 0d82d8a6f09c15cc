"""Right answers to the exercises of chapter 2, written in other ways than the solutions."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse, special

from tests.checks.answers import right


@right("02.constant_loss", way="torch's cross-entropy")
def with_cross_entropy(q, y):
    logits = torch.tensor(np.log(q)).expand(len(y), -1)
    return F.cross_entropy(logits, torch.tensor(y))


@right("02.constant_loss", way="shares of the characters")
def by_shares(q, y):
    shares = np.bincount(y, minlength=len(q)) / len(y)
    return -(shares[shares > 0] * np.log(q[shares > 0])).sum()


@right("02.constant_loss", way="a loop")
def one_by_one(q, y):
    return math.fsum(math.inf if q[k] == 0 else -math.log(q[k]) for k in y) / len(y)


@right("02.smooth", way="loops")
def cell_by_cell(counts, alpha):
    V = len(counts)
    P = np.empty((V, V))
    for i in range(V):
        for j in range(V):
            P[i, j] = (counts[i, j] + alpha) / (sum(counts[i]) + alpha * V)
    return P


@right("02.smooth", way="torch")
def with_normalize(counts, alpha):
    return F.normalize(torch.from_numpy(counts) + alpha, p=1.0, dim=1)


@right("02.smooth", way="einsum")
def with_einsum(counts, alpha):
    raised = counts + alpha
    return np.einsum("ij,i->ij", raised, 1 / np.einsum("ij->i", raised))


@right("02.ngram_counts", way="windows and a Counter")
def with_windows(x, V):
    counts = np.zeros((V, V, V), dtype=int)
    for place, number in Counter(zip(x, x[1:], x[2:], strict=False)).items():
        counts[place] = number
    return counts


@right("02.ngram_counts", way="bincount of one number for each triple")
def with_bincount(x, V):
    numbers = (x[:-2] * V + x[1:-1]) * V + x[2:]
    return np.bincount(numbers, minlength=V**3).reshape(V, V, V)


@right("02.ngram_counts", way="einsum of one-hot rows")
def with_einsum_of_one_hot(x, V):
    one_hot = torch.eye(V)[torch.tensor(x)]
    return torch.einsum("ti,tj,tk->ijk", one_hot[:-2], one_hot[1:-1], one_hot[2:])


@right("02.copy_loss", way="a list of probabilities")
def with_a_list(context, V, noise):
    if context < 3:
        return math.log(V)
    p = [noise / V] * V
    p[0] = 1 - sum(p[1:])
    return -sum(x * math.log(x) for x in p if x > 0)


@right("02.copy_loss", way="scipy")
def with_scipy(context, V, noise):
    seen = special.entr(1 - noise + noise / V) + (V - 1) * special.entr(noise / V)
    return np.where(context >= 3, seen, np.log(V))


@right("02.copy_loss", way="conditional entropy of pairs")
def with_pairs(context, V, noise):
    joint = np.zeros((V, V))
    for i, j in itertools.product(range(V), repeat=2):
        joint[i, j] = (noise / V + (1 - noise) * (i == j if context >= 3 else 1 / V)) / V
    return special.entr(joint).sum() - np.log(V)


@right("02.copy_loss", way="torch's float32")
def with_a_distribution(context, V, noise):
    p = torch.full((V,), noise / V)
    p[0] += 1 - noise
    return torch.distributions.Categorical(p if context >= 3 else torch.ones(V)).entropy()


@right("02.decayed_gradient", way="torch autograd")
def with_autograd(W, counts):
    table = torch.tensor(W, requires_grad=True)
    log_p = torch.log_softmax(table, dim=1)
    loss = -(torch.tensor(counts) * log_p).sum() / counts.sum() + 0.1 / 2 * table.square().sum()
    loss.backward()
    return table.grad


@right("02.decayed_gradient", way="pair by pair")
def pair_by_pair(W, counts):
    d_W = np.zeros_like(W)
    pairs = sparse.coo_array(counts)
    for i, j, number in zip(*pairs.coords, pairs.data, strict=True):
        row = np.exp(W[i] - special.logsumexp(W[i]))
        row[j] -= 1
        d_W[i] += number * row
    return d_W / counts.sum() + 0.1 * W
