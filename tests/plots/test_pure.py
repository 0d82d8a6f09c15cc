"""The figures of chapter 9 draw what they are given, at the course's width, and say it in words."""

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import pure

CALLS = [("f4 (8, 32)", True), ("f4 (8, 32)", False), ("i4 (8, 32)", True), ("f4 (8, 32)", False)]
TREE = {"state": {"parameters": {"head.weight": (55, 64)}, "optimizer": {"m": {"…": "alike"}}, "key": ()}}
FIGURES = {
    "tree": lambda: pure.tree(TREE),
    "calls": lambda: pure.calls({"alone": [0.1, 0.1, 0.2], "compiled": [1.0, 0.01, 0.01]}),
    "traces": lambda: pure.traces(CALLS),
    "one_each": lambda: pure.one_each([1.0, 2.0, 9.0, 1.0], 2, "gradient norm", "shuffled"),
    "program_sizes": lambda: pure.program_sizes([1, 4, 8], {"loop": [10, 40, 80], "scan": [12, 12, 12]}),
    "schedule": lambda: pure.schedule([0.0, 1e-4, 2e-4, 1e-4, 0.0], first=2),
    "moved": lambda: pure.moved([1e-6, 1e-4], {"float32": [1.0, 1.0], "bfloat16": [0.0, 0.5]}),
    "losses": lambda: pure.losses({"one": [4, 3, 2], "two": [4, 3, 2.1]}, [10, 20, 30], 4.0, "ln V"),
    "mesh": lambda: pure.mesh(devices=4, rows=8),
}


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.findobj(mpl.text.Text) if text.get_text()]


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


@pytest.mark.parametrize("name", ["tree", "mesh"])
def test_words_of_a_drawing_stay_inside_it(name):
    fig = FIGURES[name]()
    fig.canvas.draw()
    inside = fig.bbox
    for text in fig.axes[0].texts:
        box = text.get_window_extent()
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1


def test_the_tree_names_each_branch_and_what_each_leaf_holds():
    fig = FIGURES["tree"]()
    assert words(fig) == [
        "state", "parameters", "head.weight", "(55, 64)", "optimizer", "m", "…", "alike", "key", "()",
    ]  # fmt: skip
    (ax,) = fig.axes
    by_name = {text.get_text(): text.get_position() for text in ax.texts}
    assert by_name["state"][0] < by_name["parameters"][0] < by_name["head.weight"][0]
    assert by_name["key"][0] == by_name["optimizer"][0]
    joined = {line.get_ydata()[-1]: round(line.get_ydata()[0]) for line in ax.lines}  # row → parent's row
    assert joined == {1: 0, 2: 1, 3: 0, 4: 3, 5: 4, 6: 0}


def test_calls_that_were_traced_have_full_marks():
    (ax,) = FIGURES["traces"]().axes
    full, reused = ax.lines
    assert (list(full.get_xdata()), list(full.get_ydata())) == ([1, 3], [0, 1])
    assert (list(reused.get_xdata()), list(reused.get_ydata())) == ([2, 4], [0, 0])
    assert reused.get_markerfacecolor() == "none" != full.get_markerfacecolor()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["f4 (8, 32)", "i4 (8, 32)"]


def test_calls_are_drawn_in_milliseconds_from_call_1():
    line = FIGURES["calls"]().axes[0].lines[1]
    np.testing.assert_allclose(line.get_xydata(), [(1, 1000), (2, 10), (3, 10)])


def test_the_marked_sequence_has_its_own_look():
    (ax,) = FIGURES["one_each"]().axes
    looks = [(bar.get_edgecolor(), bar.get_hatch()) for bar in ax.patches]
    assert looks[0] == looks[1] == looks[3] != looks[2]


def test_the_schedule_shows_its_first_steps_and_all():
    top, bottom = FIGURES["schedule"]().axes
    assert [len(ax.lines[0].get_xdata()) for ax in (top, bottom)] == [2, 5]
    assert "step 0: 0" in words(top)


def test_shares_are_drawn_in_per_cent():
    assert list(FIGURES["moved"]().axes[0].lines[1].get_ydata()) == [0, 50]


@pytest.mark.parametrize(("devices", "rows"), [(2, 6), (8, 16)])
def test_the_mesh_deals_out_every_row(devices, rows):
    fig = pure.mesh(devices, rows)
    boxes = fig.axes[0].patches
    assert sum(isinstance(box, mpl.patches.Rectangle) for box in boxes) == rows + devices + 1
    assert sum(text.startswith("device ") for text in words(fig)) == devices
