"""What a run needs to go on after any stop, as if nothing had happened."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from microgpt_ref._runs import StopSignal, fingerprint, refuse_another_run, rewind_log
from microgpt_ref.checkpoint import Checkpoint, CheckpointError

if TYPE_CHECKING:
    from microgpt_ref.torch.train import Trainer

__all__ = ["StopSignal", "restore", "rewind_log", "snapshot"]

# Settings that change how a run is watched, not where it goes.
FREE_TO_CHANGE = ("evaluate_every", "save_every", "log_every", "log_to", "measure_peak", "device")


def snapshot(
    trainer: Trainer, metrics: dict[str, Any] | None = None, with_optimizer: bool = False
) -> Checkpoint:
    """The run as it stands; with the optimizer's state it can be resumed, without it only used."""
    parameters = {name: p.detach().cpu().numpy() for name, p in trainer.model.named_parameters()}
    training = {
        "recipe": trainer.settings(),
        "dataset": trainer.dataset.name,
        "dataset_sha256": fingerprint(trainer.dataset),
        "seconds": trainer.seconds,
        "best": trainer.best,
        "scaler": trainer.format.scaler.state_dict(),
    }
    return Checkpoint(
        config=trainer.model.config,
        parameters=parameters,
        tokenizer=trainer.tokenizer.to_dict(),
        step=trainer.step,
        metrics=metrics or {},
        training=training,
        optimizer=_optimizer_arrays(trainer.optimizers) if with_optimizer else {},
    )


def restore(trainer: Trainer, saved: Checkpoint) -> None:
    """Put the saved run back into a fresh trainer of the same settings.

    Raises:
        CheckpointError: if the settings differ, or the optimizer's state is missing.
    """
    _check_same_run(trainer, saved)
    if saved.step and not saved.optimizer:
        raise CheckpointError("the checkpoint has no optimizer state; resume from last.safetensors")
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            parameter.copy_(torch.from_numpy(saved.parameters[name]))
    _load_optimizers(trainer.optimizers, saved.optimizer)
    if trainer.format.scaler.is_enabled():
        trainer.format.scaler.load_state_dict(saved.training["scaler"])
    trainer.step, trainer.seconds = saved.step, saved.training["seconds"]
    trainer.best = saved.training["best"]


def _optimizer_arrays(optimizers: list[torch.optim.Optimizer]) -> dict[str, np.ndarray]:
    """`optimizer.parameter.name` → array, for example `0.3.exp_avg`."""
    return {
        f"{place}.{index}.{name}": value.cpu().numpy()
        for place, optimizer in enumerate(optimizers)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _load_optimizers(optimizers: list[torch.optim.Optimizer], arrays: dict[str, np.ndarray]) -> None:
    for place, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, array in arrays.items():
            *of, index, name = key.split(".")
            if int(*of or "0") == place:  # runs from when there was but one optimiser do not number it
                state.setdefault(int(index), {})[name] = torch.from_numpy(array)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_same_run(trainer: Trainer, saved: Checkpoint) -> None:
    mine = snapshot(trainer)
    defaults = dataclasses.asdict(type(trainer.config)())  # of settings that the saved run did not have yet
    recipe = {k: v for k, v in mine.training["recipe"].items() if k not in FREE_TO_CHANGE}
    text = {key: mine.training[key] for key in ("dataset", "dataset_sha256")}
    pairs = [
        (saved.config.to_dict(), mine.config.to_dict()),
        ({**defaults, **saved.training.get("recipe", {})}, recipe),
        (saved.training, text),
        ({"tokenizer": saved.tokenizer}, {"tokenizer": mine.tokenizer}),
    ]
    for before, now in pairs:
        refuse_another_run(trainer.out, before, now)
