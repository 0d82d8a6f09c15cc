"""The figures of chapter 8 draw what they are given, at the course's width, and say it in words."""

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import training


def evaluation(step: int, loss: float) -> dict:
    floors = {"spelling": 0.0, "grammar": 0.0, "free": 1.2, "recall": 0.0}
    parts = {name: {"loss": floor + loss, "floor": floor} for name, floor in floors.items()}
    return {"step": step, "categories": parts}


EVALUATIONS = [evaluation(0, 4.0), evaluation(10, 2.0), evaluation(100, 0.5)]
SAMPLES = [{"step": 0, "text": ""}, {"step": 100, "text": "Rosa  had a lamp, worth $5 or $6.\n" * 9}]
SPIKE = {"norm": [1.0, 5.0, 1.2], "loss": [2.0, 7.0, 2.1]}
FIGURES = {
    "valley": lambda: training.valley(
        lambda a, b: a**2 + b**2, {"one": np.ones((3, 2)), "two": [[2, 2], [1, 0.5]]}, lowest=(0, 0)
    ),
    "spike": lambda: training.spike({"plain": SPIKE, "clipped": SPIKE}, limit=1.0),
    "overfitting": lambda: training.overfitting([1, 2, 3], [3, 2, 1], [3, 2, 2.5]),
    "loss_by_category": lambda: training.loss_by_category(EVALUATIONS),
    "history": lambda: training.history(EVALUATIONS, SAMPLES),
    "sick_runs": lambda: training.sick_runs({"healthy": [4, 3, 2], "sick": [4, 5, 20]}, uniform=4.0),
}


def words(fig) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(mpl.text.Text))


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


def test_best_checkpoint_stands_where_the_validation_loss_is_lowest():
    (ax,) = FIGURES["overfitting"]().axes
    marked = next(line for line in ax.lines if line.get_marker() == plots.MARKERS[0])
    assert (marked.get_xdata()[0], marked.get_ydata()[0]) == (2, 2)


def test_history_draws_each_moment_and_quotes_its_sample():
    fig = FIGURES["history"]()
    text = words(fig)
    assert "after 0 steps" in text
    assert "(an empty line)" in text
    assert "Rosa had a lamp, worth $5 or $6. Rosa had" in text
    moments = [
        line.get_xdata()[0] for line in fig.axes[0].lines if line.get_xdata()[0] == line.get_xdata()[-1]
    ]
    assert moments == [1, 100]  # step 0 stands at 1 on the logarithmic axis


def test_only_a_floor_above_zero_is_drawn():
    text = words(FIGURES["loss_by_category"]())
    assert "floor of free" in text
    assert "floor of recall" not in text
