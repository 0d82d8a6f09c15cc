"""The course's own masters under nbgrader: solutions validate with full points, stubs fail with none.

nbgrader's validator runs each notebook as its autograder does, and its own function counts the points. The
settings are those of a variant, since the plain ones are run elsewhere.
"""

import copy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.utils import determine_grade, is_grade, is_solution
from nbgrader.validator import Validator

from microgpt_ref.course.cli import main
from microgpt_ref.course.masters import (
    course_root,
    exercises_of,
    masters,
    read_notebook,
    student_version,
    with_variant,
)
from tests.course.test_grading import rows

pytestmark = pytest.mark.slow

ROOT = course_root()


def earned(notebook: NotebookNode, path: Path) -> tuple[bool, dict[str, float]]:
    """Whether nbgrader calls the notebook valid, and the points of its check cells, by one run of it."""
    nbformat.write(notebook, path)
    validator, executed = Validator(), []
    run = validator._preprocess
    validator._preprocess = lambda nb: executed.append(run(nb)) or executed[-1]  # type: ignore[method-assign]
    told = validator.validate(str(path))
    cells = [cell for cell in executed[0].cells if is_grade(cell) and not is_solution(cell)]
    return "failed" not in told, {cell.metadata.nbgrader.grade_id: determine_grade(cell)[0] for cell in cells}


def without_open_work(master: NotebookNode) -> NotebookNode:
    """Without the code of exercises that no test grades: it may train for long."""
    names = {exercise.name for exercise in exercises_of(master) if not exercise.checked}
    kept, name = [], ""
    for cell in master.cells:
        name = cell.metadata.get("exercise", {}).get("name", name)
        if cell.cell_type != "code" or name not in names:
            kept.append(cell)
    trimmed = copy.deepcopy(master)
    trimmed.cells = kept
    return trimmed


@pytest.mark.parametrize("path", masters(ROOT), ids=lambda path: path.stem)
def test_nbgrader_agrees_with_the_checks(path: Path, tmp_path: Path) -> None:
    master = without_open_work(with_variant(read_notebook(path), seed=1))
    checked = [name for exercise in exercises_of(master) for name in exercise.checked]
    valid, points = earned(master, tmp_path / "solution.ipynb")
    assert (valid, sorted(points)) == (True, sorted(checked))
    assert all(points.values()), points
    valid, points = earned(student_version(master), tmp_path / "stub.ipynb")
    assert (valid, points) == (False, dict.fromkeys(checked, 0))


@pytest.mark.skipif(not masters(ROOT), reason="no master is written yet")
def test_a_real_chapter_is_graded_from_end_to_end(tmp_path: Path) -> None:
    """Without a homework folder: the chapter is known by the notebooks' cells."""
    path = next((path for path in masters(ROOT) if path.stem == "04_attention"), masters(ROOT)[0])
    master, folder = read_notebook(path), tmp_path / "submitted"
    folder.mkdir()
    nbformat.write(master, folder / "good.ipynb")
    nbformat.write(student_version(master), folder / "stub.ipynb")
    assert main(["grade", str(folder), "--csv", str(tmp_path / "grades.csv")]) == 0
    header, good, stub = rows(tmp_path / "grades.csv")
    exercises = exercises_of(master)
    assert header[2:-4] == [exercise.name for exercise in exercises]
    by_hand = {cell.metadata.nbgrader.grade_id for cell in master.cells if "nbgrader" in cell.metadata}
    by_hand &= {name for exercise in exercises for name in exercise.by_hand}
    outstanding = sum(
        cell.metadata.nbgrader.points
        for cell in master.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") in by_hand
    )
    most = sum(exercise.points for exercise in exercises)
    assert good[-4:] == [f"{most - outstanding:g}", f"{most:g}", f"{outstanding:g}", ""]
    assert stub[-4:-1] == ["0", f"{most:g}", "0"]
    assert "1: not written yet" in stub[-1]
