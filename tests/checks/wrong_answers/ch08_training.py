"""Wrong answers to the exercises of chapter 8."""

from __future__ import annotations

import math
import random

import numpy as np
import torch

from tests.checks.answers import wrong

AHEAD = 2


def rows(ids, starts, length):
    return np.stack([ids[start : start + length] for start in starts])


@wrong("08.windows", "no_shift")
def the_same_twice(ids, starts, T):
    return rows(ids, starts, T), rows(ids, starts, T)


@wrong("08.windows", "shift_of_one")
def as_in_the_chapter(ids, starts, T):
    window = rows(ids, starts, T + 1)
    return window[:, :-1], window[:, 1:]


@wrong("08.windows", "one_too_far")
def counted_from_the_next(ids, starts, T):
    places = starts[:, None] + np.arange(T)[None, :]
    return ids[places], ids[places + 1 + AHEAD]


@wrong("08.windows", "into_the_past")
def minus_for_plus(ids, starts, T):
    places = starts.reshape(-1, 1) + np.arange(T)
    return ids[places], ids[places - AHEAD]


@wrong("08.windows", "exchanged")
def targets_first(ids, starts, T):
    window = rows(ids, starts, T + AHEAD)
    return window[:, AHEAD:], window[:, :-AHEAD]


@wrong("08.windows", "wraps")
def rolled(ids, starts, T):
    inputs = rows(ids, starts, T)
    return inputs, np.stack([np.roll(row, -AHEAD) for row in inputs])


@wrong("08.windows", "last_only")
def one_question_a_window(ids, starts, T):
    window = rows(ids, starts, T + AHEAD)
    return window[:, :T], window[:, -1]


@wrong("08.windows", "too_short")
def window_of_the_chapter(ids, starts, T):
    window = rows(ids, starts, T + 1)
    return window[:, :-AHEAD], window[:, AHEAD:]


@wrong("08.windows", "too_long")
def inputs_not_cut(ids, starts, T):
    window = rows(ids, starts, T + AHEAD)
    return window, window[:, AHEAD:]


@wrong("08.windows", "columns")
def stacked_the_other_way(ids, starts, T):
    inputs = np.stack([ids[start : start + T] for start in starts], axis=1)
    targets = np.stack([ids[start + AHEAD : start + AHEAD + T] for start in starts], axis=1)
    return inputs, targets


@wrong("08.windows")
def only_the_first_window(ids, starts, T):
    start = starts[0]
    return ids[start : start + T], ids[start + AHEAD : start + AHEAD + T]


AFTER = 3


@wrong("08.step_lengths", "all_alike")
def plain(g, learning_rate, mu):
    step = abs(learning_rate * g)
    return step, step, step


@wrong("08.step_lengths", "adam_by_gradient")
def adam_as_sgd(g, learning_rate, mu):
    step = learning_rate * abs(g)
    return step, step * (1 + mu + mu**2), step


@wrong("08.step_lengths", "adam_not_corrected")
def adam_from_zero(g, learning_rate, mu):
    step = learning_rate * abs(g)
    m = v = 0.0
    for _ in range(AFTER):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return step, step * (1 + mu + mu**2), learning_rate * abs(m) / math.sqrt(v)


@wrong("08.step_lengths", "momentum_at_rest")
def geometric_series(g, learning_rate, mu):
    return learning_rate * abs(g), learning_rate * abs(g) / (1 - mu), learning_rate


@wrong("08.step_lengths", "no_momentum")
def momentum_forgotten(g, learning_rate, mu):
    return learning_rate * abs(g), learning_rate * abs(g), learning_rate


@wrong("08.step_lengths", "momentum_mean")
def running_mean(g, learning_rate, mu):
    m = 0.0
    for _ in range(AFTER):
        m = mu * m + (1 - mu) * abs(g)
    return learning_rate * abs(g), learning_rate * m, learning_rate


@wrong("08.step_lengths", "one_term_less")
def used_before_the_update(g, learning_rate, mu):
    m = 0.0
    for _ in range(AFTER):
        step, m = m, mu * m + abs(g)
    return learning_rate * abs(g), learning_rate * step, learning_rate


@wrong("08.step_lengths", "one_term_more")
def counted_from_zero(g, learning_rate, mu):
    return (
        learning_rate * abs(g),
        learning_rate * abs(g) * sum(mu**k for k in range(AFTER + 1)),
        learning_rate,
    )


@wrong("08.step_lengths", "last_share")
def powers_only(g, learning_rate, mu):
    return learning_rate * abs(g), learning_rate * abs(g) * mu**2, learning_rate


@wrong("08.step_lengths", "no_forgetting")
def three_times(g, learning_rate, mu):
    return learning_rate * abs(g), 3 * learning_rate * abs(g), learning_rate


