"""Chapter 2's figures: which character follows which, what it costs, and what only a better reader knows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.style import CATEGORY_COLORS, COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONO = "DejaVu Sans Mono"


def visible(character: str) -> str:
    """A character as an axis label: blanks get a sign of their own."""
    return {" ": "␣", "\n": "↵"}.get(character, character)


def coloured_story(spans: Sequence[tuple[str, str]], columns: int = 38) -> Figure:
    """A story in lines of `columns` characters; `spans` are (category, characters) runs.

    Each category has its colour, and a line under its characters that is thin, thick, dashed or double.
    """
    kinds = [kind for kind, run in spans for _ in run]
    lines = break_lines("".join(run for _, run in spans).rstrip("\n"), columns)
    fig, ax = figure(height=0.34 * (len(lines) + 2.5))
    ax.set_xlim(0, columns)
    ax.set_ylim(len(lines) + 2.5, 0)
    ax.axis("off")
    at = 0
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            _letter(ax, column, row, visible(character) if character == "\n" else character, kinds[at])
            at += 1
    for place, kind in enumerate(CATEGORY_COLORS):
        left, low = (place % 2) * columns / 2, len(lines) + 0.4 + 1.1 * (place // 2)
        for column in range(2):
            _letter(ax, left + column, low, "ab"[column], kind)
        ax.text(left + 2.8, low + 0.45, kind, va="center")
    return fig


def break_lines(text: str, columns: int) -> list[str]:
    """Cut after spaces into lines of at most `columns` characters, all characters kept."""
    lines, start = [], 0
    while len(text) - start > columns:
        space = text.rfind(" ", start, start + columns)
        end = space + 1 if space > start else start + columns
        lines.append(text[start:end])
        start = end
    return [*lines, text[start:]]


_UNDER: dict[str, dict[str, Any]] = {
    "spelling": {"linewidth": 1.2, "linestyle": "-"},
    "grammar": {"linewidth": 1.6, "linestyle": (0, (1, 1))},
    "free": {"linewidth": 3.2, "linestyle": "-"},
    "recall": {"linewidth": 3.2, "linestyle": "-"},
}


def _letter(ax: Any, column: float, row: float, character: str, kind: str) -> None:
    from matplotlib.patches import Rectangle

    color, loud = CATEGORY_COLORS[kind], kind in ("free", "recall")
    if kind == "recall":
        ax.add_patch(Rectangle((column, row), 1, 0.84, facecolor=(color, 0.28), linewidth=0))
    ax.plot([column, column + 1], [row + 0.86] * 2, color=color, solid_capstyle="butt", **_UNDER[kind])
    weight = "bold" if loud else "normal"
    ax.text(column + 0.5, row + 0.44, character, family=MONO, ha="center", va="center", weight=weight)


def followers(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """For each character (the keys) a row of bars: the probabilities of the characters that follow it."""
    fig, axes = figure(height=1.75 * len(rows), rows=len(rows), sharey=True, squeeze=False)
    for ax, (character, p), color in zip(axes[:, 0], rows.items(), COLORS, strict=False):
        ax.bar(range(len(p)), list(p.values()), color=color, alpha=0.85)
        ax.set_xticks(range(len(p)), [visible(each) for each in p], family=MONO)
        ax.set_title(f"after “{visible(character)}”")
        ax.set_xlim(-0.7, max(map(len, rows.values())) - 0.3)
        ax.set_ylim(0, 1.05)
        ax.grid(axis="x", visible=False)
    fig.supylabel("probability", fontsize=13)
    return fig


def heat_map(P: Float[np.ndarray, "V V"], characters: str, shown: str, path: str = "") -> Figure:
    """The rows and columns `shown` of P, colour on a log scale; empty where P is 0.

    characters: what the rows of P stand for. The pairs of neighbours in `path` are framed.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    chosen = [characters.index(character) for character in shown]
    part = np.ma.masked_equal(P[np.ix_(chosen, chosen)], 0)
    fig, ax = figure(height=5.6)
    picture = ax.imshow(part, norm=LogNorm(1e-4, 1), aspect="equal")
    labels = [visible(character) for character in shown]
    ax.set_xticks(range(len(shown)), labels, family=MONO)
    ax.set_yticks(range(len(shown)), labels, family=MONO)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0)
    ax.set_xlabel("next character")
    ax.set_ylabel("current character")
    ax.grid(visible=False)
    for now, following in itertools.pairwise(path):
        x, y = shown.index(following) - 0.5, shown.index(now) - 0.5
        ax.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=COLORS[1], linewidth=2.4))
    fig.colorbar(picture, ax=ax, orientation="horizontal", label="probability", shrink=0.85, extend="min")
    return fig


