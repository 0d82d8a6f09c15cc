"""Wrong answers to the exercises of chapter 5."""

from __future__ import annotations

import numpy as np
import torch

from tests.checks.answers import wrong


@wrong("05.layer_norm", "eps_outside")
def std_plus_eps(x, weight, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    return weight * centred / (x.std(axis=-1, keepdims=True) + 0.1) + bias


@wrong("05.layer_norm", "no_eps")
def plain_standardising(x, weight, bias):
    m, s = x.mean(2)[..., None], x.std(2)[..., None]
    return (x - m) / s * weight + bias


@wrong("05.layer_norm", "C_minus_1")
def with_torch_var(x, weight, bias):
    t = torch.from_numpy(x)
    normed = (t - t.mean(-1, keepdim=True)) / torch.sqrt(t.var(-1, keepdim=True) + 0.1)
    return normed.numpy() * weight + bias


@wrong("05.layer_norm", "not_the_root")
def divided_by_variance(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return d / ((d * d).mean(-1, keepdims=True) + 0.1) * weight + bias


@wrong("05.layer_norm", "mean_left")
def forgot_to_centre(x, weight, bias):
    return x / (x.var(-1, keepdims=True) + 0.1) ** 0.5 * weight + bias


@wrong("05.layer_norm", "rms")
def root_mean_square(x, weight, bias):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 0.1) * weight + bias


@wrong("05.layer_norm", "not_divided")
def centred_only(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) * weight + bias


@wrong("05.layer_norm", "over_everything")
def no_axis(x, weight, bias):
    return (x - np.mean(x)) / np.sqrt(np.var(x) + 0.1) * weight + bias


@wrong("05.layer_norm", "over_time")
def axis_one(x, weight, bias):
    d = x - x.mean(1, keepdims=True)
    return d / np.sqrt((d**2).mean(1, keepdims=True) + 0.1) * weight + bias


@wrong("05.layer_norm", "over_batch")
def batch_norm(x, weight, bias):
    return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + 0.1) + bias


@wrong("05.layer_norm", "bias_first")
def brackets(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return weight * (d / np.sqrt((d**2).mean(-1, keepdims=True) + 0.1) + bias)


@wrong("05.layer_norm", "no_bias")
def scaled_only(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return weight * d / np.sqrt((d**2).mean(-1, keepdims=True) + 0.1)


@wrong("05.layer_norm", "no_keepdims")
def no_keepdims(x, weight, bias):
    return (x - x.mean(-1)) / np.sqrt(x.var(-1) + 0.1) * weight + bias


@wrong("05.layer_norm", "no_keepdims_centred")
def never_keepdims(x, weight, bias):
    centred = x - x.mean(axis=-1)
    return centred / np.sqrt((centred**2).mean(axis=-1) + 0.1) * weight + bias


@wrong("05.layer_norm", "no_keepdims_below")
def keepdims_once(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d**2).mean(-1) + 0.1) * weight + bias


@wrong("05.layer_norm", "mean_square")
def squares_of_x(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / (np.mean(x**2, -1, keepdims=True) + 0.1) ** 0.5 * weight + bias


@wrong("05.layer_norm", "sum_of_squares")
def sum_for_mean_square(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d**2).sum(-1, keepdims=True) + 0.1) * weight + bias


@wrong("05.layer_norm", "usual_eps")
def chapters_default(x, weight, bias):
    t, w, b = (torch.from_numpy(a) for a in (x, weight, bias))
    return torch.nn.functional.layer_norm(t, w.shape, w, b)


@wrong("05.layer_norm", "neither")
def normed_only(x, weight, bias):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d**2).mean(-1, keepdims=True) + 0.1)


@wrong("05.layer_norm", "no_brackets")
def bracket_forgotten(x, weight, bias):
    return x - x.mean(-1, keepdims=True) / np.sqrt(x.var(-1, keepdims=True) + 0.1) * weight + bias


@wrong("05.scale_after", "scales_add")
def straight_sum(start, branch, n_block):
    for _ in range(2 * n_block):
        start += branch
    return start


