"""Figures of chapter 9: a pytree, calls of a compiled function, program sizes, number formats, a mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgpt_ref.plots.style import COLORS, GREY, HATCHES, LINESTYLES, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MONO = {"family": "DejaVu Sans Mono", "size": 12}


def tree(branches: Mapping[str, Any]) -> Figure:
    """A nested mapping as an outline: names on the left, what the leaves hold on the right.

    Args:
        branches: name → the text of a leaf, or a mapping of the same kind.
    """
    rows = list(_rows(branches, 0))
    fig, ax = figure(0.4 + 0.3 * len(rows))
    ax.set(xlim=(0, 10), ylim=(len(rows) - 0.3, -0.7))
    ax.axis("off")
    for row, (depth, name, leaf) in enumerate(rows):
        x = 0.15 + 0.7 * depth
        if depth:
            parent = max(r for r in range(row) if rows[r][0] == depth - 1)
            line = {"color": GREY, "linestyle": "-", "linewidth": 1.2}
            ax.plot([x - 0.5, x - 0.5, x - 0.1], [parent + 0.4, row, row], **line)
        color = COLORS[0] if leaf is None else GREY
        ax.text(x, row, name, va="center", color=color, weight="bold" if leaf is None else "normal")
        if leaf is not None:
            ax.text(9.9, row, leaf, va="center", ha="right", **MONO)
    return fig


def _rows(branches: Mapping[str, Any], depth: int) -> Any:
    for name, below in branches.items():
        if isinstance(below, Mapping):
            yield depth, name, None
            yield from _rows(below, depth + 1)
        else:
            yield depth, name, str(below)


def calls(seconds: Mapping[str, Sequence[float]]) -> Figure:
    """How long each call of a function took, in milliseconds on a logarithmic axis.

    Args:
        seconds: name → the time of each call, in order.
    """
    fig, ax = figure(3.8)
    for (name, times), color, style, marker in zip(
        seconds.items(), COLORS, LINESTYLES, MARKERS, strict=False
    ):
        numbers = np.arange(1, len(times) + 1)
        ax.plot(numbers, 1000 * np.asarray(times), color=color, linestyle=style, marker=marker, label=name)
    ax.set(xlabel="call", ylabel="milliseconds", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def traces(calls: Sequence[tuple[str, bool]]) -> Figure:
    """One column a call: a full mark where the function was traced, an open one where a program was reused.

    Args:
        calls: (what the call was given, whether it was traced), in order.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in calls))
    fig, ax = figure(1.5 + 0.45 * len(kinds))
    styles = ((True, "traced, compiled", COLORS[1]), (False, "program reused", COLORS[0]))
    for (wanted, label, color), marker in zip(styles, MARKERS, strict=False):
        points = [(n, kinds.index(kind)) for n, (kind, traced) in enumerate(calls, 1) if traced == wanted]
        x, y = np.asarray(points).reshape(-1, 2).T
        face = color if wanted else "none"
        ax.plot(
            x, y, marker, color=color, linestyle="", markersize=13, markerfacecolor=face,
            markeredgewidth=2, label=label,
        )  # fmt: skip
    ax.set(xlabel="call", ylabel="argument", yticks=range(len(kinds)), yticklabels=kinds)
    ax.set(xlim=(0.4, len(calls) + 0.6), ylim=(len(kinds) - 0.4, -0.6), xticks=range(1, len(calls) + 1))
    fig.legend(loc="outside upper left", ncols=2, handletextpad=0.2)
    return fig


