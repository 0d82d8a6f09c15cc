"""Figures of chapter 14: a masked conversation, changes of low rank, their training, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from microgpt_ref.plots.style import BLUE, COLORS, GREY, HATCHES, LINESTYLES, MARKERS, ORANGE, figure
from microgpt_ref.plots.training import plain_log_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, LETTER = 0.4, 1.0
"""Height of a line of tokens in inches, and the width of a letter in columns."""


def conversation(
    pieces: Sequence[str], answers: Sequence[bool], marks: Sequence[str], columns: int = 40
) -> Figure:
    """A conversation token by token: boxes hatched where the loss counts, thick where a role is marked.

    Args:
        pieces: the text of each token.
        answers: whether the loss is taken when that token is predicted.
        marks: the tokens that mark roles.
        columns: letters in a line; a longer conversation goes on in the next line.
    """
    places, line, column = [], 0, 0.0
    for piece in pieces:
        width = len(visible(piece)) * LETTER + 0.8
        if column + width > columns:
            line, column = line + 1, 0.0
        places.append((line, column, width))
        column += width
    fig, ax = figure(LINE * (line + 1) + 0.55)
    for piece, counts, (row, left, width) in zip(pieces, answers, places, strict=True):
        color = ORANGE if counts else GREY
        face, alpha, hatch = (color, 0.3, "///") if counts else ("none", 1.0, "")
        corner = (left + 0.08, row + 0.1)
        filled = Rectangle(
            corner, width - 0.16, 0.8, facecolor=face, edgecolor=color, alpha=alpha, hatch=hatch
        )
        ax.add_patch(filled)
        thick = 2.4 if piece in marks else 0.8
        ax.add_patch(Rectangle(corner, width - 0.16, 0.8, fill=False, edgecolor=color, linewidth=thick))
        style = {"weight": "bold"} if piece in marks else {}
        ax.text(left + width / 2, row + 0.5, visible(piece), ha="center", va="center", size=12, **style)
    ax.set(xlim=(0, columns), ylim=(line + 1, 0))
    ax.axis("off")
    handles = [
        Rectangle((0, 0), 1, 1, facecolor=ORANGE, edgecolor=ORANGE, alpha=0.4, hatch="///"),
        Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=GREY),
    ]
    fig.legend(handles, ["the loss counts", "read only"], loc="outside upper left", ncols=2)
    return fig


def visible(piece: str) -> str:
    """A token's text with what cannot be seen made visible; role tokens without their brackets."""
    if piece.startswith("<|"):
        return piece.strip("<|>")
    return piece.replace(" ", "␣").replace("\n", "↵")


def beside() -> Figure:
    """The picture of LoRA: the frozen weight, and beside it the narrow way through A and B."""
    fig, ax = figure(2.9)
    shapes = {  # left, bottom, width, height, colour, hatch, what is written in it
        "W": (0.6, 1.0, 2.4, 2.4, GREY, "", "W\nfrozen\n(out, in)"),
        "A": (4.3, 1.0, 2.4, 0.6, BLUE, "//", "A (rank, in)"),
        "B": (5.2, 1.9, 0.6, 1.5, ORANGE, "..", ""),
    }
    for left, bottom, width, height, color, hatch, text in shapes.values():
        ax.add_patch(
            Rectangle(
                (left, bottom), width, height, facecolor=color, edgecolor=color, alpha=0.25, hatch=hatch
            )
        )
        ax.add_patch(Rectangle((left, bottom), width, height, fill=False, edgecolor=color, linewidth=2))
        middle = (left + width / 2, bottom + height / 2)
        if "\n" in text:
            ax.text(*middle, text, ha="center", va="center")
    ax.text(6.8, 1.3, "A (rank, in)", va="center", color=BLUE)
    ax.text(6.0, 2.65, "B (out, rank)", va="center", color=ORANGE)
    arrow = {"arrowstyle": "->", "color": GREY, "linewidth": 1.6}
    for x, end in ((1.8, 1.8), (5.5, 5.5)):
        ax.annotate("", (end, 0.98), (3.6, 0.1), arrowprops=arrow)
        ax.annotate("", (3.6, 4.2), (x, 3.42), arrowprops=arrow)
    ax.text(3.6, -0.05, "x", ha="center", va="top")
    ax.text(3.6, 4.25, "W x + scale · B A x", ha="center", va="bottom")
    ax.set(xlim=(0, 9.6), ylim=(-0.5, 4.8))
    ax.axis("off")
    return fig


def singular_values(values: Mapping[str, Sequence[float]]) -> Figure:
    """Singular values as shares of the largest (above), and the energy that the first ones hold (below).

    Args:
        values: name → singular values, the largest first. Energy is their squares' share of the sum.
    """
    fig, (top, bottom) = figure(5.2, 2, sharex=True)
    for (name, each), color, style in zip(values.items(), COLORS, LINESTYLES, strict=False):
        s = np.asarray(each)
        ranks = np.arange(1, len(s) + 1)
        top.plot(ranks, s / s[0], color=color, linestyle=style, label=name)
        bottom.plot(ranks, np.cumsum(s**2) / np.sum(s**2), color=color, linestyle=style)
    top.set(ylabel="value / largest", ylim=(0, 1.05))
    bottom.set(xlabel="rank", ylabel="share of the energy", ylim=(0, 1.05), xscale="log")
    plain_log_axis(bottom.xaxis, (1, 2, 4, 8, 16, 32, 64, 128))
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.8, handletextpad=0.4)
    return fig


