"""Figures of chapter 5: scales by depth, a row on its way through a norm, leaks, and gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Sequence[float]]
LEGEND: Any = {"loc": "outside upper left", "columnspacing": 1.2, "handletextpad": 0.5}


def by_depth(activations: Curves, gradients: Curves, columns: int = 2) -> Figure:
    """Scale of the activations after each layer, and of the gradient that arrives there on the way back.

    Args:
        activations, gradients: name → one value for each depth 0 … N; the same names in both.
    """
    fig, (top, bottom) = figure(6, 2, sharex=True)
    for ax, curves in ((top, activations), (bottom, gradients)):
        for (name, values), color, style in zip(curves.items(), COLORS, LINESTYLES, strict=False):
            ax.plot(values, color=color, linestyle=style, label=name if ax is top else None)
        ax.axhline(1, color=GREY, linewidth=1, linestyle=":")
        ax.set(yscale="log")
    top.set(ylabel="activation scale")
    bottom.set(xlabel="depth (layers)", ylabel="gradient scale")
    fig.legend(ncols=columns, **LEGEND)
    return fig


def row_steps(steps: Mapping[str, Sequence[float]]) -> Figure:
    """One row of numbers after each step of a norm, as bars with their values."""
    fig, axes = figure(1.5 * len(steps) + 0.6, len(steps), sharex=True)
    for ax, (name, values), color, hatch in zip(axes, steps.items(), COLORS, HATCHES, strict=False):
        places = np.arange(len(values))
        ax.bar(places, values, width=0.6, color=color, hatch=hatch, edgecolor=GREY)
        ax.axhline(0, color=GREY, linewidth=1)
        ax.axhline(np.mean(values), color=GREY, linewidth=1.4, linestyle="--")
        for place, value in zip(places, values, strict=True):
            # a number that would stand on the line of the mean goes above it
            near_mean = value > 0 and 0 < np.mean(values) - value < 0.15 * np.ptp(values)
            ax.annotate(
                f"{value:.3g}",
                (place, np.mean(values) if near_mean else value),
                (0, 2 if value >= 0 else -2),
                textcoords="offset points",
                ha="center",
                va="bottom" if value >= 0 else "top",
            )
        ax.set(title=name, xticks=places, ylabel="value")
        ax.margins(y=0.35)
        ax.grid(False)
    axes[-1].set(xlabel="channel")
    return fig


def leak(
    texts: Sequence[str], changed: Mapping[str, Bool[np.ndarray, "B T"]], edited: Sequence[int]
) -> Figure:
    """For each choice of axes, the characters whose output changed when some of the first text were edited.

    Args:
        texts: B texts of T characters.
        changed: name of the choice → whether the output at each place is another than before.
        edited: positions of the first text that were edited; a line marks them.
    """
    from matplotlib.patches import Rectangle

    frame: Any = {"edgecolor": COLORS[1], "linewidth": 1.8}
    fig, axes = figure(1.05 * len(changed) + 0.3, len(changed))
    for ax, (name, places) in zip(np.atleast_1d(axes), changed.items(), strict=True):
        ax.axis("off")
        ax.set(xlim=(-0.5, len(texts[0]) - 0.5), ylim=(len(texts) - 0.4, -0.7), title=name)
        for b, text in enumerate(texts):
            for t, character in enumerate(text):
                weight = "bold" if places[b, t] else "normal"
                ax.text(t, b, character, ha="center", va="center", family="DejaVu Sans Mono", weight=weight)
                if places[b, t]:
                    ax.add_patch(Rectangle((t - 0.44, b - 0.42), 0.88, 0.84, fill=False, **frame))
        ax.plot((min(edited) - 0.4, max(edited) + 0.4), (-0.55, -0.55), color=COLORS[0], linewidth=3)
    return fig


def plane(
    x: Float[np.ndarray, "n 3"], out: Float[np.ndarray, "n 3"], d_x: Float[np.ndarray, "n 3"]
) -> Figure:
    """Rows of three numbers seen along (1, 1, 1): before the norm, after it, and their gradients.

    Args:
        x: rows before the norm.
        out: the same rows after it: all on a circle of radius √3.
        d_x: gradients at `x`, drawn as arrows of one length.
    """
    # two directions at right angles to (1, 1, 1) and to each other
    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    before, after, arrows = x @ basis.T, out @ basis.T, d_x @ basis.T
    arrows = arrows / np.linalg.norm(arrows, axis=1, keepdims=True)
    angle = np.linspace(0, 2 * np.pi, 200)
    fig, ax = figure(4.9)
    ax.plot(np.sqrt(3) * np.cos(angle), np.sqrt(3) * np.sin(angle), color=GREY, linewidth=1.2, linestyle=":")
    for start, end in zip(before, after, strict=True):
        ax.plot(*zip(start, end, strict=True), color=GREY, linewidth=0.9, linestyle="-")
    ax.plot(*before.T, MARKERS[0], color=COLORS[0], label="x, without its mean")
    ax.plot(*after.T, MARKERS[1], color=COLORS[1], label="layer_norm(x)")
    ax.quiver(*before.T, *arrows.T, color=COLORS[2], width=0.009, scale=7, zorder=3, label="gradient d_x")
    reach = 1.2 * max(np.abs(before).max(), np.sqrt(3))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set(aspect="equal", xlabel="(x[0] − x[1]) / √2", ylabel="(x[0] + x[1] − 2 x[2]) / √6")
    fig.legend(ncols=2, **LEGEND)
    return fig


def epsilon(scales: Sequence[float], outputs: Curves, gradients: Curves) -> Figure:
    """How large the output and the gradient of a norm are, against the standard deviation of its input."""
    fig, (top, bottom) = figure(5.6, 2, sharex=True)
    for ax, curves in ((top, outputs), (bottom, gradients)):
        for (name, values), color, style in zip(curves.items(), COLORS, LINESTYLES, strict=False):
            ax.plot(scales, values, color=color, linestyle=style, label=name if ax is top else None)
        ax.set(xscale="log", yscale="log")
    top.set(ylabel="output std")
    bottom.set(xlabel="input std", ylabel="gradient scale")
    fig.legend(ncols=2, **LEGEND)
    return fig


def gradient_by_layer(curves: Curves) -> Figure:
    """Norm of the gradient of each block's matrices, first block at the left."""
    fig, ax = figure(3.8)
    for (name, values), color, style in zip(curves.items(), COLORS, LINESTYLES, strict=False):
        ax.plot(np.arange(1, len(values) + 1), values, color=color, linestyle=style, label=name)
    ax.set(xlabel="block", ylabel="gradient norm", yscale="log")
    fig.legend(ncols=2, **LEGEND)
    return fig


