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
NAMES = (
    "GPT-2's parts, AdamW, float32",
    "compiled",
    "constant rate, then a straight line",
    "the tables decay",
)
RUNGS = [
    {"name": name, "validation": loss, "seconds_a_step": seconds}
    for name, loss, seconds in zip(NAMES, (1.86, 1.70, 1.72, 1.46), (0.35, 0.17, 0.16, 0.16), strict=True)
]
RUNS = {"ours": ([30, 60, 120], [3.0, 2.0, 1.46]), "theirs": ([3000, 6000, 12000], [3.0, 2.0, 1.48])}
POINTS = {"theirs, published": (50_000.0, 1.4815), "theirs, on another machine": (180.0, 1.4697)}
LENGTHS = [128, 256, 512]
MEMORY = {name: [k * 1e6, k * 4e6, k * 16e6] for k, name in ((3, "plain"), (2, "blockwise"), (1, "sdpa"))}
GRADIENTS = 2.0 ** -np.random.default_rng(0).normal(20, 4, 1000).astype(np.float32)
FORMATS = {"fp32": (2.0**-149, 3e38), "bf16": (2.0**-133, 3e38), "fp16": (2.0**-24, 65504.0)}
ROUNDS = {"before": np.geomspace(0.6, 0.001, 32).tolist(), "5 rounds": np.linspace(1.2, 0.7, 32).tolist()}
FIGURES = {
    **{f"roofline of {name}": lambda name=name: speed.roofline(ROOFS, parts(name)) for name in PRESETS},
    "roofline, plain": lambda: speed.roofline(ROOFS, parts(fused=False)),
    "one roof": lambda: speed.roofline({"fp32": ROOFS["fp32"]}, {"all": (1.0, 1e9)}),
    "time_by_kind": lambda: speed.time_by_kind({"fp32": KINDS, "bf16, compiled": KINDS}),
    "loss_against_clock": lambda: speed.loss_against_clock(RUNS, POINTS, {"a mark": 1.4815}),
    "one run": lambda: speed.loss_against_clock({"ours": RUNS["ours"]}),
    "ladder": lambda: speed.ladder(RUNGS),
    "long ladder": lambda: speed.ladder([*RUNGS, *RUNGS, *RUNGS]),
    "rate_by_rows": lambda: speed.rate_by_rows(LENGTHS, [1e9, 3e10, 5e10], [2e9, 2e10, 4e10], 5e10),
    "number_formats": lambda: speed.number_formats(GRADIENTS, FORMATS),
    "memory_by_length": lambda: speed.memory_by_length(LENGTHS, MEMORY, [1e6, 4e6, 16e6]),
    "singular_values": lambda: speed.singular_values(ROUNDS),
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
    for ax in FIGURES[name]().axes:
        below = ax.get_subplotspec().is_last_row()
        assert ax.get_xlabel() or not below
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
    (ax,) = speed.loss_against_clock(RUNS, POINTS, {"a mark": 1.4815}).axes
    assert list(ax.lines[0].get_xdata()) == [0.5, 1, 2]
    assert [line.get_xdata()[0] for line in ax.lines[2:4]] == [50_000 / 60, 3]
    assert set(ax.lines[4].get_ydata()) == {1.4815}
    looks = [(line.get_color(), line.get_marker()) for line in ax.lines[:4]]
    assert len(set(looks)) == 4


def test_a_rung_that_is_worse_than_the_one_before_is_hatched():
    losses, times = speed.ladder(RUNGS).axes
    assert [bool(patch.get_hatch()) for patch in losses.patches] == [False, False, True, False]
    assert not any(patch.get_hatch() for patch in times.patches)
    ends = [patch.get_x() + patch.get_width() for patch in losses.patches]
    assert ends == pytest.approx([rung["validation"] for rung in RUNGS])
    assert [patch.get_width() for patch in times.patches] == pytest.approx([350, 170, 160, 160])
    assert set(NAMES) < {text.get_text() for text in losses.texts}


def test_a_difference_that_is_not_printed_is_no_change():
    rungs = [{"name": "a", "validation": 1.5, "seconds_a_step": 0.15},
             {"name": "b", "validation": 1.5001, "seconds_a_step": 0.1500001},
             {"name": "c", "validation": 1.52, "seconds_a_step": 0.16}]  # fmt: skip
    for ax in speed.ladder(rungs).axes:
        assert [bool(patch.get_hatch()) for patch in ax.patches] == [False, False, True]


def test_a_format_is_drawn_from_its_smallest_number_to_its_largest():
    top, bottom = speed.number_formats(GRADIENTS, FORMATS).axes
    borders = [line.get_xdata()[0] for line in top.lines]
    assert borders == [-149, -133, -24]
    fp16 = bottom.patches[2]
    assert (fp16.get_x(), fp16.get_x() + fp16.get_width()) == pytest.approx((-24, 16), abs=0.01)
    assert sum(patch.get_height() for patch in top.patches) == pytest.approx(100)


def test_zeros_have_no_size():
    with_zeros = np.concatenate([GRADIENTS, np.zeros(500, np.float32)])
    heights = [[p.get_height() for p in speed.number_formats(g, FORMATS).axes[0].patches]
               for g in (GRADIENTS, with_zeros)]  # fmt: skip
    assert heights[0] == heights[1]


def test_singular_values_are_drawn_from_the_largest():
    (ax,) = speed.singular_values({"before": [0.1, 0.9, 0.5]}).axes
    assert list(ax.lines[0].get_ydata()) == [0.9, 0.5, 0.1]


def test_memory_and_rates_have_their_units():
    (ax,) = speed.memory_by_length(LENGTHS, {"plain": [2**20, 2**21, 2**22]}, [2**20] * 3).axes
    assert list(ax.lines[0].get_ydata()) == [1, 2, 4]
    (ax,) = speed.rate_by_rows([1, 10], [1e9, 2e9], [3e9, 4e9], 5e9).axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [3, 4], [5, 5]]
