"""Is my run healthy? One line that says so, or which value left its band, when, and what usually causes it.

General bands hold for every GPT: they compare the loss with ln V, with the text's known floor, and with what
it was before. The runs of this course have narrower ones besides: `assets/health.json` holds what three
seeds did in their first hundred updates (written by `python -m benchmarks.health`), and a value may leave
that range by a margin:

    initial loss, loss    the range on both sides, at least a tenth of the value
    gradient norm         a third of the smallest to three times the largest
    tokens a second       a quarter of the slowest; faster is never wrong
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from microgpt_ref._symptoms import WINDOW, Finding, Log, first_symptom
from microgpt_ref.config import GPTConfig, count_parameters

History = Sequence[Mapping[str, Any]]

# Settings that change how fast a run is, or how it is watched, not where it goes.
WATCHING = ("evaluate_every", "save_every", "log_every", "log_to", "measure_peak")
FREE = ("seed", "device", "precision", "compile", "scan_layers", *WATCHING)


class Band(NamedTuple):
    """Where a value may lie, ends included."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Band:
        """The range of what was observed, wider on both sides by itself, or by a tenth of the value."""
        low, high = min(values), max(values)
        margin = max(high - low, 0.1 * high)
        return cls(low - margin, high + margin)

    def has(self, value: float) -> bool:
        """Whether the value lies inside."""
        return bool(self.low <= value <= self.high)


@functools.cache
def bands() -> dict[str, Any]:
    """What was observed, as `assets/health.json` holds it: "machines" by device class, "runs" by name."""
    path = resources.files("microgpt_ref") / "assets" / "health.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def report(history: History, vocab_size: int, run: str | None = None, device_class: str | None = None) -> str:
    """One line: "healthy: …", or which value left which band at which step, and the usual cause.

    Args:
        history: lines of a log as a trainer keeps them, with "step" and "loss" (the mean over the updates
            since the line before). Used where present: "initial_loss" in the first line, "gradient_norm",
            "learning_rate", "tokens_per_second", "validation".
        vocab_size: V.
        run: name of a run of this course, one of `bands()["runs"]`; None judges by the general bands alone.
        device_class: such as "cpu-2-cores" or "t4", see `name_device`; None leaves the speed alone.

    Raises:
        ValueError: for an unknown run, or vocab_size below 2.
    """
    log, known = Log.read(history, vocab_size), _known(run)
    if not len(log.steps):
        return "no judgement: the log has no line with a loss yet"
    found = first_symptom(log) or _out_of_band(log, run, known) or _too_slow(log, known, device_class)
    if found:
        return f"not healthy: {found.what}; usual cause: {found.cause}"
    words = f"healthy: loss {log.start:.2f} → {log.levels[-1]:.2f} in {log.steps[-1]} steps, "
    words += f"within the bands of {run}" if run else "within the general bands"
    if run and device_class and device_class not in known["tokens_per_second"]:
        words += f"; no speed was measured for {device_class}"
    return words


class Watch:
    """Reads a run's log as it grows, and warns once.

    Speed is left to the report at the end: a machine that is busy for a moment is no fault of the run.
    """

    def __init__(self, vocab_size: int, run: str | None = None, device_class: str | None = None) -> None:
        self.vocab_size, self.run, self.device_class = vocab_size, run, device_class
        self.warned = False
        self.next_look = 1

    def warning(self, history: History) -> str | None:
        """A line for the first value that has left its band; None while all is well, and ever after."""
        if self.warned or len(history) < self.next_look:
            return None
        self.next_look = len(history) + 1 + len(history) // 20  # else a long log would be read too often
        line = report(history, self.vocab_size, self.run)
        self.warned = line.startswith("not healthy")
        return line if self.warned else None

    def report(self, history: History) -> str:
        """One line on the whole run, speed included."""
        return report(history, self.vocab_size, self.run, self.device_class)


def find_run(
    config: GPTConfig, recipe: Mapping[str, Any], dataset: str, parameters: int | None = None
) -> str | None:
    """The course's run of this model, recipe and text, by name; None for any other.

    Args:
        recipe: the recipe's fields; those in `FREE` do not matter.
        dataset: its name.
        parameters: how many the model has. None: as many as a GPT of that configuration.
    """
    mine = key(config, recipe, dataset, parameters)
    return next((name for name, run in bands()["runs"].items() if run["key"] == mine), None)


