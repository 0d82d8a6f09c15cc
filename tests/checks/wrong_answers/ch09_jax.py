"""Wrong answers to the exercises of chapter 9."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from tests.checks.answers import wrong


def distinct(calls, *names):
    seen = []
    for call in calls:
        entry = [call[name] for name in names]
        if entry not in seen:
            seen.append(entry)
    return len(seen)


@wrong("09.count_traces", "every_call")
def all_calls(calls):
    return len(calls)


@wrong("09.count_traces", "values")
def all_that_differs(calls):
    return len({(call["shape"], call["dtype"], call["value"], call["power"]) for call in calls})


@wrong("09.count_traces", "last_only")
def changes(calls):
    count, last = 0, None
    for call in calls:
        now = call["shape"], call["dtype"], call["power"]
        count += now != last
        last = now
    return count


@wrong("09.count_traces", "no_dtype")
def shapes_and_powers(calls):
    return distinct(calls, "shape", "power")


@wrong("09.count_traces", "no_shape")
def types_and_powers(calls):
    return distinct(calls, "dtype", "power")


@wrong("09.count_traces", "no_static")
def arrays_only(calls):
    return distinct(calls, "shape", "dtype")


@wrong("09.count_traces", "other_argument")
def scale_for_power(calls):
    return distinct(calls, "shape", "dtype", "scale")


@wrong("09.count_traces", "both_arguments")
def all_arguments(calls):
    return distinct(calls, "shape", "dtype", "scale", "power")


@wrong("09.count_traces", "shapes_alone")
def shapes(calls):
    return distinct(calls, "shape")


@wrong("09.count_traces", "everything")
def whole_calls(calls):
    return len({tuple(call.values()) for call in calls})


@wrong("09.count_traces", "sizes")
def numbers_in_the_array(calls):
    return len({(math.prod(call["shape"]), call["dtype"], call["power"]) for call in calls})


@wrong("09.count_traces", "product")
def multiplied(calls):
    return distinct(calls, "shape") * distinct(calls, "dtype") * distinct(calls, "power")


@wrong("09.count_traces", "sum")
def added(calls):
    return distinct(calls, "shape") + distinct(calls, "dtype") + distinct(calls, "power")


@wrong("09.count_traces")
def always_four(calls):
    return 4


def length(tree):
    return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


@wrong("09.clip_tree", "python_if")
def as_in_chapter_8(gradients, limit):
    norm = length(gradients)
    if norm > limit:
        gradients = jax.tree.map(lambda g: g * (limit / norm), gradients)
    return gradients


@wrong("09.clip_tree", "python_if")
def python_min(gradients, limit):
    norm = length(gradients)
    return jax.tree.map(lambda g: g * min(1, limit / norm), gradients)


@wrong("09.clip_tree", "python_float")
def number_first(gradients, limit):
    norm = float(length(gradients))
    factor = limit / norm if norm > limit else 1.0
    return jax.tree.map(lambda g: factor * g, gradients)


@wrong("09.clip_tree", "python_float_divided")
def number_without_comparison(gradients, limit):
    norm = float(length(gradients))
    return jax.tree.map(lambda g: g * min(1.0, limit / norm), gradients)


@wrong("09.clip_tree", "norm_of_one")
def limit_below_alone(gradients, limit):
    norm = length(gradients)
    return jax.tree.map(lambda g: g / jnp.maximum(norm, limit), gradients)


@wrong("09.clip_tree", "lengthens_and_divides")
def always_scaled(gradients, limit):
    norm = length(gradients)
    return jax.tree.map(lambda g: g * limit / norm, gradients)


@wrong("09.clip_tree", "numpy")
def with_numpy(gradients, limit):
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda g: g * jnp.minimum(1, limit / jnp.maximum(norm, 1e-20)), gradients)


@wrong("09.clip_tree", "lengthens")
def no_minimum(gradients, limit):
    norm = length(gradients)
    return jax.tree.map(lambda g: jnp.where(norm > 0, g * limit / norm, 0.0), gradients)


@wrong("09.clip_tree", "divides_by_zero")
def unit_vector_first(gradients, limit):
    norm = length(gradients)
    return jax.tree.map(lambda g: g / norm * jnp.minimum(norm, limit), gradients)


@wrong("09.clip_tree", "each_leaf")
def map_alone(gradients, limit):
    return jax.tree.map(lambda g: g * jnp.minimum(1, limit / jnp.sqrt((g**2).sum())), gradients)


@wrong("09.clip_tree", "each_number")
def jnp_clip(gradients, limit):
    return jax.tree.map(lambda g: jnp.clip(g, -limit, limit), gradients)


@wrong("09.clip_tree", "no_root")
def squares(gradients, limit):
    total = sum((leaf**2).sum() for leaf in jax.tree.leaves(gradients))
    return jax.tree.map(lambda g: g * jnp.minimum(1, limit / total), gradients)


@wrong("09.clip_tree", "sum_of_norms")
def norms_added(gradients, limit):
    total = sum(jnp.linalg.norm(leaf) for leaf in jax.tree.leaves(gradients))
    return jax.tree.map(lambda g: g * jnp.minimum(1, limit / total), gradients)


@wrong("09.clip_tree", "mean")
def root_mean_square(gradients, limit):
    rms = jnp.sqrt(jnp.mean(jnp.concatenate(jax.tree.leaves(gradients)) ** 2))
    return jax.tree.map(lambda g: g * jnp.minimum(1, limit / rms), gradients)


@wrong("09.clip_tree", "leaves")
def list_of_leaves(gradients, limit):
    factor = jnp.minimum(1, limit / length(gradients))
    return [leaf * factor for leaf in jax.tree.leaves(gradients)]


FINAL = 0.1


@wrong("09.trapezoid", "python_if")
def with_if(step, steps, warmup_steps, decay_steps, peak):
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step < steps - decay_steps:
        return jnp.asarray(peak)
    return peak * (1 - (1 - FINAL) * (step - steps + decay_steps) / decay_steps)


def pieces(step, steps, warmup_steps, decay_steps, final=FINAL):
    rise = (step + 1) / warmup_steps
    fall = 1 - (1 - final) * (step - (steps - decay_steps)) / decay_steps
    return rise, fall


@wrong("09.trapezoid", "python_if")
def python_min_of_three(step, steps, warmup_steps, decay_steps, peak):
    return peak * min(*pieces(step, steps, warmup_steps, decay_steps), 1)


@wrong("09.trapezoid", "numpy")
def numpy_minimum(step, steps, warmup_steps, decay_steps, peak):
    rise, fall = pieces(step, steps, warmup_steps, decay_steps)
    return peak * np.minimum(np.minimum(rise, fall), 1)


@wrong("09.trapezoid", "python_float")
def a_number_first(step, steps, warmup_steps, decay_steps, peak):
    return jnp.asarray(with_if(float(step), steps, warmup_steps, decay_steps, peak))


@wrong("09.trapezoid", "to_zero")
def falls_to_zero(step, steps, warmup_steps, decay_steps, peak):
    return peak * jnp.minimum((step + 1) / warmup_steps, jnp.minimum(1, (steps - step) / decay_steps))


@wrong("09.trapezoid", "not_a_share")
def final_as_rate(step, steps, warmup_steps, decay_steps, peak):
    rise = peak * (step + 1) / warmup_steps
    share = (step - (steps - decay_steps)) / decay_steps
    return jnp.where(step < steps - decay_steps, jnp.minimum(rise, peak), peak + share * (FINAL - peak))


@wrong("09.trapezoid", "floor")
def held_up(step, steps, warmup_steps, decay_steps, peak):
    fall = jnp.maximum((steps - step) / decay_steps, FINAL)
    return peak * jnp.minimum(jnp.minimum((step + 1) / warmup_steps, 1), fall)


@wrong("09.trapezoid", "starts_at_zero")
def from_zero(step, steps, warmup_steps, decay_steps, peak):
    _, fall = pieces(step, steps, warmup_steps, decay_steps)
    return peak * jnp.minimum(jnp.minimum(step / warmup_steps, fall), 1)


@wrong("09.trapezoid", "no_warmup")
def two_pieces(step, steps, warmup_steps, decay_steps, peak):
    return peak * jnp.minimum(1, pieces(step, steps, warmup_steps, decay_steps)[1])


@wrong("09.trapezoid", "no_fall")
def rise_alone(step, steps, warmup_steps, decay_steps, peak):
    return peak * jnp.minimum(1, (step + 1) / warmup_steps)


@wrong("09.trapezoid", "above_the_peak")
def one_where(step, steps, warmup_steps, decay_steps, peak):
    return peak * jnp.where(step < warmup_steps, *pieces(step, steps, warmup_steps, decay_steps))


@wrong("09.trapezoid", "ends_early")
def final_at_the_last_step(step, steps, warmup_steps, decay_steps, peak):
    rise, _ = pieces(step, steps, warmup_steps, decay_steps)
    fall = 1 - (1 - FINAL) * (step - (steps - decay_steps)) / (decay_steps - 1)
    return peak * jnp.minimum(jnp.minimum(rise, fall), 1)


@wrong("09.trapezoid", "no_peak")
def shares_of_the_peak(step, steps, warmup_steps, decay_steps, peak):
    rise, fall = pieces(step, steps, warmup_steps, decay_steps)
    return jnp.minimum(jnp.minimum(rise, fall), 1)


@wrong("09.trapezoid", "no_flat_part")
def triangle(step, steps, warmup_steps, decay_steps, peak):
    rise, fall = pieces(step, steps, warmup_steps, steps - warmup_steps)
    return peak * jnp.where(step < warmup_steps, rise, fall)


@wrong("09.trapezoid", "falls_early")
def last_step_at_the_end(step, steps, warmup_steps, decay_steps, peak):
    rise, _ = pieces(step, steps, warmup_steps, decay_steps)
    fall = 1 - (1 - FINAL) * (step - (steps - 1 - decay_steps)) / decay_steps
    return peak * jnp.minimum(jnp.minimum(rise, fall), 1)


@wrong("09.trapezoid", "cosine")
def half_a_cosine(step, steps, warmup_steps, decay_steps, peak):
    progress = jnp.clip((step - (steps - decay_steps)) / decay_steps, 0, 1)
    fall = FINAL + (1 - FINAL) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    return peak * jnp.minimum((step + 1) / warmup_steps, fall)


def scanned(weights, beta, start, give=lambda old, new: new):
    def step(mean, w):
        new = beta * mean + (1 - beta) * w
        return new, give(mean, new)

    return jax.lax.scan(step, start, weights)


@wrong("09.running_mean", "loop")
def unrolled(weights, beta):
    mean, means = weights[0], []
    for w in weights:
        mean = beta * mean + (1 - beta) * w
        means.append(mean)
    return jnp.stack(means)


@wrong("09.running_mean", "starts_at_zero")
def zeros_like(weights, beta):
    return scanned(weights, beta, jnp.zeros_like(weights[0]))[1]


@wrong("09.running_mean", "starts_at_a_number")
def zero_as_in_the_chapter(weights, beta):
    return scanned(weights, beta, 0.0)[1]


@wrong("09.running_mean", "keeps_the_weights")
def weights_handed_out(weights, beta):
    return jax.lax.scan(lambda mean, w: (beta * mean + (1 - beta) * w, w), weights[0], weights)[1]


@wrong("09.running_mean", "loop")
def no_loop_and_no_scan(weights, beta):
    n = jnp.arange(len(weights))
    shares = jnp.tril(beta ** jnp.maximum(n[:, None] - n, 0.0)) * jnp.where(n == 0, 1, 1 - beta)
    return jnp.tensordot(shares, weights, axes=1)


@wrong("09.running_mean", "corrected")
def as_in_adam(weights, beta):
    means = scanned(weights, beta, jnp.zeros_like(weights[0]))[1]
    t = jnp.arange(1, len(weights) + 1).reshape((-1,) + (1,) * (weights.ndim - 1))
    return means / (1 - beta**t)


@wrong("09.running_mean", "exchanged")
def other_share(weights, beta):
    return jax.lax.scan(lambda mean, w: ((1 - beta) * mean + beta * w,) * 2, weights[0], weights)[1]


@wrong("09.running_mean", "one_late")
def old_carry(weights, beta):
    return scanned(weights, beta, weights[0], give=lambda old, new: old)[1]


@wrong("09.running_mean", "last_only")
def the_carry(weights, beta):
    return scanned(weights, beta, weights[0])[0]


@wrong("09.running_mean", "both")
def whole_result(weights, beta):
    return scanned(weights, beta, weights[0])


@wrong("09.running_mean", "skips_the_first")
def first_used_up(weights, beta):
    return scanned(weights[1:], beta, weights[0])[1]


@wrong("09.running_mean", "plain_mean")
def cumulative(weights, beta):
    def step(carry, w):
        total, n = carry[0] + w, carry[1] + 1
        return (total, n), total / n

    return jax.lax.scan(step, (jnp.zeros_like(weights[0]), 0), weights)[1]


@wrong("09.running_mean", "not_weighted")
def as_momentum(weights, beta):
    def step(mean, w):
        mean = beta * mean + w
        return mean, mean

    return jax.lax.scan(step, weights[0], weights)[1]


@wrong("09.running_mean", "raised")
def one_result(weights, beta):
    return jax.lax.scan(lambda mean, w: beta * mean + (1 - beta) * w, weights[0], weights)


def rows_of(loss, w, inputs, targets):
    return jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(w, inputs, targets)


@wrong("09.robust_gradient", "python_if")
def if_inside(loss, w, inputs, targets, limit):
    def one(x, y):
        gradient = jax.grad(loss)(w, x, y)
        norm = jnp.linalg.norm(gradient)
        if norm > limit:
            gradient = gradient * limit / norm
        return gradient

    return jax.vmap(one)(inputs, targets).mean(axis=0)


@wrong("09.robust_gradient", "numpy")
def numpy_inside(loss, w, inputs, targets, limit):
    def one(x, y):
        gradient = jax.grad(loss)(w, x, y)
        return gradient * jnp.minimum(1, limit / np.linalg.norm(gradient))

    return jax.vmap(one)(inputs, targets).mean(axis=0)


@wrong("09.robust_gradient", "loop")
def one_by_one(loss, w, inputs, targets, limit):
    total = jnp.zeros_like(w)
    for x, y in zip(inputs, targets, strict=True):
        gradient = jax.grad(loss)(w, x, y)
        norm = jnp.linalg.norm(gradient)
        total += gradient * (limit / norm) if norm > limit else gradient
    return total / len(inputs)


@wrong("09.robust_gradient", "loop")
def list_of_rows(loss, w, inputs, targets, limit):
    rows = [jax.grad(loss)(w, x, y) for x, y in zip(inputs, targets, strict=True)]
    return jnp.stack([g * limit / jnp.maximum(jnp.linalg.norm(g), limit) for g in rows]).mean(axis=0)


@wrong("09.robust_gradient", "lengthens_and_divides")
def always_to_the_limit(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    return (limit * rows / jnp.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)


@wrong("09.robust_gradient", "limit_of_a_share")
def limit_divided(loss, w, inputs, targets, limit):
    return clip_rows(rows_of(loss, w, inputs, targets), limit / len(inputs)).mean(axis=0)


@wrong("09.robust_gradient", "dropped")
def long_rows_dropped(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
    return jnp.where(norms > limit, 0, rows).mean(axis=0)


@wrong("09.robust_gradient", "not_clipped")
def usual_gradient(loss, w, inputs, targets, limit):
    return jax.grad(lambda w: jax.vmap(loss, in_axes=(None, 0, 0))(w, inputs, targets).mean())(w)


@wrong("09.robust_gradient", "mean_first")
def clip_the_mean(loss, w, inputs, targets, limit):
    gradient = usual_gradient(loss, w, inputs, targets, limit)
    return gradient * jnp.minimum(1, limit / jnp.linalg.norm(gradient))


@wrong("09.robust_gradient", "one_norm")
def norm_of_all(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    return (rows * jnp.minimum(1, limit / jnp.linalg.norm(rows))).mean(axis=0)


def clip_rows(rows, limit):
    return rows * jnp.minimum(1, limit / jnp.linalg.norm(rows, axis=1, keepdims=True))


@wrong("09.robust_gradient", "not_averaged")
def rows_returned(loss, w, inputs, targets, limit):
    return clip_rows(rows_of(loss, w, inputs, targets), limit)


@wrong("09.robust_gradient", "sum")
def added_up(loss, w, inputs, targets, limit):
    return clip_rows(rows_of(loss, w, inputs, targets), limit).sum(axis=0)


@wrong("09.robust_gradient", "lengthens")
def all_to_the_limit(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
    return (limit * rows / jnp.where(norms == 0, 1, norms)).mean(axis=0)


@wrong("09.robust_gradient", "each_number")
def numbers_cut(loss, w, inputs, targets, limit):
    return jnp.clip(rows_of(loss, w, inputs, targets), -limit, limit).mean(axis=0)


@wrong("09.robust_gradient", "columns")
def wrong_axis(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    norms = jnp.linalg.norm(rows, axis=0)
    return (rows * jnp.minimum(1, limit / norms)).mean(axis=0)


@wrong("09.robust_gradient", "no_root")
def squared_norms(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    return (rows * jnp.minimum(1, limit / (rows**2).sum(axis=1, keepdims=True))).mean(axis=0)


@wrong("09.robust_gradient", "divides_by_zero")
def directions(loss, w, inputs, targets, limit):
    rows = rows_of(loss, w, inputs, targets)
    norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / norms * jnp.minimum(norms, limit)).mean(axis=0)


@wrong("09.robust_gradient", "raised")
def weights_mapped_too(loss, w, inputs, targets, limit):
    rows = jax.vmap(jax.grad(loss))(w, inputs, targets)
    return clip_rows(rows, limit).mean(axis=0)


def rms(x):
    return jnp.sqrt(jnp.mean(x**2))


def branch(layer, x):
    return jnp.tanh(x @ layer["weight"].T + layer["bias"])


@wrong("09.scan_layers", "loop")
def python_loop(layers, x):
    sizes = []
    for weight, bias in zip(layers["weight"], layers["bias"], strict=True):
        x = x + jnp.tanh(x @ weight.T + bias)
        sizes.append(rms(x))
    return x, jnp.stack(sizes)


@wrong("09.scan_layers", "no_residual")
def branch_alone(layers, x):
    def step(x, layer):
        x = branch(layer, x)
        return x, rms(x)

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers", "not_transposed")
def in_by_out(layers, x):
    def step(x, layer):
        x = x + jnp.tanh(x @ layer["weight"] + layer["bias"])
        return x, rms(x)

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers", "no_bias")
def forgot_the_bias(layers, x):
    def step(x, weight):
        x = x + jnp.tanh(x @ weight.T)
        return x, rms(x)

    return jax.lax.scan(step, x, layers["weight"])


@wrong("09.scan_layers", "same_layer")
def first_layer_each_time(layers, x):
    def step(x, _):
        x = x + branch({name: a[0] for name, a in layers.items()}, x)
        return x, rms(x)

    return jax.lax.scan(step, x, jnp.arange(len(layers["bias"])))


@wrong("09.scan_layers", "backwards")
def reverse(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, rms(x)

    output, sizes = jax.lax.scan(step, x, layers, reverse=True)
    return output, sizes[::-1]


@wrong("09.scan_layers", "exchanged")
def sizes_first(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, rms(x)

    output, sizes = jax.lax.scan(step, x, layers)
    return sizes, output


@wrong("09.scan_layers", "size_before")
def measured_at_the_door(layers, x):
    return jax.lax.scan(lambda x, layer: (x + branch(layer, x), rms(x)), x, layers)


@wrong("09.scan_layers", "size_of_branch")
def measured_inside(layers, x):
    def step(x, layer):
        change = branch(layer, x)
        return x + change, rms(change)

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers", "no_root")
def mean_squares(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, (x**2).mean()

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers", "deviation")
def standard_deviations(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, x.std()

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers", "norm")
def norms(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, jnp.linalg.norm(x)

    return jax.lax.scan(step, x, layers)


@wrong("09.scan_layers")
def all_outputs(layers, x):
    def step(x, layer):
        x = x + branch(layer, x)
        return x, x

    return jax.lax.scan(step, x, layers)