def cut_to_rank(
    ranks: Sequence[int], right: Sequence[float], losses: Sequence[float], full: tuple[float, float]
) -> Figure:
    """What is left of a fine-tuned model when its change is cut to a rank: questions right, and the loss.

    Args:
        ranks: of what is left of each matrix's change; 0 leaves none.
        right: the share of questions answered right at each.
        losses: nats an answer token at each.
        full: (right, loss) of the whole change.
    """
    fig, (top, bottom) = figure(4.6, 2, sharex=True)
    places = np.arange(len(ranks))
    for ax, values, whole, color, marker, (x, up, side) in (
        (top, right, full[0], BLUE, MARKERS[0], (0, 3, "left")),
        (bottom, losses, full[1], ORANGE, MARKERS[1], (places[-1], 10, "right")),
    ):
        ax.plot(places, values, color=color, marker=marker, linestyle="-")
        ax.axhline(whole, color=GREY, linestyle=":", linewidth=1.6)
        ax.annotate("the whole change", (x, whole), (0, up), textcoords="offset points", va="bottom", ha=side)
    top.set(ylabel="questions right", ylim=(-0.05, 1.15))
    bottom.set(xlabel="rank that is left of each change", ylabel="loss (nats a token)", yscale="log")
    plain_log_axis(bottom.yaxis, (0.01, 0.03, 0.1, 0.3, 1, 3, 10))
    bottom.set_xticks(places, [str(rank) for rank in ranks])
    return fig


def losses(runs: Mapping[str, Sequence[float]], label: str) -> Figure:
    """Losses, update by update, of runs side by side on a logarithmic axis.

    Args:
        runs: name → losses.
        label: of the axis of losses.
    """
    fig, ax = figure(3.6)
    for (name, each), color, style in zip(runs.items(), COLORS, LINESTYLES, strict=False):
        ax.plot(np.arange(len(each)), each, color=color, linestyle=style, label=name)
    ax.set(xlabel="update", ylabel=label, yscale="log")
    plain_log_axis(ax.yaxis, (0.0001, 0.001, 0.01, 0.1, 1, 10))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=2)
    return fig


def by_trainable(points: Mapping[str, tuple[int, float]], before: float) -> Figure:
    """Questions answered right against how many parameters were trained; both in one picture.

    Args:
        points: name → (trainable parameters, share right); names that begin with "rank" are joined by a line.
        before: the share right before any training.
    """
    fig, ax = figure(3.8)
    joined = {name: point for name, point in points.items() if name.startswith("rank")}
    ax.plot(*np.array(list(joined.values())).T, color=BLUE, marker=MARKERS[0], label="LoRA")
    for name, (count, right) in points.items():
        if name in joined:
            ax.annotate(
                name.removeprefix("rank "), (count, right), (0, -18), textcoords="offset points", ha="center"
            )
        else:
            ax.plot(count, right, MARKERS[1], color=ORANGE, markersize=10, label=name)
    ax.axhline(before, color=GREY, linestyle=":", linewidth=1.6)
    ax.annotate(
        "before", (next(iter(joined.values()))[0], before), (0, 4), textcoords="offset points", va="bottom"
    )
    ax.set(xlabel="trained parameters", ylabel="unseen questions right", xscale="log", ylim=(-0.05, 1.08))
    ax.legend(loc="center right")
    return fig


def bars(values: Mapping[str, float], label: str, line: tuple[str, float] | None = None) -> Figure:
    """One horizontal bar a name, and perhaps a line to compare with.

    Args:
        values: name → value.
        label: of the axis, with the unit.
        line: (name, value).
    """
    fig, ax = figure(0.5 * len(values) + 1.3)
    for row, ((name, value), color, hatch) in enumerate(zip(values.items(), COLORS, HATCHES, strict=False)):
        ax.barh(row, value, 0.6, color=color, hatch=hatch, edgecolor=GREY, alpha=0.8, label=name)
    ax.set_yticks(range(len(values)), list(values))
    ax.invert_yaxis()
    if line:
        ax.axvline(line[1], color=GREY, linestyle=":", linewidth=1.8)
        ax.set_title(f"dotted: {line[0]}", weight="normal", loc="right")
    ax.set(xlabel=label)
    ax.grid(False, axis="y")
    return fig


def memory(parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bytes that training keeps, stacked by what they are for.

    Args:
        parts: name of the method → what → bytes; the same whats in each.
    """
    fig, ax = figure(2.9)
    for row, of_method in enumerate(parts.values()):
        left = 0.0
        for (what, count), color, hatch in zip(of_method.items(), COLORS, HATCHES, strict=False):
            gigabytes = count / 1e9
            label = what if row == 0 else None
            ax.barh(
                row, gigabytes, 0.6, left, color=color, hatch=hatch, edgecolor=GREY, alpha=0.8, label=label
            )
            left += gigabytes
    ax.set_yticks(range(len(parts)), list(parts))
    ax.invert_yaxis()
    ax.set(xlabel="memory (GB)")
    ax.grid(False, axis="y")
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.4, handletextpad=0.4)
    return fig