@wrong("05.scale_after", "mean_square")
def no_root(start, branch, n_block):
    return start * start + 2 * n_block * branch * branch


@wrong("05.scale_after", "compound")
def doubling(start, branch, n_block):
    scale = start
    for _ in range(2 * n_block):
        scale = np.sqrt(scale**2 + (branch * scale) ** 2)
    return scale


@wrong("05.scale_after", "no_start")
def only_what_is_added(start, branch, n_block):
    return np.sqrt(2 * n_block) * branch


@wrong("05.scale_after", "branch_not_squared")
def branch_as_it_is(start, branch, n_block):
    return (start**2 + 2 * branch * n_block) ** 0.5


@wrong("05.scale_after", "start_not_squared")
def start_as_it_is(start, branch, n_block):
    return np.sqrt(start + 2 * n_block * branch**2)


@wrong("05.scale_after", "one_branch")
def one_a_block(start, branch, n_block):
    return float(np.hypot(start, branch * n_block**0.5))


@wrong("05.scale_after", "branches_as_one")
def both_at_once(start, branch, n_block):
    return float(np.linalg.norm([start] + [2 * branch] * n_block))


@wrong("05.scale_after", "count_squared")
def squared_too_much(start, branch, n_block):
    return float(np.hypot(start, 2 * n_block * branch))


@wrong("05.scale_after", "root_of_count")
def random_walk(start, branch, n_block):
    return start + branch * (2 * n_block) ** 0.5


@wrong("05.scale_after", "start_is_one")
def chapters_start(start, branch, n_block):
    return (1 + 2 * n_block * branch**2) ** 0.5


@wrong("05.scale_after", "value")
def by_simulation(start, branch, n_block):
    draws = np.random.default_rng(0)
    vectors = [start * draws.normal(size=9999)] + [
        branch * draws.normal(size=9999) for _ in range(2 * n_block)
    ]
    return float(np.sqrt((sum(vectors) ** 2).mean()))


def changed_row(x, t):
    other = np.array(x)
    other[t] = np.linspace(-3, 7, x.shape[1]) ** 3
    return other


def differs(norm, x, t):
    return ~np.isclose(norm(changed_row(x, t)), norm(x))


@wrong("05.leaks", "opposite")
def is_sound(norm, x, t):
    return not differs(norm, x, t)[:t].any()


@wrong("05.leaks", "itself")
def one_row_too_many(norm, x, t):
    return bool(differs(norm, x, t)[: t + 1].any())


@wrong("05.leaks", "any_output")
def whole_output(norm, x, t):
    return not np.allclose(norm(x), norm(changed_row(x, t)))


@wrong("05.leaks", "later")
def looks_forward(norm, x, t):
    return bool(differs(norm, x, t)[t + 1 :].any())


@wrong("05.leaks", "from_t_on")
def from_here(norm, x, t):
    return bool(np.any(differs(norm, x, t)[t:]))


@wrong("05.leaks", "neighbour")
def previous_row(norm, x, t):
    return t > 0 and bool(differs(norm, x, t)[t - 1].any())


@wrong("05.leaks", "shifted")
def plus_one(norm, x, t):
    moved = x.copy()
    moved[t] += 1
    return not np.allclose(norm(moved)[:t], norm(x)[:t])


@wrong("05.leaks", "stretched")
def three_times(norm, x, t):
    moved = np.where(np.arange(len(x))[:, None] == t, 3 * x, x)
    return not np.allclose(norm(moved)[:t], norm(x)[:t])


@wrong("05.leaks", "sign")
def minus(norm, x, t):
    moved = x.copy()
    moved[t] *= -1
    return not np.allclose(norm(moved)[:t], norm(x)[:t])


@wrong("05.leaks", "first_channel")
def one_number(norm, x, t):
    moved = x.copy()
    moved[t, 0] = 9
    return not np.allclose(norm(moved)[:t], norm(x)[:t])


@wrong("05.leaks", "changed_arguments")
def in_place(norm, x, t):
    before = norm(x)
    x[t] = [5, -1, 2]
    return not np.allclose(norm(x)[:t], before[:t])


