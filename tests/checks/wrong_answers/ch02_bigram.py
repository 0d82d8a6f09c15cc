"""Wrong answers to the exercises of chapter 2."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch

from tests.checks.answers import wrong


@wrong("02.constant_loss", "sum")
def not_averaged(q, y):
    loss = 0.0
    for k in y:
        loss -= np.log(q[k])
    return loss


@wrong("02.constant_loss", "sign")
def without_minus(q, y):
    return sum(np.log(q[k]) for k in y) / len(y)


@wrong("02.constant_loss", "bits")
def base_two(q, y):
    return -sum(np.log2(q[k]) for k in y) / len(y)


@wrong("02.constant_loss", "ln_V")
def always_uniform(q, y):
    return float(np.log(q.size))


@wrong("02.constant_loss", "entropy")
def no_text(q, y):
    return -sum(p * math.log(p) for p in q if p > 0)


@wrong("02.constant_loss", "entropy_of_text")
def no_model(q, y):
    shares = [count / len(y) for count in Counter(y.tolist()).values()]
    return sum(-f * math.log(f) for f in shares) + 0.0


@wrong("02.constant_loss", "log_of_mean")
def mean_inside(q, y):
    return -math.log(sum(q[k] for k in y) / len(y))


@wrong("02.constant_loss", "zero_times_infinity")
def from_shares(q, y):
    f = np.array([(y == k).mean() for k in range(len(q))])
    return float(-np.sum(f * np.log(q)))


@wrong("02.constant_loss", "underflow")
def product_then_logarithm(q, y):
    p = np.float64(1.0)
    for k in y:
        p *= q[k]
    return -np.log(p) / len(y)


@wrong("02.constant_loss", "perplexity")
def geometric_mean(q, y):
    return float(np.exp(np.log(1 / q[y]).mean()))


@wrong("02.constant_loss", "all_of_q")
def forgot_to_look_up(q, y):
    return float((-np.log(q)).sum() / len(q))


@wrong("02.constant_loss", "type")
def one_for_each_place(q, y):
    return -np.log(q[y])


@wrong("02.constant_loss", "entropy_nan")
def entropy_without_care(q, y):
    return -np.dot(q, np.log(q))


@wrong("02.constant_loss", "over_V")
def divided_by_the_vocabulary(q, y):
    return np.log(1 / q[y]).sum() / q.size


@wrong("02.constant_loss", "first_left_out")
def targets_as_for_the_table(q, y):
    return np.mean([-np.log(q[k]) for k in y[1:]])


@wrong("02.constant_loss", "last_left_out")
def inputs_as_for_the_table(q, y):
    return np.mean([-np.log(q[k]) for k in y[:-1]])


@wrong("02.constant_loss", "zero_stops")
def with_the_math_module(q, y):
    return math.fsum(-math.log(q[int(k)]) for k in y) / len(y)


def normalised(table):
    return table / table.sum(axis=1)[:, None]


@wrong("02.smooth", "alpha_not_below")
def numerator_only(counts, alpha):
    return (counts + alpha) / counts.sum(axis=1)[:, np.newaxis]


@wrong("02.smooth", "alpha_once_below")
def one_alpha(counts, alpha):
    return np.stack([(row + alpha) / (row.sum() + alpha) for row in counts])


@wrong("02.smooth", "alpha_only_below")
def denominator_only(counts, alpha):
    V = counts.shape[0]
    return counts / (counts.sum(axis=-1) + alpha * V).reshape(V, 1)


@wrong("02.smooth", "no_alpha")
def plain_shares(counts, alpha):
    return normalised(counts)


@wrong("02.smooth", "always_one")
def laplace(counts, alpha):
    return normalised(1.0 + counts)


@wrong("02.smooth", "no_keepdims")
def sums_as_a_row(counts, alpha):
    raised = counts + alpha
    return raised / np.sum(raised, axis=-1)


@wrong("02.smooth", "columns")
def along_the_wrong_axis(counts, alpha):
    raised = torch.tensor(counts) + alpha
    return raised / raised.sum(dim=0, keepdim=True)


@wrong("02.smooth", "whole_table")
def joint_probabilities(counts, alpha):
    return (counts + alpha) / (counts.sum() + alpha * counts.size)


@wrong("02.smooth", "only_zeros")
def filled_holes(counts, alpha):
    filled = counts.copy()
    filled[filled == 0] = alpha
    return normalised(filled)


@wrong("02.smooth", "changed_arguments")
def in_place(counts, alpha):
    counts += alpha
    return normalised(counts)


@wrong("02.smooth", "not_divided")
def still_counts(counts, alpha):
    return np.add(counts, alpha)


@wrong("02.smooth", "probe:each row sums to one")
def divided_by_v_plus_one(counts, alpha):
    V = len(counts)
    return (counts + alpha) / (counts.sum(1, keepdims=True) + alpha * (V + 1))


@wrong("02.smooth", "after_dividing_safely")
def alpha_on_probabilities(counts, alpha):
    row = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, row, out=np.zeros_like(counts), where=row > 0) + alpha


@wrong("02.smooth", "no_brackets")
def brackets_forgotten(counts, alpha):
    return counts + alpha / (counts.sum(axis=1, keepdims=True) + alpha * len(counts))


@wrong("02.smooth", "alpha_for_each_cell")
def size_for_length(counts, alpha):
    return (counts + alpha) / (counts.sum(axis=1, keepdims=True) + alpha * counts.size)


@wrong("02.smooth", "empty_stays_zero")
def empty_rows_cleared(counts, alpha):
    P = normalised(counts + alpha)
    P[~counts.any(axis=1)] = 0
    return P


@wrong("02.smooth", "softmax")
def softmax_of_counts(counts, alpha):
    return torch.softmax(torch.tensor(counts + alpha), dim=1)


@wrong("02.ngram_counts", "repeats_lost")
def added_with_places(x, V):
    counts = np.zeros((V, V, V))
    counts[x[:-2], x[1:-1], x[2:]] += 1
    return counts


@wrong("02.ngram_counts", "reversed")
def newest_first(x, V):
    counts = np.zeros((V, V, V))
    for i, j, k in zip(x, x[1:], x[2:], strict=False):
        counts[k, j, i] += 1
    return counts


@wrong("02.ngram_counts", "last_first")
def next_character_in_front(x, V):
    counts = np.zeros((V, V, V))
    for t in range(2, len(x)):
        counts[x[t], x[t - 2], x[t - 1]] += 1
    return counts


@wrong("02.ngram_counts", "around")
def rolled(x, V):
    counts = np.zeros((V, V, V))
    np.add.at(counts, (x, np.roll(x, -1), np.roll(x, -2)), 1)
    return counts


@wrong("02.ngram_counts", "around")
def negative_places(x, V):
    counts = np.zeros((V, V, V))
    for t in range(len(x)):
        counts[x[t - 2], x[t - 1], x[t]] += 1
    return counts


@wrong("02.ngram_counts", "last_lost")
def range_too_short(x, V):
    counts = np.zeros((V, V, V))
    for t in range(len(x) - 3):
        counts[tuple(x[t : t + 3])] += 1
    return counts


@wrong("02.ngram_counts", "steps")
def groups_side_by_side(x, V):
    counts = np.zeros((V, V, V))
    for t in range(0, len(x) - 2, 3):
        counts[tuple(x[t : t + 3])] += 1
    return counts


@wrong("02.ngram_counts", "pairs")
def bigrams(x, V):
    counts = np.zeros((V, V))
    np.add.at(counts, (x[:-1], x[1:]), 1)
    return counts


@wrong("02.ngram_counts", "flat")
def one_long_row(x, V):
    return np.bincount(x[:-2] * V * V + x[1:-1] * V + x[2:], minlength=V**3)


@wrong("02.ngram_counts", "two_axes")
def row_for_each_pair(x, V):
    counts = np.zeros((V * V, V))
    np.add.at(counts, (x[:-2] * V + x[1:-1], x[2:]), 1)
    return counts


@wrong("02.ngram_counts", "first_axis_only")
def list_for_a_tuple(x, V):
    counts = np.zeros((V, V, V))
    np.add.at(counts, [x[:-2], x[1:-1], x[2:]], 1)
    return counts


@wrong("02.ngram_counts", "first_axis_only")
def windows_as_places(x, V):
    counts = np.zeros((V, V, V))
    if len(x) >= 3:
        np.add.at(counts, np.lib.stride_tricks.sliding_window_view(x, 3), 1)
    return counts


@wrong("02.ngram_counts", "shares_of_all")
def probabilities_of_triples(x, V):
    counts = np.zeros((V, V, V))
    np.add.at(counts, (x[:-2], x[1:-1], x[2:]), 1)
    return counts / max(counts.sum(), 1)


@wrong("02.ngram_counts")
def slices_of_unequal_length(x, V):
    counts = np.zeros((V, V, V))
    np.add.at(counts, (x[:-2], x[1:], x[2:]), 1)
    return counts


def two_way(V, right):
    rest = (1 - right) / (V - 1)
    loss = -right * math.log(right) if right else 0.0
    return loss - ((V - 1) * rest * math.log(rest) if rest else 0.0)


@wrong("02.copy_loss", "uniform")
def no_hope(context, V, noise):
    return -math.log(1 / V)


@wrong("02.copy_loss", "no_context")
def always_informed(context, V, noise):
    return two_way(V, (1 - noise) + noise / V)


@wrong("02.copy_loss", "one_late")
def more_than_the_lag(context, V, noise):
    return two_way(V, 1 - noise + noise / V) if context > 3 else math.log(V)


@wrong("02.copy_loss", "one_early")
def counts_itself(context, V, noise):
    return math.log(V) if context + 1 < 3 else two_way(V, 1 - noise + noise / V)


@wrong("02.copy_loss", "mean_of_losses")
def weighted_losses(context, V, noise):
    if context < 3:
        return math.log(V)
    return (1 - noise) * 0.0 + noise * math.log(V)


@wrong("02.copy_loss", "noise_is_another")
def wrong_or_right(context, V, noise):
    return math.log(V) if context < 3 else two_way(V, 1 - noise)


@wrong("02.copy_loss", "noise_is_copy")
def the_other_way_round(context, V, noise):
    return math.log(V) if context < 3 else two_way(V, noise + (1 - noise) / V)


@wrong("02.copy_loss", "bits")
def log_two(context, V, noise):
    loss = math.log(V) if context < 3 else two_way(V, 1 - noise + noise / V)
    return loss * math.log2(math.e)


@wrong("02.copy_loss", "zero_log")
def numpy_without_care(context, V, noise):
    p = np.full(V, noise / V)
    p[0] += 1 - noise
    return np.log(V) if context < 3 else -(p * np.log(p)).sum()


@wrong("02.copy_loss", "step_by_step")
def a_little_each(context, V, noise):
    best = two_way(V, 1 - noise + noise / V)
    known = min(context, 3) / 3
    return known * best + (1 - known) * math.log(V)


@wrong("02.copy_loss", "one_other")
def one_letter_for_the_rest(context, V, noise):
    p = (1 - noise + noise / V, noise / V)
    return math.log(V) if context < 3 else -sum(share * math.log(share) for share in p if share > 0)


@wrong("02.copy_loss", "copy_or_draw")
def entropy_of_a_coin(context, V, noise):
    return math.log(V) if context < 3 else two_way(2, noise)


@wrong("02.copy_loss", "copy_and_draw")
def entropies_added(context, V, noise):
    return math.log(V) if context < 3 else two_way(2, noise) + noise * math.log(V)


@wrong("02.copy_loss", "only_just_enough")
def equal_to_the_lag(context, V, noise):
    return two_way(V, 1 - noise + noise / V) if context == 3 else math.log(V)


@wrong("02.copy_loss", "older_copies")
def two_copies_back(context, V, noise):
    if context < 3:
        return math.log(V)
    copied = (1 - noise) ** (context // 3)
    return two_way(V, copied + (1 - copied) / V)


@wrong("02.copy_loss", "sure_without_noise")
def nothing_to_doubt(context, V, noise):
    if noise == 0:
        return 0.0
    return math.log(V) if context < 3 else two_way(V, 1 - noise + noise / V)


@wrong("02.copy_loss", "zero_stops")
def logarithm_of_nothing(context, V, noise):
    right, other = 1 - noise + noise / V, noise / V
    return math.log(V) if context < 3 else -right * math.log(right) - (V - 1) * other * math.log(other)


def rows(W):
    powers = np.exp(W - W.max(axis=1)[:, None])
    return powers / powers.sum(axis=1)[:, None]


def of_the_text(W, counts):
    return (counts.sum(axis=1)[:, None] * rows(W) - counts) / counts.sum()


@wrong("02.decayed_gradient", "no_decay")
def as_in_the_chapter(W, counts):
    return of_the_text(W, counts)


@wrong("02.decayed_gradient", "decay_doubled")
def forgot_the_half(W, counts):
    return of_the_text(W, counts) + 2 * 0.1 * W


@wrong("02.decayed_gradient", "decay_halved")
def kept_the_half(W, counts):
    return of_the_text(W, counts) + W * 0.1 / 2


@wrong("02.decayed_gradient", "decay_away")
def minus_decay(W, counts):
    return of_the_text(W, counts) - 0.1 * W


@wrong("02.decayed_gradient", "decay_is_the_loss")
def squared(W, counts):
    return of_the_text(W, counts) + 0.05 * W * W


@wrong("02.decayed_gradient", "decay_over_n")
def all_divided(W, counts):
    row = counts.sum(axis=1, keepdims=True)
    return (row * rows(W) - counts + 0.1 * W) / counts.sum()


@wrong("02.decayed_gradient", "sum")
def without_the_mean(W, counts):
    return counts.sum(axis=1, keepdims=True) * rows(W) - counts + 0.1 * W


@wrong("02.decayed_gradient", "sign")
def target_minus_prediction(W, counts):
    return 0.1 * W - of_the_text(W, counts)


@wrong("02.decayed_gradient", "row_means")
def p_minus_shares(W, counts):
    row = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, row, out=np.zeros_like(counts), where=row > 0)
    return rows(W) - shares + 0.1 * W


@wrong("02.decayed_gradient", "one_each")
def row_sum_forgotten(W, counts):
    return (rows(W) - counts) / counts.sum() + 0.1 * W


@wrong("02.decayed_gradient", "row_means_nan")
def p_minus_plain_shares(W, counts):
    return rows(W) - counts / counts.sum(axis=1, keepdims=True) + 0.1 * W


@wrong("02.decayed_gradient", "row_means_over_n")
def shares_then_mean(W, counts):
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return (rows(W) - shares) / counts.sum() + 0.1 * W


@wrong("02.decayed_gradient", "row_means_over_n_nan")
def plain_shares_then_mean(W, counts):
    return (rows(W) - normalised(counts)) / counts.sum() + 0.1 * W


@wrong("02.decayed_gradient", "decay_squared")
def square_kept(W, counts):
    return of_the_text(W, counts) + 0.1 * np.square(W)


@wrong("02.decayed_gradient", "decay_summed")
def all_logits_added(W, counts):
    return of_the_text(W, counts) + 0.1 * np.sum(W)


@wrong("02.decayed_gradient", "over_cells")
def size_of_the_table(W, counts):
    row = counts.sum(axis=1, keepdims=True)
    return (row * rows(W) - counts) / counts.size + 0.1 * W


@wrong("02.decayed_gradient", "over_V")
def length_of_the_table(W, counts):
    row = counts.sum(axis=1, keepdims=True)
    return (row * rows(W) - counts) / len(counts) + 0.1 * W


@wrong("02.decayed_gradient", "no_keepdims")
def row_sums_across(W, counts):
    return (counts.sum(axis=1) * rows(W) - counts) / counts.sum() + 0.1 * W


@wrong("02.decayed_gradient", "columns")
def softmax_of_torch_over_rows(W, counts):
    p = torch.softmax(torch.tensor(W), dim=0).numpy()
    return (counts.sum(1, keepdims=True) * p - counts) / counts.sum() + 0.1 * W


@wrong("02.decayed_gradient", "overflow")
def plain_exp(W, counts):
    p = np.exp(W) / np.exp(W).sum(axis=1, keepdims=True)
    return (counts.sum(1, keepdims=True) * p - counts) / counts.sum() + 0.1 * W
