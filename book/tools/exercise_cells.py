"""What the code cells of a master keep to: grading, hidden tests, stubs, settings, checks.

Functions that return the faults they find; `exercise_rules.RULES` lists them with those on form and text.
"""

from __future__ import annotations

import ast
import re

from nbformat import NotebookNode

from book.tools.chapter_rules import code_cells
from book.tools.masters import Exercise, exercises, role
from microgpt_ref.checks import names as names_of_checks

HIDDEN_LINES, LONGEST, VARYING = (2, 8), 39, 2

TITLE = re.compile(r"\A# Exercises to chapter (\d+): \S.*$", re.MULTILINE)
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS", re.MULTILINE | re.DOTALL)
# What nbgrader is told about the cells of each role; `points` stands beside it where `grade` is true.
GRADING = {
    "stub": {"grade": False, "locked": False, "solution": True},
    "check": {"grade": True, "locked": True, "solution": False},
    "answer": {"grade": True, "locked": False, "solution": True},
    "code": {"grade": False, "locked": True, "solution": False},
}
GRADE_ID = {"stub": "solve", "check": "check", "answer": "answer"}


def chapter_of(notebook: NotebookNode) -> str:
    """The chapter's number as it stands in names, such as "04"."""
    title = TITLE.match(notebook.cells[0].source)
    return title[1].zfill(2) if title else "00"


def cells_of(exercise: Exercise, what: str) -> list[NotebookNode]:
    return [cell for cell in exercise.cells if role(cell) == what]


def check_calls(cell: NotebookNode) -> list[str]:
    """The names that the cell's calls of `check` give."""
    calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    return [
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "check"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]


def grading_is_right(notebook: NotebookNode) -> list[str]:
    """nbgrader's own fields, and the markers that it looks for."""
    found, ids = [], list[str]()
    for cell in notebook.cells:
        grading, kind = cell.metadata.get("nbgrader"), role(cell)
        marked = {word: f"### BEGIN {word}" in cell.source for word in ("SOLUTION", "HIDDEN TESTS")}
        if marked["SOLUTION"] != (kind == "stub") or marked["HIDDEN TESTS"] != (kind == "check"):
            found.append(f"cell {cell.id}: markers {marked} do not fit a cell for {kind}")
        if grading is None:
            continue
        wanted = {**GRADING.get(kind, {}), "schema_version": 3, "task": False}
        told = {key: value for key, value in grading.items() if key not in ("grade_id", "points")}
        if told != wanted or ("points" in grading) != wanted.get("grade"):
            found.append(
                f"cell {cell.id}: nbgrader is told {dict(grading)}; for {kind} it should be {wanted}"
            )
        prefix = GRADE_ID.get(kind, "[a-z]+")
        if not re.fullmatch(rf"{prefix}-[a-z0-9-]+", grading.get("grade_id", "")):
            found.append(f"cell {cell.id}: grade_id {grading.get('grade_id')!r} is not like '{prefix}-…'")
        ids.append(grading.get("grade_id", ""))
    return found + [
        f"two cells have the grade_id {name!r}" for name in sorted(set(ids)) if ids.count(name) > 1
    ]


def points_add_up(notebook: NotebookNode) -> list[str]:
    found = []
    for exercise in exercises(notebook):
        points = [cell.metadata.get("nbgrader", {}).get("points", 0) for cell in exercise.cells]
        if sum(points) != exercise.info.points:
            found.append(f"{exercise.info.name}: {exercise.info.points} points, its cells give {sum(points)}")
    return found


