"""Wrong answers to the exercises of chapter 4."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.checks.answers import wrong


def normalised(powers):
    return powers / powers.sum(axis=-1, keepdims=True)


def exp_rows(scores):
    return np.exp(scores - scores.max(axis=-1, keepdims=True))


@wrong("04.causal_mask", "no_mask")
def plain_softmax(scores):
    return torch.softmax(torch.from_numpy(scores), dim=-1).numpy()


@wrong("04.causal_mask", "zero_score")
def tril_of_scores(scores):
    return normalised(exp_rows(np.tril(scores)))


@wrong("04.causal_mask", "one_late")
def triu_from_two(scores):
    T = scores.shape[-1]
    future = np.triu(np.ones((T, T)), k=2).astype(bool)
    scores = scores.copy()
    scores[..., future] = -np.inf
    return normalised(exp_rows(scores))


@wrong("04.causal_mask", "hides_itself")
def triu_with_diagonal(scores):
    future = np.triu(np.ones(scores.shape[-2:], dtype=bool))
    return normalised(exp_rows(np.where(future, -np.inf, scores)))


@wrong("04.causal_mask", "upside_down")
def tril_as_future(scores):
    hidden = np.tril(np.ones(scores.shape[-2:], dtype=bool), k=-1)
    return normalised(exp_rows(np.where(hidden, -np.inf, scores)))


@wrong("04.causal_mask", "after_softmax")
def softmax_then_tril(scores):
    return normalised(exp_rows(scores)) * np.tril(np.ones(scores.shape[-2:]))


@wrong("04.causal_mask", "product_with_infinity")
def infinity_times_mask(scores):
    T = scores.shape[-1]
    mask = np.triu(np.ones((T, T)), 1)
    return normalised(exp_rows(scores + mask * -np.inf))


@wrong("04.causal_mask", "columns")
def softmax_down_the_columns(scores):
    future = np.triu(np.ones(scores.shape[-2:], dtype=bool), k=1)
    scores = np.where(future, -np.inf, scores)
    powers = np.exp(scores - scores.max(axis=-2, keepdims=True))
    return powers / powers.sum(axis=-2, keepdims=True)


@wrong("04.causal_mask", "no_maximum")
def overflowing(scores):
    future = np.triu(np.ones(scores.shape[-2:], dtype=bool), k=1)
    return normalised(np.exp(np.where(future, -np.inf, scores)))


@wrong("04.causal_mask", "raised")
def mask_for_two_axes_only(scores):
    T, _ = scores.shape
    return normalised(exp_rows(np.where(np.triu(np.ones((T, T), bool), 1), -np.inf, scores)))


@wrong("04.causal_mask", "changed_arguments")
def in_place(scores):
    scores[..., np.triu(np.ones(scores.shape[-2:], bool), 1)] = -np.inf
    return normalised(exp_rows(scores))


@wrong("04.causal_mask", "returned_none")
def forgot_to_return(scores):
    weights = normalised(exp_rows(scores))  # noqa: F841


@wrong("04.causal_mask", "endless")
def never_ends(scores):
    t = 0
    while t < scores.shape[-1]:
        np.exp(scores[..., t, : t + 1])


@wrong("04.unit_scores", "no_scale")
def raw_products(q, k, a, b):
    return q @ k.T


@wrong("04.unit_scores", "no_a_b")
def the_formula_of_the_paper(q, k, a, b):
    return q @ k.T / math.sqrt(q.shape[-1])


@wrong("04.unit_scores", "no_D")
def by_the_deviations_only(q, k, a, b):
    return (q / a) @ (k / b).T


@wrong("04.unit_scores", "D_not_root")
def mean_instead_of_sum(q, k, a, b):
    return np.einsum("td,sd->tsd", q / a, k / b).mean(-1)


@wrong("04.unit_scores", "variance")
def by_the_variance(q, k, a, b):
    return q @ k.T / (q.shape[1] * a * a * b * b)


@wrong("04.unit_scores", "squares")
def squared_deviations(q, k, a, b):
    return (q / a**2) @ (k / b**2).T / np.sqrt(k.shape[1])


@wrong("04.unit_scores", "root_of_a_b")
def one_root_over_all(q, k, a, b):
    return q @ k.T / np.sqrt(a * b * q.shape[1])


@wrong("04.unit_scores", "root_of_T")
def shape_zero(q, k, a, b):
    return q @ k.T / (a * b * np.sqrt(q.shape[0]))


@wrong("04.unit_scores", "sum_of_a_b")
def variances_added(q, k, a, b):
    return q @ k.T / np.sqrt(q.shape[1] * (a * a + b * b))


@wrong("04.unit_scores", "transposed")
def keys_first(q, k, a, b):
    return k @ q.T / (a * b * np.sqrt(q.shape[1]))


@wrong("04.split_heads", "mixed_positions")
def straight_reshape(qkv, H):
    B, T, width = qkv.shape
    return qkv.reshape(3, B, H, T, width // 3 // H)


@wrong("04.split_heads", "heads_first")
def heads_outside(qkv, H):
    heads = np.split(qkv, H, axis=-1)
    return np.stack([np.stack(np.split(head, 3, axis=-1)) for head in heads], axis=2)


@wrong("04.split_heads", "every_third")
def strided_parts(qkv, H):
    parts = [qkv[..., i::3] for i in range(3)]
    return np.stack([np.stack(np.split(part, H, axis=-1), axis=1) for part in parts])


@wrong("04.split_heads", "strided_heads")
def strided_channels(qkv, H):
    parts = np.split(qkv, 3, axis=-1)
    return np.stack([np.stack([part[..., h::H] for h in range(H)], axis=1) for part in parts])


@wrong("04.split_heads", "no_transpose")
def forgot_to_move_heads(qkv, H):
    B, T, _ = qkv.shape
    return np.stack([part.reshape(B, T, H, -1) for part in np.split(qkv, 3, axis=-1)])


@wrong("04.split_heads", "three_inside")
def parts_after_batch(qkv, H):
    B, T, _ = qkv.shape
    heads = [part.reshape(B, T, H, -1).swapaxes(1, 2) for part in np.split(qkv, 3, axis=-1)]
    return np.stack(heads, axis=1)


@wrong("04.split_heads", "channels_before_positions")
def transposed_heads(qkv, H):
    B, T, _ = qkv.shape
    return np.stack([part.reshape(B, T, H, -1).transpose(0, 2, 3, 1) for part in np.split(qkv, 3, -1)])


@wrong("04.split_heads", "order_v_k_q")
def wrong_way_round(qkv, H):
    B, T, _ = qkv.shape
    q, k, v = (part.reshape(B, T, H, -1).swapaxes(1, 2) for part in np.split(qkv, 3, axis=-1))
    return np.stack([v, k, q])


def attend(q, k, v, hidden):
    scores = np.where(hidden, -np.inf, q @ k.T / np.sqrt(q.shape[-1]))
    return normalised(exp_rows(scores)) @ v


def ones(T):
    return np.ones((T, T), dtype=bool)


@wrong("04.sliding_window", "no_window")
def causal_only(q, k, v, window=4):
    return attend(q, k, v, np.triu(ones(len(q)), 1))


@wrong("04.sliding_window", "no_mask")
def sees_everything(q, k, v, window=4):
    return attend(q, k, v, ~ones(len(q)))


@wrong("04.sliding_window", "future")
def hides_only_the_far_past(q, k, v, window=4):
    return attend(q, k, v, np.tril(ones(len(q)), -window))


@wrong("04.sliding_window", "one_ahead")
def triu_of_two(q, k, v, window=4):
    return attend(q, k, v, np.triu(ones(len(q)), 2) | np.tril(ones(len(q)), -window))


@wrong("04.sliding_window", "too_long")
def itself_not_counted(q, k, v, window=4):
    return attend(q, k, v, np.triu(ones(len(q)), 1) | np.tril(ones(len(q)), -window - 1))


@wrong("04.sliding_window", "too_short")
def one_less(q, k, v, window=4):
    return attend(q, k, v, np.triu(ones(len(q)), 1) | np.tril(ones(len(q)), 1 - window))


@wrong("04.sliding_window", "around")
def absolute_distance(q, k, v, window=4):
    t = np.arange(len(q))
    return attend(q, k, v, abs(t[:, None] - t[None, :]) >= window)


@wrong("04.sliding_window", "after_softmax")
def cut_the_weights(q, k, v, window=4):
    weights = normalised(exp_rows(q @ k.T / np.sqrt(q.shape[-1])))
    return np.triu(np.tril(weights), 1 - window) @ v


@wrong("04.sliding_window", "no_root")
def unscaled(q, k, v, window=4):
    return attend(q * np.sqrt(q.shape[-1]), k, v, np.triu(ones(len(q)), 1) | np.tril(ones(len(q)), -window))


@wrong("04.sliding_window", "weights_of_values")
def moving_average(q, k, v, window=4):
    return np.stack([v[max(0, t - window + 1) : t + 1].mean(0) for t in range(len(v))])


@wrong("04.sliding_window", "raised")
def negative_start(q, k, v, window=4):
    rows = []
    for t in range(len(q)):
        seen = slice(t - window + 1, t + 1)  # before the start this counts from the end
        weights = normalised(exp_rows(k[seen] @ q[t] / np.sqrt(len(q[t]))))
        rows.append(weights @ v[seen])
    return np.stack(rows)


def tempered(s, t):
    return normalised(exp_rows(s / t))


@wrong("04.tempered_backward", "no_average")
def elementwise(d_weights, scores, temperature):
    d_z = d_weights * tempered(scores, temperature)
    return np.append(d_z / temperature, -(d_z * scores).sum() / temperature**2)


@wrong("04.tempered_backward", "no_weights")
def centred_only(d_weights, scores, temperature):
    d_z = d_weights - (d_weights * tempered(scores, temperature)).sum()
    return np.append(d_z / temperature, -(d_z * scores).sum() / temperature**2)


def right_d_z(d_weights, scores, temperature):
    w = tempered(scores, temperature)
    return w * (d_weights - (w * d_weights).sum())


@wrong("04.tempered_backward", "scores_undivided")
def forgot_the_chain(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, temperature)
    return np.append(d_z, -(d_z @ scores) / temperature**2)


@wrong("04.tempered_backward", "scores_multiplied")
def times_temperature(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, temperature)
    return np.append(d_z * temperature, -(d_z @ scores) / temperature**2)


@wrong("04.tempered_backward", "sign")
def forgot_the_minus(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, temperature)
    return np.append(d_z / temperature, (d_z @ scores) / temperature**2)


@wrong("04.tempered_backward", "not_squared")
def one_temperature(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, temperature)
    return np.append(d_z / temperature, -(d_z @ scores) / temperature)


@wrong("04.tempered_backward", "cold")
def weights_of_scores(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, 1.0)
    return np.append(d_z / temperature, -(d_z @ scores) / temperature**2)


@wrong("04.tempered_backward", "no_temperature")
def scores_only(d_weights, scores, temperature):
    return right_d_z(d_weights, scores, temperature) / temperature


@wrong("04.tempered_backward", "type")
def two_results(d_weights, scores, temperature):
    d_z = right_d_z(d_weights, scores, temperature)
    return d_z / temperature, -(d_z @ scores) / temperature**2