def surprise(text: str, losses: Float[np.ndarray, " n"], uniform: float) -> Figure:
    """The loss of each character of `text` as a bar, their mean and the uniform model's loss as lines."""
    fig, ax = figure(height=3.1)
    ax.bar(range(len(text)), losses, color=COLORS[0], alpha=0.85)
    for value, name, style in ((float(np.mean(losses)), "mean", "-"), (uniform, "uniform model", "--")):
        ax.axhline(value, color=COLORS[1] if name == "mean" else GREY, linestyle=style, label=name)
    ax.set_xticks(range(len(text)), [visible(character) for character in text], family=MONO)
    ax.set_xlim(-0.7, len(text) - 0.3)
    ax.set_ylabel("−ln p (nats)")
    ax.grid(axis="x", visible=False)
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def smoothing(alphas: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Loss against alpha, a line for each of `curves`, a ring at its lowest point."""
    fig, ax = figure(height=3.9)
    for (name, losses), color, line in zip(curves.items(), COLORS, LINESTYLES, strict=False):
        ax.plot(alphas, losses, color=color, linestyle=line, label=name)
        best = int(np.argmin(losses))
        ax.plot(alphas[best], losses[best], marker="o", fillstyle="none", markersize=10, color=color)
    ax.set_xscale("log")
    ax.set_xlabel("alpha, added to every count")
    ax.set_ylabel("loss (nats a character)")
    fig.legend(loc="outside upper left")
    return fig


def descent(losses: Sequence[float], target: float, uniform: float) -> Figure:
    """The loss at each step of gradient descent (log scale), from the uniform model's to the counts'."""
    fig, ax = figure(height=3.3)
    ax.plot(range(1, len(losses) + 1), losses, color=COLORS[0], label="gradient descent")
    for value, name, style in ((uniform, "uniform: ln V", ":"), (target, "counting", "--")):
        ax.axhline(value, color=GREY, linestyle=style, label=name)
    ax.set_xscale("log")
    ax.set_ylim(0, uniform * 1.08)
    ax.set_xlabel("step")
    ax.set_ylabel("loss (nats)")
    ax.legend(loc="lower left")
    return fig


def readers(
    places: Sequence[tuple[str, Mapping[str, float], Mapping[str, float]]],
    names: tuple[str, str],
    top: int = 8,
) -> Figure:
    """At each place (title, p of the first reader, p of the second) the likeliest next characters of both."""
    fig, axes = figure(height=2.0 * len(places) + 0.4, rows=len(places), sharey=True, squeeze=False)
    for ax, (title, first, second) in zip(axes[:, 0], places, strict=True):
        best = {c: max(first.get(c, 0), second.get(c, 0)) for c in {*first, *second}}
        shown = sorted(sorted(best, key=lambda c: (-best[c], c))[:top])
        for side, (p, name) in enumerate(zip((first, second), names, strict=True)):
            heights = [p.get(character, 0) for character in shown]
            at = np.arange(len(shown)) + (side - 0.5) * 0.4
            ax.bar(at, heights, 0.4, color=COLORS[side], alpha=0.85, hatch=HATCHES[side], label=name)
        ax.set_xticks(range(len(shown)), [visible(character) for character in shown], family=MONO)
        ax.set_title(title)
        ax.set_ylim(0, 1.05)
        ax.grid(axis="x", visible=False)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    fig.supylabel("probability", fontsize=13)
    return fig


def against_floor(losses: Mapping[str, float], floors: Mapping[str, float], uniform: float) -> Figure:
    """One bar a category: the model's loss; a thick line across it: the floor, which no model goes below."""
    fig, ax = figure(height=3.5)
    for place, (kind, loss) in enumerate(losses.items()):
        ax.bar(place, loss, 0.7, color=CATEGORY_COLORS[kind], alpha=0.85)
        ax.plot([place - 0.42, place + 0.42], [floors[kind]] * 2, color=GREY, linewidth=5, linestyle="-")
        ax.text(place, loss + 0.08, f"{loss:.2f}", ha="center")
    ax.plot([], [], color=GREY, linewidth=5, linestyle="-", label="floor")
    ax.axhline(uniform, color=GREY, linestyle=":", label="uniform model")
    ax.set_xticks(range(len(losses)), list(losses))
    ax.set_ylim(-0.1, uniform * 1.08)
    ax.set_ylabel("loss (nats a character)")
    ax.grid(axis="x", visible=False)
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def by_context(
    contexts: Sequence[int], losses: Mapping[str, Sequence[float]], floors: Mapping[str, float]
) -> Figure:
    """The loss of each category against the number of characters seen; at the right the ideal reader's."""
    fig, ax = figure(height=4.2)
    ideal = len(contexts)
    for (kind, values), line, marker in zip(losses.items(), LINESTYLES, MARKERS, strict=False):
        color = CATEGORY_COLORS[kind]
        ax.plot(range(ideal), values, color=color, linestyle=line, marker=marker, label=kind)
        ax.plot(ideal, floors[kind], color=color, marker=marker, fillstyle="none", markersize=10)
    ax.axvline(ideal - 0.5, color=GREY, linestyle=":", linewidth=1.2)
    ax.set_xticks([*range(len(contexts) + 1)], [*map(str, contexts), "ideal\nreader"])
    ax.set_ylim(-0.1, None)
    ax.set_xlabel("characters of context")
    ax.set_ylabel("loss (nats a character)")
    fig.legend(loc="outside upper left", ncols=2)
    return fig
