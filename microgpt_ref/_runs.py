"""What a training run of any framework needs: to stop between two steps, and to know its own text and log."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import types
from pathlib import Path
from typing import Any

from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import CheckpointError
from microgpt_ref.datasets import Dataset


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


def refuse_another_run(folder: Path | None, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare the settings of a saved run with those asked for.

    Raises:
        CheckpointError: naming the first that differs, with both values.
    """
    for name, value in now.items():
        if before.get(name) != value:
            raise CheckpointError(
                f"the run in {folder} has {name}={before.get(name)!r:.80}, but {value!r:.80} was "
                f"asked for; use the same settings, or another folder for a new run"
            )