def one_each(values: Sequence[float], marked: int, ylabel: str, words: str) -> Figure:
    """A bar for each sequence of a batch; the one that is `marked` in another colour, with `words` above."""
    fig, ax = figure(3.0)
    for number, value in enumerate(values):
        which = int(number == marked)
        ax.bar(number, value, facecolor=(COLORS[which], 0.5), edgecolor=COLORS[which], hatch=HATCHES[which])
    side = "right" if marked > len(values) / 2 else "left"
    ax.text(marked, values[marked] * 1.02, words, ha=side, va="bottom", color=COLORS[1])
    ax.set(xlabel="sequence of the batch", ylabel=ylabel, ylim=(0, max(values) * 1.2))
    ax.set(xticks=range(0, len(values), max(1, len(values) // 8)))
    return fig


def program_sizes(layers: Sequence[int], sizes: Mapping[str, Sequence[int]]) -> Figure:
    """Lines of the traced program against the number of layers, a line for each way to write it."""
    fig, ax = figure(3.4)
    for (name, counts), color, style, marker in zip(sizes.items(), COLORS, LINESTYLES, MARKERS, strict=False):
        ax.plot(layers, counts, color=color, linestyle=style, marker=marker, label=name)
    ax.set(xlabel="layers", ylabel="lines of the program", ylim=(0, None), xticks=layers)
    ax.legend(loc="upper left")
    return fig


def schedule(rates: Sequence[float], first: int) -> Figure:
    """The learning rate of each step: the first steps above, the whole run below."""
    fig, (top, bottom) = figure(4.6, 2)
    for ax, values in ((top, rates[:first]), (bottom, rates)):
        ax.plot(np.arange(len(values)), values, color=COLORS[0])
        ax.set(ylabel="learning rate", ylim=(0, None))
        ax.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    top.plot(0, rates[0], MARKERS[1], color=COLORS[1], clip_on=False, markersize=9)
    top.annotate(
        f"step 0: {rates[0]:g}",
        (0, rates[0]),
        (0.3, 0.1),
        textcoords="axes fraction",
        color=COLORS[1],
    )
    bottom.set(xlabel="step")
    return fig


def moved(rates: Sequence[float], shares: Mapping[str, Sequence[float]]) -> Figure:
    """Share of the weights that an update of a given size changes, for each number format.

    Args:
        rates: sizes of the update.
        shares: name of the format → share for each size, 0 … 1.
    """
    fig, ax = figure(3.4)
    for (name, share), color, style, marker in zip(shares.items(), COLORS, LINESTYLES, MARKERS, strict=False):
        ax.plot(rates, 100 * np.asarray(share), color=color, linestyle=style, marker=marker, label=name)
    ax.set(xscale="log", xlabel="size of the update", ylabel="weights that move (%)", ylim=(-4, 104))
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def losses(runs: Mapping[str, Sequence[float]], steps: Sequence[int], level: float, words: str) -> Figure:
    """Training losses of several runs over the same steps, and one level with a name.

    Args:
        runs: name → loss at each of `steps`.
        level: drawn as a dotted line, with `words` on it.
    """
    fig, ax = figure(3.8)
    for number, (name, values) in enumerate(runs.items()):
        style = {"color": COLORS[number], "linestyle": LINESTYLES[number], "marker": MARKERS[number]}
        ax.plot(steps, values, markevery=(number, 3), label=name, **style)
    ax.axhline(level, color=GREY, linestyle=":", linewidth=1.6)
    ax.text(steps[-1], level, words, ha="right", va="bottom")
    ax.set(xlabel="step", ylabel="loss (nats)")
    fig.legend(loc="outside upper left", ncols=2)
    return fig


def mesh(devices: int, rows: int) -> Figure:
    """Data parallelism: the batch cut into equal parts, a copy of the weights on each device, one sum.

    Args:
        devices: how many there are, 2 to 8.
        rows: sequences in the batch, a multiple of `devices`.
    """
    fig, ax = figure(4.8)
    ax.set(xlim=(0, devices), ylim=(0, 6.4))
    ax.axis("off")
    each = rows // devices
    ax.text(devices / 2, 6.05, f"a batch of {rows} sequences, {each} for each device", ha="center")
    for device in range(devices):
        color = COLORS[device % 2]
        for row in range(each):
            height = 0.8 / each
            _box(ax, (device + 0.08, 5.0 + row * height), (0.84, height * 0.85), color, HATCHES[device % 2])
        _arrow(ax, (device + 0.5, 4.9), (device + 0.5, 4.15))
        _box(ax, (device + 0.08, 1.95), (0.84, 2.1), GREY)
        ax.text(device + 0.5, 3.0, f"device {device}\nall weights", rotation=90, ha="center", va="center")
        _arrow(ax, (device + 0.5, 1.85), (device + 0.5, 1.25))
    _box(ax, (0.08, 0.55), (devices - 0.16, 0.6), COLORS[2])
    ax.text(devices / 2, 0.85, "gradients added up (all-reduce)", ha="center", va="center")
    ax.text(devices / 2, 0.1, "each device makes the same update", ha="center", va="bottom")
    return fig


def _box(
    ax: Axes, corner: tuple[float, float], size: tuple[float, float], color: str, hatch: str = ""
) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"facecolor": (color, 0.16), "edgecolor": color, "linewidth": 1.5}
    ax.add_patch(Rectangle(corner, *size, hatch=hatch, **style))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.4})
