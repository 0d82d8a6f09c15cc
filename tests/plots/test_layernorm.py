"""The figures of chapter 5 draw what they are given, at the course's width, and say it in words."""

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import layernorm

CURVES = {"falls": [1, 0.1, 0.01], "grows": [1, 10, 100]}
ROWS = np.random.default_rng(0).normal(size=(5, 3))
TEXTS = ["one.", "two."]
CHANGED = np.array([[False, True, True, False], [False] * 4])
LOSSES = np.array([[4.0, 3.0, 2.0], [4.0, 3.5, 1.0]])
STREAM = np.array([[1.0, 1.2], [2.0, 3.0], [4.0, 5.0]])
FIGURES = {
    "by_depth": lambda: layernorm.by_depth(CURVES, CURVES),
    "row_steps": lambda: layernorm.row_steps({"x": [2.0, 4.0, 4.0, 10.0], "normed": [-1.0, 0.0, 0.5, 2.0]}),
    "leak": lambda: layernorm.leak(TEXTS, {"time": CHANGED, "batch": ~CHANGED}, edited=range(1, 3)),
    "plane": lambda: layernorm.plane(ROWS, ROWS - ROWS.mean(1, keepdims=True), ROWS),
    "epsilon": lambda: layernorm.epsilon([1e-3, 1, 10], CURVES, CURVES),
    "gradient_by_layer": lambda: layernorm.gradient_by_layer(CURVES),
    "training": lambda: layernorm.training({"pre": LOSSES, "post": LOSSES + 1}, frequencies=3.0),
    "stream": lambda: layernorm.stream(STREAM, np.diff(STREAM, axis=0)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_has_the_width_of_the_course_and_no_type_that_is_too_small(name):
    fig = FIGURES[name]()
    fig.canvas.draw()
    assert fig.get_figwidth() == plots.WIDTH
    assert min(text.get_size() for text in fig.findobj(mpl.text.Text) if text.get_text()) >= 12


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_has_a_label(name):
    for ax in FIGURES[name]().axes:
        if ax.axison:
            assert ax.get_ylabel()
            assert ax.get_xlabel() or not ax.get_subplotspec().is_last_row()


def test_activations_stand_above_gradients_at_the_same_depth():
    top, bottom = layernorm.by_depth({"a": [1, 2, 3]}, {"a": [9, 8, 7]}).axes
    assert list(top.lines[0].get_ydata()) == [1, 2, 3]
    assert list(bottom.lines[0].get_ydata()) == [9, 8, 7]


def test_bars_carry_their_values():
    first, second = FIGURES["row_steps"]().axes
    assert [text.get_text() for text in first.texts] == ["2", "4", "4", "10"]
    assert [bar.get_height() for bar in second.patches] == [-1, 0, 0.5, 2]


def test_changed_characters_and_no_others_are_framed():
    time, batch = FIGURES["leak"]().axes
    assert len(time.patches) == CHANGED.sum()
    assert len(batch.patches) == (~CHANGED).sum()
    assert "".join(text.get_text() for text in time.texts) == "one.two."


def test_rows_are_seen_without_their_mean():
    (ax,) = layernorm.plane(ROWS, ROWS, ROWS).axes
    (other,) = layernorm.plane(ROWS + 7, ROWS, ROWS).axes
    # the first line is the circle, then one line for each row
    for mine, theirs in zip(ax.lines[1:6], other.lines[1:6], strict=True):
        np.testing.assert_allclose(mine.get_xydata(), theirs.get_xydata(), atol=1e-12)


def test_training_draws_the_mean_of_the_seeds():
    (ax,) = FIGURES["training"]().axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), LOSSES.mean(0))


def test_stream_draws_the_median_of_the_positions():
    (ax,) = FIGURES["stream"]().axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(STREAM, axis=1))
    assert list(ax.lines[1].get_xdata()) == [1, 2]
