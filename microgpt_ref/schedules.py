"""The learning rate over a run: three shapes, for any framework.

Each takes the number of the update, counted from 0, and returns the learning rate of that update. All
rise first, because the first gradients of an untrained model are large and Adam's averages are still empty;
all fall at the end, because small steps average the noise of the batches out.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(step: int, steps: int, warmup_steps: int, peak: float, final: float) -> float:
    """A straight line up to `peak`, then half a cosine down to `final` (Loshchilov & Hutter 2017, eq. 5).

    Args:
        step: 0 for the first update.
        steps: how many updates the whole run has.
        warmup_steps: how many updates the rise takes; the first already has peak / warmup_steps.
        peak: the largest learning rate.
        final: what the learning rate falls to; it is reached after the last update.

    Raises:
        ValueError: if warmup_steps is more than steps.
    """
    _check(steps, warmup_steps)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= steps:
        return final
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)  # 0 … 1
    return _cosine(peak, final, progress)


def one_cycle(
    step: int,
    steps: int,
    warmup_steps: int,
    peak: float,
    final: float,
    start: float | None = None,
    rise: str = "cosine",
) -> float:
    """Up from `start` to `peak` over a good share of the run, and a cosine down (Smith & Topin 2017).

    The numbers are those of `torch.optim.lr_scheduler.OneCycleLR` with pct_start = warmup_steps / steps: the
    peak is reached at update warmup_steps − 1, `final` at the last one.

    Args:
        start: learning rate of the first update; None takes peak / 25.
        rise: "cosine" or "linear"; the other arguments are those of `warmup_cosine`.

    Raises:
        ValueError: if warmup_steps is more than steps, or `rise` is not one of the two.
    """
    _check(steps, warmup_steps)
    if rise not in ("linear", "cosine"):
        raise ValueError(f"rise={rise!r} is not known; use linear or cosine")
    start = peak / 25 if start is None else start
    if step < warmup_steps - 1:
        progress = step / (warmup_steps - 1)
        return _cosine(start, peak, progress) if rise == "cosine" else start + (peak - start) * progress
    if step >= steps - 1:
        return final if steps > warmup_steps else peak
    top = max(0, warmup_steps - 1)
    return _cosine(peak, final, (step - top) / (steps - 1 - top))


def warmup_stable_decay(
    step: int, steps: int, warmup_steps: int, peak: float, final: float, decay_share: float = 0.2
) -> float:
    """A straight line up, constant, and a straight line down over the last share of the run.

    Hu et al. (2024, MiniCPM): the constant part does not know how long the run will be, so that one run
    can be branched into several lengths.

    Args:
        decay_share: share of all steps in which the learning rate falls, 0 … 1; the other arguments are those
            of `warmup_cosine`.

    Raises:
        ValueError: if decay_share is outside [0, 1], or rise and fall together are longer than the run.
    """
    _check(steps, warmup_steps)
    if not 0 <= decay_share <= 1:
        raise ValueError(f"decay_share={decay_share} is outside [0, 1]; use the share of the steps that fall")
    decay_steps = round(decay_share * steps)
    if warmup_steps + decay_steps > steps:
        raise ValueError(
            f"decay_share={decay_share} of steps={steps} leaves {steps - decay_steps} steps, fewer than "
            f"warmup_steps={warmup_steps}; use warmup_steps={steps - decay_steps} or a smaller decay_share"
        )
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= steps:
        return final
    fallen = max(0, step - (steps - decay_steps)) / max(1, decay_steps)  # 0 … 1
    return peak + (final - peak) * fallen


SCHEDULES: dict[str, Callable[..., float]] = {
    "cosine": warmup_cosine,
    "one_cycle": one_cycle,
    "wsd": warmup_stable_decay,
}


def _cosine(first: float, last: float, progress: float) -> float:
    """Half a period of a cosine from `first` (progress 0) to `last` (progress 1)."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))


def _check(steps: int, warmup_steps: int) -> None:
    if warmup_steps > steps:
        raise ValueError(f"warmup_steps={warmup_steps} is more than steps={steps}; use {steps} or fewer")
