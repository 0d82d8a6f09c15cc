"""Chapter 3's figures show what they are given."""

import numpy as np
import pytest
from matplotlib.patches import Wedge

from microgpt_ref.plots import embeddings as figures


def tip(line):
    """The angle at which a clock hand points."""
    return np.arctan2(line.get_ydata()[1], line.get_xdata()[1])


def test_lookup_shows_the_product():
    one_hot, table = np.eye(3)[[2, 0]], np.arange(12.0).reshape(3, 4)
    axes = figures.lookup(one_hot, table, "ca", "abc").axes
    shown = [ax.images[0].get_array() for ax in axes if ax.images]
    assert [picture.shape for picture in shown] == [(3, 4), (2, 3), (2, 4)]
    assert np.array_equal(shown[2], table[[2, 0]])
    assert [label.get_text() for label in axes[3].get_yticklabels()] == ["c", "a"]


@pytest.mark.parametrize(
    ("character", "kind"),
    [("e", "vowels"), ("t", "other small letters"), ("E", "capitals"), (" ", "signs")],
)
def test_characters_have_a_kind(character, kind):
    assert figures.kind_of(character) == kind


def test_letters_stand_at_their_points():
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    fig = figures.letters({"one": points, "two": -points}, "a ")
    texts = fig.axes[0].texts
    assert [(t.get_text(), t.get_position()) for t in texts] == [("a", (0.0, 1.0)), ("␣", (2.0, 3.0))]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["one", "two"]


def test_position_heat_map_spans_minus_one_to_one():
    picture = figures.position_heat_map(np.zeros((5, 4))).axes[0].images[0]
    assert (picture.get_array().shape, picture.get_clim()) == ((5, 4), (-1, 1))


def test_clock_hands_point_at_their_angles():
    angles = np.outer(np.arange(3), [1.0, 0.1])
    fig = figures.clock_hands(angles, [0, 2])
    assert [tip(ax.lines[0]) for ax in fig.axes] == pytest.approx([0, 2, 0, 0.2])


def test_full_turns_shade_the_whole_clock():
    wedges = [p for p in figures.clock_hands(np.array([[7.0]]), [0]).axes[0].patches if isinstance(p, Wedge)]
    assert (wedges[0].theta1, wedges[0].theta2) == (0, 360)


def test_the_angle_between_two_hands_depends_on_the_distance():
    fig = figures.two_hands(1.0, 0.2, 0.5, [[(2, 0), (3, 1)], [(4, 0), (6, 2)]])
    between = [tip(ax.lines[0]) - tip(ax.lines[1]) for ax in fig.axes]
    assert np.mod(between, 2 * np.pi) == pytest.approx([1.8, 1.8, 2.8, 2.8])


def test_distances_have_a_line_for_each_start():
    fig = figures.by_distance({"x": {0: np.array([1.0, 2.0]), 9: np.array([3.0, 4.0])}})
    lines = [line for line in fig.axes[0].lines if line.get_label().startswith("from")]
    assert [line.get_ydata().tolist() for line in lines] == [[1, 2], [3, 4]]
