"""Chapter 2's figures show what they are given."""

import numpy as np

from microgpt_ref import plots
from microgpt_ref.plots import bigram as figures

KINDS = tuple(plots.CATEGORY_COLORS)


def heights(ax):
    return [bar.get_height() for bar in ax.patches]


def test_lines_keep_every_character():
    text = "one two three " * 9
    lines = figures.break_lines(text, 20)
    assert "".join(lines) == text
    assert max(map(len, lines)) <= 20
    assert figures.break_lines("x" * 45, 20) == ["x" * 20, "x" * 20, "x" * 5]


def test_story_shows_each_letter_in_order_and_names_the_categories():
    fig = figures.coloured_story([("free", "Ma"), ("spelling", "ra"), ("recall", "h")])
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert "".join(texts[:5]) == "Marah"
    assert set(KINDS) <= set(texts)


def test_followers_have_a_panel_each():
    fig = figures.followers({"q": {"u": 1.0}, " ": {"t": 0.6, "a": 0.4}})
    assert [heights(ax) for ax in fig.axes] == [[1.0], [0.6, 0.4]]
    assert fig.axes[1].get_title(loc="left") == "after “␣”"


def test_heat_map_leaves_zeros_empty_and_frames_the_path():
    P = np.array([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]])
    fig = figures.heat_map(P, "abc", "ab", path="aba")
    part = fig.axes[0].images[0].get_array()
    assert part.tolist() == [[0.5, 0.5], [1.0, None]]
    assert [frame.get_xy() for frame in fig.axes[0].patches] == [(0.5, -0.5), (-0.5, 0.5)]


def test_surprise_draws_the_mean():
    fig = figures.surprise("ab", np.array([1.0, 3.0]), uniform=4.0)
    assert heights(fig.axes[0]) == [1, 3]
    assert [line.get_ydata()[0] for line in fig.axes[0].lines] == [2, 4]


def test_smoothing_rings_the_lowest_point():
    ring = figures.smoothing([0.1, 1, 10], {"x": [3.0, 1.0, 2.0]}).axes[0].lines[1]
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([1], [1])


def test_descent_starts_at_step_one():
    line = figures.descent([4.0, 3.0], target=2.0, uniform=4.0).axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2]


def test_readers_stand_side_by_side():
    fig = figures.readers([("here", {"a": 0.75, "b": 0.25}, {"a": 1.0})], ("one", "two"), top=1)
    assert heights(fig.axes[0]) == [0.75, 1.0]


def test_losses_stand_beside_their_floors():
    losses, floors = dict.fromkeys(KINDS, 2.0), dict.fromkeys(KINDS, 0.5)
    bars = figures.against_floor(losses, floors, uniform=4.0).axes[0]
    assert heights(bars) == [2.0] * 4
    assert [list(line.get_ydata()) for line in bars.lines[:4]] == [[0.5, 0.5]] * 4
    lines = figures.by_context([0, 1], {kind: [3.0, 2.0] for kind in KINDS}, floors).axes[0].lines
    assert [line.get_color() for line in lines[:2]] == [plots.CATEGORY_COLORS[KINDS[0]]] * 2
