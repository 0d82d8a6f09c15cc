"""Figures of chapter 10: the roofline, a step's time, number formats, memory, Muon, and the speedrun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

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
    groups: list[tuple[float, int]] = []  # where its middle is, and how many it has
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
    points: Mapping[str, Point] | None = None,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Losses of several runs against the wall clock, which is logarithmic: minutes and hours side by side.

    Args:
        runs: name → (seconds of training, losses), one after the other.
        points: name → (seconds, loss), for a run of which only the end is known.
        marks: name → loss to beat, drawn as a grey line.
    """
    fig, ax = figure(4.8)
    for (name, (seconds, losses)), color, style in zip(runs.items(), COLORS, LINESTYLES, strict=False):
        ax.plot(np.asarray(seconds) / 60, losses, color=color, linestyle=style, label=name)
    looks = [*zip(COLORS, MARKERS, strict=True)][len(runs) :]
    for (name, (seconds_there, loss)), (color, marker) in zip((points or {}).items(), looks, strict=False):
        ax.plot(seconds_there / 60, loss, marker, color=color, markersize=9, label=name)
    # named in the legend: beside the line, a name would meet one of the curves
    for (name, loss), style in zip((marks or {}).items(), LINESTYLES[::-1], strict=False):
        ax.axhline(loss, color=GREY, linewidth=1.8, linestyle=style, label=name)
    ax.set(xscale="log", xlabel="minutes of training", ylabel="loss (nats)")
    plain_log_axis(ax.xaxis, decades(*ax.get_xlim()))
    fig.legend(loc="outside upper left", ncols=1, handlelength=2, handletextpad=0.5)
    return fig


def ladder(rungs: Sequence[Mapping[str, Any]]) -> Figure:
    """One change a row, in the order in which they were made: the loss it ends with, and what a step costs.

    Args:
        rungs: {"name", "validation", "seconds_a_step"}; each trained for as many updates as the others. A
            row is hatched where its value is worse than in the row before.
    """
    fig, axes = figure(0.62 * len(rungs) + 0.9, columns=2, sharey=True, width_ratios=(3, 2))
    losses = [rung["validation"] for rung in rungs]
    times = [1000 * rung["seconds_a_step"] for rung in rungs]
    low, high = min(losses), max(losses)
    # from a little below the lowest, or the differences could not be seen; the axis says so
    start = low - 0.25 * (high - low or 1)
    panels = ((losses, start, "{:.2f}", "validation loss (nats)"), (times, 0.0, "{:.0f}", "a step (ms)"))
    for ax, (values, left, form, label) in zip(axes, panels, strict=True):
        longest = max(values) - left
        for row, value in enumerate(values):
            # what the printed digits cannot tell apart is no change
            worse = row > 0 and float(form.format(value)) > float(form.format(values[row - 1]))
            color, hatch = (COLORS[1], HATCHES[1]) if worse else (COLORS[0], HATCHES[0])
            bar(ax, row, value - left, color, hatch, left=left)
            ax.text(value + 0.03 * longest, row, form.format(value), va="center")
        bare_rows(ax, len(rungs))
        ax.set(xlabel=label, xlim=(left, left + 1.32 * longest))
        ax.locator_params(axis="x", nbins=3)
    for row, rung in enumerate(rungs):
        axes[0].text(start, row - 0.25, rung["name"], va="bottom")
    return fig


def rate_by_rows(
    rows: Sequence[int], predicted: Sequence[float], measured: Sequence[float], peak: float
) -> Figure:
    """FLOP/s of one product against the number of rows it is given at once.

    Args:
        predicted, measured: FLOP/s for each number of rows.
        peak: FLOP/s of large square matrices, drawn as a grey line.
    """
    fig, ax = figure(3.6)
    for name, rates, color, style, marker in (
        ("predicted", predicted, COLORS[1], "--", MARKERS[1]),
        ("measured", measured, COLORS[0], "-", MARKERS[0]),
    ):
        rates = [rate / 1e9 for rate in rates]
        ax.plot(rows, rates, color=color, linestyle=style, marker=marker, markersize=5, label=name)
    ax.axhline(peak / 1e9, color=GREY, linestyle=":", label="peak")
    ax.set(xscale="log", yscale="log", xlabel="rows (tokens in a step)", ylabel="GFLOP/s")
    plain_log_axis(ax.xaxis, rows)
    plain_log_axis(ax.yaxis, decades(*ax.get_ylim()))
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=2)
    return fig


def number_formats(gradients: Float[np.ndarray, " n"], formats: Mapping[str, tuple[float, float]]) -> Figure:
    """How large the entries of a gradient are, and what each number format can hold.

    Args:
        gradients: entries, of which the zeros are left out.
        formats: name → (smallest, largest) number above 0.
    """
    fig, (top, bottom) = figure(4.4, 2, sharex=True, height_ratios=(3, 2))
    sizes = np.log2(np.abs(gradients[gradients != 0]).astype(np.float64))
    counts, edges = np.histogram(sizes, np.arange(np.floor(sizes.min()), np.ceil(sizes.max()) + 1))
    top.bar(edges[:-1], 100 * counts / counts.sum(), 1.0, align="edge", color=(COLORS[0], 0.5))
    top.set(ylabel="% of entries")
    for row, ((name, (smallest, largest)), color, hatch) in enumerate(
        zip(formats.items(), COLORS, HATCHES, strict=False)
    ):
        left, right = np.log2(smallest), np.log2(largest)
        bar(bottom, row, right - left, color, hatch, left=max(left, VISIBLE[0]))
        bottom.text(VISIBLE[0] + 1, row - 0.28, name, va="bottom")
        top.axvline(left, color=color, linestyle=LINESTYLES[row], linewidth=1.5)
    bare_rows(bottom, len(formats))
    bottom.set(xlim=VISIBLE, xlabel="size, as a power of two")
    return fig


VISIBLE = (-60, 20)
"""Powers of two that `number_formats` draws."""


def memory_by_length(
    lengths: Sequence[int], measured: Mapping[str, Sequence[float]], predicted: Sequence[float]
) -> Figure:
    """Memory of attention against the length of the text.

    Args:
        measured: implementation → bytes at its peak, for each length.
        predicted: bytes of the T × T weights alone.
    """
    fig, ax = figure(4.0)
    for (name, sizes), color, style, marker in zip(
        measured.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        ax.plot(lengths, np.asarray(sizes) / 2**20, color=color, linestyle=style, marker=marker, label=name)
    ax.plot(lengths, np.asarray(predicted) / 2**20, color=GREY, linestyle=":", label="T × T weights")
    ax.set(xscale="log", yscale="log", xlabel="T", ylabel="MiB")
    plain_log_axis(ax.xaxis, lengths)
    plain_log_axis(ax.yaxis, decades(*ax.get_ylim()))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=2)
    return fig


def singular_values(rounds: Mapping[str, Sequence[float]]) -> Figure:
    """The singular values of a matrix, largest first, after some rounds of an iteration.

    Args:
        rounds: name, such as "2 rounds" → singular values.
    """
    fig, ax = figure(3.8)
    for (name, values), color, style, marker in zip(
        rounds.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        ordered = sorted(values, reverse=True)
        ax.plot(ordered, color=color, linestyle=style, marker=marker, markersize=4, label=name)
    ax.axhline(1, color=GREY, linestyle=":", linewidth=1.5)
    ax.set(xlabel="singular value number", ylabel="size")
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=2)
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