@wrong("05.leaks", "never")
def compares_with_itself(norm, x, t):
    moved = x.copy()
    moved[t] = [5, -1, 2]
    return not np.allclose(norm(moved)[:t], norm(moved)[:t])


@wrong("05.leaks", "type")
def which_outputs(norm, x, t):
    return differs(norm, x, t)[:t].any(axis=-1)


@wrong("05.leaks", "raised")
def largest_of_nothing(norm, x, t):
    change = np.abs(norm(changed_row(x, t)) - norm(x))
    return bool(change[:t].max() > 1e-6)


def pieces(d_out, x, weight, eps, centre):
    moved = x - x.mean(-1, keepdims=True) if centre else x
    s = np.sqrt(np.mean(moved**2, axis=-1, keepdims=True) + eps)
    return d_out * weight, moved / s, s


def avg(a):
    return np.mean(a, axis=-1)[..., None]


@wrong("05.norm_backward", "all_constant")
def subtract_and_divide(d_out, x, weight, eps, centre):
    d_n, _, s = pieces(d_out, x, weight, eps, centre)
    return d_n / s


@wrong("05.norm_backward", "std_constant")
def forgot_the_std(d_out, x, weight, eps, centre):
    d_n, _, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - avg(d_n)) / s if centre else d_n / s


@wrong("05.norm_backward", "mean_constant")
def forgot_the_mean(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - n * avg(n * d_n)) / s


@wrong("05.norm_backward", "always_centred")
def mean_for_both(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - avg(d_n) - n * avg(n * d_n)) / s


@wrong("05.norm_backward", "no_weight")
def weight_forgotten(d_out, x, weight, eps, centre):
    _, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_out - centre * avg(d_out) - n * avg(n * d_out)) / s


@wrong("05.norm_backward", "weight_last")
def weight_at_the_end(d_out, x, weight, eps, centre):
    _, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_out - centre * avg(d_out) - n * avg(n * d_out)) / s * weight


@wrong("05.norm_backward", "not_divided")
def no_division(d_out, x, weight, eps, centre):
    d_n, n, _ = pieces(d_out, x, weight, eps, centre)
    return d_n - centre * avg(d_n) - n * avg(n * d_n)


@wrong("05.norm_backward", "sums")
def sum_for_mean(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - centre * d_n.sum(-1, keepdims=True) - n * (n * d_n).sum(-1, keepdims=True)) / s


@wrong("05.norm_backward", "plus")
def wrong_sign(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - centre * avg(d_n) + n * avg(n * d_n)) / s


