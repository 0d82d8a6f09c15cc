"""Right answers to the exercises of chapter 6, written in other ways than the solutions."""

from __future__ import annotations

import statistics

import numpy as np
import torch

from tests.checks.answers import right


@right("06.gated_width", way="the largest that fits, by trying")
def largest_that_fits(C):
    return max(F for F in range(0, 4 * C + 1, 8) if 3 * C * F <= 8 * C * C)


@right("06.gated_width", way="NumPy's whole numbers")
def with_numpy(C):
    F = np.int64(C) * 8 // 3
    return F - F % 8


@right("06.quick_gelu_backward", way="tanh")
def by_tanh(d_out, x):
    gate = 0.5 + 0.5 * np.tanh(0.851 * x)
    return d_out * gate * (1 + 1.702 * x * (1 - gate))


@right("06.quick_gelu_backward", way="torch autograd")
def with_autograd(d_out, x):
    inputs = torch.tensor(x, requires_grad=True)
    (inputs * torch.sigmoid(1.702 * inputs)).backward(torch.tensor(d_out))
    return inputs.grad


@right("06.quick_gelu_backward", way="loops")
def one_by_one(d_out, x):
    slopes = []
    for value in x:
        s = 1 / (1 + np.exp(-1.702 * value))
        slopes.append(s + 1.702 * value * s * (1 - s))
    return np.array(slopes) * d_out


@right("06.dropped_gradients", way="torch autograd")
def dropped_autograd(d_out, x, up, down, keep):
    x, up, down = (torch.tensor(a, requires_grad=True) for a in (x, up, down))
    ((x @ up.T).relu() * torch.tensor(keep) @ down.T).backward(torch.tensor(d_out))
    return x.grad, up.grad, down.grad


@right("06.dropped_gradients", way="a loop over positions")
def position_by_position(d_out, x, up, down, keep):
    d_x, d_up, d_down = np.zeros_like(x), np.zeros_like(up), np.zeros_like(down)
    for i in range(len(x)):
        dropped = np.maximum(up @ x[i], 0) * keep[i]
        d_before = np.where(dropped > 0, down.T @ d_out[i] * keep[i], 0)
        d_x[i] = up.T @ d_before
        d_up += np.outer(d_before, x[i])
        d_down += np.outer(d_out[i], dropped)
    return [d_x, d_up, d_down]


@right("06.share_on", way="the standard library's normal distribution")
def normal_dist(bias, std, C):
    spread = statistics.NormalDist(0, std * C**0.5)
    return np.array([spread.cdf(b) for b in bias])


@right("06.share_on", way="torch's erf, on the variance")
def with_erfc(bias, std, C):
    return torch.special.erfc(-torch.tensor(bias) / (2 * C * std**2) ** 0.5) / 2


@right("06.find_unit", way="correlation")
def correlation(hidden, label):
    products = (hidden - hidden.mean(0)).T @ (label - label.mean())
    return int((products / np.maximum(hidden.std(0), 1e-12)).argmax())


@right("06.find_unit", way="torch")
def with_torch(hidden, label):
    h, inside = torch.tensor(hidden), torch.tensor(label)
    gap = h[inside].mean(0) - h[~inside].mean(0)
    return (gap / h.std(0, unbiased=False)).nan_to_num(0.0).argmax()


@right("06.find_unit", way="loops")
def unit_by_unit(hidden, label):
    best, largest = 0, -np.inf
    for unit, column in enumerate(hidden.T):
        contrast = 0.0
        if np.ptp(column) > 0:
            contrast = (column[label].mean() - column[~label].mean()) / column.std()
        if contrast > largest:
            best, largest = unit, contrast
    return best
