"""The palette keeps the promises that its docstring makes; measured, not believed."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots

WHITE, NIGHT = "#ffffff", "#101318"
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
D65 = np.array([0.95047, 1.0, 1.08883])
# Machado, Oliveira and Fernandes (2009), severity 1.0: linear RGB as seen without one kind of cone.
BLINDNESS = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}


def linear(color: str) -> np.ndarray:
    c = np.array(mpl.colors.to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(linear_rgb: np.ndarray) -> np.ndarray:
    x = XYZ @ linear_rgb / D65
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(XYZ[1] @ linear(c)) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [WHITE, NIGHT])
@pytest.mark.parametrize("color", plots.COLORS)
def test_lines_are_seen_on_both_pages(color, page):
    assert contrast(color, page) > 2.95


@pytest.mark.parametrize("page", [WHITE, NIGHT])
def test_labels_are_read_on_both_pages(page):
    assert contrast(plots.GREY, page) > 4.2


def test_colors_differ_in_grey():
    lightness = sorted(lab(linear(color))[0] for color in plots.COLORS)
    assert min(np.diff(lightness)) > 4.5


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colors_differ_for_the_colour_blind(kind):
    seen = [lab(np.clip(np.array(BLINDNESS[kind]) @ linear(color), 0, 1)) for color in plots.COLORS]
    closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert closest > 14


def test_one_style_of_each_kind_for_each_color():
    for styles in (plots.LINESTYLES, plots.MARKERS, plots.HATCHES):
        assert len(set(styles)) == len(plots.COLORS)


def test_type_is_ten_points_high_on_a_phone():
    fig, ax = plots.figure()
    ax.set_title("title")
    ax.plot([0, 1], label="line")
    texts = [ax.title, ax.xaxis.label, *ax.get_xticklabels(), *ax.legend().get_texts()]
    phone = 358 / (plots.WIDTH * 72)  # a page of 390 px leaves 358; CSS pixels for each point of the figure
    assert min(text.get_fontsize() for text in texts) * phone * 72 / 96 >= 10
    assert fig.get_figwidth() == plots.WIDTH
    mpl.pyplot.close(fig)


def test_figures_are_transparent_and_use_the_palette():
    fig, ax = plots.figure(height=2.0, rows=2, sharex=True)
    assert fig.get_facecolor()[3] == 0
    assert ax[0].get_facecolor()[3] == 0
    lines = [ax[0].plot([0, 1])[0] for _ in plots.COLORS]
    assert [line.get_color() for line in lines] == list(plots.COLORS)
    assert (
        len({line.get_linestyle() if isinstance(line.get_linestyle(), str) else "own" for line in lines}) >= 4
    )
    mpl.pyplot.close(fig)


def test_an_impossible_height_is_named():
    with pytest.raises(ValueError, match="height=0 is not a size"):
        plots.figure(height=0)
