"""Wrong answers to the exercises of chapter 10."""

from __future__ import annotations

import math

import torch

from tests.checks.answers import wrong


@wrong("10.least_seconds", "sum")
def one_after_the_other(n, C, F, peak, bandwidth):
    computing = 2 * n * C * F / peak
    fetching = 4 * (n * C + C * F + n * F) / bandwidth
    return computing + fetching


@wrong("10.least_seconds", "shorter")
def min_for_max(n, C, F, peak, bandwidth):
    return min(2 * n * C * F / peak, 4 * (n * C + C * F + n * F) / bandwidth)


@wrong("10.least_seconds", "no_bytes")
def numbers_moved(n, C, F, peak, bandwidth):
    flops, moved = 2 * n * C * F, n * C + C * F + n * F
    return max(flops / peak, moved / bandwidth)


@wrong("10.least_seconds", "bits")
def thirty_two(n, C, F, peak, bandwidth):
    return max(2 * n * C * F / peak, 32 * (n * C + C * F + n * F) / bandwidth)


@wrong("10.least_seconds", "one_flop")
def multiplications(n, C, F, peak, bandwidth):
    return max(n * C * F / peak, 4 * (n * C + C * F + n * F) / bandwidth)


@wrong("10.least_seconds", "weights_only")
def reads_the_weights(n, C, F, peak, bandwidth):
    return max(2 * n * C * F / peak, 4 * C * F / bandwidth)


@wrong("10.least_seconds", "no_results")
def reads_only(n, C, F, peak, bandwidth):
    return max(2 * n * C * F / peak, 4 * C * (n + F) / bandwidth)


@wrong("10.least_seconds", "no_memory")
def compute_bound(n, C, F, peak, bandwidth):
    return 2 * n * C * F / peak


@wrong("10.least_seconds", "rate")
def upside_down(n, C, F, peak, bandwidth):
    return min(peak / (2 * n * C * F), bandwidth / (4 * (n * C + C * F + n * F)))


@wrong("10.least_seconds", "type")
def both_times(n, C, F, peak, bandwidth):
    return 2 * n * C * F / peak, 4 * (n * C + C * F + n * F) / bandwidth


@wrong("10.sum_stops", "always_bf16")
def as_in_the_chapter(term, fraction_bits):
    return 256 * term


@wrong("10.sum_stops", "one_early")
def where_the_step_is_the_term(term, fraction_bits):
    return term / 2.0 ** (-fraction_bits)


@wrong("10.sum_stops", "one_late")
def one_power_too_many(term, fraction_bits):
    return term * 2.0 ** (fraction_bits + 2)


@wrong("10.sum_stops", "no_term")
def counted_for_ones(term, fraction_bits):
    return float(2 << fraction_bits)


@wrong("10.sum_stops", "divided")
def large_terms_stop_early(term, fraction_bits):
    return 2 ** (1 + fraction_bits) / term


@wrong("10.sum_stops", "last_but_one")
def largest_integer(term, fraction_bits):
    return (2.0 ** (fraction_bits + 1) - 1) * term


@wrong("10.sum_stops", "step")
def epsilon(term, fraction_bits):
    return term * 0.5**fraction_bits


@wrong("10.sum_stops", "digits")
def decimal(term, fraction_bits):
    return term * float(f"1e{fraction_bits}")


@wrong("10.sum_stops", "endless")
def without_rounding(term, fraction_bits):
    total = 0
    while total + term != total:
        total += int(1 + term)
    return total


@wrong("10.scales", "before")
def appends_first(overflows, first, interval):
    scale, good, out = first, 0, []
    for overflow in overflows:
        out.append(scale)
        if overflow:
            scale, good = scale / 2, 0
        else:
            good += 1
            if good == interval:
                scale, good = scale * 2, 0
    return out


@wrong("10.scales", "first_too")
def starts_with_first(overflows, first, interval):
    out, good = [first], 0
    for overflow in overflows:
        good = 0 if overflow else good + 1
        if overflow:
            out.append(out[-1] / 2)
        elif good == interval:
            out.append(out[-1] * 2)
            good = 0
        else:
            out.append(out[-1])
    return out


