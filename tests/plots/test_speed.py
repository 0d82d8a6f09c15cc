"""The figures of chapter 10 draw what they are given, at the course's width, and no words overlap."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import speed
from microgpt_ref.presets import PRESETS, preset
from microgpt_ref.roofline import Roofline, block_work

ROOFS = {"fp32": Roofline(180e9, 25e9), "bf16": Roofline(410e9, 25e9)}


def parts(name: str = "tejas-10m", fused: bool = True) -> dict[str, tuple[float, float]]:
    """Each part of a block where the roof in bf16 says that it stands."""
    work = block_work(preset(name), 64, dtype="bfloat16", fused=fused)
    return {part: (w.intensity, ROOFS["bf16"].attainable(w.intensity)) for part, w in work.items()}


KINDS = {"matmul": 2.1, "attention": 0.9, "elementwise": 1.5, "optimizer": 0.1, "data": 0.01, "other": 0.3}
RUNGS = [
    {"change": "a recipe", "seconds": 900.0, "steps": 5000},
    {"change": "rotary positions and normed queries and keys", "seconds": 274.0, "steps": 900},
    {"change": "dropout", "seconds": 310.0, "steps": 950},
    {"change": "a rate too high", "seconds": None, "steps": None},
    {"change": "without it", "seconds": 300.0, "steps": 900},
]
RUNS = {"ours": ([30, 60, 120], [3.0, 2.0, 1.46]), "theirs": ([3000, 6000, 12000], [3.0, 2.0, 1.48])}
FIGURES = {
    **{f"roofline of {name}": lambda name=name: speed.roofline(ROOFS, parts(name)) for name in PRESETS},
    "roofline, plain": lambda: speed.roofline(ROOFS, parts(fused=False)),
    "one roof": lambda: speed.roofline({"fp32": ROOFS["fp32"]}, {"all": (1.0, 1e9)}),
    "time_by_kind": lambda: speed.time_by_kind({"fp32": KINDS, "bf16, compiled": KINDS}),
    "loss_against_clock": lambda: speed.loss_against_clock(RUNS, {"a mark": 1.4815}, log_time=True),
    "one run": lambda: speed.loss_against_clock({"ours": RUNS["ours"]}),
    "ladder": lambda: speed.ladder(RUNGS),
}


def shown(fig) -> list:
    """The texts that have words, after the layout; matplotlib also keeps ticks beyond the ends of an axis."""
    fig.canvas.draw()
    beyond = set()
    for axis in (each for ax in fig.axes for each in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                beyond |= {tick.label1, tick.label2}
    texts = fig.findobj(mpl.text.Text)
    return [t for t in texts if t.get_text() and t.get_visible() and t not in beyond]


@pytest.mark.parametrize("name", FIGURES)
def test_has_the_width_of_the_course_and_no_type_that_is_too_small(name):
    fig = FIGURES[name]()
    assert fig.get_figwidth() == plots.WIDTH
    assert min(text.get_size() for text in shown(fig)) >= 12


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_overlap_and_none_leave_the_figure(name):
    fig = FIGURES[name]()
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown(fig)]
    for (first, box), (second, other) in itertools.combinations(boxes, 2):
        assert not box.padded(-1).overlaps(other.padded(-1)), (first, second)
    for words, box in boxes:
        assert box.x0 >= -1, words
        assert box.x1 <= fig.bbox.x1 + 1, words


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_has_a_label(name):
    (ax,) = FIGURES[name]().axes
    assert ax.get_xlabel()
    assert ax.get_ylabel() or not len(ax.get_yticks())


def test_a_roof_is_what_is_attainable_and_every_part_has_its_point():
    points = parts()
    (ax,) = speed.roofline(ROOFS, points).axes
    for line, roof in zip(ax.lines, ROOFS.values(), strict=False):
        expected = [roof.attainable(x) / 1e9 for x in line.get_xdata()]
        np.testing.assert_allclose(line.get_ydata(), expected)
        assert roof.ridge in line.get_xdata()
    drawn = {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() == "o"}
    assert drawn == {(intensity, rate / 1e9) for intensity, rate in points.values()}
    assert {text.get_text() for text in ax.texts} == set(points)


@pytest.mark.parametrize(
    "places", [[0.0], [0, 5, 9], [1, 1, 1], [0, 0.1, 0.2, 5, 5.1], [0, 1.5, 1.6, 1.7, 3.1]]
)
def test_spread_keeps_the_order_the_distance_and_the_middle(places):
    moved = speed.spread(places, 1.0)
    assert len(moved) == len(places)
    assert (np.diff(moved) > 1 - 1e-9).all()
    assert np.mean(moved) == pytest.approx(np.mean(places))
    if (np.diff(places) > 1).all():
        assert moved == pytest.approx(places)


def test_a_bar_is_as_long_as_its_kinds_together():
    (ax,) = speed.time_by_kind({"one": KINDS, "two": {kind: 2 * s for kind, s in KINDS.items()}}).axes
    ends = [patch.get_x() + patch.get_width() for patch in ax.patches]
    assert ends[len(KINDS) - 1] == pytest.approx(1000 * sum(KINDS.values()))
    assert ends[-1] == pytest.approx(2000 * sum(KINDS.values()))
    assert {text.get_text() for text in ax.texts} == {"one: 4,910 ms", "two: 9,820 ms"}


def test_the_clock_counts_minutes():
    (ax,) = speed.loss_against_clock(RUNS, {"a mark": 1.4815}).axes
    assert list(ax.lines[0].get_xdata()) == [0.5, 1, 2]
    assert set(ax.lines[2].get_ydata()) == {1.4815}


def test_a_change_that_cost_time_or_never_arrived_looks_different():
    (ax,) = speed.ladder(RUNGS).axes
    hatched = [bool(patch.get_hatch()) for patch in ax.patches]
    assert hatched == [False, False, True, True, False]
    assert [patch.get_width() for patch in ax.patches] == [900, 274, 310, 900, 300]
    words = [text.get_text() for text in ax.texts]
    assert "274 s, 900 steps" in words
    assert "not reached" in words
