"""The course's figures: one module a chapter, and the one style they share.

Each figure is a function that takes data and returns a matplotlib `Figure`; nothing here trains or downloads.
"""

from microgpt_ref.plots.style import (
    CATEGORY_COLORS,
    COLORS,
    GREY,
    HATCHES,
    HEIGHT,
    LINESTYLES,
    MARKERS,
    WIDTH,
    figure,
    use_style,
)

__all__ = [
    "CATEGORY_COLORS",
    "COLORS",
    "GREY",
    "HATCHES",
    "HEIGHT",
    "LINESTYLES",
    "MARKERS",
    "WIDTH",
    "figure",
    "use_style",
]
