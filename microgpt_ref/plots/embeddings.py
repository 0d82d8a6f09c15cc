"""Chapter 3's figures: a row of a table for each token, and four ways to see where a token stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.bigram import MONO, visible
from microgpt_ref.plots.style import COLORS, GREY, LINESTYLES, MARKERS, WIDTH, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: dict[str, dict[str, Any]] = {
    "vowels": {"color": COLORS[1], "weight": "bold"},
    "other small letters": {"color": COLORS[2]},
    "capitals": {"color": COLORS[0]},
    "signs": {"color": GREY},
}


def lookup(
    one_hot: Float[np.ndarray, "T V"],
    table: Float[np.ndarray, "V C"],
    word: str,
    characters: Sequence[str],
) -> Figure:
    """The matrix product one_hot @ table, laid out so that each result stands in its row and column.

    word: the T characters that the rows of `one_hot` stand for; characters: those of the table's rows.
    """
    (T, V), C = one_hot.shape, table.shape[1]
    height = WIDTH * (V + T + 2.4) / (V + C + 2.0)
    fig, axes = figure(height, 2, 2, width_ratios=[V, C], height_ratios=[V, T])
    axes[0, 0].axis("off")
    note = "table (V, C) ▶\n\n\none_hot (T, V) ▼\n\n\nx (T, C) ◢"
    axes[0, 0].text(0.95, 0.5, note, ha="right", va="center", transform=axes[0, 0].transAxes)
    largest = np.abs(table).max()
    labels = [visible(character) for character in characters]
    for ax, matrix, span in (
        (axes[0, 1], table, largest),
        (axes[1, 0], one_hot, 1),
        (axes[1, 1], one_hot @ table, largest),
    ):
        ax.imshow(matrix, vmin=-span if span != 1 else 0, vmax=span, aspect="auto")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.set_xticks([])
        ax.set_yticks([])
    axes[0, 1].set_yticks(range(V), labels, family=MONO)
    axes[1, 0].set_xticks(range(V), labels, family=MONO)
    for ax in axes[1]:
        ax.set_yticks(range(T), list(word), family=MONO)
    return fig


def kind_of(character: str) -> str:
    """Which of `KINDS` a character belongs to."""
    if character in "aeiou":
        return "vowels"
    if not character.isalpha():
        return "signs"
    return "capitals" if character.isupper() else "other small letters"


def letters(panels: Mapping[str, Float[np.ndarray, "V 2"]], characters: Sequence[str]) -> Figure:
    """One panel for each of `panels` (the keys are titles): every character drawn at its point."""
    fig, axes = figure(height=4.0 * len(panels) + 0.4, rows=len(panels), squeeze=False)
    for ax, (title, points) in zip(axes[:, 0], panels.items(), strict=True):
        for character, (x, y) in zip(characters, points, strict=True):
            style = KINDS[kind_of(character)]
            ax.text(x, y, visible(character), family=MONO, ha="center", va="center", **style)
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.06 * (high - low)
        ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
        ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
        ax.set_title(title)
        ax.set_xticklabels([])
        ax.set_yticklabels([])
        ax.tick_params(length=0)
    handles = [axes[0, 0].plot([], [], marker="s", linestyle="", **_colour(kind))[0] for kind in KINDS]
    fig.legend(handles, list(KINDS), loc="outside upper left", ncols=2, handletextpad=0.2)
    return fig


def _colour(kind: str) -> dict[str, Any]:
    return {"color": KINDS[kind]["color"]}


def position_heat_map(positions: Float[np.ndarray, "T C"]) -> Figure:
    """One row a position, one column a channel; the colour is the value, −1 to 1."""
    fig, ax = figure(height=4.6)
    picture = ax.imshow(positions, vmin=-1, vmax=1, aspect="auto")
    ax.grid(visible=False)
    ax.set_xlabel("channel")
    ax.set_ylabel("position t")
    fig.colorbar(picture, ax=ax, label="value", orientation="horizontal", shrink=0.85)
    return fig


def _clock(
    ax: Any, hands: Sequence[float], shade: tuple[float, float], colors: Sequence[str] = COLORS
) -> None:
    """A clock face; angles in radians, counterclockwise from the right; `shade` goes from one to another."""
    from matplotlib.patches import Circle, Wedge

    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=GREY, linewidth=1.2))
    start, end = np.degrees(shade)
    if end - start >= 360:
        start, end = 0, 360
    ax.add_patch(Wedge((0, 0), 0.62, start, end, facecolor=(GREY, 0.25), linewidth=0))
    for angle, color, line in zip(hands, colors, LINESTYLES, strict=False):
        tip = 0.94 * np.cos(angle), 0.94 * np.sin(angle)
        ax.plot([0, tip[0]], [0, tip[1]], color=color, linestyle=line, solid_capstyle="round", linewidth=2.8)
    ax.plot(0, 0, marker="o", color=colors[0], markersize=3.5)
    ax.set_xlim(-1.12, 1.12)
    ax.set_ylim(-1.12, 1.12)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)


def clock_hands(angles: Float[np.ndarray, "T half"], positions: Sequence[int]) -> Figure:
    """A row of clocks for each pair of channels: where its hand points at each of `positions`."""
    pairs = angles.shape[1]
    fig, axes = figure(0.66 * pairs + 0.6, pairs, len(positions), squeeze=False)
    for i in range(pairs):
        for column, t in enumerate(positions):
            angle = float(angles[t, i])
            _clock(axes[i, column], [angle], (0, angle), [COLORS[i % len(COLORS)]])
        axes[i, 0].set_ylabel(f"pair {i}", rotation=0, ha="right", va="center")
    for column, t in enumerate(positions):
        axes[0, column].set_title(f"{t}", loc="center", weight="normal")
    fig.suptitle("position t")
    return fig


def two_hands(
    alpha: float, beta: float, frequency: float, rows: Sequence[Sequence[tuple[int, int]]]
) -> Figure:
    """q (direction alpha) turned by its position t and k (beta) by s: a clock for each (t, s) of `rows`."""
    fig, axes = figure(1.72 * len(rows) + 0.4, len(rows), len(rows[0]), squeeze=False)
    for line, places in zip(axes, rows, strict=True):
        for ax, (t, s) in zip(line, places, strict=True):
            q, k = alpha + t * frequency, beta + s * frequency
            _clock(ax, [q, k], (k, q) if (q - k) % (2 * np.pi) <= np.pi else (q, k))
            ax.set_title(f"t={t}, s={s}", loc="center", weight="normal")
    handles = [
        axes[0, 0].plot([], [], color=color, linestyle=style)[0]
        for color, style in zip(COLORS[:2], LINESTYLES, strict=False)
    ]
    fig.legend(handles, ["q, turned by tω", "k, turned by sω"], loc="outside upper left", ncols=2)
    return fig


def by_distance(
    panels: Mapping[str, Mapping[int, Float[np.ndarray, " n"]]], label: str = "dot product"
) -> Figure:
    """For each panel (title) one line a starting position: the dot product with what stands d later."""
    fig, axes = figure(2.15 * len(panels) + 0.9, len(panels), sharex=True, squeeze=False)
    for ax, (title, lines) in zip(axes[:, 0], panels.items(), strict=True):
        styles = zip(COLORS, LINESTYLES, MARKERS, strict=True)
        for (start, dots), (color, line, marker), width in zip(
            lines.items(), styles, (5.0, 3.0, 1.6, 1.2, 1.2), strict=False
        ):
            ax.plot(dots, color=color, linestyle=line, linewidth=width, label=f"from {start}")
            ax.plot(0, dots[0], color=color, marker=marker)
        ax.axhline(0, color=GREY, linewidth=1, linestyle="-")
        ax.set_title(title)
    axes[-1, 0].set_xlabel("distance d")
    fig.supylabel(label, fontsize=13)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return fig