@wrong("10.scales", "grows_on")
def forgets_to_reset(overflows, first, interval):
    scale, good, out = first, 0, []
    for overflow in overflows:
        if overflow:
            scale, good = scale / 2, 0
        else:
            good += 1
            if good >= interval:
                scale = scale * 2
        out.append(scale)
    return out


@wrong("10.scales", "overflow_keeps_count")
def no_reset_at_overflow(overflows, first, interval):
    scale, good, out = first, 0, []
    for overflow in overflows:
        if overflow:
            scale /= 2
        else:
            good += 1
            if good == interval:
                scale *= 2
                good = 0
        out.append(scale)
    return out


@wrong("10.scales", "every_interval")
def by_the_step_number(overflows, first, interval):
    out = []
    for i in range(len(overflows)):
        scale = out[-1] if out else first
        if overflows[i]:
            scale = scale / 2
        elif (i + 1) % interval == 0:
            scale = scale * 2
        out.append(scale)
    return out


@wrong("10.scales", "one_late")
def more_than_interval(overflows, first, interval):
    scale, good, out = first, 0, []
    for overflow in overflows:
        if overflow:
            scale, good = scale / 2, 0
        else:
            good += 1
            if good > interval:
                scale, good = scale * 2, 0
        out.append(scale)
    return out


@wrong("10.scales", "at_once")
def no_patience(overflows, first, interval):
    out = []
    for overflow in overflows:
        first = first / 2 if overflow else first * 2
        out.append(first)
    return out


@wrong("10.scales", "exchanged")
def the_other_way(overflows, first, interval):
    scale, good, out = first, 0, []
    for overflow in overflows:
        good = 0 if overflow else good + 1
        if overflow:
            scale *= 2
        if good == interval:
            scale, good = scale / 2, 0
        out.append(scale)
    return out


@wrong("10.scales", "type")
def last_one_only(overflows, first, interval):
    good = 0
    for overflow in overflows:
        good = 0 if overflow else good + 1
        first = first / 2 if overflow else first * (2 if good == interval else 1)
    return first


def scores_of(q, k):
    return q @ k.T / math.sqrt(q.shape[-1])


@wrong("10.streamed_attention", "all_at_once")
def joins_the_pieces(q, pieces):
    pieces = list(pieces)
    k = torch.cat([piece[0] for piece in pieces])
    v = torch.cat([piece[1] for piece in pieces])
    return scores_of(q, k).softmax(dim=-1) @ v


@wrong("10.streamed_attention", "last_piece")
def overwrites(q, pieces):
    for k, v in pieces:
        out = torch.softmax(scores_of(q, k), dim=1) @ v
    return out


@wrong("10.streamed_attention", "first_piece")
def returns_inside_the_loop(q, pieces):
    for k, v in pieces:
        return torch.softmax(scores_of(q, k), dim=1) @ v


@wrong("10.streamed_attention", "sum_of_pieces")
def adds_softmaxes(q, pieces):
    out = torch.zeros_like(q)
    for k, v in pieces:
        out += torch.softmax(scores_of(q, k), dim=1) @ v
    return out


@wrong("10.streamed_attention", "mean_of_pieces")
def averages_softmaxes(q, pieces):
    out = [torch.softmax(scores_of(q, k), dim=1) @ v for k, v in pieces]
    return sum(out) / len(out)


@wrong("10.streamed_attention", "no_maximum")
def plain_exp(q, pieces):
    top, bottom = 0, 0
    for k, v in pieces:
        e = scores_of(q, k).exp()
        top, bottom = top + e @ v, bottom + e.sum(dim=1, keepdim=True)
    return top / bottom


@wrong("10.streamed_attention", "no_root")
def unscaled(q, pieces):
    m, l, o = torch.full((len(q),), -torch.inf, dtype=q.dtype), 0, 0  # noqa: E741
    for k, v in pieces:
        s = torch.einsum("td,sd->ts", q, k)
        m_new = torch.maximum(m, s.amax(1))
        e = torch.exp(s - m_new[:, None])
        l = l * torch.exp(m - m_new) + e.sum(1)  # noqa: E741
        o = o * torch.exp(m - m_new)[:, None] + e @ v
        m = m_new
    return o / l[:, None]


