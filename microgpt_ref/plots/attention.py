"""Chapter 4's figures: who looks at whom, on one sentence, and in a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from microgpt_ref.plots.style import COLORS, GREY, LINESTYLES, MARKERS, WIDTH, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = COLORS[:3]
MONO = "DejaVu Sans Mono"


def sentence_maps(maps: Mapping[str, Float[np.ndarray, "T T"]], words: Sequence[str]) -> Figure:
    """Attention weights, one map under the other, numbers in the cells; a row is the word that looks."""
    cell = 0.43
    height = len(maps) * (cell * len(words) + 0.55) + 0.85
    fig, axes = figure(height=height, rows=len(maps), sharex=True, squeeze=False)
    for ax, (title, weights) in zip(axes[:, 0], maps.items(), strict=True):
        future = np.triu(np.ones(weights.shape, dtype=bool), k=1)
        ax.imshow(np.ma.masked_array(weights, future), vmin=0, vmax=1, aspect="equal")
        for row, column in np.argwhere(~future & (weights >= 0.005)).tolist():
            _number(ax, column, row, weights[row, column])
        ax.set_title(title)
        _name_axes(ax, words)
    axes[-1, 0].set_xlabel("looks at")
    fig.supylabel("the word that looks", fontsize=13)
    return fig


def _number(ax: Any, x: float, y: float, weight: float) -> None:
    """A weight as .42, light on the dark end of the map and dark on the bright end."""
    text = "1" if weight > 0.995 else f"{weight:.2f}".lstrip("0")
    ax.text(
        x, y, text, ha="center", va="center", fontsize=10.5, color="#10243a" if weight > 0.5 else "#f4f4f4"
    )


def _name_axes(ax: Any, words: Sequence[str]) -> None:
    ax.set_xticks(range(len(words)), words, rotation=90)
    ax.set_yticks(range(len(words)), words)
    ax.tick_params(length=0)
    ax.grid(visible=False)


def reach(maps: Mapping[str, Bool[np.ndarray, "T T"]], words: Sequence[str]) -> Figure:
    """Which outputs (rows) notice a change of which word (columns), panels in two columns.

    Blue: the past, as it should be. Orange with crosses: the future. Empty: it does not get through.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch, Rectangle

    rows = -(-len(maps) // 2)
    fig, axes = figure(
        height=2.35 * rows + 1.35, rows=rows, columns=2, sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, table) in zip(axes.flat, maps.items(), strict=True):
        future = np.triu(table, k=1)
        ax.imshow(np.ma.masked_equal(table & ~future, 0), cmap=ListedColormap([BLUE]), aspect="equal")
        for row, column in np.argwhere(future):
            box = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(box, 1, 1, facecolor=ORANGE, edgecolor=GREY, linewidth=0.3, hatch="xx"))
        ax.set_xlim(-0.5, len(words) - 0.5)
        ax.set_ylim(len(words) - 0.5, -0.5)
        ax.set_title(title)
        _name_axes(ax, words)
    fig.supxlabel("changed word", fontsize=13)
    fig.supylabel("output", fontsize=13)
    boxes = [
        Patch(facecolor=BLUE, label="the past"),
        Patch(facecolor=ORANGE, edgecolor=GREY, hatch="xx", label="the future"),
    ]
    fig.legend(handles=boxes, loc="outside upper left", ncols=2)
    return fig


def soft_dictionary(
    words: Sequence[str],
    names: Sequence[str],
    query: Float[np.ndarray, " D"],
    keys: Float[np.ndarray, "T D"],
    weights: Float[np.ndarray, " T"],
    values: Float[np.ndarray, "T D"],
) -> Figure:
    """One look-up: the query of the last word, the keys, the weights as bars, the values, and the output.

    names: what each channel of queries and keys means.
    """
    T, D = keys.shape
    left, bar, right, width = 1.75, 1.75 + D + 0.35, 1.75 + D + 3.0, 1.75 + 2 * D + 3.0
    fig, ax = figure(height=WIDTH / width * (T + 3.9))
    ax.set_xlim(0, width)
    ax.set_ylim(T + 1.9, -2)
    ax.axis("off")
    ax.text(left - 0.15, -1.5, f"query of “{words[-1]}”", ha="right", va="center")
    for x, title in ((left, "keys"), (bar, "weights"), (right, "values")):
        ax.text(x + 0.05, -0.35, title, va="center", weight="bold")
    _cells(ax, left, -2, query, ORANGE, max(1, np.abs(query).max()))
    for t, word in enumerate(words):
        ax.text(left - 0.15, t + 0.5, word, ha="right", va="center")
        _cells(ax, left, t, keys[t], BLUE)
        ax.barh(t + 0.5, 1.3 * weights[t], 0.66, left=bar, color=ORANGE, alpha=0.85)
        ax.text(bar + 1.3 * weights[t] + 0.1, t + 0.5, f"{weights[t]:.2f}", va="center", fontsize=11)
        _cells(ax, right, t, values[t], GREEN)
    _cells(ax, right, T + 0.5, weights @ values, GREEN)
    ax.text(right - 0.15, T + 1, "weighted sum: output", ha="right", va="center")
    for channel, name in enumerate(names):
        ax.text(left + channel + 0.5, T + 0.1, name, ha="center", va="top", fontsize=11)
    return fig


