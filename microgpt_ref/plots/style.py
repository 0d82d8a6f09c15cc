"""One look for every figure of the course.

Figures have no background of their own: the page shows through, white by day and almost black by night.
So every colour here is a mid-tone. Each line colour has a contrast near 3:1 or better on both pages, and
the grey of axes and labels 4.2:1. The five colours also differ in lightness by about five steps of CIE L*,
so they stay apart in a grey print and for the three kinds of colour blindness. A test measures all this.

Size: a figure is 4.8 inches wide with 13-point type. On a phone of 390 px it is shown 358 px wide and the
type is then 10 points high; on a wide screen it is shown 528 px wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from cycler import cycler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, OCHRE = "#0465af", "#ea7501", "#008e64", "#cb67a0", "#906900"
GREY = "#757b85"
"""Axes, labels and reference lines, such as the entropy floor."""

COLORS = (BLUE, ORANGE, GREEN, PINK, OCHRE)
"""Line colours in the order of use: the first ones are the furthest apart, in colour and in grey."""

LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""One for each colour, so that no line is told by colour alone."""

MARKERS = ("o", "s", "^", "D", "v")
HATCHES = ("", "//", "..", "xx", "--")
"""For bars and areas, one for each colour."""

CATEGORY_COLORS = {"spelling": BLUE, "grammar": GREEN, "free": OCHRE, "recall": ORANGE}
"""The categories of `microgpt_ref.stories` keep their colours through the whole course."""

WIDTH, HEIGHT = 4.8, 3.2
"""Inches. Every figure has this width, so that type has one size; make figures taller, never wider."""

DPI = 110

_STYLE: Any = {  # Any: matplotlib's stubs know each key by name
    "figure.figsize": (WIDTH, HEIGHT),
    "figure.dpi": DPI,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.transparent": True,
    "savefig.dpi": 2 * DPI,
    "svg.hashsalt": "microgpt",  # the same figure gives the same file
    "font.family": "DejaVu Sans",  # it comes with matplotlib, so every machine draws the same picture
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 13,
    "legend.title_fontsize": 13,
    "figure.titlesize": 13,
    "figure.labelsize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.8,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "lines.linewidth": 2.4,
    "lines.markersize": 7,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=LINESTYLES),
}


def use_style() -> None:
    """Give every later figure the course's look. In a notebook, also twice the pixels for sharp screens."""
    mpl.rcParams.update(_STYLE)
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:  # plain Python: there is no notebook to tell
        return
    if get_ipython() is None:
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    # bbox_inches=None: cropping would change the width, and with it the size of the type
    set_matplotlib_formats("retina", bbox_inches=None)


def figure(height: float = HEIGHT, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """`plt.subplots` at the course's width: a figure `height` inches high, and its axes.

    Call `use_style` once before the first figure. `options` go to `plt.subplots`.
    """
    import matplotlib.pyplot as plt

    if not height > 0:
        raise ValueError(f"height={height} is not a size; give inches above 0, such as {HEIGHT}")
    return plt.subplots(rows, columns, figsize=(WIDTH, height), **options)
