"""Right answers to the exercises of chapter 8, written in other ways than the solutions."""

from __future__ import annotations

import hashlib
import random

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from tests.checks.answers import right

AHEAD = 2


@right("08.windows", way="slices")
def slices(ids, starts, T):
    inputs = np.stack([ids[start : start + T] for start in starts])
    targets = np.stack([ids[start + AHEAD : start + AHEAD + T] for start in starts])
    return inputs, targets


@right("08.windows", way="torch")
def unfolded(ids, starts, T):
    windows = torch.from_numpy(ids.astype(np.int64)).unfold(0, T + AHEAD, 1)[torch.from_numpy(starts)]
    return windows[:, :T], windows[:, AHEAD:]


@right("08.windows", way="sliding windows")
def sliding(ids, starts, T):
    windows = np.lib.stride_tricks.sliding_window_view(ids, T)
    return windows[starts], windows[starts + AHEAD]


AFTER = 3


@right("08.step_lengths", way="closed form")
def closed_form(g, learning_rate, mu):
    step = learning_rate * abs(g)
    return step, step * (1 - mu**AFTER) / (1 - mu), learning_rate


@right("08.step_lengths", way="a loop")
def simulated(g, learning_rate, mu):
    m = first = second = 0.0
    for t in range(1, AFTER + 1):
        m = mu * m + g
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        adam = (first / (1 - 0.9**t)) / (second / (1 - 0.999**t)) ** 0.5
    return abs(learning_rate * g), abs(learning_rate * m), abs(learning_rate * adam)


@right("08.step_lengths", way="PyTorch's optimizers")
def with_torch(g, learning_rate, mu):
    lengths = []
    for kind, settings in (
        (torch.optim.SGD, {}),
        (torch.optim.SGD, {"momentum": mu}),
        (torch.optim.Adam, {}),
    ):
        w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = kind([w], lr=learning_rate, **settings)
        for _ in range(AFTER):
            before = w.item()
            w.grad = torch.full_like(w, g)
            optimizer.step()
        lengths.append(abs(w.item() - before))
    return tuple(lengths)


@right("08.clip", way="torch's own")
def with_parameters(gradients, limit):
    weights = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    return torch.nn.utils.clip_grad_norm_(weights, limit)


@right("08.clip", way="one long vector")
def flattened(gradients, limit):
    norm = torch.cat([gradient.reshape(-1) for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= limit / torch.clamp(norm, min=limit)
    return norm.item()


@right("08.clip", way="NumPy in the same memory")
def through_numpy(gradients, limit):
    arrays = [gradient.numpy() for gradient in gradients]
    norm = float(np.sqrt(sum(np.vdot(array, array) for array in arrays)))
    if norm > limit:
        for array in arrays:
            array *= limit / norm
    return norm


@right("08.split", way="hashing")
def by_hash(lines, share, seed):
    def held_out(line):
        digest = hashlib.sha256(f"{seed} {line}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < share

    return [x for x in lines if not held_out(x)], [x for x in lines if held_out(x)]


@right("08.split", way="the random module")
def with_random(lines, share, seed):
    distinct = list(dict.fromkeys(lines))
    held_out = set(random.Random(seed).sample(distinct, int(share * len(distinct))))
    parts = [], []
    for line in lines:
        parts[line in held_out].append(line)
    return parts


@right("08.split", way="numpy arrays")
def with_isin(lines, share, seed):
    lines = np.array(lines)
    distinct = np.unique(lines)
    held_out = np.random.default_rng(seed).choice(distinct, round(share * len(distinct)), replace=False)
    return list(lines[~np.isin(lines, held_out)]), list(lines[np.isin(lines, held_out)])


@right("08.lion", way="optax")
def with_optax(w, g, state, learning_rate):
    with jax.enable_x64(True):
        optimizer = optax.lion(learning_rate, b1=0.9, b2=0.99, weight_decay=0.1)
        state.setdefault("all", optimizer.init(jnp.asarray(w)))
        change, state["all"] = optimizer.update(jnp.asarray(g), state["all"], jnp.asarray(w))
        return np.asarray(w + change)


@right("08.lion", way="loops")
def number_by_number(w, g, state, learning_rate):
    m = state.setdefault("m", [0.0] * len(w))
    out = []
    for i in range(len(w)):
        c = 0.9 * m[i] + 0.1 * g[i]
        m[i] = 0.99 * m[i] + 0.01 * g[i]
        sign = 1 if c > 0 else -1 if c < 0 else 0
        out.append(w[i] - learning_rate * sign - learning_rate * 0.1 * w[i])
    return np.array(out)


@right("08.lion", way="decay first, as in the chapter's AdamW")
def decay_first(w, g, state, learning_rate):
    m = state.get("m", np.zeros(len(w)))
    w = w - learning_rate * 0.1 * w
    w = w - learning_rate * np.sign(m * 0.9 + (1 - 0.9) * g)
    state["m"] = m * 0.99 + g * (1 - 0.99)
    return w