@wrong("05.norm_backward", "n_once")
def mean_without_its_row(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return (d_n - centre * avg(d_n) - avg(n * d_n)) / s


@wrong("05.norm_backward", "forward_centre")
def layer_norm_only(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, 1)
    return (d_n - avg(d_n) - n * avg(n * d_n)) / s


@wrong("05.norm_backward", "never_centred")
def rms_norm_only(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, 0)
    return (d_n - n * avg(n * d_n)) / s


@wrong("05.norm_backward", "upside_down")
def centre_upside_down(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, not centre)
    return (d_n - (1 - centre) * avg(d_n) - n * avg(n * d_n)) / s


def way_back(d_n, n, s, centre):
    return (d_n - centre * avg(d_n) - n * avg(n * d_n)) / s


@wrong("05.norm_backward", "mean_away_from_both")
def centre_once(d_out, x, weight, eps, centre):
    return way_back(*pieces(d_out, x, weight, eps, 1), centre)


@wrong("05.norm_backward", "mean_in_both")
def centre_on_the_way_back(d_out, x, weight, eps, centre):
    return way_back(*pieces(d_out, x, weight, eps, 0), centre)


@wrong("05.norm_backward", "variance_for_both")
def var_for_both(d_out, x, weight, eps, centre):
    s = np.sqrt(np.var(x, -1, keepdims=True) + eps)
    n = (x - centre * avg(x)) / s
    return way_back(d_out * weight, n, s, centre)


@wrong("05.norm_backward", "no_eps")
def eps_not_used(d_out, x, weight, eps, centre):
    return way_back(*pieces(d_out, x, weight, 0, centre), centre)


@wrong("05.norm_backward", "eps_outside")
def root_plus_eps(d_out, x, weight, eps, centre):
    moved = x - centre * avg(x)
    s = np.sqrt(avg(moved**2)) + eps
    return way_back(d_out * weight, moved / s, s, centre)


@wrong("05.norm_backward", "multiplied")
def times_the_root(d_out, x, weight, eps, centre):
    d_n, n, s = pieces(d_out, x, weight, eps, centre)
    return s * (d_n - centre * avg(d_n) - n * avg(n * d_n))


def spread(x):
    u = np.sqrt(((x - avg(x)) ** 2).mean(-1))[..., None]
    return u, x - avg(x)


@wrong("05.std_backward", "no_factor")
def chapters_formula(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / (u + eps)
    return (d_normed - avg(d_normed) - n * avg(d_normed * n)) / (u + eps)


@wrong("05.std_backward", "upside_down")
def inverse_factor(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / (u + eps)
    return (d_normed - avg(d_normed) - n * avg(d_normed * n) * u / (u + eps)) / (u + eps)


@wrong("05.std_backward", "eps_inside")
def layer_norms(d_normed, x, eps):
    t = torch.tensor(x, requires_grad=True)
    out = torch.nn.functional.layer_norm(t, (x.shape[-1],), eps=eps)
    return torch.autograd.grad(out, t, torch.tensor(d_normed))[0]


@wrong("05.std_backward", "no_eps")
def forgot_eps(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / u
    return (d_normed - avg(d_normed) - n * avg(d_normed * n)) / u


@wrong("05.std_backward", "divided_by_u")
def u_at_the_end(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / (u + eps)
    return (d_normed - avg(d_normed) - (1 + eps / u) * n * avg(d_normed * n)) / u


@wrong("05.std_backward", "all_constant")
def only_the_division(d_normed, x, eps):
    return d_normed / (x.std(-1, keepdims=True) + eps)


@wrong("05.std_backward", "std_constant")
def centred_gradient(d_normed, x, eps):
    return (d_normed - avg(d_normed)) / (x.std(-1, keepdims=True) + eps)


@wrong("05.std_backward", "mean_constant")
def only_the_std(d_normed, x, eps):
    u, centred = spread(x)
    d_u = -(d_normed * centred).sum(-1, keepdims=True) / (u + eps) ** 2
    return d_normed / (u + eps) + d_u * centred / (u * x.shape[-1])


@wrong("05.std_backward", "factor_on_all")
def factor_outside_the_bracket(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / (u + eps)
    return (u + eps) / u * (d_normed - avg(d_normed) - n * avg(d_normed * n)) / (u + eps)


@wrong("05.std_backward", "n_without_eps")
def n_of_u_alone(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / u
    return (d_normed - avg(d_normed) - n * avg(d_normed * n)) / (u + eps)


@wrong("05.std_backward", "C_minus_1")
def corrected_std(d_normed, x, eps):
    u = x.std(-1, keepdims=True, ddof=1)
    n = (x - avg(x)) / (u + eps)
    return (d_normed - avg(d_normed) - (u + eps) / u * n * avg(d_normed * n)) / (u + eps)


@wrong("05.std_backward", "sums")
def sums(d_normed, x, eps):
    u, centred = spread(x)
    n = centred / (u + eps)
    through = d_normed.sum(-1, keepdims=True) + (u + eps) / u * n * (d_normed * n).sum(-1, keepdims=True)
    return (d_normed - through) / (u + eps)


@wrong("05.std_backward", "plus")
def sign_of_d_u(d_normed, x, eps):
    u, centred = spread(x)
    d_u = (d_normed * centred).sum(-1, keepdims=True) / (u + eps) ** 2
    d_centred = d_normed / (u + eps) + d_u * centred / (u * x.shape[-1])
    return d_centred - avg(d_centred)
