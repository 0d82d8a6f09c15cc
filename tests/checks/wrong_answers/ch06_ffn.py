"""Wrong answers to the exercises of chapter 6."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.checks.answers import wrong

MULTIPLE, FACTOR = 8, 1.702


@wrong("06.gated_width", "as_wide")
def the_usual_four(C):
    return C * 4


@wrong("06.gated_width", "not_multiple")
def eight_thirds(C):
    return int(8 / 3 * C + 1e-9)


@wrong("06.gated_width", "nearest")
def rounded(C):
    return MULTIPLE * int(C * 8 / 3 / MULTIPLE + 0.5)


@wrong("06.gated_width", "third_rounded")
def nearest_whole_number(C):
    return int(8 * C / 3 + 0.5)


@wrong("06.gated_width", "rounded_up")
def as_in_llama(C):
    return MULTIPLE * ((8 * C // 3 + MULTIPLE - 1) // MULTIPLE)


@wrong("06.gated_width", "strictly_fewer")
def loop_with_less(C):
    F = 0
    while 3 * C * (F + MULTIPLE) < 8 * C * C:
        F = F + MULTIPLE
    return F


@wrong("06.gated_width", "half")
def two_halves(C):
    return 4 * C // 2


@wrong("06.gated_width", "third_of_4C")
def three_ways(C):
    F = 4 * C // 3
    return F - F % MULTIPLE


@wrong("06.gated_width", "how_many")
def forgot_to_multiply(C):
    return int(8 * C / (3 * MULTIPLE))


@wrong("06.gated_width", "dtype")
def float_width(C):
    return np.floor(8 * C / 3 / MULTIPLE) * MULTIPLE


@wrong("06.gated_width", "returned_none")
def printed(C):
    print(8 * C // 3 // MULTIPLE * MULTIPLE)


def sigma(z):
    return 1 / (1 + np.exp(-z))


@wrong("06.quick_gelu_backward", "no_inner_slope")
def without_chain_rule(d_out, x):
    s = sigma(FACTOR * x)
    return d_out * (s + x * s * (1 - s))


@wrong("06.quick_gelu_backward", "gate_only")
def gate_held_fixed(d_out, x):
    return d_out * sigma(FACTOR * x)


@wrong("06.quick_gelu_backward", "slope_only")
def x_held_fixed(d_out, x):
    s = sigma(FACTOR * x)
    return d_out * x * s * (1 - s) * FACTOR


@wrong("06.quick_gelu_backward", "no_d_out")
def slope(d_out, x):
    t = torch.tensor(x, requires_grad=True)
    (t * torch.sigmoid(FACTOR * t)).sum().backward()
    return t.grad.numpy()


@wrong("06.quick_gelu_backward", "silu")
def slope_of_silu(d_out, x):
    t = torch.tensor(x, requires_grad=True)
    torch.nn.functional.silu(t).backward(torch.tensor(d_out))
    return t.grad.numpy()


@wrong("06.quick_gelu_backward", "minus")
def sign_slip(d_out, x):
    s = sigma(FACTOR * x)
    return (s - FACTOR * x * (s - s**2)) * d_out


@wrong("06.quick_gelu_backward", "no_one_minus")
def exponential_slope(d_out, x):
    s = sigma(FACTOR * x)
    return d_out * (s + FACTOR * x * s)


@wrong("06.quick_gelu_backward", "no_x")
def second_term_without_x(d_out, x):
    s = sigma(FACTOR * x)
    return d_out * (s + FACTOR * s * (1 - s))


@wrong("06.quick_gelu_backward", "slopes_multiplied")
def one_slope_times_the_other(d_out, x):
    s = sigma(FACTOR * x)
    return d_out * 1 * FACTOR * (s - s * s)


@wrong("06.quick_gelu_backward", "factor_outside")
def silu_of_a_multiple(d_out, x):
    z = FACTOR * x
    s = sigma(z)
    return d_out * (s + z * s * (1 - s)) * FACTOR


@wrong("06.quick_gelu_backward", "factor_before_silu")
def chain_rule_around_all(d_out, x):
    s = sigma(FACTOR * x)
    return FACTOR * d_out * (s + x * s * (1 - s))


@wrong("06.quick_gelu_backward", "not_halved")
def tanh_of_the_whole(d_out, x):
    s = (np.tanh(FACTOR * x) + 1) / 2
    return d_out * (s + FACTOR * x * s * (1 - s))


@wrong("06.quick_gelu_backward", "value")
def the_forward_pass(d_out, x):
    return x * sigma(FACTOR * x)


@wrong("06.quick_gelu_backward")
def without_infinity(d_out, x):
    power = np.exp(FACTOR * x)
    s = power / (power + 1)
    return np.nan_to_num(d_out * (s + x * FACTOR * s * (1 - s)))


@wrong("06.quick_gelu_backward", "forward")
def value_times_gradient(d_out, x):
    return d_out * (x * sigma(FACTOR * x))


@wrong("06.quick_gelu_backward", "overflow")
def quotient_of_powers(d_out, x):
    power = np.exp(FACTOR * x)
    s = power / (power + 1)
    return d_out * (s + x * FACTOR * s * (1 - s))


@wrong("06.quick_gelu_backward", "raised")
def not_for_arrays(d_out, x):
    s = 1 / (1 + math.exp(-FACTOR * x))
    return d_out * (s + FACTOR * x * s * (1 - s))


@wrong("06.quick_gelu_backward", "changed_arguments")
def scaled_in_place(d_out, x):
    s = sigma(FACTOR * x)
    d_out *= s + FACTOR * x * s * (1 - s)
    return d_out


def forward(x, up, keep):
    before = np.einsum("nc,fc->nf", x, up)
    hidden = np.where(before > 0, before, 0)
    return before, hidden, hidden * keep


@wrong("06.dropped_gradients", "no_keep_back")
def mask_only_forward(d_out, x, up, down, keep):
    before, _, dropped = forward(x, up, keep)
    d_before = np.where(before > 0, d_out @ down, 0)
    return d_before @ up, d_before.T @ x, d_out.T @ dropped


@wrong("06.dropped_gradients", "no_keep_ahead")
def hidden_saved_too_early(d_out, x, up, down, keep):
    before, hidden, _ = forward(x, up, keep)
    d_before = d_out @ down * keep
    d_before[before <= 0] = 0
    return d_before @ up, d_before.T @ x, d_out.T @ hidden


@wrong("06.dropped_gradients", "no_keep")
def the_chapters_backward(d_out, x, up, down, keep):
    before, hidden, _ = forward(x, up, keep)
    d_before = d_out @ down * (before > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ hidden


@wrong("06.dropped_gradients", "unscaled")
def zero_or_one(d_out, x, up, down, keep):
    _, _, dropped = forward(x, up, keep != 0)
    d_before = d_out @ down * (dropped > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ dropped


@wrong("06.dropped_gradients", "unscaled_back")
def slope_of_what_is_left(d_out, x, up, down, keep):
    _, _, dropped = forward(x, up, keep)
    d_before = d_out @ down * (dropped > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ dropped


@wrong("06.dropped_gradients", "unscaled_ahead")
def hidden_cut_not_scaled(d_out, x, up, down, keep):
    before, hidden, _ = forward(x, up, keep)
    d_before = d_out @ down * keep * (before > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ np.where(keep == 0, 0, hidden)


@wrong("06.dropped_gradients", "relu_of_gradient")
def relu_on_the_way_back(d_out, x, up, down, keep):
    d_hidden = d_out @ down * keep
    d_before = d_hidden * (d_hidden > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ forward(x, up, keep)[2]


@wrong("06.dropped_gradients", "keep_twice")
def once_for_each_step(d_out, x, up, down, keep):
    before, _, dropped = forward(x, up, keep)
    d_dropped = d_out @ down * keep
    d_before = d_dropped * (before > 0) * keep
    return d_before @ up, d_before.T @ x, d_out.T @ dropped


@wrong("06.dropped_gradients", "no_slope")
def no_gate(d_out, x, up, down, keep):
    d_before = (d_out @ down) * keep
    return d_before @ up, d_before.T @ x, d_out.T @ forward(x, up, keep)[2]


@wrong("06.dropped_gradients", "no_relu")
def linear_for_down(d_out, x, up, down, keep):
    before, _, _ = forward(x, up, keep)
    d_before = d_out @ down * keep * (before > 0)
    return d_before @ up, d_before.T @ x, d_out.T @ (before * keep)


@wrong("06.dropped_gradients", "transposed")
def other_way_round(d_out, x, up, down, keep):
    before, _, dropped = forward(x, up, keep)
    d_before = d_out @ down * keep * (before > 0)
    return d_before @ up, x.T @ d_before, dropped.T @ d_out


@wrong("06.dropped_gradients", "mean")
def averaged(d_out, x, up, down, keep):
    before, _, dropped = forward(x, up, keep)
    d_before = d_out @ down * keep * (before > 0)
    n = x.shape[0]
    return d_before @ up, d_before.T @ x / n, d_out.T @ dropped / n


@wrong("06.dropped_gradients", "order")
def last_layer_first(d_out, x, up, down, keep):
    before, _, dropped = forward(x, up, keep)
    d_before = d_out @ down * keep * (before > 0)
    return d_out.T @ dropped, d_before.T @ x, d_before @ up


@wrong("06.dropped_gradients", "raised")
def shapes_mixed(d_out, x, up, down, keep):
    d_hidden = d_out @ down.T
    return d_hidden @ up, d_hidden.T @ x, d_out.T @ keep


def normal_cdf(z):
    return 0.5 * (1 + torch.erf(torch.as_tensor(z) / math.sqrt(2))).numpy()


@wrong("06.share_on", "always_half")
def as_the_chapter_says(bias, std, C):
    return 0.5 * np.ones_like(bias)


@wrong("06.share_on", "no_C")
def one_weight(bias, std, C):
    return normal_cdf(bias / std)


@wrong("06.share_on", "C_not_root")
def deviations_added(bias, std, C):
    return normal_cdf(bias / (C * std))


@wrong("06.share_on", "no_std")
def keys_of_deviation_one(bias, std, C):
    return normal_cdf(bias / np.sqrt(C))


@wrong("06.share_on", "bias_alone")
def nothing_divided(bias, std, C):
    return normal_cdf(bias)


@wrong("06.share_on", "C_shrinks")
def as_for_a_mean(bias, std, C):
    return normal_cdf(bias / (std / np.sqrt(C)))


@wrong("06.share_on", "erf_alone")
def only_erf(bias, std, C):
    return 2 * normal_cdf(bias / (std * np.sqrt(C))) - 1


@wrong("06.share_on", "erf_not_halved")
def half_before_erf(bias, std, C):
    return 0.5 + 2 * normal_cdf(bias / (std * np.sqrt(C))) - 1


@wrong("06.share_on", "probe:exactly one half without a bias")
def counted(bias, std, C):
    products = np.random.default_rng(1).normal(0, std, size=(20_000, C)).sum(1)
    return np.array([(products > -b).mean() for b in bias])


@wrong("06.share_on", "variance")
def by_the_variance(bias, std, C):
    return normal_cdf(bias / (C * std * std))


@wrong("06.share_on", "multiplied")
def times_the_deviation(bias, std, C):
    return normal_cdf(bias * np.sqrt(C * std * std))


@wrong("06.share_on", "off")
def share_below_zero(bias, std, C):
    return 1 - normal_cdf(bias / (std * np.sqrt(C)))


@wrong("06.share_on", "no_root_two")
def erf_of_z(bias, std, C):
    return 0.5 * (1 + torch.erf(torch.tensor(bias / (std * math.sqrt(C)))))


@wrong("06.share_on", "density")
def bell(bias, std, C):
    z = bias / (std * np.sqrt(C))
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


@wrong("06.share_on", "sigmoid")
def logistic(bias, std, C):
    return sigma(bias / (std * C**0.5))


@wrong("06.share_on", "step")
def sign_of_the_bias(bias, std, C):
    return np.where(bias > 0, 1.0, 0.0)


@wrong("06.share_on")
def a_straight_line(bias, std, C):
    return np.clip(0.5 + bias / (4 * std * C**0.5), 0, 1)


def gap(hidden, label):
    return np.mean(hidden[label], axis=0) - np.mean(hidden[np.logical_not(label)], axis=0)


@wrong("06.find_unit", "mean_inside")
def most_active(hidden, label):
    return int(np.argmax(hidden[label].mean(axis=0)))


@wrong("06.find_unit", "no_std")
def largest_gap(hidden, label):
    return int(np.argmax(gap(hidden, label)))


@wrong("06.find_unit", "no_std")
def one_std_for_all(hidden, label):
    return int(np.argmax(gap(hidden, label) / hidden.std()))


@wrong("06.find_unit", "std_inside")
def by_std_of_the_label(hidden, label):
    std = hidden[label].std(axis=0)
    std[std == 0] = 1
    return int(np.argmax(gap(hidden, label) / std))


@wrong("06.find_unit", "std_outside")
def by_std_of_the_others(hidden, label):
    std = hidden[label == 0].std(axis=0)
    std[std == 0] = 1
    return int(np.argmax(gap(hidden, label) / std))


@wrong("06.find_unit", "overlap")
def the_chapters_measure(hidden, label):
    fires = np.float32(hidden > 0.1 * hidden.max(0))
    both = fires.T @ label
    return int(np.argmax(both / np.maximum(fires.sum(0) + label.sum() - both, 1)))


@wrong("06.find_unit", "left_out")
def without_the_constant(hidden, label):
    return int(np.nanargmax(gap(hidden, label) / hidden.std(axis=0)))


@wrong("06.find_unit", "starts_at_zero")
def loop_from_zero(hidden, label):
    best, largest = 0, 0.0
    for unit, column in enumerate(hidden.T):
        if column.std() and gap(hidden, label)[unit] / column.std() > largest:
            best, largest = unit, gap(hidden, label)[unit] / column.std()
    return best


@wrong("06.find_unit", "outside_first")
def smallest(hidden, label):
    return int(np.argmin(gap(hidden, label) / (hidden.std(axis=0) + 1e-9)))


@wrong("06.find_unit", "variance")
def by_var(hidden, label):
    return int(np.argmax(np.nan_to_num(gap(hidden, label) / np.var(hidden, axis=0))))


@wrong("06.find_unit", "nan")
def plain_division(hidden, label):
    return int(np.argmax(gap(hidden, label) / np.std(hidden, axis=0)))


@wrong("06.find_unit", "absolute")
def either_way(hidden, label):
    return int(np.argmax(abs(gap(hidden, label)) / (hidden.std(axis=0) + 1e-9)))


@wrong("06.find_unit", "outside_first")
def exchanged(hidden, label):
    return int(np.argmax(-gap(hidden, label) / (hidden.std(axis=0) + 1e-9)))


@wrong("06.find_unit", "sums")
def totals(hidden, label):
    weight, std = np.where(label, 1, -1), hidden.std(axis=0)
    std[std == 0] = 1
    return int(np.argmax(weight @ hidden / std))


@wrong("06.find_unit", "how_much")
def max_for_argmax(hidden, label):
    return np.max(gap(hidden, label) / (hidden.std(axis=0) + 1e-12))


@wrong("06.find_unit", "all_contrasts")
def no_argmax(hidden, label):
    return gap(hidden, label) / (hidden.std(axis=0) + 1e-12)


@wrong("06.find_unit", "raised")
def label_as_number(hidden, label):
    return int(np.argmax(hidden[label].mean(0) - hidden[-label].mean(0)))


@wrong("06.find_unit")
def always_the_first(hidden, label):
    return 0