def training(runs: Mapping[str, Float[np.ndarray, "seeds steps"]], frequencies: float) -> Figure:
    """Loss by step: the mean over seeds as a line, from the lowest to the highest seed as an area.

    Args:
        runs: name → losses.
        frequencies: the loss of a model that knows only how common each token is.
    """
    fig, ax = figure(3.8)
    for (name, losses), color, style in zip(runs.items(), COLORS, LINESTYLES, strict=False):
        steps = np.arange(losses.shape[1])
        ax.plot(steps, losses.mean(0), color=color, linestyle=style, label=name)
        ax.fill_between(steps, losses.min(0), losses.max(0), color=color, alpha=0.2, linewidth=0)
    ax.axhline(frequencies, color=GREY, linewidth=1.6, linestyle=":", label="frequencies only")
    ax.set(xlabel="step", ylabel="loss (nats)")
    fig.legend(ncols=2, **LEGEND)
    return fig


def stream(scales: Float[np.ndarray, "layers T"], added: Float[np.ndarray, "blocks T"]) -> Figure:
    """Scale of the residual stream at each depth, and of what each block added to it.

    Args:
        scales: one row for each depth 0 … N, one column for each position.
        added: one row for each of the N blocks.
    """
    fig, ax = figure(3.8)
    drawn: tuple[tuple[str, Any, Any], ...] = (
        ("the stream", np.arange(len(scales)), scales),
        ("added by the block", np.arange(1, len(added) + 1), added),
    )
    for (name, depths, values), color, style, marker in zip(drawn, COLORS, LINESTYLES, MARKERS, strict=False):
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=1)
        ax.plot(depths, middle, color=color, linestyle=style, marker=marker, label=name)
        ax.fill_between(depths, low, high, color=color, alpha=0.2, linewidth=0)
    ax.set(xlabel="depth (blocks)", ylabel="scale", xticks=np.arange(len(scales)), ylim=(0, None))
    fig.legend(ncols=2, **LEGEND)
    return fig
