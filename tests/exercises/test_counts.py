"""What is stored about the checks is what the answers in `tests/checks` give."""

import json

import pytest

from book.tools import exercises as tool
from book.tools.masters import masters
from microgpt_ref.checks import names
from tests.checks import answers

COUNTS = json.loads(tool.CHECKERS.read_text(encoding="utf-8"))
CHAPTERS = [path.stem[:2] for path in masters()]


def test_each_check_has_its_counts():
    assert {name for chapter in CHAPTERS for name in names(chapter)} <= set(COUNTS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_stored_counts_are_those_of_the_answers_that_are_there(chapter):
    """`tests/checks` shows that wrong answers are rejected, and named if they say so; here they count."""
    wrong, right = answers.wrong_answers(chapter), answers.right_answers(chapter)
    for name in names(chapter):
        bad = [answer.mistake for answer in wrong if answer.exercise == name]
        told = sum(mistake is not None for mistake in bad)
        good = sum(answer.exercise == name for answer in right)
        row = {field: n for field, n in COUNTS[name].items() if field != "slowest_s"}
        expected = {
            "wrong": len(bad),
            "rejected": len(bad),
            "named": told,
            "right": good,
            "right_accepted": good,
        }
        assert row == expected, f"{name}; run: python -m book.tools.exercises counts {chapter}"
