"""The exercises as the book shows them at the end of a chapter: hints and solutions are folded.

On Colab a chapter only lists its exercises. When the book is built, the cell `exercises` is replaced by what
the master holds, so that nothing is written twice, and notebooks that people run show no solutions.
"""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.tools.exercises import CELL, SECTION, introduction, links
from book.tools.masters import MASTERS, Exercise, exercises, first_cells, role
from book.tools.notebook_form import read
from book.tools.repository import configured
from microgpt_ref.course.masters import CODE_STUB, student_version

MARKER = re.compile(r"^ *### (?:BEGIN|END) SOLUTION *\n?", re.MULTILINE)
HEADING = re.compile(r"#+ ")
META = re.compile(r"\A(### .+\n\n\*.+\*)$", re.MULTILINE)


def master_of(docname: str) -> Path | None:
    """The master whose exercises stand on a page, if there is one."""
    folder, _, stem = docname.rpartition("/")
    path = MASTERS / f"{stem}.ipynb"
    return path if folder == "chapters" and path.is_file() else None


def with_exercises(chapter: str, master: Path) -> str:
    """The JSON of a chapter with the exercises in place of the cell that lists them."""
    notebook = nbformat.reads(chapter, as_version=4)
    shown = cells(read(master), master.stem)
    notebook.cells = list(chain.from_iterable(shown if c.get("id") == CELL else [c] for c in notebook.cells))
    return str(nbformat.writes(notebook))


def cells(master: NotebookNode, stem: str) -> list[NotebookNode]:
    """The section "## Exercises" of the chapter `stem`, cell by cell."""
    students = exercises(student_version(master))
    where = links(stem).replace("(../", "(path:../")  # the book hands the file itself over
    shown = [_text(f"{SECTION}\n\n{introduction(master)} {where}\n\n{_given(master)}")]
    for exercise, student in zip(exercises(master), students, strict=True):
        shown += _exercise(exercise, student, stem)
    for number, cell in enumerate(shown):
        cell["id"] = f"{CELL}-{number}"
    return shown


def _given(master: NotebookNode) -> str:
    """What the notebook runs before the first exercise: imports, and functions that are given."""
    code = [cell.source for cell in first_cells(master) if cell.cell_type == "code" and cell.id != "install"]
    return _folded("What the notebook starts with", _python("\n\n".join(code)))


def _exercise(master: Exercise, student: Exercise, stem: str) -> list[NotebookNode]:
    shown = list[NotebookNode]()
    for cell in student.cells:
        kind = role(cell)
        if kind == "text":
            shown.append(_text(_demoted(cell.source)))
        elif cell.cell_type == "code" and cell.source != CODE_STUB:
            shown.append(nbformat.v4.new_code_cell(cell.source))
    colab = configured().colab(f"exercises/{stem}.ipynb")
    shown[0].source = META.sub(rf"\1 · [Try on Colab]({colab})", shown[0].source, count=1)
    hints = [cell.source for cell in master.cells if role(cell) == "hints"]
    shown.append(_text("\n\n".join([*hints, _folded("Solution", solution(master))])))
    return shown


def solution(exercise: Exercise) -> str:
    """The code of the solution and the model answer, in Markdown."""
    parts = []
    for cell in exercise.cells:
        if role(cell) == "stub":
            parts.append(_python(without_docstrings(MARKER.sub("", cell.source))))
        elif role(cell) == "answer":
            parts.append(_demoted(cell.source))
    return "\n\n".join(parts)


def without_docstrings(source: str) -> str:
    """The same code without docstrings, which the page shows above with the stub."""
    lines, gone = source.splitlines(), set[int]()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and ast.get_docstring(node)
            and len(node.body) > 1
        ):
            end = node.body[0].end_lineno or 0
            while not lines[end].strip():  # the empty lines after it
                end += 1
            gone |= set(range(node.body[0].lineno, end + 1))
    return "\n".join(line for number, line in enumerate(lines, start=1) if number not in gone)


def _text(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _python(source: str) -> str:
    return f"```python\n{source}\n```"


def _demoted(source: str) -> str:
    """Headings one level down; comments in fenced code, which begin alike, stay."""
    lines, fenced = [], False
    for line in source.splitlines():
        fenced ^= line.startswith("```")
        lines.append(f"#{line}" if HEADING.match(line) and not fenced else line)
    return "\n".join(lines)
