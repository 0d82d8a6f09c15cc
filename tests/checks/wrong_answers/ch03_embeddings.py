"""Wrong answers to the exercises of chapter 3."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.checks.answers import wrong


@wrong("03.one_hot", "transposed")
def columns_are_positions(tokens, V):
    return (np.arange(V)[:, None] == tokens).astype(float)


@wrong("03.one_hot", "counts")
def a_bag(tokens, V):
    return np.bincount(tokens, minlength=V).astype(float)


@wrong("03.one_hot", "ids")
def id_in_its_column(tokens, V):
    rows = np.zeros((len(tokens), V))
    for t, token in enumerate(tokens):
        rows[t, token] = token
    return rows


@wrong("03.one_hot", "one_based")
def counting_from_one(tokens, V):
    rows = np.zeros((len(tokens), V))
    for t in range(len(tokens)):
        rows[t, tokens[t] - 1] = 1
    return rows


@wrong("03.one_hot", "positions")
def plain_identity(tokens, V):
    T = len(tokens)
    return np.array([[1.0 if t == i else 0.0 for i in range(V)] for t in range(T)])


@wrong("03.one_hot", "whole_rows")
def rows_by_ids(tokens, V):
    out = np.zeros((len(tokens), V))
    out[tokens] = 1
    return out


@wrong("03.one_hot", "every_row")
def all_columns_at_once(tokens, V):
    out = np.zeros((len(tokens), V))
    out[:, tokens] += 1
    return out


@wrong("03.one_hot", "too_narrow")
def width_from_the_text(tokens, V):
    return np.eye(max(tokens) + 1)[tokens]


@wrong("03.one_hot", "one_row")
def array_made_in_the_loop(tokens, V):
    for t in range(len(tokens)):
        rows = np.zeros((len(tokens), V))
        rows[t][tokens[t]] = 1.0
    return rows


@wrong("03.one_hot", "dtype")
def truth_values(tokens, V):
    return tokens[:, None] == np.arange(V)


@wrong("03.one_hot", "type")
def nested_lists(tokens, V):
    return [[int(token == i) for i in range(V)] for token in tokens]


def plain_loop(d_x, tokens, V):
    out = np.zeros((V, d_x.shape[2]))
    for b in range(tokens.shape[0]):
        for t in range(tokens.shape[1]):
            out[tokens[b, t]] += d_x[b, t]
    return out


@wrong("03.add_rows", "padding_trained")
def one_hot_product(d_x, tokens, V):
    return np.einsum("btv,btc->vc", np.eye(V)[tokens], d_x)


@wrong("03.add_rows", "last_stays")
def plus_equals(d_x, tokens, V):
    out = np.zeros((V, d_x.shape[-1]))
    out[tokens] += d_x
    out[0] = 0
    return out


@wrong("03.add_rows", "last_stays_padding")
def chapters_wrong_turn(d_x, tokens, V):
    out = np.zeros((V, d_x.shape[-1]))
    out[tokens.reshape(-1)] += d_x.reshape(-1, d_x.shape[-1])
    return out


@wrong("03.add_rows", "mean")
def averaged(d_x, tokens, V):
    out = plain_loop(d_x, tokens, V)
    counts = np.bincount(tokens.ravel(), minlength=V)
    out = out / np.maximum(counts, 1)[:, None]
    out[0] = 0
    return out


@wrong("03.add_rows", "first_text")
def forgot_the_batch(d_x, tokens, V):
    hot = np.eye(V)[tokens[0]]
    hot[:, 0] = 0
    return hot.T @ d_x[0]


@wrong("03.add_rows", "not_added_over_texts")
def one_table_a_text(d_x, tokens, V):
    hot = np.eye(V)[tokens]
    hot[..., 0] = 0
    return hot.swapaxes(1, 2) @ d_x


@wrong("03.add_rows", "row_removed")
def dropped_the_padding(d_x, tokens, V):
    return plain_loop(d_x, tokens, V)[1:]


@wrong("03.add_rows", "transposed")
def channels_first(d_x, tokens, V):
    out = plain_loop(d_x, tokens, V)
    out[0] = 0
    return out.T


@wrong("03.add_rows", "counted")
def counts_only(d_x, tokens, V):
    counts = np.bincount(tokens.ravel(), minlength=V).astype(float)
    counts[0] = 0
    return np.repeat(counts[:, None], d_x.shape[-1], axis=1)


@wrong("03.add_rows", "mixed")
def reshape_for_transpose(d_x, tokens, V):
    hot = np.eye(V)[tokens.ravel()]  # (B·T, V)
    hot[:, 0] = 0
    return (d_x.reshape(d_x.shape[-1], -1) @ hot).T


@wrong("03.add_rows", "changed_arguments")
def zeroed_the_gradient(d_x, tokens, V):
    d_x[tokens == 0] = 0
    return plain_loop(d_x, tokens, V)


def told(T, decide):
    return np.array([[bool(decide(t, s)) for s in range(T)] for t in range(T)])


@wrong("03.scores_that_stay", "rotary_like_added")
def positions_are_positions(kind, T, place):
    return told(T, lambda t, s: kind == "none" or max(t, s) < place)


@wrong("03.scores_that_stay", "rotary_all_stay")
def relative_means_never(kind, T, place):
    return told(T, lambda t, s: kind != "added" or (t < place and s < place))


@wrong("03.scores_that_stay", "added_like_rotary")
def sinusoids_are_relative(kind, T, place):
    return told(T, lambda t, s: kind == "none" or (t < place) == (s < place))


@wrong("03.scores_that_stay", "none_like_added")
def something_always_moves(kind, T, place):
    if kind == "rotary":
        return told(T, lambda t, s: (t < place) == (s < place))
    return told(T, lambda t, s: t < place and s < place)


@wrong("03.scores_that_stay", "one_too_late")
def up_to_place(kind, T, place):
    before = np.arange(T) <= place
    if kind == "none":
        return np.full((T, T), True)
    both = before[:, None] & before[None]
    return both | (~before[:, None] & ~before[None]) if kind == "rotary" else both


@wrong("03.scores_that_stay", "query_only")
def looks_at_the_query(kind, T, place):
    return told(T, lambda t, s: kind == "none" or t < place)


@wrong("03.scores_that_stay", "either")
def one_is_enough(kind, T, place):
    return told(T, lambda t, s: kind == "none" or t < place or s < place)


@wrong("03.scores_that_stay", "one_side_only")
def moved_together(kind, T, place):
    if kind == "none":
        return np.ones((T, T), dtype=bool)
    late = np.arange(T) >= place
    return np.outer(late, late) if kind == "rotary" else np.outer(~late, ~late)


@wrong("03.scores_that_stay", "opposite")
def which_change(kind, T, place):
    stays = {
        "none": lambda t, s: True,
        "added": lambda t, s: t < place and s < place,
        "rotary": lambda t, s: (t < place) == (s < place),
    }[kind]
    return told(T, lambda t, s: not stays(t, s))


@wrong("03.scores_that_stay", "causal")
def earlier_keys_only(kind, T, place):
    stays = {
        "none": lambda t, s: True,
        "added": lambda t, s: t < place and s < place,
        "rotary": lambda t, s: (t < place) == (s < place),
    }[kind]
    return told(T, lambda t, s: s <= t and stays(t, s))


@wrong("03.scores_that_stay", "dtype")
def ones_and_zeros(kind, T, place):
    return np.ones((T, T)) if kind == "none" else np.tri(T)


@wrong("03.scores_that_stay")
def nothing_ever_changes(kind, T, place):
    return np.ones((T, T), dtype=bool)


def speeds(D, base=1_000.0):
    return np.array([base ** (-2 * i / D) for i in range(D // 2)])


def spin(x, turns):
    half = x.shape[1] // 2
    z = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * turns)
    return np.hstack([z.real, z.imag])


@wrong("03.rotate_complex", "usual_base")
def base_of_the_chapter(x):
    return spin(x, np.outer(np.arange(len(x)), speeds(x.shape[1], 10_000)))


@wrong("03.rotate_complex", "backwards")
def minus_i(x):
    return spin(x, -np.outer(np.arange(len(x)), speeds(x.shape[1])))


@wrong("03.rotate_complex", "neighbours")
def view_as_complex(x):
    turns = np.outer(np.arange(len(x)), speeds(x.shape[1]))
    z = np.ascontiguousarray(x).view(complex) * np.exp(1j * turns)
    return z.view(float)


@wrong("03.rotate_complex", "alternating")
def halves_in_neighbours_out(x):
    half = x.shape[1] // 2
    turns = np.outer(np.arange(len(x)), speeds(x.shape[1]))
    z = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * turns)
    return torch.view_as_real(torch.from_numpy(z)).flatten(1)


@wrong("03.rotate_complex", "half_power")
def i_over_D(x):
    T, D = x.shape
    return spin(x, np.arange(T)[:, None] * 1_000.0 ** (-np.arange(D // 2) / D))


@wrong("03.rotate_complex", "double_power")
def two_i_over_hands(x):
    T, D = x.shape
    return spin(x, np.arange(T)[:, None] * 1_000.0 ** (-np.arange(0, D, 2) / (D // 2)))


@wrong("03.rotate_complex", "faster")
def forgot_the_minus(x):
    T, D = x.shape
    return spin(x, np.arange(T)[:, None] * 1_000.0 ** (np.arange(0, D, 2) / D))


@wrong("03.rotate_complex", "one_speed")
def a_radian_a_position(x):
    return spin(x, np.arange(len(x))[:, None])


@wrong("03.rotate_complex", "from_one")
def first_is_one(x):
    return spin(x, np.outer(np.arange(1, len(x) + 1), speeds(x.shape[1])))


@wrong("03.rotate_complex", "no_position")
def no_t_in_the_angle(x):
    return spin(x, speeds(x.shape[1]))


@wrong("03.rotate_complex", "lengths")
def imaginary_first(x):
    turned = spin(x, np.outer(np.arange(len(x)), speeds(x.shape[1])))
    first, second = np.split(turned, 2, axis=1)
    return np.concatenate([second, first], axis=1)


@wrong("03.rotate_complex", "shape")
def complex_numbers(x):
    half = x.shape[1] // 2
    return (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * np.outer(np.arange(len(x)), speeds(x.shape[1])))


def parts(d_out, angles):
    half = d_out.shape[1] // 2
    return d_out[:, :half], d_out[:, half:], np.cos(angles), np.sin(angles)


@wrong("03.rotate_back", "forward")
def once_more(d_out, angles):
    return spin(d_out, angles)


@wrong("03.rotate_back", "unchanged")
def lengths_stay_so_nothing_changes(d_out, angles):
    return d_out.copy()


@wrong("03.rotate_back", "cosines_only")
def own_slope_only(d_out, angles):
    return d_out * np.tile(np.cos(angles), 2)


@wrong("03.rotate_back", "no_minus")
def plus_everywhere(d_out, angles):
    a, b, cos, sin = parts(d_out, angles)
    return np.hstack([a * cos + b * sin, a * sin + b * cos])


@wrong("03.rotate_back", "reflected")
def minus_at_the_cosine(d_out, angles):
    a, b, cos, sin = parts(d_out, angles)
    return np.hstack([a * cos + b * sin, a * sin - b * cos])


@wrong("03.rotate_back", "slope_of_the_angle")
def derived_by_the_angle(d_out, angles):
    a, b, cos, sin = parts(d_out, angles)
    return np.hstack([-a * sin - b * cos, a * cos - b * sin])


@wrong("03.rotate_back", "half_turned")
def forgot_the_second_half(d_out, angles):
    a, b, cos, sin = parts(d_out, angles)
    d_x = d_out.copy()
    d_x[:, : a.shape[1]] = a * cos + b * sin
    return d_x


@wrong("03.rotate_back", "half_turned")
def overwritten(d_out, angles):
    a, b, cos, sin = parts(d_out, angles)
    return np.concatenate([b * sin + a * cos, b], axis=1)


@wrong("03.rotate_back", "doubled")
def minus_two(d_out, angles):
    return spin(d_out, -2 * angles)


@wrong("03.rotate_back", "neighbours")
def pairs_of_neighbours(d_out, angles):
    z = torch.view_as_complex(torch.tensor(d_out).unflatten(1, (-1, 2)).contiguous())
    return torch.view_as_real(z * torch.exp(torch.tensor(-1j * angles))).flatten(1)


@wrong("03.rotate_back")
def pi_minus_angle(d_out, angles):
    return spin(d_out, np.pi - angles)


@wrong("03.slower_base", "times_factor")
def twice(base, D):
    return base * 2


@wrong("03.slower_base", "upside_down")
def inverse_exponent(base, D):
    return base * 2 ** (1 - 2 / D)


@wrong("03.slower_base", "faster")
def divided(base, D):
    return base / 2 ** (D / (D - 2))


@wrong("03.slower_base", "last_channel")
def counted_channels(base, D):
    return (base ** ((D - 1) / D) * 2) ** (D / (D - 1))


@wrong("03.slower_base", "first_slow_hand")
def hand_one(base, D):
    return base * 2 ** (D / 2)


@wrong("03.slower_base", "only_the_factor")
def growth(base, D):
    return math.exp(math.log(2) * D / (D - 2))


@wrong("03.slower_base", "the_speed")
def slowest_speed(base, D):
    return float(np.min(base ** (-np.arange(0, D, 2) / D))) / 2


@wrong("03.slower_base", "no_factor")
def as_before(base, D):
    slowest = base ** (-(D - 2) / D)
    return slowest ** (-D / (D - 2))


@wrong("03.slower_base", "added")
def plus(base, D):
    return base + 2 ** (D / (D - 2))


@wrong("03.slower_base")
def squared(base, D):
    return base * 2**2
