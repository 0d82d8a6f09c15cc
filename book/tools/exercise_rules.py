"""What every master of exercises keeps to, as functions that return the faults they find; `RULES` lists them.

The tests run them on each master, and on broken ones, to show that each rule can fail.
"""

from __future__ import annotations

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
from book.tools.exercise_cells import (
    TITLE,
    cells_of,
    chapter_of,
    checks_exist,
    code_is_short,
    grading_is_right,
    hidden_tests_stand_alone,
    points_add_up,
    settings_vary,
    stubs_say_what_goes_in_and_out,
)
from book.tools.exercises import master_form
from book.tools.masters import STUDENTS, exercises, first_cells, role
from book.tools.notebook_form import NOTEBOOK_METADATA, NotebookError, to_text
from book.tools.skeleton import INSTALL_TAGS, install_source

EXERCISES, CHECKED = (4, 6), 3
FIRST, LAST = 10, (30, 40)  # minutes
KINDS = ("code", "prediction", "explanation", "open")
DIFFICULTIES = ("easy", "medium", "hard")
FIELDS = {"name": str, "kind": str, "difficulty": str, "minutes": int, "points": int, "trains": str}

IMPORT = "from microgpt_ref.checks import check"
DETAILS = re.compile(r"<details><summary>(.*?)</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
RUBRIC = re.compile(
    r"^\| *criterion *\| *points *\|\n\|[-| :]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE | re.IGNORECASE
)
Rule = Callable[[NotebookNode], list[str]]


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
