"""Chapter 6's figures: where the parameters are, activations and their slopes, and what hidden units do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.bigram import MONO, break_lines, visible
from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def shares(blocks: Mapping[str, tuple[int, int]]) -> Figure:
    """One bar a model: which part of a block's (attention, FFN) parameters is in which layer."""
    fig, ax = figure(height=0.42 * len(blocks) + 1.3)
    for row, (attention, ffn) in enumerate(blocks.values()):
        part = 100 * attention / (attention + ffn)
        first, second = ("attention", "FFN") if row == 0 else (None, None)
        ax.barh(row, part, 0.66, color=COLORS[0], alpha=0.85, hatch=HATCHES[0], label=first)
        ax.barh(row, 100 - part, 0.66, left=part, color=COLORS[1], alpha=0.85, hatch=HATCHES[1], label=second)
    ax.axvline(100 / 3, color=GREY, linestyle=":", linewidth=2)
    ax.set_yticks(range(len(blocks)), list(blocks))
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("percent of both layers' parameters")
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def corners(answers: Mapping[str, Callable[[np.ndarray], np.ndarray]], wanted: Sequence[float]) -> Figure:
    """Each function (n, 2) → (n,) as contour lines over the square; at its corners what is wanted.

    wanted: for the corners (0, 0), (1, 0), (0, 1), (1, 1): a disc for 1, a ring for 0.
    """
    fig, axes = figure(height=3.0, columns=len(answers), sharey=True, squeeze=False)
    grid = np.linspace(-0.25, 1.25, 61)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for ax, (title, answer) in zip(axes[0], answers.items(), strict=True):
        heights = answer(points).reshape(61, 61)
        if np.ptp(heights) > 1e-9:
            lines = ax.contour(grid, grid, heights, [0.25, 0.5, 0.75], colors=GREY, linewidths=1.4)
            ax.clabel(lines, fontsize=11)
        else:
            ax.text(0.5, 0.5, f"{heights.mean():.1f}\neverywhere", ha="center", va="center")
        for (a, b), value in zip(((0, 0), (1, 0), (0, 1), (1, 1)), wanted, strict=True):
            fill = "full" if value else "none"
            ax.plot(a, b, "o", color=COLORS[1] if value else COLORS[0], fillstyle=fill, markersize=13)
        ax.set_title(title)
        ax.set_xticks((0, 1), ("no", "yes"))
        ax.set_yticks((0, 1), ("no", "yes"))
        ax.set_xlabel("a name")
        ax.set_aspect("equal")
        ax.set_xlim(-0.25, 1.25)
        ax.set_ylim(-0.25, 1.25)
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("a verb")
    return fig


def activations(
    x: Float[np.ndarray, " n"], curves: Mapping[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]]
) -> Figure:
    """Above the functions, below their slopes: name → (values, slopes) at x."""
    fig, axes = figure(height=5.6, rows=2, sharex=True)
    for part, (ax, title) in enumerate(zip(axes, ("activation", "its slope"), strict=True)):
        for (name, pair), color, line in zip(curves.items(), COLORS, LINESTYLES, strict=False):
            ax.plot(x, pair[part], color=color, linestyle=line, label=name)
        ax.axvline(0, color=GREY, linewidth=1, linestyle="-")
        ax.set_title(title)
    axes[0].set_ylim(-0.4, 3.2)
    axes[1].set_ylim(-0.3, 2.4)
    axes[1].set_xlabel("x")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4, columnspacing=1)
    return fig


def difference(x: Float[np.ndarray, " n"], gap: Float[np.ndarray, " n"]) -> Figure:
    """A small difference over x, in ten-thousandths."""
    fig, ax = figure(height=2.5)
    ax.plot(x, 1e4 * gap, color=COLORS[0])
    ax.set_xlabel("x")
    ax.set_ylabel("tanh − exact (1e−4)")
    return fig


