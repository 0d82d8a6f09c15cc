"""What a sick run looks like in its log, whatever the model: a function a symptom, each with its usual cause.

`scale` below is ln V, the loss of a model that knows nothing. Thresholds are shares of it, to serve
a vocabulary of characters and one of 50,000 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

WINDOW = 10
"""Updates whose losses are averaged before they are judged: a single batch is easier or harder by chance."""

MOST_NOISE = 0.15
"""How far the loss of a batch of useful size may differ from the next one's, as a share of ln V."""

LONG = 4
"""Gradient norms of GPTs stay near 1 after the first updates; a median above this has a reason."""


class Finding(NamedTuple):
    """A value that left its band."""

    step: int
    what: str
    cause: str


@dataclass(frozen=True)
class Log:
    """The numbers of a log, a place for each line with a loss.

    Args:
        scale: ln V.
        initial: loss before the first update; None if the log does not say.
        steps, losses: updates done, and the mean loss since the line before.
        levels, firsts: mean loss over the updates after `firsts`: the last WINDOW, or a twentieth of the run.
        noise: standard deviation of one update's loss; NaN if the lines are too few or too far apart.
        norms: (step, gradient norm) of each line that has one.
        rates: learning rates; speeds: tokens a second without the first line, which may hold compilation.
        validation: (step, loss) of each evaluation; floor: the least loss that the text allows, if known.
    """

    scale: float
    initial: float | None
    steps: Int[np.ndarray, " lines"]
    losses: Float[np.ndarray, " lines"]
    levels: Float[np.ndarray, " lines"]
    firsts: Int[np.ndarray, " lines"]
    noise: float
    norms: list[tuple[int, float]]
    rates: list[float]
    speeds: list[float]
    validation: list[tuple[int, float]]
    floor: float | None

    @classmethod
    def read(cls, history: Sequence[Mapping[str, Any]], vocab_size: int) -> Log:
        """The log of a trainer.

        Raises:
            ValueError: if vocab_size is below 2.
        """
        if vocab_size < 2:
            raise ValueError(f"vocab_size={vocab_size} leaves nothing to predict; use 2 or more")
        lines = [line for line in history if line.get("loss") is not None]
        checked = [line for line in history if "validation" in line]
        steps = np.array([line["step"] for line in lines], int)
        losses = np.array([line["loss"] for line in lines], float)
        initial = lines[0].get("initial_loss", losses[0] if steps[0] == 1 else None) if lines else None
        # the log of a run that began elsewhere says nothing of the updates before its first line
        begin = 0 if initial is not None or not lines else int(steps[0]) - 1
        levels, firsts = _levels(steps, losses, begin)
        return cls(
            scale=math.log(vocab_size),
            initial=initial,
            steps=steps,
            losses=losses,
            levels=levels,
            firsts=firsts,
            noise=_noise(steps, losses, begin),
            norms=[
                (line["step"], line["gradient_norm"])
                for line in lines
                if line.get("gradient_norm") is not None
            ],
            rates=[line["learning_rate"] for line in lines if "learning_rate" in line],
            speeds=[line["tokens_per_second"] for line in lines[1:] if "tokens_per_second" in line],
            validation=[(line["step"], line["validation"]["loss"]) for line in checked],
            floor=checked[-1]["validation"].get("floor") if checked else None,
        )

    @property
    def start(self) -> float:
        """The loss before training, or the first that the log has."""
        return float(self.losses[0]) if self.initial is None else self.initial

    @property
    def tolerance(self) -> float:
        """How far above ln V a loss may lie before something must be wrong."""
        return max(1.0, 0.25 * self.scale)

    @property
    def from_nothing(self) -> bool:
        """Whether the run began with random weights, and not with trained ones."""
        return self.start > 0.6 * self.scale


def first_symptom(log: Log) -> Finding | None:
    """The most telling symptom of the log; None if there is none."""
    return next((found for look in SYMPTOMS if (found := look(log))), None)


def not_finite(log: Log) -> Finding | None:
    for step, loss in zip(log.steps, log.losses, strict=True):
        if not math.isfinite(loss):
            cause = "learning rate too high, or float16 without a scaler"
            return Finding(step, f"loss {loss} at step {step} is not a finite number", cause)
    return None


def bad_start(log: Log) -> Finding | None:
    if log.initial is None or log.initial <= log.scale + log.tolerance:
        return None
    what = f"initial loss {log.initial:.3g} at step 1 is far above ln V = {log.scale:.3g}"
    return Finding(1, what, "a badly scaled head, or logits and targets that do not match")


def nothing_learns(log: Log) -> Finding | None:
    for step, norm in log.norms:
        if norm < 1e-6:
            what = f"gradient norm {norm:.1g} at step {step} is below 1e-06"
            return Finding(step, what, "frozen parameters, a detached loss, or float16 without a scaler")
    return None


def too_good(log: Log) -> Finding | None:
    """Lower than the text allows, or lower than fifty updates can bring a model that knew nothing."""
    floor = 0.02 * log.scale if log.floor is None else 0.8 * log.floor
    for step, level in zip(log.steps, log.levels, strict=True):
        soon = step <= 50 and log.from_nothing
        limit = max(floor, 0.2 * log.scale) if soon else floor
        if level < limit:
            what = f"loss {level:.2g} at step {step} is below {limit:.2g}, lower than text allows"
            return Finding(
                step, what, "targets not shifted by one, a leak, or a text so short that it is known by heart"
            )
    return None