def watch_over(
    config: GPTConfig,
    recipe: Mapping[str, Any],
    dataset: str,
    parameters: int | None = None,
    *,
    device: str = "cpu",
    cores: int = 1,
) -> Watch:
    """The watch of one run: its own bands if it is a run of the course, else the general ones.

    Args:
        recipe, dataset, parameters: see `find_run`.
        device, cores: see `name_device`.
    """
    run = find_run(config, recipe, dataset, parameters)
    return Watch(config.vocab_size, run, name_device(device, cores))


def key(
    config: GPTConfig, recipe: Mapping[str, Any], dataset: str, parameters: int | None = None
) -> dict[str, Any]:
    """What makes two runs the same run, as JSON gives it back."""
    chosen = {name: value for name, value in recipe.items() if name not in FREE}
    count = count_parameters(config) if parameters is None else parameters
    whole = {"parameters": count, "model": config.to_dict(), "recipe": chosen, "dataset": dataset}
    return dict(json.loads(json.dumps(whole)))


def name_device(kind: str, cores: int = 1) -> str:
    """The class of a device, for its speed: "cpu-2-cores", "t4", "a100", "h100", "tpu-v5-lite".

    Args:
        kind: "cpu", or what the framework calls the device, such as "NVIDIA A100-SXM4-40GB".
        cores: threads that a run on the CPU uses.
    """
    if kind.lower() == "cpu":
        return f"cpu-{cores}-core{'s' if cores > 1 else ''}"
    words = kind.lower().replace("-", " ").split()
    if words[0] == "tpu":
        return "-".join(words)
    models = [word for word in words if word not in ("nvidia", "tesla", "geforce", "amd", "quadro")]
    return "-".join(models[:2]) if models[0] in ("rtx", "gtx") else models[0]


def _known(run: str | None) -> dict[str, Any]:
    if run is None:
        return {}
    runs = bands()["runs"]
    if run not in runs:
        raise ValueError(f"run={run!r} has no bands; use one of {', '.join(runs)}, or None")
    return dict(runs[run])


def _out_of_band(log: Log, name: str | None, run: dict[str, Any]) -> Finding | None:
    """The first value outside what this run of the course does."""
    if not run:
        return None
    usual = f"the usual {{}} of {name}"
    if log.initial is not None and not (band := Band.around(run["initial_loss"])).has(log.initial):
        what = _what("initial loss", log.initial, 1, band, usual)
        return Finding(1, what, "another initialisation, or inputs and targets that do not match")
    for step, norm in log.norms:
        low, high = run["gradient_norm"]
        if step <= run["steps"] and not (band := Band(low / 3, high * 3)).has(norm):
            cause = "a bad batch, or a loss that is summed where it should be averaged"
            return Finding(step, _what("gradient norm", norm, step, band, usual), cause)
    curves = np.cumsum([[0.0, *curve] for curve in run["loss"]], axis=1)  # sums up to each step
    for step, first, level in _places(log):
        if step > run["steps"] or step - first < WINDOW:
            continue
        band = Band.around(((curves[:, step] - curves[:, first]) / (step - first)).tolist())
        if not band.has(level):
            slow = "it learns too slowly: a learning rate too low, or part of the gradient missing"
            fast = "the targets leak into the inputs, or another text"
            return Finding(step, _what("loss", level, step, band, usual), slow if level > band.high else fast)
    return None


def _places(log: Log) -> Iterator[tuple[int, int, float]]:
    """Each line's step, and the mean loss since an earlier step."""
    return zip(log.steps.tolist(), log.firsts.tolist(), log.levels.tolist(), strict=True)


def _too_slow(log: Log, run: dict[str, Any], device_class: str | None) -> Finding | None:
    measured = run["tokens_per_second"].get(device_class) if run else None
    if not measured or not log.speeds:
        return None
    speed, least = float(np.median(log.speeds)), min(measured) / 4
    if speed >= least:
        return None
    what = f"{speed:,.0f} tokens a second are below {least:,.0f}, a quarter of what {device_class} gave"
    cause = "another job on the machine, the wrong device, or float32 where bf16 was measured"
    return Finding(int(log.steps[-1]), what, cause)


def _what(name: str, value: float, step: int, band: Band, usual: str) -> str:
    side = "above" if value > band.high else "below"
    return f"{name} {value:.3g} at step {step} is {side} {usual.format(f'{band.low:.3g} to {band.high:.3g}')}"
