"""Exercises: from the masters to the student's notebooks and to the chapters. Never edit those two by hand.

python -m book.tools.exercises build [04 ...]     all chapters if none is named; `make exercises`
python -m book.tools.exercises counts             try every checker on wrong and right answers

`build` stores a master in normal form, writes the line of minutes and points under each heading, and makes
from it `exercises/NN_word.ipynb`, for students, and the section "## Exercises" of the chapter. `counts` tries
each wrong and right answer of `tests/checks` and stores in `exercises/checkers.json` how many were known.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.tools.masters import STUDENTS, counted, exercises, load, masters, with_meta_lines
from book.tools.notebook_form import NotebookError, normalise, normalise_exercises, read, write
from book.tools.notebooks import CHAPTERS
from book.tools.repository import configured
from microgpt_ref._files import atomic_write
from microgpt_ref.checks import names as names_of_checks
from microgpt_ref.course.masters import student_version

CHECKERS = STUDENTS / "checkers.json"
SECTION = "## Exercises"
CELL = "exercises"  # the name of the chapter's generated cell
TIME = "## Time and what you need"
# "About 90 minutes, and 70 more for the exercises"
MINUTES = re.compile(r"\b\d+(?=\s+(?:more\s+|minutes\s+)?for\s+the\s+exercises)")
LEVEL_2 = re.compile(r"^## ", re.MULTILINE)


def master_form(master: NotebookNode) -> NotebookNode:
    """A copy of a master as it is stored."""
    return normalise_exercises(with_meta_lines(deepcopy(master)))


def student_notebook(master: NotebookNode, stem: str) -> NotebookNode:
    """What students get, from the master of the chapter `stem`: no solutions, no hidden tests, a way back."""
    student = student_version(deepcopy(master))
    student.cells.insert(0, nbformat.v4.new_markdown_cell(_way_back(stem), id="way-back"))
    return normalise_exercises(student)


def _way_back(stem: str) -> str:
    repository, path = configured(), f"chapters/{stem}.ipynb"
    return (
        f"These exercises belong to chapter {int(stem[:2])} of *Build a GPT*:"
        f" [open the chapter on Colab]({repository.colab(path)}) or [beside this file](../{path})."
        f" [Open these exercises on Colab]({repository.colab(f'exercises/{stem}.ipynb')})."
        " Write your answers in place of `raise NotImplementedError`, then run the check below each."
        " In the book, solutions are folded under the exercises, at the end of the chapter."
    )


def links(stem: str) -> str:
    """Where a reader of the chapter finds the student's notebook, in Markdown."""
    path = f"exercises/{stem}.ipynb"
    return f"[Try them on Colab]({configured().colab(path)}), or take the notebook [{path}](../{path})."


def introduction(master: NotebookNode) -> str:
    """How many exercises there are and how long they take, in a sentence."""
    found = exercises(master)
    minutes = sum(exercise.info.minutes for exercise in found)
    return f"{counted(len(found), 'exercise')}, {counted(minutes, 'minute')} in all."


def section(master: NotebookNode, stem: str) -> str:
    """The text of section "## Exercises" of the chapter `stem`."""
    infos = [exercise.info for exercise in exercises(master)]
    table = [f"| {info.number} | {info.title} | {info.minutes} | {info.difficulty} |" for info in infos]
    return "\n".join(
        [
            SECTION,
            "",
            f"{introduction(master)} Checks say what kind of mistake an answer makes, and each exercise has"
            f" three hints. {links(stem)}",
            "",
            "| | exercise | minutes | difficulty |",
            "|---|---|---|---|",
            *table,
        ]
    )


def in_step(chapter: NotebookNode, master: NotebookNode, stem: str) -> NotebookNode:
    """A copy of the chapter with its section of exercises, and their minutes where it tells its own."""
    changed = with_section(chapter, section(master, stem))
    minutes = sum(exercise.info.minutes for exercise in exercises(master))
    for cell in changed.cells:
        if cell.cell_type == "markdown" and TIME in cell.source:
            cell.source = MINUTES.sub(str(minutes), cell.source)
    return normalise(changed)  # the names of cells follow their text