def hidden_tests_stand_alone(notebook: NotebookNode) -> list[str]:
    """Plain asserts that do not use `check`, which a student could define anew."""
    found = []
    for cell in (cell for cell in code_cells(notebook) if role(cell) == "check"):
        hidden = HIDDEN.search(cell.source)
        if hidden is None or cell.source.count("### ") != 2 or cell.source[hidden.end() :].strip():
            found.append(f"cell {cell.id}: not one region of hidden tests, at the end")
            continue
        lines, tree = [line for line in hidden[1].splitlines() if line.strip()], ast.parse(hidden[1])
        if not HIDDEN_LINES[0] <= len(lines) <= HIDDEN_LINES[1]:
            found.append(f"cell {cell.id}: {len(lines)} lines of hidden tests; 2 to 8 are asked for")
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
            found.append(f"cell {cell.id}: the hidden tests have no assert")
        if any(isinstance(node, ast.Name) and node.id == "check" for node in ast.walk(tree)):
            found.append(f"cell {cell.id}: the hidden tests use check")
    return found


def stubs_say_what_goes_in_and_out(notebook: NotebookNode) -> list[str]:
    """A stub has types for all that goes in and out, and a docstring with an example."""
    found = []
    for exercise in exercises(notebook):
        for cell in cells_of(exercise, "stub"):
            tree = ast.parse(SOLUTION.sub(r"\1raise NotImplementedError", cell.source))
            made = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            if exercise.info.kind in ("code", "prediction") and not made:
                found.append(f"cell {cell.id}: no function and no class to write")
            documents = [ast.get_docstring(node) or "" for node in made]
            if made and not (all(documents) and re.search(r"[Ee]xample|>>>", "\n".join(documents))):
                found.append(f"cell {cell.id}: no docstring, or none with an example")
            functions = [n for node in made for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]
            found += [
                f"cell {cell.id}: {function.name} lacks types"
                for function in functions
                if not _typed(function)
            ]
    return found


def _typed(function: ast.FunctionDef) -> bool:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return function.returns is not None and all(a.annotation or a.arg in ("self", "cls") for a in arguments)


def settings_vary(notebook: NotebookNode) -> list[str]:
    """What differs by class stands on a line of its own, with a default that is one of its values."""
    found, varying = [], 0
    for exercise in exercises(notebook):
        cells = cells_of(exercise, "settings")
        varying += bool(cells)
        text = "\n".join(cell.source for cell in exercise.cells if cell.cell_type == "markdown")
        code = "\n".join(c.source for c in exercise.cells if c.cell_type == "code" and c not in cells)
        for cell in cells:
            assigned = {
                node.targets[0].id: node.value
                for node in ast.parse(cell.source).body
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            for name, values in cell.metadata["exercise_variant"].items():
                where = f"cell {cell.id}: {name}"
                if name not in assigned or not name.isupper():
                    found.append(f"{where} is not set on a line of its own, in capitals")
                    continue
                default = ast.literal_eval(assigned[name])
                if (list(default) if isinstance(default, tuple) else default) not in values or len(
                    values
                ) < 2:
                    found.append(f"{where} = {default!r} is not one of two or more values {values}")
                if f"`{name}`" not in text or not re.search(rf"\b{name}\b", code):
                    found.append(f"{where} is not named in the exercise's text, or not used in its code")
    return found + ([] if varying >= VARYING else [f"settings vary in {varying} exercises, not in {VARYING}"])


def checks_exist(notebook: NotebookNode) -> list[str]:
    """Each checked exercise calls its own check, and no check is left unused."""
    found, chapter, used = [], chapter_of(notebook), list[str]()
    known = names_of_checks(chapter)
    for exercise in exercises(notebook):
        calls = [name for cell in cells_of(exercise, "check") for name in check_calls(cell)]
        used += calls
        if exercise.info.kind in ("code", "prediction") and exercise.info.name not in calls:
            found.append(f"{exercise.info.name} does not call check({exercise.info.name!r}, …)")
    found += [f"there is no check {name!r}; there are {known}" for name in used if name not in known]
    return found + [f"no exercise uses the check {name!r}" for name in known if name not in used]


def code_is_short(notebook: NotebookNode) -> list[str]:
    lengths = {cell.id: len(cell.source.splitlines()) for cell in code_cells(notebook)}
    return [f"cell {name}: {n} lines; {LONGEST} at most" for name, n in lengths.items() if n > LONGEST]
