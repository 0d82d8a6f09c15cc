"""A small course with one master notebook: quick to grade, with the kinds of cells of the real ones."""

import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = "04_small"

DOUBLE = '''def double(x: float) -> float:
    """Twice `x`."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION'''

WINDOW_SUM = '''def window_sum(numbers: list[int]) -> int:
    """The sum of the last WINDOW numbers."""
    ### BEGIN SOLUTION
    return sum(numbers[-WINDOW:])
    ### END SOLUTION'''

TEST_DOUBLE = """assert double(1.0) == 2.0
### BEGIN HIDDEN TESTS
assert double(-3.5) == -7.0
### END HIDDEN TESTS"""

TEST_WINDOW_SUM = """assert window_sum([1] * 9) == WINDOW
### BEGIN HIDDEN TESTS
assert window_sum(list(range(100))) == sum(range(100 - WINDOW, 100))
### END HIDDEN TESTS"""


def grader(grade_id: str, points: int = 0, *, solution: bool) -> dict[str, object]:
    cell = {"grade_id": grade_id, "schema_version": 3, "solution": solution, "task": False}
    graded = {"grade": True, "points": points} if points else {"grade": False}
    return {"nbgrader": cell | graded | {"locked": not solution}}


def about(name: str, points: int, kind: str = "code") -> dict[str, object]:
    told = {"name": name, "kind": kind, "difficulty": "easy", "minutes": 5, "points": points, "trains": name}
    return {"exercise": told}


def small_master() -> NotebookNode:
    """Two checked exercises, of 2 and 3 points, and an open one of 4."""
    cells = [
        new_markdown_cell("# Exercises to chapter 4: small", id="title"),
        new_code_cell("import os", id="setup"),
        new_markdown_cell("## 1. Twice\n\nDouble it.", id="exercise-double", metadata=about("04.double", 2)),
        new_code_cell(DOUBLE, id="solve-double", metadata=grader("solve-double", solution=True)),
        new_code_cell(TEST_DOUBLE, id="check-double", metadata=grader("check-double", 2, solution=False)),
        new_markdown_cell("## 2. A window", id="exercise-window-sum", metadata=about("04.window_sum", 3)),
        new_code_cell(
            "WINDOW = 4  # numbers",
            id="settings-window-sum",
            metadata={"exercise_variant": {"WINDOW": [3, 5]}},
        ),
        new_code_cell(WINDOW_SUM, id="solve-window", metadata=grader("solve-window-sum", solution=True)),
        new_code_cell(
            TEST_WINDOW_SUM, id="check-window", metadata=grader("check-window-sum", 3, solution=False)
        ),
        new_markdown_cell("## 3. Why?", id="exercise-why", metadata=about("04.why", 4, "open")),
        new_markdown_cell("Because.", id="answer-why", metadata=grader("answer-why", 4, solution=True)),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def small_course(folder: Path) -> Path:
    """A checkout with the small master alone."""
    solutions = folder / "exercises" / "solutions"
    solutions.mkdir(parents=True)
    nbformat.write(small_master(), solutions / f"{NAME}.ipynb")
    return folder


def with_sources(notebook: NotebookNode, **sources: str) -> NotebookNode:
    """A copy with the cells of these ids (underscores for dashes) given other text."""
    changed = copy.deepcopy(notebook)
    wanted = {name.replace("_", "-"): text for name, text in sources.items()}
    for cell in changed.cells:
        cell.source = wanted.pop(cell.id, cell.source)
    assert not wanted, f"no cells {sorted(wanted)}"
    return changed
