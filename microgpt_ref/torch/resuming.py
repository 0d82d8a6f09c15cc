"""What a run needs to go on after any stop, as if nothing had happened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import Checkpoint, CheckpointError
from microgpt_ref.datasets import Dataset

if TYPE_CHECKING:
    from microgpt_ref.torch.train import Trainer

# Settings that change how a run is watched, not where it goes.
FREE_TO_CHANGE = ("evaluate_every", "save_every", "log_every", "device")


class StopSignal:
    """Remembers Ctrl-C or SIGTERM until the step under way is done: half an update cannot be resumed.

    A second Ctrl-C stops at once. Outside the main thread Python allows no handlers, and nothing changes.
    """

    def __init__(self) -> None:
        self.received = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: types.FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True


def fingerprint(dataset: Dataset) -> str:
    """sha256 over both splits: the name of a file does not say what stands in it."""
    return hashlib.sha256(f"{dataset.train}\0{dataset.validation}".encode()).hexdigest()


def snapshot(
    trainer: Trainer, metrics: dict[str, Any] | None = None, with_optimizer: bool = False
) -> Checkpoint:
    """The run as it stands; with the optimizer's state it can be resumed, without it only used."""
    parameters = {name: p.detach().cpu().numpy() for name, p in trainer.model.named_parameters()}
    training = {
        "recipe": dataclasses.asdict(trainer.config),
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
        optimizer=_optimizer_arrays(trainer.optimizer) if with_optimizer else {},
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
    _load_optimizer(trainer.optimizer, saved.optimizer)
    if trainer.format.scaler.is_enabled():
        trainer.format.scaler.load_state_dict(saved.training["scaler"])
    trainer.step, trainer.seconds = saved.step, saved.training["seconds"]
    trainer.best = saved.training["best"]


def rewind_log(path: Path, step: int) -> list[dict[str, Any]]:
    """Drop the lines written after the checkpoint, since the run repeats those steps; returns the rest."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = []
    for text in lines:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break  # cut short by the kill
        if line["step"] <= step:
            kept.append(line)
    with atomic_write(path) as file:
        file.write("".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept


def _optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    return {
        f"{index}.{name}": value.cpu().numpy()
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, arrays: dict[str, np.ndarray]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = torch.from_numpy(array)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_same_run(trainer: Trainer, saved: Checkpoint) -> None:
    mine = snapshot(trainer)
    recipe = {k: v for k, v in mine.training["recipe"].items() if k not in FREE_TO_CHANGE}
    text = {key: mine.training[key] for key in ("dataset", "dataset_sha256")}
    pairs = [
        (saved.config.to_dict(), mine.config.to_dict()),
        (saved.training.get("recipe", {}), recipe),
        (saved.training, text),
        ({"tokenizer": saved.tokenizer}, {"tokenizer": mine.tokenizer}),
    ]
    for before, now in pairs:
        for name, value in now.items():
            if before.get(name) != value:
                raise CheckpointError(
                    f"the run in {trainer.out} has {name}={before.get(name)!r:.80}, but {value!r:.80} was "
                    f"asked for; use the same settings, or another folder for a new run"
                )
