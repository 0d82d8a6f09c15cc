"""Where else the log of a run goes: TensorBoard or Weights & Biases, each an optional package."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol


class Logger(Protocol):
    """What the trainer asks of a logger."""

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Add named numbers at one step."""

    def close(self) -> None:
        """Finish what is still to be written; a later `write` opens the logger again."""


class Nowhere:
    """The log stays in `log.jsonl`."""

    def __init__(self, out: Path | None, settings: dict[str, Any]) -> None:
        pass

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class TensorBoard:
    """Event files in the run's folder: look at them with `tensorboard --logdir runs`."""

    def __init__(self, out: Path | None, settings: dict[str, Any]) -> None:
        if out is None:
            raise ValueError(
                "log_to='tensorboard' writes files, but the run has no folder; give it one as out"
            )
        require("tensorboard")
        self.out = out
        self.writer: Any = None

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One scalar a name; after resuming, what was written beyond `step` is hidden."""
        if self.writer is None:
            writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
            self.writer = writer(self.out, purge_step=step)
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class WeightsAndBiases:
    """A run in the project `microgpt` of your W&B account; a resumed run is a new one there."""

    def __init__(self, out: Path | None, settings: dict[str, Any]) -> None:
        self.wandb = require("wandb")
        self.out, self.settings = out, settings
        self.run: Any = None

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One point a name."""
        if self.run is None:
            folder = None if self.out is None else str(self.out)
            name = None if self.out is None else self.out.name
            self.run = self.wandb.init(project="microgpt", name=name, dir=folder, config=self.settings)
        self.run.log(numbers, step=step)

    def close(self) -> None:
        """Send the rest and end the run."""
        if self.run is not None:
            self.run.finish()
            self.run = None


LOGGERS: dict[str, type[Nowhere] | type[TensorBoard] | type[WeightsAndBiases]] = {
    "none": Nowhere,
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def require(package: str) -> ModuleType:
    """The package of that name.

    Raises:
        ValueError: if it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"log_to={package!r} needs a package that is not installed; run: pip install {package}"
        ) from error


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of one line of the log under names such as `validation/loss`; the rest is left out."""
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            numbers |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[prefix + name] = value
    return numbers
