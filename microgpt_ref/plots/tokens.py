"""Chapter 1's figures: text in boxes, one box a token, and what a larger vocabulary buys.

Boxes stand on a grid of bytes: a letter is one column wide, "é" is two, because UTF-8 spends two bytes on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, WIDTH, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONO = {"family": "DejaVu Sans Mono", "ha": "center", "va": "center"}


def label(piece: bytes) -> str:
    """What is written in a token's box: its text with blanks made visible, or its bytes in hex."""
    try:
        return piece.decode().replace(" ", "␣").replace("\n", "↵")
    except UnicodeDecodeError:
        return piece.hex(" ")


def break_lines(text: bytes, columns: int) -> list[tuple[int, int]]:
    """Cut `text` before spaces into lines of at most `columns` bytes: (start, end) of each."""
    lines, start = [], 0
    while len(text) - start > columns:
        space = text.rfind(b" ", start + 1, start + columns + 1)
        end = space if space > start else start + columns
        lines.append((start, end))
        start = end
    return [*lines, (start, len(text))]


def cuts(pieces_of: Mapping[str, Sequence[bytes]], columns: int = 18) -> Figure:
    """The same text cut by several tokenizers: a heading each, then its tokens as boxes.

    Args:
        pieces_of: for each heading the bytes of its tokens, in order; none if the tokenizer is not at hand.
        columns: bytes in a line; longer text goes on in the next line.
    """
    text = max((b"".join(pieces) for pieces in pieces_of.values()), key=len)
    lines = break_lines(text, columns)
    block = 0.4 + 0.33 * len(lines)
    fig, ax = _canvas(block * len(pieces_of), columns)
    for number, (name, pieces) in enumerate(pieces_of.items()):
        count = f"{len(pieces)} token{'s' * (len(pieces) != 1)}" if pieces else "not at hand"
        ax.text(0, number * block + 0.24, f"{name}: {count}", weight="bold", va="center")
        _boxes(ax, pieces, lines, number * block + 0.4)
    ax.set_ylim(block * len(pieces_of) + 0.02, 0)
    return fig


def replay(steps: Sequence[tuple[str, Sequence[bytes]]]) -> Figure:
    """One chunk while merges are replayed: a line a step, (what was done, the tokens after it)."""
    columns = sum(map(len, steps[0][1]))
    fig, ax = _canvas(0.4 * len(steps) + 0.1, columns + 8)
    for row, (done, pieces) in enumerate(steps):
        _boxes(ax, pieces, [(0, columns)], 0.4 * row)
        ax.text(columns + 0.4, 0.4 * row + 0.17, done, va="center")
    ax.set_ylim(0.4 * len(steps), 0)
    return fig


def utf8(text: str) -> Figure:
    """The characters of `text`, and under each the bytes that UTF-8 spends on it."""
    data = text.encode()
    fig, ax = _canvas(1.65, len(data))
    _boxes(ax, [character.encode() for character in text], [(0, len(data))], 0.3)
    _boxes(ax, [bytes([value]) for value in data], [(0, len(data))], 0.95, hexadecimal=True)
    ax.text(0, 0.14, f"{len(text)} characters", weight="bold", va="center")
    ax.text(0, 1.48, f"{len(data)} bytes (in hexadecimal)", weight="bold", va="center")
    x = 0
    for character in text:
        width = len(character.encode())
        for byte in range(width):
            ax.plot([x + width / 2, x + byte + 0.5], [0.63, 0.95], color=GREY, linestyle="-", linewidth=1)
        x += width
    ax.set_ylim(1.65, 0)
    return fig


def pair_counts(names: Sequence[str], counts: Sequence[int]) -> Figure:
    """The first merges, from the top, and how often each pair stood in the text when it was merged."""
    fig, ax = figure(height=0.6 + 0.3 * len(names))
    rows = np.arange(len(names))
    ax.barh(rows, counts, color=COLORS[0], alpha=0.85)
    ax.set_yticks(rows, names, family="DejaVu Sans Mono")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("times in the text when it was merged")
    ax.grid(axis="y", visible=False)
    return fig


