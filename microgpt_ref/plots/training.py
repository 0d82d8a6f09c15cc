"""Figures of chapter 8: paths down a valley, a spike, overfitting, loss by category, and sick runs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.style import CATEGORY_COLORS, COLORS, GREY, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Path = Sequence[Sequence[float]] | Float[np.ndarray, "n 2"]
CATEGORY_STYLES = dict(zip(CATEGORY_COLORS, LINESTYLES, strict=False))


def valley(loss: Callable[[Any, Any], Any], paths: Mapping[str, Path], lowest: tuple[float, float]) -> Figure:
    """Contours of a loss of two parameters, and the path that each optimizer takes from the same start.

    Args:
        loss: of two arrays of the same shape, value by value.
        paths: name → points (n, 2), the start first.
        lowest: the point where the loss is smallest.
    """
    points = np.concatenate([np.asarray(path) for path in paths.values()])
    margin = 0.06 * np.ptp(points, axis=0) + 0.05
    low, high = points.min(0) - margin, points.max(0) + margin
    w0, w1 = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    heights = loss(w0, w1)
    fig, ax = figure(4.6)
    levels = np.geomspace(0.01, 1, 8) * heights.max()
    ax.contour(w0, w1, heights, levels, colors=GREY, linewidths=0.8, alpha=0.6)
    for (name, path), color, marker in zip(paths.items(), COLORS, MARKERS, strict=False):
        drawn = np.asarray(path).T
        ax.plot(*drawn, color=color, linestyle="-", marker=marker, markersize=5, linewidth=1.5, label=name)
    ax.plot(*lowest, "*", color=GREY, markersize=18, zorder=3)
    ax.set(xlabel="w[0]", ylabel="w[1]")
    ax.grid(False)
    fig.legend(loc="outside upper left", ncols=4, columnspacing=1, handlelength=1.4, handletextpad=0.4)
    return fig


def spike(runs: Mapping[str, Mapping[str, Sequence[float]]], limit: float, first: int = 0) -> Figure:
    """Norm of the gradient and loss, step by step, of runs that meet the same bad batch.

    Args:
        runs: name → {"norm": before clipping, "loss": of the batch}.
        limit: the largest norm that clipping lets through.
        first: the first step to draw.
    """
    fig, (top, bottom) = figure(4.4, 2, sharex=True)
    for (name, run), color, style in zip(runs.items(), COLORS, LINESTYLES, strict=False):
        steps = np.arange(first, len(run["norm"]))
        top.plot(steps, run["norm"][first:], color=color, linestyle=style, label=name)
        bottom.plot(steps, run["loss"][first:], color=color, linestyle=style)
    top.axhline(limit, color=GREY, linestyle=":", linewidth=1.6)
    top.annotate("limit", (first, limit), (0, -3), textcoords="offset points", va="top")
    top.set(ylabel="gradient norm", ylim=(0, None))
    top.legend(loc="upper right")
    bottom.set(xlabel="step", ylabel="loss (nats)", yscale="log")
    plain_log_axis(bottom.yaxis, (2, 3, 4, 6, 8))
    return fig


def overfitting(steps: Sequence[int], train: Sequence[float], validation: Sequence[float]) -> Figure:
    """Training and validation loss of one run, with the place where the validation loss is smallest."""
    fig, ax = figure(3.4)
    ax.plot(steps, train, label="training")
    ax.plot(steps, validation, label="validation")
    best = int(np.argmin(validation))
    ax.plot(steps[best], validation[best], MARKERS[0], color=COLORS[1], markersize=10)
    ax.annotate(
        "best checkpoint",
        (steps[best], validation[best]),
        (0.45, 0.9),
        textcoords="axes fraction",
        arrowprops={"arrowstyle": "->", "color": GREY},
    )
    ax.set(xlabel="step", ylabel="loss (nats)", ylim=(0, None))
    ax.legend(loc="lower left")
    return fig


def loss_by_category(evaluations: Sequence[Mapping[str, Any]], log_steps: bool = False) -> Figure:
    """Each category's loss as training goes; a short grey line at the right is what no reader can beat.

    Args:
        evaluations: {"step", "categories": {name: {"loss", "floor"}}}, in the order of the steps.
        log_steps: whether the steps stand on a logarithmic axis, which shows early and late alike.
    """
    fig, ax = figure(4.2)
    _categories(ax, evaluations, log_steps)
    fig.legend(loc="outside upper left", ncols=4, columnspacing=1, handlelength=1.6, handletextpad=0.4)
    return fig


def _categories(ax: Axes, evaluations: Sequence[Mapping[str, Any]], log_steps: bool) -> None:
    steps = [each["step"] for each in evaluations]
    for name, color in CATEGORY_COLORS.items():
        losses = [each["categories"][name]["loss"] for each in evaluations]
        floor = evaluations[-1]["categories"][name]["floor"]
        ax.plot(steps, losses, color=color, linestyle=CATEGORY_STYLES[name], label=name)
        if floor > 0.01:
            ax.axhline(floor, color=color, linewidth=1.2, linestyle=(0, (1, 2)))
            ax.text(steps[0], floor, f"floor of {name}", color=color, va="bottom")
    if log_steps:
        ax.set_xscale("log")
    ax.set(xlabel="step", ylabel="loss (nats a character)", ylim=(0, None))


def history(
    evaluations: Sequence[Mapping[str, Any]], samples: Sequence[Mapping[str, Any]], width: int = 42
) -> Figure:
    """Loss by category over a whole run, and below it what the model wrote at some moments.

    Args:
        evaluations: as for `loss_by_category`; a step of 0 is drawn at 1, since the axis is logarithmic.
        samples: {"step", "text"}; two lines of `width` characters are shown of each.
    """
    drawn = [{**each, "step": max(1, each["step"])} for each in evaluations]
    fig, (top, bottom) = figure(8, 2, height_ratios=(3, 3.6))
    _categories(top, drawn, log_steps=True)
    bottom.axis("off")
    bottom.set(xlim=(0, 1), ylim=(len(samples), 0))
    for row, sample in enumerate(samples):
        top.axvline(max(1, sample["step"]), color=GREY, linewidth=1.4, linestyle=":")
        lines = textwrap.wrap(" ".join(str(sample["text"]).split()), width)[:2] or ["(an empty line)"]
        bottom.text(0, row + 0.2, f"after {sample['step']:,} steps", weight="bold", va="center")
        for place, line in zip((0.5, 0.75), lines, strict=False):
            bottom.text(
                0, row + place, line, family="DejaVu Sans Mono", size=12, va="center", parse_math=False
            )
    fig.legend(loc="outside upper left", ncols=4, columnspacing=1, handlelength=1.6, handletextpad=0.4)
    return fig


def sick_runs(runs: Mapping[str, Sequence[float]], uniform: float) -> Figure:
    """Losses of one healthy run and of runs with one mistake each, on a logarithmic axis.

    Args:
        runs: name → the loss of each step.
        uniform: ln V, the loss of a model that knows nothing.
    """
    fig, ax = figure(4.2)
    for (name, losses), color, style in zip(runs.items(), COLORS, LINESTYLES, strict=False):
        ax.plot(losses, color=color, linestyle=style, label=name)
    ax.axhline(uniform, color=GREY, linewidth=1.4, linestyle=":")
    ax.text(len(next(iter(runs.values()))) - 1, uniform, "ln V", ha="right", va="bottom")
    ax.set(xlabel="step", ylabel="loss (nats)", yscale="log")
    plain_log_axis(ax.yaxis, (0.1, 0.3, 1, 3, 10, 30))
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def plain_log_axis(axis: Any, ticks: Sequence[float]) -> None:
    """Plain numbers at a few places of a logarithmic axis, in place of powers of ten."""
    from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
