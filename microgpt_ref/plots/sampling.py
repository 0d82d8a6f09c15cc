"""Figures of chapter 12: one distribution under each filter, temperature, straight stories, the KV cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from microgpt_ref.plots.speed import bare_rows, decades
from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure
from microgpt_ref.plots.training import plain_log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Probabilities = Float[np.ndarray, " n"]


def distribution(characters: Sequence[str], model: Probabilities, ideal: Probabilities) -> Figure:
    """The model's probability of each character as a bar, and the ideal reader's as a line across it."""
    fig, ax = figure(3.2)
    places = np.arange(len(characters))
    ax.bar(places, model, 0.7, facecolor=(COLORS[0], 0.4), edgecolor=COLORS[0], linewidth=1, label="model")
    ax.hlines(
        ideal, places - 0.45, places + 0.45, color=COLORS[1], linewidth=2.4, label="ideal reader", zorder=3
    )
    name_bars(ax, characters)
    ax.set(ylabel="probability")
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1)
    return fig


def filters(characters: Sequence[str], before: Probabilities, after: Mapping[str, Probabilities]) -> Figure:
    """The same distribution under each filter, one row each; the outline is what it was before.

    A cross marks a character that was removed.

    Args:
        before: probability of each character, the likeliest first.
        after: name of the filter → probabilities of the same characters.
    """
    fig, axes = figure(0.95 * len(after) + 0.6, len(after), sharex=True, squeeze=False)
    places = np.arange(len(characters))
    top = 1.12 * max(before.max(), *(min(p.max(), 2.2 * before.max()) for p in after.values()))
    for ax, (name, probabilities) in zip(axes[:, 0], after.items(), strict=True):
        ax.bar(places, probabilities, 0.7, facecolor=(COLORS[0], 0.5), edgecolor=COLORS[0], linewidth=0.8)
        ax.bar(places, before, 0.7, facecolor="none", edgecolor=GREY, linewidth=1.0, linestyle=":")
        kept = int((probabilities > 0).sum())
        ax.annotate(
            f"{name}: {kept} left", (1, 0.93), xycoords="axes fraction", ha="right", va="top", weight="bold"
        )
        gone = places[probabilities == 0]
        ax.plot(gone, np.full(len(gone), 0.07 * top), "x", color=GREY, markersize=5)
        ax.grid(axis="x", visible=False)
        ax.tick_params(axis="x", length=0)
        # a bar that is too high for the row ends in its number
        for place in places[probabilities > top]:
            ax.annotate(f"{probabilities[place]:.2f}", (place + 0.5, 0.88 * top), va="center")
        ax.set(ylim=(0, top), yticks=[])
        ax.spines["left"].set_visible(False)
    name_bars(axes[-1, 0], characters)
    return fig


def name_bars(ax: Axes, characters: Sequence[str]) -> None:
    """A character under each bar, and no lines between them."""
    ax.set(xticks=range(len(characters)), xticklabels=list(characters), xlabel="next character")
    ax.set_xlim(-0.7, len(characters) - 0.3)
    ax.grid(axis="x", visible=False)
    ax.tick_params(axis="x", length=0)


def typical(groups: Mapping[str, Sequence[float]], marks: Mapping[str, float]) -> Figure:
    """How often stories have the likeliest character where the model is unsure.

    Args:
        groups: name → percent of the unsure places of each story, drawn as a histogram.
        marks: name → the percentage of a single story, drawn as a line.
    """
    fig, ax = figure(3.4)
    bins = np.linspace(0, 100, 26).tolist()
    for (name, values), color, hatch in zip(groups.items(), COLORS, HATCHES, strict=False):
        shares = np.full(len(values), 100 / len(values))
        look: dict[str, Any] = {"facecolor": (color, 0.3), "edgecolor": color, "hatch": hatch}
        ax.hist(np.asarray(values), bins, weights=shares, histtype="stepfilled", label=name, **look)
    looks = [*zip(COLORS, LINESTYLES, strict=True)][len(groups) :]
    for (name, value), (color, style) in zip(marks.items(), looks, strict=False):
        ax.axvline(value, color=color, linestyle=style, label=name)
    ax.set(xlim=(0, 102), xlabel="% of unsure places: the likeliest", ylabel="% of stories")
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1, handlelength=1.6)
    return fig


def tempered(
    temperatures: Sequence[float], loss: Sequence[float], entropy: Sequence[float], floor: float
) -> Figure:
    """Cross-entropy on true text and the model's own entropy against the temperature, both in nats."""
    fig, ax = figure(3.6)
    ax.plot(temperatures, loss, MARKERS[0], linestyle=LINESTYLES[0], color=COLORS[0], label="loss")
    ax.plot(temperatures, entropy, MARKERS[1], linestyle=LINESTYLES[1], color=COLORS[1], label="entropy")
    best = int(np.argmin(loss))
    ax.plot(temperatures[best], loss[best], "o", color=COLORS[0], markersize=13, fillstyle="none")
    ax.axhline(floor, color=GREY, linestyle=":", label="floor")
    ax.set(xscale="log", xlabel="temperature", ylabel="nats a character", ylim=(0, 3.2 * min(loss)))
    plain_log_axis(ax.xaxis, (0.25, 0.5, 1, 2))
    fig.legend(loc="outside upper left", ncols=3, columnspacing=1)
    return fig


