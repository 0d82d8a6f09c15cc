"""In the book, the cell that lists the exercises gives way to the exercises, with solutions folded."""

import re

import nbformat
import pytest

from book.tools import exercise_page
from book.tools.exercises import build
from book.tools.masters import exercises, masters
from book.tools.notebook_form import read, to_text, write
from tests.book.site import build as build_book
from tests.exercises.sample import chapter, sound

STEM = "04_sample"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The cells of a chapter's page."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("solutions", "chapters"):
        (folder / name).mkdir()
    master = folder / "solutions" / f"{STEM}.ipynb"
    write(master, sound())
    write(folder / "chapters" / master.name, chapter())
    build(master, folder, folder / "chapters")
    text = (folder / "chapters" / master.name).read_text(encoding="utf-8")
    return nbformat.reads(exercise_page.with_exercises(text, master), as_version=4).cells


def test_what_stands_around_stays(page):
    around = [cell.id for cell in page if not cell.id.startswith("exercises")]
    assert around == ["title", "sum", "summary-cell", "last-cell"]


def test_headings_are_those_of_the_exercises_one_level_down(page):
    headings = [
        line
        for cell in page
        if cell.cell_type == "markdown"
        for line in re.findall(r"(?m)^#+ .*", cell.source)
    ]
    names = [f"### {exercise.info.number}. {exercise.info.title}" for exercise in exercises(sound())]
    assert headings == ["# A sample", "## Summary", "## Exercises", *names, "## Further reading"]


def test_code_is_what_students_get_without_outputs(page):
    code = [cell for cell in page if cell.cell_type == "code" and cell.id != "sum"]
    assert not any(cell.outputs for cell in code)
    sources = [cell.source for cell in code]
    assert sources[1] == 'check("04.double", double)'
    assert "WINDOW = 4  # numbers" in sources
    text = "\n".join(sources)
    assert text.count("raise NotImplementedError") == 4
    assert "HIDDEN" not in text
    assert "return 2 *" not in text


def test_hints_and_solutions_are_folded(page):
    text = "\n\n".join(cell.source for cell in page if cell.cell_type == "markdown")
    folded = re.findall(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", text, re.DOTALL)
    assert [title for title, _ in folded] == [
        "What the notebook starts with",
        *["Hint 1", "Hint 2", "Hint 3", "Solution"] * 5,
    ]
    solutions = [words for title, words in folded if title == "Solution"]
    assert (
        solutions[0] == "```python\ndef double(numbers: list[int]) -> int:\n    return 2 * numbers[-1]\n```"
    )
    assert solutions[4] == "Because."
    assert "Because." not in re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "import numpy as np" in folded[0][1]
    assert "%pip" not in folded[0][1]


def test_each_exercise_leads_to_colab(page):
    text = "\n".join(cell.source for cell in page)
    link = exercise_page.configured().colab(f"exercises/{STEM}.ipynb")
    assert text.count(f"· [Try on Colab]({link})\n") == 5
    assert f"(path:../exercises/{STEM}.ipynb)" in text  # the book hands over the file itself


def test_docstrings_go_and_nothing_else():
    before = 'class A:\n    """A."""\n\n    def f(self):\n        """F\n\n        more."""\n        # why\n'
    before += '        return "x"\n'
    after = 'class A:\n    def f(self):\n        # why\n        return "x"'
    assert exercise_page.without_docstrings(before) == after
    only = 'def f():\n    """Doc."""'
    assert exercise_page.without_docstrings(only) == only


def test_comments_in_code_are_no_headings():
    source = "## A\n\n```python\n# no\n```\n\n### B"
    assert exercise_page._demoted(source) == "### A\n\n```python\n# no\n```\n\n#### B"


def test_pages_without_exercises_are_left_alone():
    assert exercise_page.master_of("book/notation") is None
    assert exercise_page.master_of("chapters/99_nothing") is None


@pytest.fixture(scope="module")
def book():
    return build_book()


@pytest.mark.slow
@pytest.mark.parametrize("path", masters(), ids=lambda path: path.stem)
def test_the_built_book_shows_the_exercises_and_hands_out_the_chapter(path, book):
    html = (book / "chapters" / f"{path.stem}.html").read_text(encoding="utf-8")
    contents = re.search(r'<nav id="pst-page-toc-nav".*?</nav>', html, re.DOTALL)[0]
    for exercise in exercises(read(path)):
        assert re.search(rf">{exercise.info.number}\. [^<]*", contents)
    count = len(exercises(read(path)))
    assert html.count("<summary>Solution</summary>") == html.count("<summary>Hint 3</summary>") == count
    assert not re.search(r"<details[^>]*\bopen\b", html)
    source = (book / "_sources" / "chapters" / path.name).read_text(encoding="utf-8")
    assert source == to_text(read(exercise_page.MASTERS.parents[1] / "chapters" / path.name))
