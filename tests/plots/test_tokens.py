"""Chapter 1's figures show the data that they are given."""

import pytest

from microgpt_ref.plots import tokens as figures

SENTENCE = "Mara gave the lantern to Inés."
BYTES = [bytes([value]) for value in SENTENCE.encode()]


def texts(fig):
    return [text.get_text() for text in fig.axes[0].texts]


def widths(fig):
    return [round(box.get_width(), 6) for box in fig.axes[0].patches]


@pytest.mark.parametrize(
    ("piece", "shown"), [(b" the", "␣the"), (b"\n", "↵"), ("é".encode(), "é"), (b"\xc3\xa9"[:1], "c3")]
)
def test_label_shows_blanks_and_cut_characters(piece, shown):
    assert figures.label(piece) == shown


@pytest.mark.parametrize("columns", [1, 5, 9, 18, 100])
def test_lines_cover_the_text_and_fit(columns):
    text = SENTENCE.encode()
    lines = figures.break_lines(text, columns)
    assert b"".join(text[start:end] for start, end in lines) == text
    assert all(0 < end - start <= columns for start, end in lines)


def test_lines_break_before_spaces():
    assert figures.break_lines(b"Mara gave the lantern", 14) == [(0, 13), (13, 21)]


def test_cuts_draw_every_token_once():
    fig = figures.cuts({"bytes": BYTES, "one": [SENTENCE.encode()]}, columns=40)
    assert texts(fig).count("e") == SENTENCE.count("e")
    assert {"bytes: 31 tokens", "one: 1 token", "c3", "a9"} <= set(texts(fig))
    assert len(widths(fig)) == len(BYTES) + 1
    assert max(widths(fig)) == pytest.approx(len(BYTES) - 0.1)


def test_a_token_over_the_end_of_a_line_is_drawn_in_parts():
    fig = figures.cuts({"one": [b"Mara gave"]}, columns=5)
    assert texts(fig) == ["one: 1 token", "Mara", "␣gave"]


def test_a_missing_tokenizer_keeps_its_place():
    """So that the figure has the same size with and without GPT-2's vocabulary."""
    heights = {figures.cuts({"bytes": BYTES, "GPT-2": pieces}).get_figheight() for pieces in (BYTES, [])}
    assert len(heights) == 1
    assert "GPT-2: not at hand" in texts(figures.cuts({"bytes": BYTES, "GPT-2": []}))


def test_utf8_spends_two_boxes_on_an_accent():
    fig = figures.utf8("né")
    assert texts(fig) == ["n", "é", "6e", "c3", "a9", "2 characters", "3 bytes (in hexadecimal)"]


def test_replay_has_a_line_a_step():
    fig = figures.replay([("bytes", [b"a", b"b"]), ("merge 256", [b"ab"])])
    assert texts(fig) == ["a", "b", "bytes", "ab", "merge 256"]


def test_bars_have_the_counts_as_lengths():
    assert widths(figures.pair_counts(["␣t", "he"], [630, 615])) == [630, 615]
    fig = figures.languages(["English", "Greek"], {"characters": [30, 33], "GPT-2": [9, 38]})
    assert widths(fig) == [30, 33, 9, 38]


def test_compression_draws_curves_and_points():
    fig = figures.compression([256, 512], {"stories": [1.0, 2.7]}, {"GPT-2": (50_257, 3.9)})
    curve, point = fig.axes[0].lines
    assert [list(curve.get_ydata()), list(point.get_xdata())] == [[1.0, 2.7], [50_257]]
    assert len(figures.compression([256], {"stories": [1.0]}, {}).axes[0].lines) == 1


def test_frequencies_fall():
    [line] = figures.frequencies({"bytes": [2, 9, 5]}).axes[0].lines
    assert list(line.get_ydata()) == [9, 5, 2]


def test_training_pairs_show_inputs_over_targets():
    fig = figures.training_pairs([b"Mara", b" gave"], [b" gave", b" the"])
    assert [text for text in texts(fig) if text in ("Mara", "␣gave", "␣the")] == [
        "Mara",
        "␣gave",
        "␣gave",
        "␣the",
    ]