def settings(rows: Mapping[str, tuple[float, float, float]]) -> Figure:
    """For each setting a row: the share of straight stories with its standard error, and the diversity.

    Args:
        rows: setting → (share, its standard error, diversity), all of 1.
    """
    fig, axes = figure(0.58 * len(rows) + 0.9, columns=2, sharey=True)
    for row, (name, (share, error, diversity)) in enumerate(rows.items()):
        axes[0].text(0, row - 0.2, name, va="bottom")
        axes[0].errorbar(100 * share, row, xerr=100 * error, fmt="o", color=COLORS[0], capsize=4)
        axes[1].plot(100 * diversity, row, MARKERS[1], color=COLORS[1])
    labels = ("% straight so far", "% new triples")
    highest = [max(s + e for s, e, _ in rows.values()), max(d for _, _, d in rows.values())]
    for ax, label, high in zip(axes, labels, highest, strict=True):
        bare_rows(ax, len(rows))
        ax.set(xlabel=label, xlim=(0, min(1.1 * 100 * high, 105)))
        ax.locator_params(axis="x", nbins=3)
    return fig


def time_by_length(lengths: Sequence[int], times: Mapping[str, Sequence[float]]) -> Figure:
    """Milliseconds for the next token against the length of the text before it.

    Args:
        times: name → seconds for each length.
    """
    fig, ax = figure(3.4)
    for (name, seconds), color, style, marker in zip(
        times.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        values = 1000 * np.asarray(seconds)
        ax.plot(lengths, values, color=color, linestyle=style, marker=marker, label=name)
    ax.set(xlabel="characters so far", ylabel="ms a character", ylim=(0, None))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1)
    return fig


def decoding(
    lengths: Sequence[int], rates: Mapping[str, Sequence[float]], floor: Sequence[float] | None = None
) -> Figure:
    """Tokens a second against the length of the text, both axes logarithmic.

    Args:
        rates: program → tokens/s for each length.
        floor: tokens/s at each length if the time were only that of reading weights and cache once.
    """
    fig, ax = figure(4.2)
    for (name, values), color, style, marker in zip(rates.items(), COLORS, LINESTYLES, MARKERS, strict=False):
        ax.plot(lengths, values, color=color, linestyle=style, marker=marker, label=name)
    if floor is not None:
        ax.plot(lengths, floor, color=GREY, linestyle=":", label="memory bandwidth")
    ax.set(xscale="log", yscale="log", xlabel="tokens so far", ylabel="tokens a second")
    plain_log_axis(ax.xaxis, lengths)
    plain_log_axis(ax.yaxis, decades(*ax.get_ylim()))
    fig.legend(loc="outside upper left", ncols=2, columnspacing=1, handlelength=2)
    return fig
