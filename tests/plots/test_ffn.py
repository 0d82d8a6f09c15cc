"""Chapter 6's figures show what they are given."""

import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import ffn as figures


def test_shares_fill_each_bar():
    bars = figures.shares({"one": (4, 8), "two": (1, 1)}).axes[0].patches
    assert [round(bar.get_width(), 1) for bar in bars] == [33.3, 66.7, 50, 50]


def test_corners_mark_what_is_wanted():
    fig = figures.corners({"flat": lambda p: 0 * p[:, 0], "sum": lambda p: p.sum(1)}, (0, 1, 1, 0))
    assert len(fig.axes) == 2
    assert [line.get_fillstyle() for line in fig.axes[0].lines] == ["none", "full", "full", "none"]
    assert not fig.axes[0].collections
    assert fig.axes[1].collections


def test_activations_stand_above_their_slopes():
    x = np.linspace(-1, 1, 5)
    above, below = figures.activations(x, {"double": (2 * x, np.full(5, 2.0))}).axes
    assert above.lines[0].get_ydata().tolist() == (2 * x).tolist()
    assert below.lines[0].get_ydata().tolist() == [2.0] * 5


def test_a_difference_is_shown_in_ten_thousandths():
    line = figures.difference(np.arange(2.0), np.array([0, 3e-4])).axes[0].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([0, 3])


def test_firing_sorts_the_units():
    lines = figures.firing({"layer 0": np.array([0.1, 0.9]), "untrained": np.array([0.5, 0.5])}).axes[0].lines
    assert lines[0].get_ydata().tolist() == [90, 10]
    assert lines[1].get_color() == plots.GREY


def test_coloured_text_tints_by_activation():
    text = "abc def"
    activation = np.array([0, 0, 2.0, 0, 1.0, 0, 0])
    ax = figures.coloured_text(text, {"unit": activation}, columns=4, lines=2).axes[0]
    assert "".join(each.get_text() for each in ax.texts[1:]) == text
    assert len(ax.patches) == 4  # a tint and a bar for each of the two active characters
    assert [bar.get_x() - 0.08 for bar in ax.patches[1::2]] == pytest.approx([2, 0])
    assert ax.patches[1].get_height() == pytest.approx(2 * ax.patches[3].get_height())


def test_rows_are_counted_from_their_lengths():
    assert [figures.line_number(["ab", "c"], at) for at in range(3)] == [0, 0, 1]


def test_written_shows_both_ends():
    fig = figures.written({"unit": np.array([0.0, 3.0, -2.0, 1.0])}, "abc\n", most=1)
    assert [bar.get_height() for bar in fig.axes[0].patches] == [3, -2]
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == ["b", "c"]


def test_variants_draw_their_mean():
    lines = figures.variants({"relu": [1.0, 2.0], "gelu": [3.0]}).axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[1, 2], [1.5, 1.5], [3], [3, 3]]


def test_dropped_shows_vector_mask_and_mean():
    ax = figures.dropped(np.ones(3), np.array([0, 2.0, 2.0]), np.full(3, 0.9), masks=10).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [1, 1, 1]
    assert ax.lines[0].get_ydata().tolist() == [0, 2, 2]