def with_section(chapter: NotebookNode, text: str) -> NotebookNode:
    """A copy of the chapter whose whole section "## Exercises" is one cell with this text."""
    changed = deepcopy(chapter)
    cells = changed.cells
    begin = _find(cells, re.compile(rf"^{SECTION} *$", re.MULTILINE), (0, 0))
    if begin is None:
        raise NotebookError(f"the chapter has no section {SECTION!r}; write this heading after the summary")
    end = _find(cells, LEVEL_2, (begin[0], begin[1] + len(SECTION))) or (len(cells), 0)
    (first, at), (last, until) = begin, end
    generated = nbformat.v4.new_markdown_cell(text, id=CELL)
    after = [_piece(cell, slice(until, None)) for cell in cells[last : last + 1]]
    changed.cells = [*cells[:first], _piece(cells[first], slice(at)), generated, *after, *cells[last + 1 :]]
    return normalise(changed)  # which drops a cell that is left empty


def _piece(cell: NotebookNode, part: slice) -> NotebookNode:
    return nbformat.from_dict({**cell, "source": cell.source[part]})


def _find(cells: list[NotebookNode], what: re.Pattern[str], start: tuple[int, int]) -> tuple[int, int] | None:
    """The cell, and the place in its text, where the pattern stands first from `start` on, in Markdown."""
    for index in range(start[0], len(cells)):
        if cells[index].cell_type == "markdown":
            match = what.search(cells[index].source, start[1] if index == start[0] else 0)
            if match:
                return index, match.start()
    return None


def build(path: Path, students: Path = STUDENTS, chapters: Path = CHAPTERS) -> list[str]:
    """Bring a master, its student notebook and its chapter in step; returns remarks on what else it did."""
    chapter = read(chapters / path.name)
    try:
        master = master_form(read(path))
        student = student_notebook(master, path.stem)
        changed = in_step(chapter, master, path.stem)
    except (NotebookError, RuntimeError) as error:
        raise NotebookError(f"{path.name}, {error}") from None
    write(path, master)
    write(students / path.name, student)
    write(chapters / path.name, changed)
    before, now = (sum(cell.cell_type == "code" for cell in book.cells) for book in (chapter, changed))
    return (
        [f"{counted(before - now, 'code cell')} of {SECTION!r} went out of the chapter"]
        if now < before
        else []
    )


def count(names: Sequence[str] = (), file: Path = CHECKERS) -> list[str]:
    """Try every check of the chapters on wrong and right answers and store the counts; returns a summary."""
    # what tries the checks belongs to the tests, which are there wherever this tool is
    answers = importlib.import_module("tests.checks.answers")
    chosen = [info.info.name for path in masters(names) for info in load(path)]
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    checked = [name for chapter in {name[:2] for name in chosen} for name in names_of_checks(chapter)]
    fresh = {}
    for name in (name for name in chosen if name in checked):
        fresh[name] = answers.count(name)
    there = {info.info.name for path in masters() for info in load(path)}
    counts = {name: row for name, row in sorted((known | fresh).items()) if name in there}
    with atomic_write(file) as out:
        out.write((json.dumps(counts, indent=2) + "\n").encode())
    return [
        f"{name}: {row['rejected']} of {row['wrong']} rejected, {row['named']} named;"
        f" {row['right_accepted']} of {row['right']} right ones accepted"
        for name, row in fresh.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m book.tools.exercises", description="The exercises.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="bring student notebooks and chapters in step with the masters")
    make.add_argument("chapters", nargs="*", help="numbers or names; all if none is given")
    tried = commands.add_parser("counts", help="try the checks on wrong and right answers, store the counts")
    tried.add_argument("chapters", nargs="*", help="numbers or names; all if none is given")
    options = parser.parse_args(arguments)
    try:
        if options.command == "counts":
            print("\n".join(count(options.chapters)))
            return 0
        for path in masters(options.chapters):
            for remark in build(path):
                print(f"{path.stem}: {remark}")
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
