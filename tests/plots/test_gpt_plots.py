"""Chapter 7's figures show what they are given."""

import numpy as np

from microgpt_ref.plots import gpt as figures


def words(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def test_stream_names_both_branches_and_their_reads_and_writes():
    said = words(figures.stream())
    assert said.count("read") == said.count("write") == said.count("norm") == 2
    assert any("attention" in each for each in said)
    assert any("FFN" in each for each in said)


def test_by_depth_draws_each_curve_from_zero():
    fig = figures.by_depth({"a": [1.0, 2.0], "b": [3.0, 4.0, 5.0]}, "writes", "size")
    assert [line.get_ydata().tolist() for line in fig.axes[0].lines] == [[1, 2], [3, 4, 5]]
    assert fig.axes[0].lines[1].get_xdata().tolist() == [0, 1, 2]
    assert fig.axes[0].get_ylim()[0] == 0


def test_learning_means_stand_at_the_end_of_their_window_beside_the_levels():
    fig = figures.learning([4.0, 2.0, 3.0, 1.0], {"ln V": 4.0}, window=2)
    losses, means, level = fig.axes[0].lines
    assert losses.get_ydata().tolist() == [4, 2, 3, 1]
    assert means.get_xdata().tolist() == [1, 2, 3]
    assert np.allclose(means.get_ydata(), [3, 2.5, 2])
    assert level.get_ydata()[0] == 4


def test_shares_add_up_to_the_whole_bar():
    fig = figures.shares({"one": {"a": 1, "b": 3}, "two": {"a": 0, "b": 7}})
    bars = fig.axes[0].patches
    assert [bar.get_width() for bar in bars] == [25, 75, 0, 100]
    assert [bar.get_x() for bar in bars] == [0, 25, 0, 0]
    assert words(fig) == ["one: 4", "two: 7"]
    assert len({bar.get_hatch() for bar in bars}) == 2  # parts are told by more than their colour


def test_attention_share_is_in_percent():
    line = figures.attention_share([128, 256, 512], {"x": [0.1, 0.2, 0.4]}).axes[0].lines[0]
    assert np.allclose(line.get_ydata(), [10, 20, 40])


def test_told_shows_every_character_and_is_darker_where_the_loss_is_higher():
    text = "Ada had a coin.\n"
    losses = np.linspace(0, 3, len(text))
    fig = figures.told(text, losses, given=3, columns=8)
    shown = "".join(words(fig)[: len(text) - 1])
    assert shown == text.rstrip("\n")
    strengths = [patch.get_facecolor()[3] for patch in fig.axes[0].patches[: len(text) - 1]]
    assert strengths == sorted(strengths)
    assert strengths[0] == 0
    assert len(fig.axes[0].lines) == 3  # the underline of what was given
