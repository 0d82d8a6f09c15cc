"""Figures of chapter 10: the roofline, where a step's time goes, loss against the clock, a ladder."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure
from microgpt_ref.plots.training import plain_log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from microgpt_ref.roofline import Roofline

Point = tuple[float, float]


def roofline(roofs: Mapping[str, Roofline], points: Mapping[str, Point]) -> Figure:
    """What a machine can reach at each intensity, and where the parts of a block stand under it.

    Args:
        roofs: name, such as "bf16", → the two limits in that number format.
        points: part → (FLOPs a byte, FLOP/s), the rate as predicted or as measured. Their names stand below,
            each on a line that leads up to its point.
    """
    fig, ax = figure(4.8)
    intensities = [intensity for intensity, _ in points.values()]
    ridges = [roof.ridge for roof in roofs.values()]
    low, high = min(*intensities, *ridges) / 2.5, max(*intensities, *ridges) * 2.5
    for (name, roof), color, style in zip(roofs.items(), COLORS, LINESTYLES, strict=False):
        xs = np.array([low, min(max(roof.ridge, low), high), high])
        rates = [roof.attainable(x) / 1e9 for x in xs]
        ax.plot(xs, rates, color=color, linestyle=style, label=f"{name}: {roof.peak / 1e9:,.0f} GFLOP/s")
    rates = [rate / 1e9 for _, rate in points.values()]
    tops = [roof.peak / 1e9 for roof in roofs.values()]
    bottom = min(rates) / 2
    # a name takes about a third of the figure's height, whatever the axis spans
    floor = bottom / (2 * max(tops) / bottom) ** 0.5
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(floor, 2 * max(tops)))
    ax.set(xlabel="FLOPs a byte", ylabel="GFLOP/s")
    by_intensity = sorted(points.items(), key=lambda item: item[1])
    places = spread([np.log(point[0]) for _, point in by_intensity], 0.062 * np.log(high / low))
    for (name, (intensity, rate)), place in zip(by_intensity, places, strict=True):
        x = float(np.exp(place))
        ax.plot([x, x, intensity], [floor, bottom, rate / 1e9], color=GREY, linewidth=0.8, linestyle="-")
        ax.plot(intensity, rate / 1e9, MARKERS[0], color=COLORS[2], markersize=8, zorder=3)
        ax.text(x, floor * 1.1, name, rotation=90, ha="right", va="bottom")
    plain_log_axis(ax.xaxis, decades(low, high))
    plain_log_axis(ax.yaxis, [tick for tick in decades(floor, 2 * max(tops)) if tick >= bottom])
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=1.8)
    return fig


def spread(places: Sequence[float], apart: float) -> list[float]:
    """`places`, which rise, moved as little as it takes to be `apart` from each other."""
    groups: list[tuple[float, int]] = []  # (middle, how many)
    for place in places:
        middle, count = float(place), 1
        # a group that touches the one before joins it, about the mean of all their places
        while groups and middle - (count - 1) / 2 * apart < groups[-1][0] + (groups[-1][1] + 1) / 2 * apart:
            before, members = groups.pop()
            middle = (before * members + middle * count) / (members + count)
            count += members
        groups.append((middle, count))
    return [middle + (i - (count - 1) / 2) * apart for middle, count in groups for i in range(count)]


def decades(low: float, high: float) -> list[float]:
    """The powers of ten from `low` to `high`."""
    return [10.0**k for k in range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)]


def time_by_kind(profiles: Mapping[str, Mapping[str, float]]) -> Figure:
    """For each setting a bar as long as its step takes, cut by kind of work.

    Args:
        profiles: setting → kind of work → seconds, the same kinds in the same order; see `Profile.kinds`.
    """
    kinds = list(next(iter(profiles.values())))
    looks = [*zip((*COLORS, GREY), (*HATCHES, ""), strict=True)]
    fig, ax = figure(0.86 * len(profiles) + 1.9)
    for row, (name, seconds) in enumerate(profiles.items()):
        left = 0.0
        for kind, (color, hatch) in zip(kinds, looks, strict=False):
            width = 1000 * seconds[kind]
            bar(ax, row, width, color, hatch, left=left, label=kind if row == 0 else None)
            left += width
        ax.text(0, row - 0.31, f"{name}: {left:,.0f} ms", va="bottom")
    bare_rows(ax, len(profiles))
    ax.set(xlabel="a step (ms)")
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.6, handletextpad=0.4)
    return fig


def loss_against_clock(
    runs: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    marks: Mapping[str, float] | None = None,
    log_time: bool = False,
) -> Figure:
    """Validation loss of several runs against the wall clock.

    Args:
        runs: name → (seconds of training, validation losses), one after the other.
        marks: name → loss to beat, drawn as a grey line.
        log_time: whether the clock is logarithmic, so that minutes and hours can stand side by side.
    """
    fig, ax = figure(4.4)
    for (name, (seconds, losses)), color, style, marker in zip(
        runs.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        minutes = np.asarray(seconds) / 60
        ax.plot(minutes, losses, color=color, linestyle=style, marker=marker, markersize=5, label=name)
    # named in the legend: beside the line, a name would meet one of the curves
    for (name, loss), style in zip((marks or {}).items(), LINESTYLES[::-1], strict=False):
        ax.axhline(loss, color=GREY, linewidth=1.8, linestyle=style, label=name)
    ax.set(xlabel="minutes of training", ylabel="validation loss (nats)")
    if log_time:
        ax.set_xscale("log")
        plain_log_axis(ax.xaxis, decades(*ax.get_xlim()))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=2, handletextpad=0.5)
    return fig


def ladder(rungs: Sequence[Mapping[str, Any]]) -> Figure:
    """One change a bar, in the order in which they were made: the seconds to the mark, and the steps.

    Args:
        rungs: {"change", "seconds", "steps"}; the first is where it all began. A change that cost time is
            hatched; a run that never got there has None for its seconds.
    """
    fig, ax = figure(0.94 * len(rungs) + 0.9)
    longest = max(rung["seconds"] or 0 for rung in rungs)
    before = None
    for row, rung in enumerate(rungs):
        seconds = rung["seconds"]
        better = before is None or (seconds is not None and seconds < before)
        color, hatch = (COLORS[0], HATCHES[0]) if better else (COLORS[1], HATCHES[1])
        bar(ax, row, longest if seconds is None else seconds, color, hatch)
        told = "not reached" if seconds is None else f"{seconds:,.0f} s, {rung['steps']:,} steps"
        ax.text(longest, row - 0.28, told, ha="right", va="bottom")
        ax.text(0, row - 0.28, textwrap.fill(rung["change"], 30), va="bottom", linespacing=1.0)
        before = seconds if seconds is not None else before
    bare_rows(ax, len(rungs))
    ax.set(xlabel="seconds of training to the mark", xlim=(0, 1.01 * longest))
    return fig


def bar(ax: Axes, row: int, width: float, color: str, hatch: str, **options: Any) -> None:
    """A horizontal bar, under its name."""
    look: dict[str, Any] = {"facecolor": (color, 0.4), "edgecolor": color, "hatch": hatch, "linewidth": 1}
    ax.barh(row, width, 0.46, **look, **options)


def bare_rows(ax: Axes, count: int) -> None:
    """The first row at the top, and no axis at the left: the rows carry their names."""
    ax.set(ylim=(count - 0.65, -0.85), yticks=[])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
