"""Chapter 7's figures: the residual stream, its scale by depth, a loss curve, and where parameters sit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.bigram import MONO, break_lines, visible
from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def stream() -> Figure:
    """One block beside the residual stream: each branch reads through a norm and adds what it found."""
    fig, ax = figure(height=5.4)
    ax.set(xlim=(0, 10), ylim=(0, 12.2))
    ax.axis("off")
    ax.annotate("", (2, 0.9), (2, 11.1), arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 5})
    ax.text(2, 11.3, "embedding writes first", ha="center", va="bottom")
    ax.text(2, 0.7, "norm, head: logits", ha="center", va="top")
    for top, name, color in (
        (9.8, "attention\nmixes positions", COLORS[0]),
        (5.4, "FFN\nmixes channels", COLORS[1]),
    ):
        _box(ax, (4.6, top - 0.5), (2.4, 1), "norm", GREY)
        _box(ax, (5.0, top - 3.2), (4.6, 1.7), name, color)
        _arrow(ax, (2.1, top), (4.6, top), "read")
        ax.plot([7.0, 7.4], [top, top], color=GREY, linewidth=1.6, linestyle="-")
        _arrow(ax, (7.4, top), (7.4, top - 1.5))
        _arrow(ax, (5.0, top - 2.4), (2.5, top - 2.4), "write")
        ax.text(2, top - 2.45, "+", ha="center", va="center", fontsize=20, weight="bold", color=color)
        ax.plot(2, top - 2.4, "o", markersize=23, markerfacecolor=(color, 0.25), markeredgecolor=color)
    return fig


def _box(ax: Any, corner: tuple[float, float], size: tuple[float, float], words: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style: dict[str, Any] = {"boxstyle": "round,pad=0.1", "edgecolor": color, "linewidth": 1.8}
    ax.add_patch(FancyBboxPatch(corner, *size, facecolor=(color, 0.16), **style))
    x, y = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    ax.text(x, y, words, ha="center", va="center")


def _arrow(ax: Any, start: tuple[float, float], end: tuple[float, float], words: str = "") -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.6})
    if words:
        ax.text((start[0] + end[0]) / 2, start[1] + 0.12, words, ha="center", va="bottom")


def by_depth(curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str) -> Figure:
    """A line for each of `curves`: one value a step through the depth of the model, the first at 0."""
    fig, ax = figure(height=3.6)
    for (name, values), color, style, marker in zip(
        curves.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        every = max(1, len(values) // 8)
        ax.plot(values, color=color, linestyle=style, marker=marker, markevery=every, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    fig.legend(loc="outside upper left")
    return fig


def learning(losses: Sequence[float], levels: Mapping[str, float], window: int = 20) -> Figure:
    """The loss of each step as a thin line, its mean over `window` steps as a thick one, levels as lines."""
    fig, ax = figure(height=3.8)
    ax.plot(losses, color=COLORS[0], linestyle="-", linewidth=0.8, alpha=0.5)
    if len(losses) >= window:
        means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        steps = np.arange(window - 1, len(losses))
        ax.plot(steps, means, color=COLORS[0], linestyle="-", label=f"mean of {window} steps")
    for (name, level), style in zip(levels.items(), LINESTYLES[1:], strict=False):
        ax.axhline(level, color=GREY, linestyle=style, linewidth=1.8, label=name)
    ax.set(xlabel="step", ylabel="loss (nats a character)", ylim=(0, None))
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def shares(tables: Mapping[str, Mapping[str, int]]) -> Figure:
    """For each model (the keys) a bar of 100 %, cut by where its parameters sit; the total beside its name.

    Args:
        tables: model → part → number of parameters, the same parts in the same order for each model.
    """
    parts = list(next(iter(tables.values())))
    styles = [(COLORS[i % len(COLORS)], (*HATCHES, "||", "\\\\", "oo")[i]) for i in range(len(parts))]
    fig, ax = figure(height=0.86 * len(tables) + 1.7)
    for row, (name, table) in enumerate(tables.items()):
        total, left = sum(table.values()), 0.0
        for part, (color, hatch) in zip(parts, styles, strict=True):
            width = 100 * table[part] / total
            label = part if row == 0 else None
            look = {"facecolor": (color, 0.4), "edgecolor": color, "hatch": hatch, "linewidth": 1}
            ax.barh(row, width, 0.5, left=left, label=label, **look)
            left += width
        ax.text(0, row - 0.31, f"{name}: {total:,}", va="bottom")
    ax.set(xlim=(0, 100), ylim=(len(tables) - 0.65, -0.85), xlabel="share of the parameters (%)", yticks=[])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.6, handletextpad=0.4)
    return fig


def attention_share(contexts: Sequence[int], lines: Mapping[str, Sequence[float]]) -> Figure:
    """The share of the FLOPs that falls to the attention's two products, against the context, log scale."""
    fig, ax = figure(height=4.2)
    for (name, share), color, style, marker in zip(lines.items(), COLORS, LINESTYLES, MARKERS, strict=False):
        ax.plot(contexts, 100 * np.asarray(share), color=color, linestyle=style, marker=marker, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(contexts)[::2], [f"{T:,}" for T in list(contexts)[::2]])
    ax.set(xlabel="context T", ylabel="attention's FLOPs (%)", ylim=(0, 100))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1)
    return fig


def told(text: str, losses: Float[np.ndarray, " n"], given: int, columns: int = 34) -> Figure:
    """A story in lines; behind each character its loss, underlined the first `given`, which were the prompt.

    losses: −ln p of each character, in nats; from 2 nats on the colour is full.
    """
    from matplotlib.patches import Rectangle

    lines = break_lines(text.rstrip("\n"), columns)
    fig, ax = figure(height=0.3 * (len(lines) + 1.6))
    ax.set(xlim=(0, columns), ylim=(len(lines) + 1.5, 0))
    ax.axis("off")
    at = 0
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            strength = 0.55 * min(float(losses[at]) / 2, 1)
            ax.add_patch(Rectangle((column, row), 1, 0.84, facecolor=(COLORS[1], strength), linewidth=0))
            if at < given:
                ax.plot([column, column + 1], [row + 0.88] * 2, color=COLORS[0], linestyle="-", linewidth=1.6)
            shown = visible(character) if character == "\n" else character
            ax.text(column + 0.5, row + 0.44, shown, family=MONO, ha="center", va="center")
            at += 1
    for place, nats in enumerate((0, 0.5, 1, 2)):
        low, left = len(lines) + 0.5, 6.5 * place
        look: dict[str, Any] = {
            "facecolor": (COLORS[1], 0.55 * nats / 2),
            "edgecolor": GREY,
            "linewidth": 0.8,
        }
        ax.add_patch(Rectangle((left, low), 1.5, 0.84, **look))
        ax.text(left + 2, low + 0.44, f"{nats:g}{'+ nats' if nats == 2 else ''}", va="center")
    return fig
