"""Right answers to the exercises of chapter 10, written in other ways than the solutions."""

from __future__ import annotations

import itertools
import math

import jax
import numpy as np
import torch

from microgpt_ref.roofline import Roofline
from tests.checks.answers import right


@right("10.least_seconds", way="the package's roofline")
def with_the_roofline(n, C, F, peak, bandwidth):
    moved = 4 * (n * C + C * F + n * F)
    return Roofline(peak, bandwidth).predicted_seconds(2 * n * C * F, moved)


@right("10.least_seconds", way="by the intensity")
def by_the_ridge(n, C, F, peak, bandwidth):
    flops, moved = 2 * n * C * F, np.dtype("f4").itemsize * (n * C + C * F + n * F)
    return flops / min(peak, flops / moved * bandwidth)


@right("10.sum_stops", way="by steps between numbers")
def half_a_step(term, fraction_bits):
    power = 0
    while term > 2.0**power * 2.0**-fraction_bits / 2:
        power += 1
    while term <= 2.0 ** (power - 1) * 2.0**-fraction_bits / 2:
        power -= 1
    return 2.0**power


@right("10.sum_stops", way="ldexp")
def with_ldexp(term, fraction_bits):
    return np.ldexp(term, fraction_bits + 1)


@right("10.sum_stops", way="torch adds")
def with_torch(term, fraction_bits):
    """Adds in float64 and rounds by adding a number so large that the lower bits fall off."""
    total = torch.tensor(0.0, dtype=torch.float64)
    for _ in range(2 ** (fraction_bits + 2)):
        raw = total + term
        step = 2.0 ** (math.floor(math.log2(raw.item())) - fraction_bits)
        total = torch.round(raw / step) * step
    return total


@right("10.scales", way="a position in the list")
def count_since(overflows, first, interval):
    scale, since, out = first, 0, []
    for i, overflow in enumerate(overflows):
        if overflow:
            scale, since = scale * 0.5, i + 1
        elif i + 1 - since == interval:
            scale, since = scale * 2, i + 1
        out.append(scale)
    return out


@right("10.scales", way="exponents")
def in_powers(overflows, first, interval):
    def step(state, overflow):
        power, good = state
        if overflow:
            return power - 1, 0
        return (power + 1, 0) if good + 1 == interval else (power, good + 1)

    states = itertools.accumulate(overflows, step, initial=(0, 0))
    return [first * 2.0**power for power, _ in itertools.islice(states, 1, None)]


@right("10.streamed_attention", way="logsumexp")
def with_logsumexp(q, pieces):
    log_total, mix = None, None
    for k, v in pieces:
        scores = q @ k.T / math.sqrt(q.shape[-1])
        here, part = scores.logsumexp(1, keepdim=True), scores.softmax(1) @ v
        if mix is None:
            log_total, mix = here, part
        else:
            both = torch.logaddexp(log_total, here)
            mix = mix * (log_total - both).exp() + part * (here - both).exp()
            log_total = both
    return mix


@right("10.streamed_attention", way="NumPy, query by query")
def in_loops(q, pieces):
    rows = [(-math.inf, 0.0, np.zeros(q.shape[1])) for _ in q]
    for k, v in pieces:
        for t, (highest, total, mix) in enumerate(rows):
            for key, value in zip(k.numpy(), v.numpy(), strict=True):
                score = float(q[t].numpy() @ key) / q.shape[1] ** 0.5
                new = max(highest, score)
                shrink, weight = math.exp(highest - new), math.exp(score - new)
                highest, total, mix = new, total * shrink + weight, mix * shrink + weight * value
            rows[t] = highest, total, mix
    return np.stack([mix / total for _, total, mix in rows])


@right("10.streamed_attention", way="two passes")
def maximum_first(q, pieces):
    pieces = list(pieces)
    q = q / q.shape[1] ** 0.5
    highest = torch.stack([(q @ k.T).amax(1) for k, _ in pieces]).amax(0)[:, None]
    powers = [torch.exp(q @ k.T - highest) for k, _ in pieces]
    total = sum(p.sum(1, keepdim=True) for p in powers)
    return sum(p @ v for p, (_, v) in zip(powers, pieces, strict=True)) / total


@right("10.polynomial", way="recursion")
def recursive(coefficients, s, at_least, left=30):
    if s > at_least:
        return 0
    if left == 0:
        return math.inf
    a, b, c = coefficients
    return 1 + recursive(coefficients, s * (a + s * s * (b + s * s * c)), at_least, left - 1)


@right("10.polynomial", way="jax scan")
def with_scan(coefficients, s, at_least):
    a, b, c = coefficients

    def step(s, _):
        return a * s + b * s**3 + c * s**5, s

    with jax.enable_x64(True):
        _, values = jax.lax.scan(step, jax.numpy.float64(s), length=31)
    reached = np.flatnonzero(np.asarray(values) > at_least)
    return int(reached[0]) if len(reached) else math.inf


@right("10.polynomial", way="a generator")
def with_takewhile(coefficients, s, at_least):
    values = itertools.accumulate(range(30), lambda s, _: np.dot(coefficients, [s, s**3, s**5]), initial=s)
    below = len(list(itertools.takewhile(lambda s: s <= at_least, values)))
    return below if below <= 30 else math.inf
