"""The masters of the exercises, `exercises/solutions/NN_word.ipynb`: what is in them, cell by cell.

A master holds everything: texts, solutions, checks, hidden tests, hints, one exercise after the other. Each
begins with a Markdown cell that carries {"exercise": {…}} in its metadata; `microgpt_ref.course` reads them.
Here are the cells that belong to each, and the lines that the tool writes into a master.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from book.tools.notebook_form import ROOT, NotebookError, numbered, read
from microgpt_ref.course.masters import ExerciseInfo, exercises_of

STUDENTS = ROOT / "exercises"
MASTERS = STUDENTS / "solutions"

# The line under a heading that the tool writes: *10 minutes · easy · 3 points*
META_LINE = re.compile(r"\A\n\n\*\d+ (?:exercise|minute)s? · [^*\n]+ · \d+ points?\*(?=\n|\Z)")


@dataclass(frozen=True)
class Exercise:
    """One exercise of a master: what its metadata tell, and its cells with the text first."""

    info: ExerciseInfo
    cells: tuple[NotebookNode, ...]

    @property
    def slug(self) -> str:
        """`04.causal_mask` → `causal-mask`, as it stands in the names of cells."""
        return self.info.name.partition(".")[2].replace("_", "-")


def masters(names: Sequence[str] = ()) -> list[Path]:
    """The master files, in order. A name is a number, a stem or a path: `04`, `04_attention`."""
    return numbered(MASTERS, names, "master")


def first_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """What stands before the first exercise: the title, the setup cells, functions that are given."""
    starts = _starts(notebook)
    return list(notebook.cells[: starts[0]] if starts else notebook.cells)


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a master, in order. Raises NotebookError if metadata or a heading are wrong."""
    starts = _starts(notebook)
    try:
        infos = exercises_of(notebook)
    except (ValueError, TypeError) as error:
        raise NotebookError(str(error)) from None
    pieces = [notebook.cells[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    return [Exercise(info, tuple(cells)) for info, cells in zip(infos, pieces, strict=True)]


def _starts(notebook: NotebookNode) -> list[int]:
    return [index for index, cell in enumerate(notebook.cells) if cell.metadata.get("exercise") is not None]


def load(path: Path) -> list[Exercise]:
    """The exercises of one file."""
    try:
        return exercises(read(path))
    except NotebookError as error:
        raise NotebookError(f"{path.name}, {error}") from None


def counted(number: int, word: str) -> str:
    """`1 minute`, `5 minutes`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def meta_line(info: ExerciseInfo) -> str:
    return f"{counted(info.minutes, 'minute')} · {info.difficulty} · {counted(info.points, 'point')}"


def with_meta_lines(notebook: NotebookNode) -> NotebookNode:
    """The same notebook, changed in place: under each heading stands what its metadata say."""
    found = exercises(notebook)
    minutes, points = (sum(getattr(e.info, what) for e in found) for what in ("minutes", "points"))
    total = (counted(len(found), "exercise"), counted(minutes, "minute"), counted(points, "point"))
    _put_meta_line(notebook.cells[0], " · ".join(total))
    for exercise in found:
        _put_meta_line(exercise.cells[0], meta_line(exercise.info))
    return notebook


def _put_meta_line(cell: NotebookNode, line: str) -> None:
    heading, _, rest = cell.source.partition("\n")
    rest = META_LINE.sub("", "\n\n" + rest.lstrip("\n"), count=1).strip("\n")
    cell.source = f"{heading}\n\n*{line}*" + (f"\n\n{rest}" if rest else "")


def role(cell: NotebookNode) -> str:
    """What a cell is for: text, hints, answer (Markdown); settings, stub, check, code."""
    grading = cell.metadata.get("nbgrader", {})
    if cell.cell_type == "markdown":
        if cell.get("id", "").startswith("hints-"):
            return "hints"
        return "answer" if grading.get("solution") else "text"
    if "exercise_variant" in cell.metadata:
        return "settings"
    if grading.get("solution"):
        return "stub"
    return "check" if grading.get("grade") else "code"
