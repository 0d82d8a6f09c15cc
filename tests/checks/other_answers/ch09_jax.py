"""Right answers to the exercises of chapter 9, written in other ways than the solutions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from tests.checks.answers import right


@right("09.count_traces", way="a dictionary of programs")
def programs(calls):
    kept = {}
    for call in calls:
        kept.setdefault((str(call["dtype"]), call["shape"]), set()).add(call["power"])
    return sum(map(len, kept.values()))


@right("09.count_traces", way="asking jit")
def asking_jit(calls):
    traced = []
    f = jax.jit(lambda x, power: traced.append(power) or x**power, static_argnames="power")
    for call in calls:
        f.eval_shape(jax.ShapeDtypeStruct(call["shape"], call["dtype"]), power=call["power"])
    return len(traced)


@right("09.clip_tree", way="optax")
def with_optax(gradients, limit):
    return optax.clip_by_global_norm(limit).update(gradients, optax.EmptyState())[0]


@right("09.clip_tree", way="where")
def with_where(gradients, limit):
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda g: jnp.where(norm > limit, g * (limit / norm), g), gradients)


@right("09.clip_tree", way="one long vector and cond")
def raveled(gradients, limit):
    flat, back = jax.flatten_util.ravel_pytree(gradients)
    norm = jnp.linalg.norm(flat)
    return back(jax.lax.cond(norm > limit, lambda: flat * limit / norm, lambda: flat))


FINAL = 0.1


@right("09.trapezoid", way="interp")
def corners(step, steps, warmup_steps, decay_steps, peak):
    x = jnp.array([-1, warmup_steps - 1, steps - decay_steps, steps])
    return jnp.interp(step, x, peak * jnp.array([0, 1, 1, FINAL]))


@right("09.trapezoid", way="where")
def nested_where(step, steps, warmup_steps, decay_steps, peak):
    rise = peak * (step + 1) / warmup_steps
    fall = peak - peak * (1 - FINAL) * (step - steps + decay_steps) / decay_steps
    return jnp.where(step < warmup_steps, rise, jnp.where(step < steps - decay_steps, peak, fall))


@right("09.trapezoid", way="cond")
def with_cond(step, steps, warmup_steps, decay_steps, peak):
    return jax.lax.cond(
        step < steps - decay_steps,
        lambda: peak * jnp.clip((step + 1) / warmup_steps, 0, 1),
        lambda: peak * (FINAL + (1 - FINAL) * (steps - step) / decay_steps),
    )


@right("09.running_mean", way="shares of the distance")
def towards(weights, beta):
    def step(mean, w):
        mean = mean + (1 - beta) * (w - mean)
        return mean, mean

    _, means = jax.lax.scan(step, weights[0], weights)
    return means


@right("09.running_mean", way="the first by hand")
def first_by_hand(weights, beta):
    _, means = jax.lax.scan(lambda m, w: (beta * m + (1 - beta) * w,) * 2, weights[0], weights[1:])
    return jnp.concatenate([weights[:1], means])


@right("09.robust_gradient", way="a scan over rows")
def row_after_row(loss, w, inputs, targets, limit):
    def step(total, row):
        gradient = jax.grad(loss)(w, *row)
        return total + gradient * jnp.minimum(1, limit / jnp.linalg.norm(gradient)), None

    total, _ = jax.lax.scan(step, jnp.zeros_like(w), (inputs, targets))
    return total / len(inputs)


@right("09.robust_gradient", way="the Jacobian")
def with_jacobian(loss, w, inputs, targets, limit):
    rows = jax.jacrev(lambda w: jax.vmap(lambda x, y: loss(w, x, y))(inputs, targets))(w)
    norms = jnp.sqrt((rows**2).sum(axis=1, keepdims=True))
    return jnp.where(norms > limit, rows * limit / norms, rows).mean(axis=0)


@right("09.robust_gradient", way="optax")
def with_per_example_clip(loss, w, inputs, targets, limit):
    rows = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(w, inputs, targets)
    summed, _ = optax.per_example_global_norm_clip([rows], limit)
    return summed[0] / len(inputs)


@right("09.scan_layers", way="a pair as layer")
def pairs(layers, x):
    def step(x, layer):
        weight, bias = layer
        x = x + jnp.tanh(jnp.einsum("tc,dc->td", x, weight) + bias)
        return x, jnp.linalg.norm(x) / jnp.sqrt(x.size)

    return jax.lax.scan(step, x, (layers["weight"], layers["bias"]))


@right("09.scan_layers", way="scan over numbers")
def by_number(layers, x):
    def step(x, n):
        layer = jax.tree.map(lambda a: a[n], layers)
        x = x + jnp.tanh((layer["weight"] @ x.T).T + layer["bias"])
        return x, (x**2).mean() ** 0.5

    return jax.lax.scan(step, x, jnp.arange(layers["bias"].shape[0]))
