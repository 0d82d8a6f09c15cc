"""One command brings student notebooks and chapters in step with the masters."""

import nbformat
import pytest

from book.tools import exercises as tool
from book.tools.masters import exercises, masters, with_meta_lines
from book.tools.notebook_form import NotebookError, read, to_text, write
from book.tools.repository import COLAB, Repository, configured, rename
from tests.exercises.sample import cell_of, chapter, copy_of, sound

SOUND = sound()
STEM = "04_sample"


@pytest.fixture
def course(tmp_path):
    """A course of one chapter: the folders of masters, students and chapters."""
    folders = [tmp_path / name for name in ("exercises/solutions", "exercises", "chapters")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    write(folders[0] / f"{STEM}.ipynb", SOUND)
    write(folders[2] / f"{STEM}.ipynb", chapter())
    return folders


def build(course):
    solutions, students, chapters = course
    return tool.build(solutions / f"{STEM}.ipynb", students, chapters)


def test_the_lines_under_headings_follow_the_metadata():
    notebook = copy_of(SOUND)
    assert notebook.cells[0].source.startswith(
        "# Exercises to chapter 4: a sample\n\n*5 exercises · 70 minutes · 13 points*\n\n"
    )
    cell = cell_of(notebook, "exercise-double")
    assert cell.source == "## 1. The double\n\n*5 minutes · easy · 2 points*\n\nDo it."
    cell.metadata.exercise.update(minutes=1, points=1)
    with_meta_lines(notebook)
    assert cell.source == "## 1. The double\n\n*1 minute · easy · 1 point*\n\nDo it."
    assert "*5 exercises · 66 minutes · 12 points*" in notebook.cells[0].source


def test_words_in_italics_under_a_heading_stay():
    notebook = copy_of(SOUND)
    cell = cell_of(notebook, "exercise-double")
    cell.source = "## 1. The double\n\n*Two points* of a line.\n\n*5 minutes · easy · 2 points*"
    words = "*Two points* of a line.\n\n*5 minutes · easy · 2 points*"
    with_meta_lines(notebook)
    assert cell.source.endswith(words)


def test_a_master_loses_its_outputs_and_keeps_what_nbgrader_needs():
    notebook = copy_of(SOUND)
    cell = cell_of(notebook, "check-double")
    cell.update(execution_count=7, outputs=[nbformat.v4.new_output("stream", text="✓")])
    cell.metadata.update(collapsed=True)
    assert to_text(tool.master_form(notebook)) == to_text(SOUND)
    assert SOUND.cells[0].metadata == {}
    assert cell_of(SOUND, "check-double").metadata.nbgrader.points == 2


def test_students_get_no_solution_no_hidden_test_and_a_way_back():
    student = tool.student_notebook(SOUND, STEM)
    text = to_text(student)
    for word in ("return 2 *", "Because.", "HIDDEN", "SOLUTION", "x is not None"):
        assert word not in text
    assert cell_of(student, "check-double").source == 'check("04.double", double)'
    assert cell_of(student, "solve-double").source.endswith("raise NotImplementedError  # your answer here")
    assert cell_of(student, "hints-why").source == cell_of(SOUND, "hints-why").source
    assert configured().colab(f"chapters/{STEM}.ipynb") in student.cells[0].source
    assert len(exercises(student)) == 5


def test_the_section_of_a_chapter_becomes_one_cell(course):
    assert build(course) == ["1 code cell of '## Exercises' went out of the chapter"]
    cells = read(course[2] / f"{STEM}.ipynb").cells
    assert [cell.id for cell in cells] == ["title", "sum", "summary-cell", "exercises", "last-cell"]
    assert cells[2].source == "## Summary\n\nShort."
    assert cells[4].source == "## Further reading\n\n- A book."
    assert "| 4 | The how-many | 15 | easy |" in cells[3].source
    assert f"(../exercises/{STEM}.ipynb)" in cells[3].source
    assert configured().colab(f"exercises/{STEM}.ipynb") in cells[3].source


def test_building_again_changes_nothing(course):
    build(course)
    before = {path: path.read_bytes() for folder in course for path in folder.glob("*.ipynb")}
    assert len(before) == 3
    assert build(course) == []
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    "words",
    ["plus {} for the exercises", "and {} more for the exercises", "and {} minutes\nfor the exercises"],
)
def test_the_chapter_says_how_long_its_exercises_take(words):
    notebook = chapter()
    notebook.cells[
        0
    ].source = f"# A sample\n\n## Time and what you need\n\nAbout 90 minutes, {words.format(5)}."
    changed = tool.in_step(notebook, SOUND, STEM).cells[0].source
    assert changed.endswith(f"About 90 minutes, {words.format(70)}.")


def test_a_chapter_that_ends_in_the_section_is_changed_too():
    notebook = chapter()
    notebook.cells = notebook.cells[:4]
    assert [c.id for c in tool.with_section(notebook, "## Exercises\n\nNew.").cells] == [
        "title",
        "sum",
        "summary-cell",
        "exercises",
    ]


def test_a_chapter_without_the_section_is_refused(course):
    notebook = chapter()
    notebook.cells = notebook.cells[:2]
    write(course[2] / f"{STEM}.ipynb", notebook)
    with pytest.raises(NotebookError, match=r"04_sample.ipynb, the chapter has no section '## Exercises'"):
        build(course)
    assert not (course[1] / f"{STEM}.ipynb").exists()  # nothing is written by halves


def test_an_unknown_master_is_named(monkeypatch, capsys):
    assert tool.main(["build", "99"]) == 1
    assert "no master '99'; there are 01_tokens" in capsys.readouterr().err


def test_another_repository_is_named_in_every_link(course, tmp_path):
    """`make repository` gives what `build` would give in the fork."""
    import subprocess

    build(course)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    fork = Repository("https://github.com/you/my.fork", "trunk")
    rename(configured(), fork, tmp_path)
    for path in (course[1] / f"{STEM}.ipynb", course[2] / f"{STEM}.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert f"{COLAB}/you/my.fork/blob/trunk/exercises/{STEM}.ipynb" in text
        assert configured().url.removeprefix("https://github.com") not in text
    rename(fork, configured(), tmp_path)
    assert build(course) == []


@pytest.mark.parametrize("path", masters(), ids=lambda path: path.stem)
def test_student_notebook_and_chapter_are_in_step_with_the_master(path):
    master = read(path)
    remedy = f"run: python -m book.tools.exercises build {path.stem[:2]}"
    student = (tool.STUDENTS / path.name).read_text(encoding="utf-8")
    assert student == to_text(tool.student_notebook(master, path.stem)), remedy
    chapter_now = read(tool.CHAPTERS / path.name)
    assert to_text(chapter_now) == to_text(tool.in_step(chapter_now, master, path.stem)), remedy


def test_each_student_notebook_has_a_master():
    assert [path.name for path in masters()] == sorted(path.name for path in tool.STUDENTS.glob("*.ipynb"))
