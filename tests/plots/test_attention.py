"""Chapter 4's figures show what they are given."""

import numpy as np

from microgpt_ref.plots import attention as figures

WORDS = ["Mara", "held", "it"]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_sentence_maps_hide_the_future_and_print_the_weights():
    weights = np.array([[1, 0, 0], [0.25, 0.75, 0], [0.2, 0.8, 0.004]])
    fig = figures.sentence_maps({"one": weights, "two": weights}, WORDS)
    assert len(fig.axes) == 2
    shown = fig.axes[0].images[0].get_array()
    assert shown.mask.tolist() == np.triu(np.ones((3, 3), bool), k=1).tolist()
    assert texts(fig.axes[0]) == ["1", ".25", ".75", ".20", ".80"]
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == WORDS


def test_reach_marks_the_future():
    table = np.array([[True, True, False], [True, True, False], [False, True, True]])
    ax = figures.reach({"leaks": table, "fine": np.tril(table)}, WORDS).axes[0]
    assert [box.get_xy() for box in ax.patches] == [(0.5, -0.5)]  # row 0 notices word 1
    past = ax.images[0].get_array()
    assert (~np.ma.getmaskarray(past)).sum() == np.tril(table).sum()


def test_soft_dictionary_draws_weights_and_their_sum():
    keys, values = np.eye(3), np.diag([1.0, 2.0, 4.0])
    weights = np.array([0.5, 0.25, 0.25])
    ax = figures.soft_dictionary(WORDS, ["a", "b", "c"], np.array([0, 8.0, 0]), keys, weights, values).axes[0]
    bars = [patch.get_width() for patch in ax.patches if round(patch.get_height(), 2) == 0.66]
    assert np.allclose(bars, 1.3 * weights)
    assert texts(ax).count("0.5") == 2  # the first two entries of the output: 0.5 · 1 and 0.25 · 2
    assert "query of “it”" in texts(ax)


def test_saturation_has_a_line_for_each_name():
    rows = [(4.0, 0.5, 0.2), (64.0, 0.9, 0.1)]
    fig = figures.saturation([4, 64], {"plain": rows, "scaled": rows[::-1]})
    assert [line.get_ydata().tolist() for line in fig.axes[0].lines] == [[0.5, 0.9], [0.9, 0.5]]
    assert fig.axes[1].lines[0].get_ydata().tolist() == [0.2, 0.1]


def test_cost_is_logarithmic():
    fig = figures.cost([128, 256], [0.1, 0.4], {"pairs": [1, 4]})
    assert {ax.get_yscale() for ax in fig.axes} == {"log"}
    assert fig.axes[0].lines[0].get_ydata().tolist() == [0.1, 0.4]


def test_head_tables_frame_the_best():
    table = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    ax = figures.head_tables({"weight": table}, (1, 2)).axes[0]
    assert texts(ax) == ["0.10", "0.20", "0.30", "0.40", "0.50", "0.60"]
    assert [frame.get_xy() for frame in ax.patches] == [(1.5, 0.5)]


def test_looking_back_keeps_every_word_and_underlines_the_heavy_ones():
    ax = figures.looking_back([("next", WORDS, np.array([0.7, 0.05, 0.25]))], columns=9).axes[0]
    assert "".join(texts(ax)[1:]) == "".join(WORDS)
    assert len(ax.lines) == 2
    assert {box.get_y() for box in ax.patches} == {1.7, 1.7 + 1.45}  # “it” no longer fits into the line
