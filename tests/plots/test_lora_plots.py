"""The figures of chapter 14 draw what they are given, at the course's width, and say it in words."""

import matplotlib as mpl
import numpy as np
import pytest

from microgpt_ref import plots
from microgpt_ref.plots import lora

MARKS = ["<|user|>", "<|enduser|>", "<|assistant|>", "<|endassistant|>"]
PIECES = [MARKS[0], "Ada", " went.\n", "Who?", MARKS[1], MARKS[2], "Ada", ".", MARKS[3]]
ANSWERS = [False] * 6 + [True] * 3
POINTS = {"rank 1": (100, 0.5), "rank 2": (200, 0.7), "all weights": (5000, 0.9)}
MEMORY = {"all": {"weights": 1e9, "AdamW": 2e9}, "LoRA": {"weights": 1e9, "AdamW": 1e7}}
FIGURES = {
    "conversation": lambda: lora.conversation(PIECES, ANSWERS, MARKS, columns=24),
    "beside": lora.beside,
    "singular_values": lambda: lora.singular_values({"one": [3.0, 1.0, 0.0], "two": [1.0, 1.0, 1.0]}),
    "cut_to_rank": lambda: lora.cut_to_rank((0, 1, 2), [0, 0.5, 0.9], [3, 1, 0.2], (0.95, 0.1)),
    "losses": lambda: lora.losses({"one": [3, 2, 1], "two": [3, 1, 0.1]}, "loss"),
    "by_trainable": lambda: lora.by_trainable(POINTS, 0.1),
    "bars": lambda: lora.bars({"one": 1.0, "two": 2.0}, "ratio", ("the same", 1.0)),
    "memory": lambda: lora.memory(MEMORY),
}


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.findobj(mpl.text.Text) if text.get_text()]


def boxes(fig, **wanted) -> list:
    (ax,) = fig.axes
    return [p for p in ax.patches if all(getattr(p, f"get_{k}")() == v for k, v in wanted.items())]


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
            assert ax.get_ylabel() or [text.get_text() for text in ax.get_yticklabels()]
            assert ax.get_xlabel() or not ax.get_subplotspec().is_last_row()


def test_conversation_hatches_what_counts_and_no_more():
    fig = FIGURES["conversation"]()
    assert len(boxes(fig, hatch="///")) == sum(ANSWERS)
    assert len(boxes(fig, linewidth=2.4)) == len(MARKS)


def test_conversation_shows_each_token_inside_the_figure():
    fig = FIGURES["conversation"]()
    fig.canvas.draw()
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.texts] == list(map(lora.visible, PIECES))
    assert "␣went.↵" in words(fig)
    for text in ax.texts:
        left, right = ax.get_window_extent().intervalx
        assert left <= text.get_window_extent().x0
        assert text.get_window_extent().x1 <= right


def test_energy_ends_at_one_and_counts_squares():
    _, bottom = FIGURES["singular_values"]().axes
    assert np.allclose(bottom.lines[0].get_ydata(), [0.9, 1, 1])
    assert np.allclose(bottom.lines[1].get_ydata(), [1 / 3, 2 / 3, 1])


def test_ranks_are_joined_and_the_rest_stands_alone():
    fig = FIGURES["by_trainable"]()
    (ax,) = fig.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert lines["LoRA"] == [[100, 0.5], [200, 0.7]]
    assert lines["all weights"] == [[5000, 0.9]]
    assert {"1", "2", "before"} <= set(words(fig))


def test_memory_stacks_its_parts():
    (ax,) = FIGURES["memory"]().axes
    ends = [patch.get_x() + patch.get_width() for patch in ax.patches]
    assert np.allclose(ends, [1, 3, 1, 1.01])