def online(q, pieces, correct_l, correct_o):
    m = torch.full((len(q), 1), -torch.inf, dtype=q.dtype)
    l, o = torch.zeros_like(m), torch.zeros_like(q)  # noqa: E741
    for k, v in pieces:
        s = scores_of(q, k)
        m_new = torch.maximum(m, s.amax(1, keepdim=True))
        e = torch.exp(s - m_new)
        factor = torch.exp(m - m_new)
        l = (l * factor if correct_l else l) + e.sum(1, keepdim=True)  # noqa: E741
        o = (o * factor if correct_o else o) + e @ v
        m = m_new
    return o / l


@wrong("10.streamed_attention", "no_rescaling")
def old_maximum_stays(q, pieces):
    return online(q, pieces, False, False)


@wrong("10.streamed_attention", "sum_only")
def forgot_the_mixture(q, pieces):
    return online(q, pieces, True, False)


@wrong("10.streamed_attention", "mixture_only")
def forgot_the_sum(q, pieces):
    return online(q, pieces, False, True)


@wrong("10.streamed_attention", "one_maximum")
def maximum_over_everything(q, pieces):
    m, l, o = -math.inf, 0.0, 0.0  # noqa: E741
    for k, v in pieces:
        s = scores_of(q, k)
        m_new = max(m, s.max().item())
        e = (s - m_new).exp()
        l = l * math.exp(m - m_new) + e.sum(1, keepdim=True)  # noqa: E741
        o = o * math.exp(m - m_new) + e @ v
        m = m_new
    return o / l


@wrong("10.streamed_attention", "raised")
def reads_the_stream_twice(q, pieces):
    highest = torch.stack([scores_of(q, k).amax(1) for k, _ in pieces]).amax(0)
    parts = [torch.exp(scores_of(q, k) - highest[:, None]) @ v for k, v in pieces]
    return torch.stack(parts).sum(0)


MOST = 30


@wrong("10.polynomial", "one_more")
def counts_from_one(coefficients, s, at_least):
    a, b, c = coefficients
    n = 1
    while s <= at_least:
        s = a * s + b * s**3 + c * s**5
        n += 1
        if n > MOST + 1:
            return math.inf
    return n


@wrong("10.polynomial", "at_least_one")
def steps_first(coefficients, s, at_least):
    a, b, c = coefficients
    for n in range(1, MOST + 1):
        s = a * s + b * s**3 + c * s**5
        if s > at_least:
            return n
    return math.inf


@wrong("10.polynomial", "wrong_powers")
def one_two_three(coefficients, s, at_least):
    a, b, c = coefficients
    for n in range(MOST + 1):
        if s > at_least:
            return n
        s = a * s + b * s**2 + c * s**3
    return math.inf


@wrong("10.polynomial", "first_term")
def by_logarithm(coefficients, s, at_least):
    if s > at_least:
        return 0
    if coefficients[0] <= 1:
        return math.inf
    n = math.ceil(math.log(at_least / s) / math.log(coefficients[0]))
    return n if n <= MOST else math.inf


@wrong("10.polynomial", "in_turn")
def in_place(coefficients, s, at_least):
    a, b, c = coefficients
    for n in range(MOST + 1):
        if s > at_least:
            return n
        s *= a
        s += b * s**3
        s += c * s**5
    return math.inf


@wrong("10.polynomial", "gives_up_with_a_number")
def stops_quietly(coefficients, s, at_least):
    a, b, c = coefficients
    n = 0
    while s <= at_least and n < MOST:
        s, n = a * s + b * s**3 + c * s**5, n + 1
    return n


@wrong("10.polynomial", "one_round_short")
def looks_too_early(coefficients, s, at_least):
    a, b, c = coefficients
    for n in range(MOST):
        if s > at_least:
            return n
        s = a * s + b * s**3 + c * s**5
    return math.inf


@wrong("10.polynomial", "endless")
def never_gives_up(coefficients, s, at_least):
    a, b, c = coefficients
    n = 0
    while s <= at_least:
        s, n = a * s + b * s**3 + c * s**5, n + 1
    return n


@wrong("10.polynomial", "one_round_long")
def gives_up_late(coefficients, s, at_least):
    a, b, c = coefficients
    for n in range(MOST + 2):
        if s > at_least:
            return n
        s = a * s + b * s**3 + c * s**5
    return math.inf