def tiny_batch(log: Log) -> Finding | None:
    if not log.noise > MOST_NOISE * log.scale or np.max(log.levels) > log.scale + 1.5 * log.tolerance:
        return None
    step = int(log.steps[-1])
    what = f"loss varies by ±{log.noise:.2g} a step up to step {step}, more than {MOST_NOISE * log.scale:.2g}"
    return Finding(step, what, "a batch of too few tokens; accumulate gradients")


def bad_gradient(log: Log) -> Finding | None:
    values = [norm for _, norm in log.norms]
    for i, (step, norm) in enumerate(log.norms):
        usual = float(np.median(values[:i])) if i >= 5 else math.inf
        limit = min(1000.0, 20 * usual) if step > WINDOW else math.inf
        if norm > limit:
            what = f"gradient norm {norm:.3g} at step {step} is above {limit:.3g}"
            return Finding(
                step, what, "a bad batch, with clipping off it does damage; or a learning rate too high"
            )
    return None


def long_gradient(log: Log) -> Finding | None:
    later = [(step, norm) for step, norm in log.norms if step > WINDOW][-10:]
    if len(later) < 4 or (usual := float(np.median([norm for _, norm in later]))) < LONG:
        return None
    what = f"gradient norm stays near {usual:.3g} up to step {later[-1][0]}, above {LONG}"
    cause = "zero_grad forgotten, a loss that is summed and not averaged, or a batch of too few tokens"
    return Finding(later[-1][0], what, cause)


def jump(log: Log) -> Finding | None:
    best = log.start
    for step, level in zip(log.steps, log.levels, strict=True):
        if level > best + log.tolerance:
            what = f"loss {level:.3g} at step {step} is far above {best:.3g}, which it had reached"
            return Finding(step, what, "learning rate too high, or no warm-up")
        best = min(best, level)
    return None


def flat(log: Log) -> Finding | None:
    """No fall in fifty updates; while the learning rate still rises, nobody can tell."""
    step, level = int(log.steps[-1]), log.levels[-1]
    rising = len(log.rates) > 1 and log.rates[-1] > log.rates[-2]
    if step < 50 or rising or not log.from_nothing or level < log.scale * 0.95:
        return None
    what = f"loss {level:.3g} at step {step} has not fallen from ln V = {log.scale:.3g}"
    return Finding(
        step, what, "learning rate far too low or too high, or the gradient does not reach the weights"
    )


def rise(log: Log) -> Finding | None:
    """Slowly up again, by more than chance."""
    best = int(np.argmin(log.levels))
    window = max(WINDOW, int(log.steps[-1]) // 20)
    noise = MOST_NOISE * log.scale if math.isnan(log.noise) else log.noise
    chance = 5 * noise / math.sqrt(window)
    if log.levels[-1] < log.levels[best] + max(0.04 * log.scale, chance):
        return None
    step, level = int(log.steps[-1]), log.levels[-1]
    what = f"loss {level:.3g} at step {step} has risen from {log.levels[best]:.3g} at step {log.steps[best]}"
    return Finding(step, what, "zero_grad forgotten, a learning rate too high, or a bad batch")


def overfitting(log: Log) -> Finding | None:
    if not log.validation:
        return None
    (step, loss), (best_step, best) = log.validation[-1], min(log.validation, key=lambda each: each[1])
    if loss < best + 0.1 * log.scale:
        return None
    what = f"validation loss {loss:.3g} at step {step} has risen from {best:.3g} at step {best_step}"
    return Finding(step, what, "overfitting; stop there, keep the best checkpoint, or find more text")


SYMPTOMS = (
    not_finite,
    bad_start,
    nothing_learns,
    too_good,
    tiny_batch,
    jump,
    long_gradient,
    bad_gradient,
    flat,
    rise,
    overfitting,
)


def _levels(
    steps: Int[np.ndarray, " lines"], losses: Float[np.ndarray, " lines"], begin: int
) -> tuple[Float[np.ndarray, " lines"], Int[np.ndarray, " lines"]]:
    """The mean over the last updates at each line, and the step after which they began."""
    ends = np.concatenate([[begin], steps])
    sums = np.concatenate([[0.0], np.cumsum(losses * np.diff(ends))])
    window = np.maximum(WINDOW, steps // 20)
    # whole lines only: the last one that ended a window ago, or earlier
    places = np.maximum(np.searchsorted(ends, steps - window, side="right") - 1, 0)
    firsts = ends[places]
    return (sums[1:] - sums[places]) / np.maximum(1, steps - firsts), firsts


def _noise(steps: Int[np.ndarray, " lines"], losses: Float[np.ndarray, " lines"], begin: int) -> float:
    """From second differences, in which a trend cancels; the median forgives single jumps."""
    lengths = np.diff(np.concatenate([[begin], steps]))
    if len(steps) < 6 or np.median(lengths) > 10:
        return math.nan
    second = np.abs(np.diff(losses, 2))
    return float(np.median(second) / 0.6745 / math.sqrt(6) * math.sqrt(np.median(lengths)))