def _cells(
    ax: Any, left: float, top: float, row: Float[np.ndarray, " D"], color: str, largest: float = 1
) -> None:
    """A vector as a row of boxes, filled the more the larger the number, which stands inside."""
    from matplotlib.patches import Rectangle

    for i, value in enumerate(row):
        fill = (color, 0.35 * min(1, abs(value) / largest))
        ax.add_patch(
            Rectangle((left + i, top + 0.04), 0.96, 0.92, facecolor=fill, edgecolor=GREY, linewidth=0.8)
        )
        ax.text(
            left + i + 0.48, top + 0.5, f"{round(float(value), 2):g}", ha="center", va="center", fontsize=11
        )


def saturation(widths: Sequence[int], lines: Mapping[str, Sequence[tuple[float, float, float]]]) -> Figure:
    """Above, the largest weight against D; below, the slope w (1 − w) of the softmax.

    lines: name → for each width (variance of the scores, largest weight, slope).
    """
    fig, axes = figure(height=5.0, rows=2, sharex=True)
    for column, (ax, label) in enumerate(zip(axes, ("largest weight", "slope w (1 − w)"), strict=True), 1):
        for (name, rows), color, style, marker in zip(
            lines.items(), COLORS, LINESTYLES, MARKERS, strict=False
        ):
            values = [row[column] for row in rows]
            ax.plot(widths, values, color=color, linestyle=style, marker=marker, label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(widths, list(map(str, widths)))
        ax.set_ylabel(label)
    axes[0].set_ylim(0, 1.05)
    axes[1].set_ylim(0, None)
    axes[1].set_xlabel("width of a head, D")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return fig


def cost(lengths: Sequence[int], seconds: Sequence[float], parts: Mapping[str, Sequence[float]]) -> Figure:
    """Above, measured seconds against T; below, operations of each part of the layer; logarithmic scales."""
    fig, axes = figure(height=5.4, rows=2, sharex=True)
    axes[0].plot(lengths, seconds, color=ORANGE, marker="o", label="measured")
    axes[0].set_ylabel("seconds")
    for (name, values), color, style, marker in zip(parts.items(), COLORS, LINESTYLES, MARKERS, strict=False):
        axes[1].plot(lengths, values, color=color, linestyle=style, marker=marker, label=name)
    axes[1].set_ylabel("operations")
    axes[1].set_xlabel("positions, T")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.legend(loc="upper left")
    axes[1].set_xticks(lengths, list(map(str, lengths)))
    return fig


def head_tables(tables: Mapping[str, Float[np.ndarray, "N H"]], best: tuple[int, int]) -> Figure:
    """One number for each layer and head, a table under the other; the head `best` is framed."""
    from matplotlib.patches import Rectangle

    fig, axes = figure(height=2.75 * len(tables) + 0.4, rows=len(tables), sharex=True, squeeze=False)
    for ax, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        top = max(float(table.max()), 1e-9)
        ax.imshow(table, vmin=min(0, float(table.min())), vmax=top, aspect="auto")
        for (layer, head), value in np.ndenumerate(table):
            color = "#10243a" if value > 0.6 * top else "#f4f4f4"
            ax.text(head, layer, f"{value:.2f}", ha="center", va="center", color=color)
        box = (best[1] - 0.5, best[0] - 0.5)
        ax.add_patch(Rectangle(box, 1, 1, fill=False, edgecolor=ORANGE, linewidth=4))
        ax.set_title(title)
        ax.set_yticks(range(len(table)), range(len(table)))
        ax.set_xticks(range(table.shape[1]), range(table.shape[1]))
        ax.set_ylabel("layer")
        ax.tick_params(length=0)
        ax.grid(visible=False)
    axes[-1, 0].set_xlabel("head")
    return fig


def looking_back(
    looks: Sequence[tuple[str, Sequence[str], Float[np.ndarray, " words"]]], columns: int = 38
) -> Figure:
    """A text several times, each word shaded by the weight on it: (title, words, weights) for each.

    The words are shown in full lines of at most `columns` characters; weights of 0.10 or more are printed.
    """
    lines = [_lines(words, columns) for _, words, _ in looks]
    tall = [len(each) * 1.45 + 1.9 for each in lines]
    fig, axes = figure(height=0.26 * sum(tall), rows=len(looks), squeeze=False, height_ratios=tall)
    for ax, (title, words, weights), placed, height in zip(axes[:, 0], looks, lines, tall, strict=True):
        ax.set_xlim(0, columns)
        ax.set_ylim(height, 0)
        ax.axis("off")
        ax.text(0, 0.6, title, weight="bold", va="center")
        for row, line in enumerate(placed):
            for index, column in line:
                _word(ax, column, 1.7 + 1.45 * row, words[index], float(weights[index]))
    return fig


def _lines(words: Sequence[str], columns: int) -> list[list[tuple[int, int]]]:
    """For each line its (index of the word, column where it begins)."""
    lines: list[list[tuple[int, int]]] = [[]]
    at = 0
    for index, word in enumerate(words):
        if at and at + len(word) > columns:
            lines.append([])
            at = 0
        lines[-1].append((index, at))
        at += len(word) + 1
    return lines


def _word(ax: Any, column: float, row: float, word: str, weight: float) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle((column, row), len(word), 1.05, facecolor=(ORANGE, 0.5 * weight**0.5), linewidth=0)
    ax.add_patch(box)
    strong = weight >= 0.1
    if strong:
        ax.plot(
            [column, column + len(word)],
            [row + 1.12] * 2,
            color=ORANGE,
            linestyle="-",
            linewidth=1 + 4 * weight,
        )
    for i, letter in enumerate(word):
        style = "bold" if strong else "normal"
        ax.text(column + i + 0.5, row + 0.52, letter, family=MONO, ha="center", va="center", weight=style)
