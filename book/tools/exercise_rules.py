"""What every master of exercises keeps to, as functions that return the faults they find; `RULES` lists them.

The tests run them on each master, and on broken ones, to show that each rule can fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from itertools import pairwise

from nbformat import NotebookNode

from book.tools.chapter_rules import (
    FENCE,
    LINK,
    code_cells,
    no_semicolon_hides_output,
    prose,
    prose_is_plain_markdown,
    tags,
)
from book.tools.exercises import master_form
from book.tools.masters import STUDENTS, Exercise, exercises, first_cells, role
from book.tools.notebook_form import NOTEBOOK_METADATA, NotebookError, to_text
from book.tools.skeleton import INSTALL_TAGS, install_source
from microgpt_ref.checks import names as names_of_checks

EXERCISES, CHECKED, VARYING = (4, 6), 3, 2
FIRST, LAST = 10, (30, 40)  # minutes
HIDDEN_LINES, LONGEST = (2, 8), 39
KINDS = ("code", "prediction", "explanation", "open")
DIFFICULTIES = ("easy", "medium", "hard")
FIELDS = {"name": str, "kind": str, "difficulty": str, "minutes": int, "points": int, "trains": str}

TITLE = re.compile(r"\A# Exercises to chapter (\d+): \S.*$", re.MULTILINE)
IMPORT = "from microgpt_ref.checks import check"
DETAILS = re.compile(r"<details><summary>(.*?)</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS", re.MULTILINE | re.DOTALL)
RUBRIC = re.compile(
    r"^\| *criterion *\| *points *\|\n\|[-| :]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE | re.IGNORECASE
)
# What nbgrader is told about the cells of each role; `points` stands beside it where `grade` is true.
GRADING = {
    "stub": {"grade": False, "locked": False, "solution": True},
    "check": {"grade": True, "locked": True, "solution": False},
    "answer": {"grade": True, "locked": False, "solution": True},
    "code": {"grade": False, "locked": True, "solution": False},
}
GRADE_ID = {"stub": "solve", "check": "check", "answer": "answer"}

Rule = Callable[[NotebookNode], list[str]]


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


def is_in_normal_form(notebook: NotebookNode) -> list[str]:
    found = (
        []
        if notebook.metadata == NOTEBOOK_METADATA
        else ["the notebook's metadata are not the standard ones"]
    )
    same = to_text(notebook) == to_text(master_form(notebook))
    return found + ([] if same else ["not in normal form; run: python -m book.tools.exercises build"])


def starts_with_title_and_setup(notebook: NotebookNode) -> list[str]:
    found = []
    if not TITLE.match(notebook.cells[0].source):
        found.append("the first line is not like '# Exercises to chapter 4: attention'")
    cells = {cell.id: cell for cell in code_cells(notebook)}
    if list(cells)[:2] != ["install", "setup"]:
        return [*found, "the first two code cells are not 'install' and 'setup'"]
    if cells["install"].source != install_source():
        found.append("the cell 'install' differs from the repository's setting; see CONTRIBUTING.md")
    if tags(cells["install"]) != INSTALL_TAGS:
        found.append(f"the cell 'install' has the tags {tags(cells['install'])}, not {INSTALL_TAGS}")
    if IMPORT not in cells["setup"].source.splitlines():
        found.append(f"the cell 'setup' has no line {IMPORT!r}")
    before = {cell.id for cell in first_cells(notebook)}
    return found + [f"the cell {name!r} stands inside an exercise" for name in {"install", "setup"} - before]


def metadata_are_complete(notebook: NotebookNode) -> list[str]:
    found = []
    for cell in notebook.cells:
        about = cell.metadata.get("exercise")
        if about is None:
            continue
        where = f"cell {cell.id}: exercise"
        found += [
            f"{where}.{field} is {about.get(field)!r}; write a {kind.__name__}"
            for field, kind in FIELDS.items()
            if type(about.get(field)) is not kind or not about[field]
        ]
        found += [f"{where}.{field} is unknown" for field in set(about) - set(FIELDS)]
        for field, allowed in (("kind", KINDS), ("difficulty", DIFFICULTIES)):
            if about.get(field) not in allowed:
                found.append(f"{where}.{field} is {about.get(field)!r}; write one of {', '.join(allowed)}")
    return found


def exercises_are_numbered_and_named(notebook: NotebookNode) -> list[str]:
    found, all_of_them, chapter = [], exercises(notebook), chapter_of(notebook)
    low, high = EXERCISES
    if not low <= len(all_of_them) <= high:
        found.append(f"{len(all_of_them)} exercises; {low} to {high} are asked for")
    numbers = [exercise.info.number for exercise in all_of_them]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"the exercises are numbered {numbers}")
    for exercise in all_of_them:
        name, first = exercise.info.name, exercise.cells[0].id
        if not re.fullmatch(rf"{chapter}\.[a-z][a-z0-9_]*", name):
            found.append(f"the name {name!r} is not like '{chapter}.causal_mask'")
        if first != f"exercise-{exercise.slug}":
            found.append(f"the cell {first!r} should be named 'exercise-{exercise.slug}'")
    if len({exercise.info.name for exercise in all_of_them}) < len(all_of_them):
        found.append("two exercises have the same name")
    return found


def minutes_grow(notebook: NotebookNode) -> list[str]:
    minutes = [exercise.info.minutes for exercise in exercises(notebook)]
    found = [] if all(a <= b for a, b in pairwise(minutes)) else [f"the minutes {minutes} do not grow"]
    if not minutes or minutes[0] > FIRST:
        found.append(f"the first exercise takes more than {FIRST} minutes")
    if not minutes or not LAST[0] <= minutes[-1] <= LAST[1]:
        found.append(f"the last exercise does not take {LAST[0]} to {LAST[1]} minutes")
    return found


def kinds_are_mixed(notebook: NotebookNode) -> list[str]:
    """Enough that a program checks, one to predict or explain and then test, one that is open."""
    found, all_of_them = [], exercises(notebook)
    checked = [e for e in all_of_them if e.info.kind in ("code", "prediction")]
    if sum(e.info.kind == "code" for e in all_of_them) < CHECKED:
        found.append(f"fewer than {CHECKED} exercises of the kind 'code'")
    found += [
        f"{exercise.info.name} has no stub or no check"
        for exercise in checked
        if not cells_of(exercise, "stub") or not cells_of(exercise, "check")
    ]
    if not any(e.info.kind in ("prediction", "explanation") for e in all_of_them):
        found.append("no exercise of the kind 'prediction' or 'explanation'")
    for exercise in all_of_them:
        answers = [index for index, cell in enumerate(exercise.cells) if role(cell) == "answer"]
        if exercise.info.kind in ("explanation", "open") and not answers:
            found.append(f"{exercise.info.name} has no Markdown cell for the answer")
        after = exercise.cells[answers[0] :] if answers else ()
        if exercise.info.kind == "explanation" and not any(cell.cell_type == "code" for cell in after):
            found.append(f"{exercise.info.name} has no code after the answer that tests it")
    if not any(e.info.kind == "open" for e in all_of_them):
        found.append("no exercise of the kind 'open'")
    return found


def open_ones_have_a_rubric(notebook: NotebookNode) -> list[str]:
    found = []
    for exercise in exercises(notebook):
        if exercise.info.kind != "open":
            continue
        rubric = RUBRIC.search("\n\n".join(cell.source for cell in cells_of(exercise, "text")))
        if rubric is None:
            found.append(f"{exercise.info.name} has no table with the columns criterion and points")
            continue
        rows = [line.strip(" |").rpartition("|")[2].strip() for line in rubric[1].strip().splitlines()]
        points = sum(int(row) for row in rows if row.isdecimal())
        by_hand = sum(cell.metadata.nbgrader.points for cell in cells_of(exercise, "answer"))
        if points != by_hand:
            found.append(
                f"the rubric of {exercise.info.name} has {points} points, its answer cells {by_hand}"
            )
    return found


def hints_are_three(notebook: NotebookNode) -> list[str]:
    found = []
    for exercise in exercises(notebook):
        cells = cells_of(exercise, "hints")
        if [cell.id for cell in cells] != [f"hints-{exercise.slug}"]:
            found.append(f"{exercise.info.name} has no cell 'hints-{exercise.slug}', or more than one")
            continue
        titles = [title for title, text in DETAILS.findall(cells[0].source) if text.strip()]
        if titles != ["Hint 1", "Hint 2", "Hint 3"]:
            found.append(f"{exercise.info.name} has the folded parts {titles}, not Hint 1, Hint 2, Hint 3")
        elif DETAILS.sub("", cells[0].source).strip():
            found.append(f"{exercise.info.name} has text between its hints")
    return found


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


def links_resolve(notebook: NotebookNode) -> list[str]:
    """Relative links are read from the student's notebook and, alike, from the chapter's page."""
    found = []
    for target in (t for text in prose(notebook) for t in LINK.findall(FENCE.sub("", text))):
        path, _, _ = target.partition("#")
        if path and not re.match(r"[a-z]+:", target) and not (STUDENTS / path).resolve().is_file():
            found.append(f"the link {target} leads nowhere from exercises/")
    return found


RULES: tuple[Rule, ...] = (
    is_in_normal_form,
    starts_with_title_and_setup,
    metadata_are_complete,
    exercises_are_numbered_and_named,
    minutes_grow,
    kinds_are_mixed,
    open_ones_have_a_rubric,
    hints_are_three,
    grading_is_right,
    points_add_up,
    hidden_tests_stand_alone,
    stubs_say_what_goes_in_and_out,
    settings_vary,
    checks_exist,
    prose_is_plain_markdown,
    no_semicolon_hides_output,
    code_is_short,
    links_resolve,
)


def faults(notebook: NotebookNode) -> list[str]:
    """All faults of one master, rule by rule."""
    found = []
    for rule in RULES:
        try:
            found += [f"{rule.__name__}: {fault}" for fault in rule(notebook)]
        except NotebookError as error:
            found.append(f"{rule.__name__}: {error}")
    return found