def firing(curves: Mapping[str, Float[np.ndarray, " F"]]) -> Figure:
    """For each layer its units in order of how often they are on, in percent of the characters."""
    fig, ax = figure(height=3.7)
    for place, (name, share) in enumerate(curves.items()):
        last = place == len(curves) - 1
        color, line = (GREY, "-") if last else (COLORS[place], LINESTYLES[place])
        ax.plot(np.sort(share)[::-1] * 100, color=color, linestyle=line, label=name)
    ax.set_ylim(-2, 102)
    ax.set_xlabel("hidden units, the busiest first")
    ax.set_ylabel("on (% of characters)")
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def coloured_text(
    text: str, units: Mapping[str, Float[np.ndarray, " n"]], columns: int = 38, lines: int = 3
) -> Figure:
    """For each unit (title → activation at each character) the same text, tinted and underlined by it.

    The largest activation of a unit has the full tint and the tallest bar. Shows the first `lines` lines.
    """
    rows = break_lines(text, columns)[:lines]
    tall = lines * 1.5 + 1.4
    fig, ax = figure(height=0.26 * tall * len(units))
    ax.set_xlim(0, columns)
    ax.set_ylim(tall * len(units), 0)
    ax.axis("off")
    for place, (title, activation) in enumerate(units.items()):
        top, at, color = place * tall, 0, COLORS[place % len(COLORS)]
        ax.text(0, top + 0.5, title, weight="bold", va="center")
        for line in rows:
            for column, character in enumerate(line):
                strength = float(activation[at] / max(activation.max(), 1e-12))
                _letter(ax, column, top + 1.1 + 1.5 * line_number(rows, at), character, strength, color)
                at += 1
    return fig


def line_number(rows: Sequence[str], at: int) -> int:
    """In which of the rows the character number `at` stands."""
    return int(np.searchsorted(np.cumsum([len(row) for row in rows]), at, side="right"))


def _letter(ax: Any, column: float, row: float, character: str, strength: float, color: str) -> None:
    from matplotlib.patches import Rectangle

    if strength > 0:
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=(color, 0.32 * strength), linewidth=0))
        height = 0.38 * strength
        ax.add_patch(Rectangle((column + 0.08, row + 1.4 - height), 0.84, height, facecolor=color))
    weight = "bold" if strength > 0.5 else "normal"
    ax.text(column + 0.5, row + 0.5, character, family=MONO, ha="center", va="center", weight=weight)


def written(effects: Mapping[str, Float[np.ndarray, " V"]], characters: str, most: int = 5) -> Figure:
    """For each unit the characters whose logits its value raises and lowers most."""
    fig, axes = figure(height=1.75 * len(effects) + 0.3, rows=len(effects), squeeze=False)
    for ax, (title, effect), color in zip(axes[:, 0], effects.items(), COLORS, strict=False):
        order = np.argsort(-effect, kind="stable")
        chosen = [*order[:most], *order[-most:]]
        ax.bar(range(len(chosen)), effect[chosen], color=color, alpha=0.85)
        ax.axhline(0, color=GREY, linewidth=1, linestyle="-")
        ax.set_xticks(range(len(chosen)), [visible(characters[i]) for i in chosen], family=MONO)
        ax.set_title(title)
        ax.grid(axis="x", visible=False)
    fig.supylabel("added to the logit", fontsize=13)
    return fig


def variants(losses: Mapping[str, Sequence[float]]) -> Figure:
    """One mark a run, one column a variant, a line at each mean."""
    fig, ax = figure(height=3.4)
    for place, (values, marker) in enumerate(zip(losses.values(), MARKERS, strict=False)):
        ax.plot([place] * len(values), values, marker, color=COLORS[place], fillstyle="none", mew=2)
        ax.plot([place - 0.3, place + 0.3], [float(np.mean(values))] * 2, "-", color=COLORS[place])
    ax.set_xticks(range(len(losses)), list(losses))
    ax.set_xlim(-0.6, len(losses) - 0.4)
    ax.set_ylabel("validation loss (nats)")
    ax.grid(axis="x", visible=False)
    return fig


def dropped(
    x: Float[np.ndarray, " n"], once: Float[np.ndarray, " n"], mean: Float[np.ndarray, " n"], masks: int
) -> Figure:
    """A vector as bars, one dropout of it as marks, and the mean over many masks as short lines."""
    fig, ax = figure(height=3.2)
    place = np.arange(len(x))
    ax.bar(place, x, 0.7, color=COLORS[0], alpha=0.45, label="x")
    ax.plot(place, once, MARKERS[1], color=COLORS[1], label="one mask")
    ax.hlines(mean, place - 0.45, place + 0.45, color=COLORS[2], linewidth=3, label=f"mean of {masks:,}")
    ax.set_xticks(place)
    ax.set_xlabel("channel")
    ax.grid(axis="x", visible=False)
    fig.legend(loc="outside upper left", ncols=3, columnspacing=0.8, handlelength=1.4)
    return fig
