"""What a run in JAX needs to go on after any stop, in the same file format as a run in PyTorch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from microgpt_ref._runs import fingerprint, refuse_another_run
from microgpt_ref.checkpoint import Checkpoint, CheckpointError
from microgpt_ref.jax.update import TrainState

if TYPE_CHECKING:
    from microgpt_ref.jax.train import Trainer


def snapshot(
    trainer: Trainer, metrics: dict[str, Any] | None = None, with_optimizer: bool = False
) -> Checkpoint:
    """The run as it stands; with the optimizer's state it can be resumed, without it only used."""
    training = {
        "framework": "jax",
        # as JSON gives it back: tuples are lists there
        "recipe": {name: list(v) if isinstance(v, tuple) else v for name, v in _fields(trainer).items()},
        "seed": trainer.seed,
        "dataset": trainer.dataset.name,
        "dataset_sha256": fingerprint(trainer.dataset),
        "seconds": trainer.seconds,
        "best": trainer.best,
    }
    return Checkpoint(
        config=trainer.config,
        parameters={name: np.asarray(array) for name, array in trainer.state.parameters.items()},
        tokenizer=trainer.tokenizer.to_dict(),
        step=trainer.step,
        metrics=metrics or {},
        training=training,
        optimizer=flatten(trainer.state.optimizer) if with_optimizer else {},
    )


def restore(trainer: Trainer, saved: Checkpoint) -> TrainState:
    """The saved state, for a fresh trainer of the same settings.

    Raises:
        CheckpointError: if the settings differ, or the optimizer's state is missing.
    """
    mine = snapshot(trainer)
    run = {name: mine.training[name] for name in ("framework", "seed", "dataset", "dataset_sha256")}
    refuse_another_run(trainer.out, saved.config.to_dict(), mine.config.to_dict())
    refuse_another_run(trainer.out, saved.training, run)
    refuse_another_run(trainer.out, saved.training["recipe"], mine.training["recipe"])
    refuse_another_run(trainer.out, {"tokenizer": saved.tokenizer}, {"tokenizer": mine.tokenizer})
    state = trainer.state
    return TrainState(
        parameters={name: jnp.asarray(saved.parameters[name]) for name in state.parameters},
        optimizer=unflatten(saved.optimizer, state.optimizer),
        step=jnp.asarray(saved.step, jnp.int32),
        key=state.key,  # it follows from the seed
    )


def flatten(tree: optax.OptState) -> dict[str, np.ndarray]:
    """The arrays of a pytree by the path that leads to each, such as `1/0/mu/embedding.weight`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(arrays: dict[str, np.ndarray], like: optax.OptState) -> optax.OptState:
    """A pytree built as `like`, with the arrays that `flatten` named.

    Raises:
        CheckpointError: if one is missing.
    """

    def find(path: Any, leaf: Any) -> Any:
        if _name(path) not in arrays:
            raise CheckpointError(
                f"the checkpoint has no optimizer state {_name(path)!r}; resume from last.safetensors"
            )
        return jnp.asarray(arrays[_name(path)].reshape(leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(find, like)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _fields(trainer: Trainer) -> dict[str, Any]:
    return dataclasses.asdict(trainer.recipe)
