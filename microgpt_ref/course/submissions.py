"""What students handed in: found in a folder, recognised, and brought back to the assignment's form.

These layouts are understood, also mixed:

    SUBMISSIONS/alice.ipynb
    SUBMISSIONS/alice/04_attention.ipynb                    (or one notebook of any name)
    SUBMISSIONS/alice/04_attention/04_attention.ipynb       (nbgrader's `submitted`)

The student is the first name below the folder. A link is not followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt_ref.course.masters import ExerciseInfo, exercises_of, read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

LARGEST = 50 * 2**20  # bytes


@dataclass(frozen=True)
class Assignment:
    """One homework: the notebook that students received, and the gradebook that knows the hidden tests.

    `gradebook` is a database without students. `digest` changes with anything that changes a grade.
    """

    name: str
    release: NotebookNode
    gradebook: Path
    digest: str

    @property
    def exercises(self) -> list[ExerciseInfo]:
        return exercises_of(self.release)


@dataclass(frozen=True)
class Submission:
    """One student's notebook for one assignment; `path` is None if there is none."""

    student: str
    assignment: str
    path: Path | None
    problem: str = ""

    @property
    def digest(self) -> str:
        if self.path is None or self.problem:
            return f"{self.path} {self.problem}"
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def graded_ids(notebook: NotebookNode) -> set[str]:
    """The `grade_id`s of the cells that earn points."""
    marked = (cell.get("metadata", {}).get("nbgrader", {}) for cell in notebook.get("cells", []))
    return {str(about.get("grade_id")) for about in marked if isinstance(about, dict) and about.get("grade")}


def handed_in(folder: Path) -> dict[str, list[Path]]:
    """Student → the notebooks of theirs, those nearest to the top first.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} with submissions")
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            inside = (path for path in entry.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
            found.setdefault(entry.name, []).extend(sorted(inside, key=lambda path: (len(path.parts), path)))
        elif entry.suffix == ".ipynb":
            found.setdefault(entry.stem, []).append(entry)
    if not found:
        raise FileNotFoundError(
            f"there are no submissions in {folder}; it should hold alice.ipynb or alice/04_attention.ipynb"
        )
    return found


def problem_of(path: Path) -> str:
    """Why a file cannot be graded at all, or an empty text."""
    if path.is_symlink() or not path.is_file():
        return "not a plain file"
    if path.stat().st_size > LARGEST:
        return f"larger than {LARGEST >> 20} MiB"
    try:
        notebook = read_notebook(path)
        usable = all(isinstance(cell.source, str) and cell.cell_type for cell in notebook.cells)
    except (ValueError, OSError, RecursionError, AttributeError, TypeError):
        return "not a notebook"
    return "" if usable else "not a notebook"


def matched(student: str, paths: Sequence[Path], assignments: Sequence[Assignment]) -> list[Submission]:
    """What a student handed in for each assignment: by the file's or its folder's name, else by its cells."""
    left: list[Path] = list(paths)
    chosen: dict[str, Path] = {}
    problems = {path: problem_of(path) for path in left}
    for assignment in assignments:
        for path in [path for path in left if assignment.name in (path.stem, path.parent.name)][:1]:
            chosen[assignment.name] = path
            left.remove(path)
    cells = {path: set[str]() if problems[path] else graded_ids(read_notebook(path)) for path in left}
    for assignment in assignments:
        wanted = graded_ids(assignment.release)
        alike = [path for path in left if len(wanted & cells[path]) * 2 > len(wanted)]
        if assignment.name not in chosen and alike:
            chosen[assignment.name] = alike[0]
            left.remove(alike[0])
    for assignment in assignments:  # the rest, however strange, is told with the first that lacks one
        if assignment.name not in chosen and left:
            chosen[assignment.name] = left.pop(0)
    found: list[Submission] = []
    for assignment in assignments:
        own = chosen.get(assignment.name)
        problem = problems[own] if own is not None else "nothing handed in"
        found.append(Submission(student, assignment.name, own, problem))
    return found


def restored(notebook: NotebookNode, release: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The submission with the assignment's own metadata on its cells; the ids of graded cells that were gone.

    A cell is known by its `grade_id`, else by its id, else (if it is locked) by its text. Only the cells'
    kinds and texts are taken from the student. A check cell that is gone comes back, empty, after the cell it
    stood behind: nbgrader then fills in the text of every locked cell from the gradebook.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

    make = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}
    cells = [make.get(cell.cell_type, new_raw_cell)(cell.source) for cell in notebook.cells]
    position, gone, last = {}, [], -1
    marked = [cell for cell in release.cells if cell.metadata.get("nbgrader")]
    free = set(range(len(cells)))
    for tell in (_by_grade_id, _by_id, _by_text):
        for cell in marked:
            name = cell.metadata.nbgrader.grade_id
            # The last of several copies is the one that nbgrader keeps.
            alike = [index for index in free if name not in position and tell(notebook.cells[index], cell)]
            if alike:
                position[name] = max(alike)
                free.discard(position[name])
    order: list[tuple[float, int, NotebookNode]] = [(index, 0, cell) for index, cell in enumerate(cells)]
    for number, cell in enumerate(marked, start=1):
        about = cell.metadata.nbgrader
        if about.grade_id in position:
            last = position[about.grade_id]
            cells[last].metadata["nbgrader"] = about
        elif about.grade or about.locked:
            back = make[cell.cell_type](cell.source if about.solution else "", metadata={"nbgrader": about})
            order.append((last, number, back))
            gone += [about.grade_id] if about.grade else []
    kept = [cell for _, _, cell in sorted(order, key=lambda item: item[:2])]
    return new_notebook(cells=kept, metadata={"kernelspec": release.metadata.get("kernelspec", {})}), gone


def _by_grade_id(cell: NotebookNode, wanted: NotebookNode) -> bool:
    about = cell.metadata.get("nbgrader")
    return isinstance(about, dict) and about.get("grade_id") == wanted.metadata.nbgrader.grade_id


def _by_id(cell: NotebookNode, wanted: NotebookNode) -> bool:
    return bool(cell.get("id")) and cell.get("id") == wanted.get("id")


def _by_text(cell: NotebookNode, wanted: NotebookNode) -> bool:
    return bool(wanted.metadata.nbgrader.locked) and str(cell.source).strip() == wanted.source.strip()