def compression(
    sizes: Sequence[int], curves: Mapping[str, Sequence[float]], points: Mapping[str, tuple[int, float]]
) -> Figure:
    """Bytes per token against vocabulary size: `curves` at `sizes`, and single `points` (size, ratio)."""
    fig, ax = figure(height=3.9)
    styles = zip(COLORS, LINESTYLES, MARKERS, strict=True)
    for (name, ratios), (color, line, marker) in zip(curves.items(), styles, strict=False):
        ax.plot(sizes, ratios, color=color, linestyle=line, marker=marker, label=name)
    for (name, (size, ratio)), (color, marker) in zip(
        points.items(), zip(COLORS, MARKERS, strict=True), strict=False
    ):
        ax.plot([size], [ratio], color=color, marker=marker, linestyle="", fillstyle="none", label=name)
    ax.set_xscale("log")
    ticks = [256, 1_000, 5_000, 50_000]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(220, 70_000)
    ax.set_ylim(0, None)
    ax.set_xlabel("vocabulary size V")
    ax.set_ylabel("bytes per token")
    fig.legend(loc="outside upper left", ncols=1)
    return fig


def frequencies(counts_of: Mapping[str, Sequence[int]]) -> Figure:
    """How often the commonest token occurs, the second, … : both axes in powers of ten."""
    fig, ax = figure(height=3.4)
    for (name, counts), color, line in zip(counts_of.items(), COLORS, LINESTYLES, strict=False):
        falling = np.sort(np.asarray(counts))[::-1]
        ax.plot(np.arange(1, len(falling) + 1), falling, color=color, linestyle=line, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("rank of the token (1 = the commonest)")
    ax.set_ylabel("times in the text")
    ax.legend(loc="lower left")
    return fig


def languages(names: Sequence[str], counts_of: Mapping[str, Sequence[int]]) -> Figure:
    """Tokens that the same sentence costs in each language: a group of bars a language, a bar a tokenizer."""
    fig, ax = figure(height=1.5 + 0.46 * len(names))
    rows, width = np.arange(len(names)), 0.8 / len(counts_of)
    styles = zip(COLORS, HATCHES, strict=True)
    for place, ((name, counts), (color, hatch)) in enumerate(zip(counts_of.items(), styles, strict=False)):
        middle = rows + (place - (len(counts_of) - 1) / 2) * width
        ax.barh(middle, counts, width, color=color, alpha=0.85, hatch=hatch, edgecolor=GREY, label=name)
    ax.set_yticks(rows, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("tokens")
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper left", ncols=1)
    return fig


def training_pairs(inputs: Sequence[bytes], targets: Sequence[bytes]) -> Figure:
    """One row of a batch: each input token, and under it the token that the model must predict there."""
    widths = [max(len(label(a)), len(label(b))) + 1 for a, b in zip(inputs, targets, strict=True)]
    fig, ax = _canvas(1.9, sum(widths))
    ax.text(0, 0.16, "inputs", weight="bold", va="center")
    ax.text(0, 1.75, "targets: what follows each input", weight="bold", va="center")
    x = 0.0
    for t, width in enumerate(widths):
        for row, piece in ((0.35, inputs[t]), (1.2, targets[t])):
            _box(ax, x, row, width, label(piece), COLORS[0] if row < 1 else COLORS[1])
        ax.annotate(
            "", (x + width / 2, 1.18), (x + width / 2, 0.7), arrowprops={"arrowstyle": "->", "color": GREY}
        )
        x += width
    ax.set_ylim(1.9, 0)
    return fig


def _canvas(height: float, columns: int) -> tuple[Figure, Any]:
    """Axes without axes: one unit right is one column, one unit down about one inch."""
    fig, ax = figure(height=height)
    ax.set_xlim(-0.1, columns + 0.1)
    ax.axis("off")
    return fig, ax


def _boxes(
    ax: Any, pieces: Sequence[bytes], lines: Sequence[tuple[int, int]], y: float, hexadecimal: bool = False
) -> None:
    """A box for each piece; one that goes over the end of a line is drawn in two parts."""
    start = 0
    for number, piece in enumerate(pieces):
        for row, (first, last) in enumerate(lines):
            left, right = max(start, first), min(start + len(piece), last)
            if left < right:
                part = piece[left - start : right - start]
                text = part.hex() if hexadecimal else label(part)
                _box(ax, left - first, y + 0.33 * row, right - left, text, COLORS[number % 2])
        start += len(piece)


def _box(ax: Any, x: float, y: float, width: float, text: str, color: str) -> None:
    from matplotlib.patches import Rectangle

    place, size = (x + 0.05, y + 0.02), (width - 0.1, 0.29)
    ax.add_patch(Rectangle(place, *size, facecolor=(color, 0.1), edgecolor=color, linewidth=1.4))
    columns = ax.get_xlim()[1] - ax.get_xlim()[0]
    tight = 7.8 * len(text) > 0.75 * width * 72 * WIDTH / columns  # a letter of 13 points is 7.8 wide
    ax.text(x + width / 2, y + 0.17, text, fontsize=10.5 if tight else None, **MONO)
