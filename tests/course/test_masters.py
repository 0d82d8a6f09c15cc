"""Masters: found, described, stripped by nbgrader, varied by a seed."""

from pathlib import Path

import nbformat
import pytest

from microgpt_ref.course import masters as m
from tests.course.fixtures import NAME, small_course, small_master

REAL = m.masters(Path(__file__).parents[2])


def source(notebook: nbformat.NotebookNode, name: str) -> str:
    return next(str(cell.source) for cell in notebook.cells if cell.id == name)


def test_found_by_number_and_by_name(tmp_path: Path) -> None:
    root = small_course(tmp_path)
    path = root / "exercises" / "solutions" / f"{NAME}.ipynb"
    assert m.masters(root) == [path]
    assert {m.master_of(root, chapter) for chapter in ("4", "04", NAME)} == {path}
    with pytest.raises(ValueError, match=f"no master for chapter '05'; there are {NAME}"):
        m.master_of(root, "05")


def test_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--course PATH"):
        m.course_root(tmp_path)


def test_what_is_no_notebook_is_told(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"nbformat": 3}', "\x00"):
        (tmp_path / "a.ipynb").write_text(text)
        with pytest.raises(ValueError, match=r"a\.ipynb is not a notebook"):
            m.read_notebook(tmp_path / "a.ipynb")


def test_exercises_are_described() -> None:
    double, window, why = m.exercises_of(small_master())
    assert (double.name, double.number, double.title, double.points) == ("04.double", 1, "Twice", 2)
    assert (window.checked, window.by_hand) == (("check-window-sum",), ())
    assert (why.kind, why.checked, why.by_hand) == ("open", (), ("answer-why",))


def test_an_exercise_without_a_number() -> None:
    master = small_master()
    master.cells[2].source = "## Twice"
    with pytest.raises(ValueError, match=r"'04.double' must begin with a heading"):
        m.exercises_of(master)


def test_the_student_version() -> None:
    master = small_master()
    student = m.student_version(master)
    assert source(student, "solve-double").endswith(f'"""Twice `x`."""\n    {m.CODE_STUB}')
    assert source(student, "check-double") == "assert double(1.0) == 2.0"
    assert source(student, "answer-why") == m.TEXT_STUB
    assert master == small_master()
    assert m.exercises_of(student) == m.exercises_of(master)


def test_a_variant_is_decided_by_its_seed() -> None:
    master = small_master()
    settings = {
        seed: m.with_variant(master, seed).metadata.microgpt_variant.settings.WINDOW for seed in range(20)
    }
    assert set(settings.values()) == {3, 5}
    for seed, window in settings.items():
        variant = m.with_variant(master, seed)
        assert variant == m.with_variant(master, seed)
        assert source(variant, "settings-window-sum") == f"WINDOW = {window}  # numbers"
        assert f"Variant {seed}: `WINDOW = {window}`" in source(variant, "title")
    assert master == small_master()


def test_a_setting_that_is_not_there() -> None:
    master = small_master()
    master.cells[6].source = "WIDTH = 4"
    with pytest.raises(ValueError, match="no line `WINDOW = …`"):
        m.with_variant(master, 0)


@pytest.mark.parametrize(
    ("line", "value", "wanted"),
    [
        ("A = 4", 5, "A = 5"),
        ("A: int = 4  # why", 5, "A: int = 5  # why"),
        ("B = 1\nA = (1, 2)\nAA = 3", [3, 4], "B = 1\nA = (3, 4)\nAA = 3"),
        ("A = 'x'", "y", "A = 'y'"),
    ],
)
def test_only_the_setting_changes(line: str, value: object, wanted: str) -> None:
    assert m._set(line, "A", value) == wanted


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_every_master(path: Path) -> None:
    """Numbered in turn, the points agree, nothing of a solution is left, at least two settings vary."""
    master = m.read_notebook(path)
    exercises = m.exercises_of(master)
    assert [exercise.number for exercise in exercises] == list(range(1, len(exercises) + 1))
    points = {
        cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points
        for cell in master.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    for exercise in exercises:
        assert sum(points[name] for name in exercise.checked + exercise.by_hand) == exercise.points, (
            exercise.name
        )
    student = m.student_version(master)
    assert not any("SOLUTION" in cell.source or "HIDDEN" in cell.source for cell in student.cells)
    assert len(m.settings_of(master)) >= 2
    for seed in range(4):
        m.with_variant(master, seed)
