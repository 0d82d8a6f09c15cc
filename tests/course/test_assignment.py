"""A chapter as homework: nbgrader takes the folder as it is, and nothing is overwritten."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from microgpt_ref.course.assignment import create
from microgpt_ref.course.cli import main
from microgpt_ref.course.masters import student_version
from tests.course.fixtures import NAME, small_course, small_master, with_sources


def sources(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("course")
    create(small_course(place), ["04"], place / "homework")
    return place / "homework"


def test_what_is_in_it(folder: Path) -> None:
    release = nbformat.read(folder / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    assert sources(release) == sources(student_version(small_master()))
    source = nbformat.read(folder / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    assert sources(source) == sources(small_master())
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        assert book.find_assignment(NAME).max_score == 9
        assert not book.students
        hidden = book.find_source_cell("check-double", NAME, NAME).source
    assert "assert double(-3.5) == -7.0" in hidden
    told = (folder / "README.md").read_text()
    assert f"release/{NAME}/{NAME}.ipynb" in told
    assert "| 2. A window | 3 | 5 | by tests |" in told


@pytest.mark.slow
def test_nbgrader_grades_in_it_as_it_is(folder: Path) -> None:
    """Its own commands, started in the folder: what the README says."""
    for student, notebook in {"good": small_master(), "empty": student_version(small_master())}.items():
        place = folder / "submitted" / student / NAME
        place.mkdir(parents=True)
        nbformat.write(notebook, place / f"{NAME}.ipynb")
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", NAME],
        cwd=folder,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        good, empty = (book.find_submission(NAME, student) for student in ("good", "empty"))
        assert (good.score, good.needs_manual_grade) == (5, True)
        assert (empty.score, empty.needs_manual_grade) == (0, False)


@pytest.mark.slow
def test_without_solutions(tmp_path: Path) -> None:
    create(small_course(tmp_path), ["04"], tmp_path / "homework", solutions=False)
    texts = {path: path.read_bytes() for path in (tmp_path / "homework").rglob("*") if path.is_file()}
    assert not [path for path, text in texts.items() if b"return sum(numbers" in text]
    assert not (tmp_path / "homework" / "source").exists()


@pytest.mark.slow
def test_a_variant_is_in_the_notebook_and_the_readme(tmp_path: Path) -> None:
    root = small_course(tmp_path)
    for name in ("one", "two"):
        words = ["assignment", "04", "--out", str(tmp_path / name), "--variant", "3", "--course", str(root)]
        assert main(words) == 0
    one, two = (
        nbformat.read(tmp_path / name / "release" / NAME / f"{NAME}.ipynb", 4) for name in ("one", "two")
    )
    assert sources(one) == sources(two)
    assert "*Variant 3: `WINDOW = 3`.*" in sources(one)[0]
    assert "WINDOW = 3  # numbers" in sources(one)
    assert "Variant 3: `WINDOW = 3`" in (tmp_path / "one" / "README.md").read_text()


def error_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.count("\n") == 1
    return shown.err


def test_errors_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = small_course(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("dear")
    course = ["--course", str(root)]
    assert "not empty" in error_of(["assignment", "04", "--out", str(tmp_path / "full"), *course], capsys)
    assert "chapter '99'" in error_of(["assignment", "99", "--out", str(tmp_path / "new"), *course], capsys)
    nowhere = ["--course", str(tmp_path / "full")]
    assert "--course PATH" in error_of(["assignment", "04", "--out", str(tmp_path / "new"), *nowhere], capsys)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_master_that_nbgrader_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = small_course(tmp_path)
    broken = with_sources(small_master(), solve_double="### BEGIN SOLUTION\npass")
    nbformat.write(broken, root / "exercises" / "solutions" / f"{NAME}.ipynb")
    words = ["assignment", "04", "--out", str(tmp_path / "new"), "--course", str(root)]
    assert "no end solution statement found" in error_of(words, capsys)
    assert not (tmp_path / "new").exists()
