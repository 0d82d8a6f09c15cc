"""Every chapter keeps every rule."""

import pytest

from book.tools.chapter_rules import RULES, UNDERSTANDING, prose
from book.tools.notebook_form import normalise, read, to_text
from book.tools.notebooks import chapters

CHAPTERS = chapters()
NEW = ("sections_stand_in_order", "understanding_is_checked", "slides_are_marked")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_keeps_rule(path, rule):
    notebook = read(path)
    if rule.__name__ in NEW and not any(UNDERSTANDING in text for text in prose(notebook)):
        pytest.skip("the chapter has no questions yet")
    assert rule(notebook) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_what_the_normaliser_would_write(path):
    assert path.read_text(encoding="utf-8") == to_text(normalise(read(path)))


def test_there_are_chapters():
    assert [path.stem for path in CHAPTERS], "no chapter was found, so nothing above was tested"