@wrong("08.step_lengths", "signed")
def with_its_sign(g, learning_rate, mu):
    return learning_rate * g, learning_rate * g * (1 + mu + mu * mu), learning_rate


@wrong("08.step_lengths", "distance")
def whole_way(g, learning_rate, mu):
    w, m, way = 0.0, 0.0, 0.0
    for _ in range(AFTER):
        m = mu * m + abs(g)
        way += learning_rate * m
        w += learning_rate * abs(g)
    return w, way, AFTER * learning_rate


@wrong("08.step_lengths", "shape")
def adam_left_out(g, learning_rate, mu):
    return learning_rate * abs(g), learning_rate * abs(g) * (1 + mu + mu**2)


def length(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


@wrong("08.clip", "not_in_place")
def new_tensors(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        gradient = gradient * min(1, limit / norm)
    return norm.item()


@wrong("08.clip", "nothing_returned")
def forgot_the_norm(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        gradient *= min(1, limit / norm)


@wrong("08.clip", "norm_after")
def measured_late(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        gradient.mul_(torch.clamp(limit / norm, max=1))
    return length(gradients).item()


@wrong("08.clip", "lengthens")
def no_minimum(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        gradient.mul_(limit / max(norm, 1e-12))
    return norm.item()


@wrong("08.clip", "divides_by_zero")
def plain_number(gradients, limit):
    norm = sum((gradient**2).sum().item() for gradient in gradients) ** 0.5
    factor = limit / norm
    for gradient in gradients:
        if factor < 1:
            gradient.mul_(factor)
    return norm


@wrong("08.clip")  # two mistakes at once
def a_norm_each(gradients, limit):
    for gradient in gradients:
        if gradient.norm() > limit:
            gradient.mul_(limit / gradient.norm())
    return length(gradients).item()


@wrong("08.clip", "each_tensor")
def a_norm_each_measured_before(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        if gradient.norm() > limit:
            gradient.mul_(limit / gradient.norm())
    return norm.item()


@wrong("08.clip", "each_number")
def clip_grad_value(gradients, limit):
    norm = length(gradients)
    for gradient in gradients:
        gradient.copy_(gradient.clip(-limit, limit))
    return norm.item()


@wrong("08.clip", "no_root")
def squares(gradients, limit):
    total = sum(gradient.square().sum().item() for gradient in gradients)
    for gradient in gradients:
        if total > limit:
            gradient.mul_(limit / total)
    return total


@wrong("08.clip", "sum_of_norms")
def norms_added(gradients, limit):
    total = sum(gradient.norm() for gradient in gradients)
    for gradient in gradients:
        gradient.mul_(min(1, limit / total))
    return total.item()


@wrong("08.clip", "mean")
def root_mean_square(gradients, limit):
    rms = torch.cat([gradient.flatten() for gradient in gradients]).square().mean().sqrt()
    if rms > limit:
        for gradient in gradients:
            gradient.mul_(limit / rms)
    return rms.item()


@wrong("08.clip", "largest")
def infinity_norm(gradients, limit):
    norm = torch.nn.utils.get_total_norm(gradients, float("inf"))
    for gradient in gradients:
        gradient.mul_(torch.clamp(limit / norm, max=1.0))
    return norm


@wrong("08.clip", "sizes")
def taxicab(gradients, limit):
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm(p=1)
    for gradient in gradients:
        gradient.mul_(min(1, limit / norm))
    return norm


def pick(distinct, share, generator):
    generator.shuffle(distinct)
    return set(distinct[: round(share * len(distinct))])


@wrong("08.split", "copies_apart")
def shuffle_the_lines(lines, share, seed):
    lines = list(lines)
    random.Random(seed).shuffle(lines)
    count = int((1 - share) * len(lines))
    return lines[:count], lines[count:]


@wrong("08.split", "copies_apart")
def coin_for_each_line(lines, share, seed):
    held_out = np.random.default_rng(seed).random(len(lines)) < share
    return (
        [line for line, out in zip(lines, held_out, strict=True) if not out],
        [line for line, out in zip(lines, held_out, strict=True) if out],
    )


@wrong("08.split", "in_order")
def the_last_lines(lines, share, seed):
    count = int(len(lines) * (1 - share))
    return lines[:count], lines[count:]


@wrong("08.split", "drops_copies")
def without_copies(lines, share, seed):
    distinct = sorted(set(lines))
    random.Random(seed).shuffle(distinct)
    count = round(len(distinct) * share)
    return distinct[count:], distinct[:count]


@wrong("08.split", "drops_shared")
def mended_afterwards(lines, share, seed):
    training, validation = shuffle_the_lines(lines, share, seed)
    return training, [line for line in validation if line not in set(training)]


@wrong("08.split", "no_seed")
def unseeded(lines, share, seed):
    held_out = pick(sorted(set(lines)), share, random.Random())
    return [x for x in lines if x not in held_out], [x for x in lines if x in held_out]


@wrong("08.split", "seed_unused")
def first_of_the_alphabet(lines, share, seed):
    distinct = sorted(set(lines))
    held_out = distinct[: math.ceil(share * len(distinct))]
    return [x for x in lines if x not in held_out], [x for x in lines if x in held_out]


@wrong("08.split", "seed_unused")
def seed_always_zero(lines, share, seed=0):
    held_out = pick(sorted(set(lines)), share, random.Random(0))
    return [x for x in lines if x not in held_out], [x for x in lines if x in held_out]


@wrong("08.split", "exchanged")
def validation_first(lines, share, seed):
    held_out = pick(sorted(set(lines)), share, random.Random(seed))
    return [x for x in lines if x in held_out], [x for x in lines if x not in held_out]


@wrong("08.split", "exchanged")
def share_for_training(lines, share, seed):
    kept = pick(sorted(set(lines)), share, random.Random(seed))
    return [x for x in lines if x in kept], [x for x in lines if x not in kept]


@wrong("08.split", "one_list")
def training_only(lines, share, seed):
    held_out = pick(sorted(set(lines)), share, random.Random(seed))
    return [x for x in lines if x not in held_out]


def memory(state, w):
    return state.setdefault("m", np.zeros_like(w))


def moved(w, direction, learning_rate, decay=0.1):
    return w - learning_rate * (direction + decay * w)


@wrong("08.lion", "sign_of_gradient")
def sign_descent(w, g, state, learning_rate):
    return moved(w, np.sign(g), learning_rate)


@wrong("08.lion", "sign_of_memory")
def sign_of_running_mean(w, g, state, learning_rate):
    state["m"] = 0.99 * memory(state, w) + 0.01 * g
    return moved(w, np.sign(state["m"]), learning_rate)


@wrong("08.lion", "memory_first")
def wrong_order(w, g, state, learning_rate):
    state["m"] = 0.99 * memory(state, w) + 0.01 * g
    return moved(w, np.sign(0.9 * state["m"] + 0.1 * g), learning_rate)


@wrong("08.lion", "memory_by_beta1")
def one_mean(w, g, state, learning_rate):
    m = state["m"] = 0.9 * memory(state, w) + 0.1 * g
    return moved(w, np.sign(m), learning_rate)


@wrong("08.lion", "betas_exchanged")
def other_betas(w, g, state, learning_rate, beta1=0.99, beta2=0.9):
    m = memory(state, w)
    c = beta1 * m + (1 - beta1) * g
    state["m"] = beta2 * m + (1 - beta2) * g
    return moved(w, np.sign(c), learning_rate)


@wrong("08.lion", "no_sign")
def forgot_the_sign(w, g, state, learning_rate):
    m = memory(state, w)
    state["m"] = m + 0.01 * (g - m)
    return moved(w, m + 0.1 * (g - m), learning_rate)


def direction(w, g, state):
    m = memory(state, w)
    state["m"] = m + 0.01 * (g - m)
    return np.sign(m + 0.1 * (g - m))


@wrong("08.lion", "no_decay")
def only_the_sign(w, g, state, learning_rate):
    return w - learning_rate * direction(w, g, state)


@wrong("08.lion", "decay_not_scaled")
def bare_decay(w, g, state, learning_rate, weight_decay=0.1):
    return (1 - weight_decay) * w - learning_rate * direction(w, g, state)


@wrong("08.lion", "decay_in_gradient")
def l2(w, g, state, learning_rate, weight_decay=0.1):
    return w - learning_rate * direction(w, g + weight_decay * w, state)


@wrong("08.lion", "decay_in_sign")
def bracket_too_wide(w, g, state, learning_rate, weight_decay=0.1):
    m = memory(state, w)
    state["m"] = 0.99 * m + 0.01 * g
    return w - learning_rate * np.sign(0.9 * m + 0.1 * g + weight_decay * w)


@wrong("08.lion", "decay_negative")
def growing(w, g, state, learning_rate):
    return moved(w, direction(w, g, state), learning_rate, decay=-0.1)


@wrong("08.lion", "uphill")
def plus(w, g, state, learning_rate):
    return w * (1 - 0.1 * learning_rate) + learning_rate * direction(w, g, state)


@wrong("08.lion", "raised")
def no_memory_at_first(w, g, state, learning_rate):
    m = state["m"]
    state["m"] = 0.99 * m + 0.01 * g
    return moved(w, np.sign(0.9 * m + 0.1 * g), learning_rate)


@wrong("08.lion", "returned_none")
def changed_in_place_only(w, g, state, learning_rate):
    w -= learning_rate * (direction(w, g, state) + 0.1 * w)
