"""Rows and packing: every token of an answer is a target once, after the token before it."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref import chat
from microgpt_ref.chat import Encoded

BORDER = 1000  # conversation k has the ids 1000 k, 1000 k + 1, …, so an id says where it is from


@st.composite
def encodings(draw: st.DrawFn) -> tuple[list[Encoded], int]:
    """Conversations with any mask but on the first token, which encode never marks, and their context."""
    context = draw(st.integers(1, 30))
    encoded = []
    for k, length in enumerate(draw(st.lists(st.integers(1, context + 1), min_size=1, max_size=12)), 1):
        answers = draw(st.lists(st.booleans(), min_size=length, max_size=length))
        encoded.append(Encoded(BORDER * k + np.arange(length), np.array([False, *answers[1:]])))
    return encoded, context


def wanted(encoded: list[Encoded]) -> Counter[int]:
    return Counter(token_id for ids, answers in encoded for token_id in ids[answers].tolist())


@settings(max_examples=300, deadline=None)
@given(encodings(), st.sampled_from([chat.rows, chat.pack]))
def test_each_answers_token_is_a_target_exactly_once(drawn, way):
    encoded, context = drawn
    inputs, targets = way(encoded, context)
    assert inputs.shape == targets.shape == (len(inputs), context)
    assert inputs.dtype == targets.dtype == np.int64
    assert Counter(targets[targets >= 0].tolist()) == wanted(encoded)
    for seen, target in zip(inputs.ravel(), targets.ravel(), strict=True):
        assert target == -1 or target == seen + 1, "the token before it, of the same conversation"
    # each conversation stands in one row without a gap; only its last token need not be an input
    for ids, _ in encoded:
        row, column = np.argwhere(inputs == ids[0])[0] if len(ids) > 1 else (0, 0)
        assert inputs[row, column : column + len(ids) - 1].tolist() == ids[:-1].tolist()


@settings(deadline=None)
@given(encodings())
def test_no_two_rows_could_be_one(drawn):
    encoded, context = drawn
    inputs, _ = chat.pack(encoded, context)
    lengths = Counter[int]()
    for ids, _ in encoded:
        if len(ids) > 1:
            lengths[int(np.argwhere(inputs == ids[0])[0][0])] += len(ids)
    used = sorted(lengths.values())
    assert len(used) < 2 or used[0] + used[1] > context + 1
    assert len(inputs) <= len(chat.rows(encoded, context)[0]) == len(encoded)


def test_an_example_by_hand():
    a = Encoded(np.array([1, 2, 3, 4]), np.array([False, False, True, True]))
    b = Encoded(np.array([5, 6, 7]), np.array([False, True, True]))
    inputs, targets = chat.pack([b, a], 8)
    assert inputs.tolist() == [[1, 2, 3, 4, 5, 6, 7, 0]]
    assert targets.tolist() == [[-1, 3, 4, -1, 6, 7, -1, -1]]
    inputs, targets = chat.pack([b, a], 6)
    assert inputs.tolist() == [[1, 2, 3, 4, 5, 6]], "the last token of a row is only a target"
    assert targets.tolist() == [[-1, 3, 4, -1, 6, 7]]
    inputs, targets = chat.rows([b, a], 4)
    assert inputs.tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert targets.tolist() == [[6, 7, -1, -1], [-1, 3, 4, -1]]


def test_a_first_token_is_never_a_target_even_if_marked():
    marked = [Encoded(np.array([k, k + 1]), np.array([True, True])) for k in (10, 20)]
    assert sorted(chat.pack(marked, 5)[1].ravel().tolist()) == [-1, -1, -1, 11, 21]


def test_ten_thousand_conversations_in_time():
    lengths = np.random.default_rng(0).integers(5, 500, 10_000)
    encoded = [Encoded(np.ones(n, np.int64), np.ones(n, bool)) for n in lengths]
    start = time.process_time()
    inputs, targets = chat.pack(encoded, 512)
    assert time.process_time() - start < 5
    assert (targets >= 0).sum() == (lengths - 1).sum()
    assert len(inputs) * 513 < 1.02 * lengths.sum()


@pytest.mark.parametrize("way", [chat.rows, chat.pack])
def test_what_cannot_be_packed(way):
    with pytest.raises(ValueError, match="encoded is empty"):
        way([], 8)
    with pytest.raises(ValueError, match="a conversation of 10 tokens, more than context=8 and one"):
        way([Encoded(np.arange(10), np.ones(10, bool))], 8)
