"""Every chapter keeps every rule."""

import pytest

from book.tools.chapter_rules import RULES
from book.tools.masters import masters
from book.tools.notebook_form import normalise, read, to_text
from book.tools.notebooks import chapters

CHAPTERS = chapters()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_keeps_rule(path, rule):
    assert rule(read(path)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_what_the_normaliser_would_write(path):
    assert path.read_text(encoding="utf-8") == to_text(normalise(read(path)))


def test_there_are_chapters():
    assert [path.stem for path in CHAPTERS], "no chapter was found, so nothing above was tested"


def test_every_chapter_has_exercises():
    assert [path.name for path in masters()] == [path.name for path in CHAPTERS]
