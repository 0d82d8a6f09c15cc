"""The figures of chapter 12 draw what they are given, at the course's width, and no words overlap."""

import itertools
import string

import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import sampling
from tests.plots.test_speed import shown

LETTERS = string.ascii_uppercase[:22]
BEFORE = np.array([0.27, 0.26, 0.26, *[0.21 / 19] * 19])
GREEDY = np.eye(22)[0]
TOP_K = np.where(np.arange(22) < 3, BEFORE, 0) / BEFORE[:3].sum()
AFTER = {"greedy": GREEDY, "top-k 3": TOP_K, "repetition penalty 1.5": BEFORE}
STORIES = {"sampled": np.linspace(30, 71, 30).tolist(), "true": np.linspace(20, 65, 20).tolist()}
TEMPERATURES = [0.25, 0.5, 1.0, 2.0]
ROWS = {
    name: (share, 0.05, 0.6 + share / 10)
    for name, share in (("temperature 1", 0.4), ("temperature 0.3", 0.7), ("repetition penalty 1.1", 0.0))
}
LENGTHS = [64, 128, 256, 512, 1024]
TIMES = {"with a cache": [0.001] * 5, "without": [0.001, 0.002, 0.004, 0.008, 0.016]}
RATES = {"ours": [600] * 5, "Hugging Face": [180] * 5, "nanoGPT's loop": [100, 60, 30, 15, 8]}
FIGURES = {
    "distribution": lambda: sampling.distribution(LETTERS, BEFORE, BEFORE[::-1]),
    "filters": lambda: sampling.filters(LETTERS, BEFORE, AFTER),
    "seven filters": lambda: sampling.filters(LETTERS, BEFORE, {f"filter {i}": TOP_K for i in range(7)}),
    "typical": lambda: sampling.typical(STORIES, {"greedy": 100.0}),
    "tempered": lambda: sampling.tempered(TEMPERATURES, [0.4, 0.3, 0.2, 0.5], [0.05, 0.1, 0.2, 1.0], 0.16),
    "settings": lambda: sampling.settings(ROWS),
    "time_by_length": lambda: sampling.time_by_length(LENGTHS, TIMES),
    "decoding": lambda: sampling.decoding(LENGTHS, RATES, [900, 890, 870, 840, 780]),
}


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


def heights(bars):
    return [bar.get_height() for bar in bars]


def test_each_row_shows_its_filter_and_the_outline_of_before():
    axes = sampling.filters(LETTERS, BEFORE, AFTER).axes
    for ax, (name, probabilities) in zip(axes, AFTER.items(), strict=True):
        assert heights(ax.containers[0]) == probabilities.tolist()
        assert heights(ax.containers[1]) == BEFORE.tolist()
        assert ax.texts[0].get_text() == f"{name}: {(probabilities > 0).sum()} left"
        assert list(ax.lines[0].get_xdata()) == np.flatnonzero(probabilities == 0).tolist()
    assert [tick.get_text() for tick in axes[-1].get_xticklabels()] == list(LETTERS)


def test_a_bar_that_is_cut_off_has_its_number():
    greedy, top_k, _ = sampling.filters(LETTERS, BEFORE, AFTER).axes
    assert greedy.get_ylim()[1] < 1
    assert [text.get_text() for text in greedy.texts[1:]] == ["1.00"]
    assert len(top_k.texts) == 1


def test_the_ideal_reader_is_the_line():
    (ax,) = sampling.distribution(LETTERS, BEFORE, BEFORE[::-1]).axes
    assert heights(ax.containers[0]) == BEFORE.tolist()
    assert [segment[0][1] for segment in ax.collections[0].get_segments()] == BEFORE[::-1].tolist()


def test_histograms_are_percent_of_their_own_group():
    (ax,) = sampling.typical(STORIES, {"greedy": 100.0}).axes
    for patch in ax.patches:
        xy = patch.get_xy()
        outline = np.unique(xy, axis=0)
        assert outline[:, 1].min() == 0
    counts, _ = np.histogram(STORIES["sampled"], np.linspace(0, 100, 26))
    assert ax.patches[0].get_xy()[:, 1].max() == pytest.approx(100 * counts.max() / 30)
    assert ax.lines[0].get_xdata()[0] == 100
    assert ax.get_xlim()[0] == 0


def test_the_ring_is_at_the_lowest_loss():
    (ax,) = FIGURES["tempered"]().axes
    ring = ax.lines[2]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (1.0, 0.2)
    assert set(ax.lines[3].get_ydata()) == {0.16}


def test_a_row_has_its_share_its_error_and_its_diversity():
    left, right = sampling.settings(ROWS).axes
    assert [c.lines[0].get_xdata()[0] for c in left.containers] == pytest.approx([40, 70, 0])
    (low, high), *_ = left.containers[0].lines[2][0].get_segments()[0], None
    assert (low[0], high[0]) == pytest.approx((35, 45))
    assert [line.get_xdata()[0] for line in right.lines] == pytest.approx([64, 67, 60])
    assert [text.get_text() for text in left.texts] == list(ROWS)


def test_times_are_in_milliseconds_and_rates_as_they_are():
    (ax,) = FIGURES["time_by_length"]().axes
    assert list(ax.lines[1].get_ydata()) == pytest.approx([1, 2, 4, 8, 16])
    (ax,) = FIGURES["decoding"]().axes
    assert [list(line.get_ydata()) for line in ax.lines[:3]] == list(RATES.values())
    assert ax.lines[3].get_linestyle() == ":"
    assert len(sampling.decoding(LENGTHS, RATES).axes[0].lines) == 3
