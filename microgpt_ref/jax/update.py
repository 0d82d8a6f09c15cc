"""One update as a pure function: state and batch in, new state out. Nothing else is touched or remembered."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float, Int, PRNGKeyArray

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Key, Parameters
from microgpt_ref.jax.gpt import loss
from microgpt_ref.jax.layers import scanned_loss
from microgpt_ref.jax.optim import Recipe, learning_rate_schedule, make_optimizer, split_frozen
from microgpt_ref.jax.precision import PRECISIONS

Metrics = dict[str, Float[Array, ""]]


class TrainState(NamedTuple):
    """All that an update changes, and the key it draws from: a pytree, which JAX can donate as a whole."""

    parameters: Parameters
    optimizer: optax.OptState
    step: Int[Array, ""]
    key: PRNGKeyArray


def initial_state(parameters: Parameters, recipe: Recipe, seed: int = 0) -> TrainState:
    """The state before the first update. It holds copies, since an update uses up the arrays it is given.

    Raises:
        ValueError: if `recipe.frozen` names no parameter.
    """
    parameters = {name: jnp.array(array, copy=True) for name, array in parameters.items()}
    trained, _ = split_frozen(parameters, recipe.frozen)
    optimizer = make_optimizer(recipe).init(trained)
    return TrainState(parameters, optimizer, jnp.zeros((), jnp.int32), jax.random.key(seed))


LOSSES = {False: loss, True: scanned_loss}


def batch_loss(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    targets: Int[Array, "B T"],
    config: GPTConfig,
    recipe: Recipe,
    key: Key,
) -> Float[Array, ""]:
    """The loss in the recipe's number format, by a loop or a scan over the layers."""
    cast, products = PRECISIONS[recipe.precision]
    parameters, config = cast(parameters, config)
    with jax.default_matmul_precision(products):
        return LOSSES[recipe.scan_layers](parameters, tokens, targets, config, key)


def loss_and_gradients(
    trained: Parameters,
    frozen: Parameters,
    tokens: Int[Array, "*micro B T"],
    targets: Int[Array, "*micro B T"],
    config: GPTConfig,
    recipe: Recipe,
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Parameters]:
    """Loss and gradient of a batch (B, T); of micro-batches (A, B, T) their mean, holding one at a time.

    The mean over micro-batches is that of the big batch if all have as many targets.
    """

    def one(
        tokens: Int[Array, "B T"], targets: Int[Array, "B T"], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Parameters]:
        def of(trained: Parameters) -> Float[Array, ""]:
            dropout_key = key if config.dropout else None
            return batch_loss({**frozen, **trained}, tokens, targets, config, recipe, dropout_key)

        return jax.value_and_grad(of)(trained)

    if tokens.ndim == 2:
        return one(tokens, targets, key)

    def add(total: tuple[Array, Parameters], micro: tuple[Array, Array, Array]) -> tuple[object, None]:
        return jax.tree.map(jnp.add, total, one(*micro)), None

    count = tokens.shape[0]
    zero = jax.tree.map(jnp.zeros_like, jax.eval_shape(one, tokens[0], targets[0], key))
    total, _ = lax.scan(add, zero, (tokens, targets, jax.random.split(key, count)))
    mean: tuple[Array, Parameters] = jax.tree.map(lambda x: x / count, total)
    return mean


@partial(jax.jit, static_argnames=("config", "recipe"), donate_argnames="state")
def train_step(
    state: TrainState,
    tokens: Int[Array, "*micro B T"],
    targets: Int[Array, "*micro B T"],
    config: GPTConfig,
    recipe: Recipe,
) -> tuple[TrainState, Metrics]:
    """One update, compiled once for each shape of the batch, configuration and recipe.

    The state's memory is reused for the new state ("donated"): the one passed in cannot be used again.

    Args:
        tokens: (B, T), or (A, B, T) for A micro-batches whose gradients are averaged.
        targets: the ids that follow; −1 is left out.

    Returns:
        the new state, and the loss before the update, the gradient's norm before clipping, the learning rate.
    """
    trained, frozen = split_frozen(state.parameters, recipe.frozen)
    key = jax.random.fold_in(state.key, state.step)  # dropout depends on the seed and the step alone
    value, gradients = loss_and_gradients(trained, frozen, tokens, targets, config, recipe, key)
    updates, optimizer = make_optimizer(recipe).update(gradients, state.optimizer, trained)
    parameters = {**frozen, **optax.apply_updates(trained, updates)}
    metrics = {
        "loss": value,
        "gradient_norm": jnp.sqrt(sum((g**2).sum() for g in gradients.values())),
        "learning_rate": jnp.asarray(learning_rate_schedule(recipe)(state.step)),
    }
    return TrainState(parameters, optimizer, state.step + 1, state.key), metrics
