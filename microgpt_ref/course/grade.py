"""Grade a folder of submissions into one CSV: each apart from the others, none able to stop the rest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook

from microgpt_ref.course import isolated
from microgpt_ref.course.autograde import write_scores
from microgpt_ref.course.masters import read_notebook
from microgpt_ref.course.submissions import Assignment, Submission, handed_in, matched, restored

OVERRUN = {
    "time": "stopped after {seconds:g} s",
    "memory": "stopped: more than {gib:g} GiB of memory",
    "processes": "stopped: more than {processes} processes",
}


@dataclass
class Grade:
    """One row: the points of each exercise (None: somebody must read it), what is outstanding, and why."""

    student: str
    assignment: str
    points: dict[str, float | None]
    maximum: float
    outstanding: float = 0.0
    reasons: list[str] = field(default_factory=list)
    stopped: str | None = None

    @property
    def total(self) -> float:
        return sum(points for points in self.points.values() if points is not None)


@contextlib.contextmanager
def assignments_in(folder: Path) -> Iterator[list[Assignment]]:
    """The assignments of a course folder, each with a gradebook of its own that knows no student.

    Raises:
        FileNotFoundError: it is no course folder.
    """
    releases = sorted(folder.glob("release/*/*.ipynb"))
    if not releases or not (folder / "gradebook.db").is_file():
        raise FileNotFoundError(
            f"{folder} has no gradebook.db and release/; "
            f"make it with `microgpt-course assignment 04 --out {folder}`"
        )
    with tempfile.TemporaryDirectory(prefix="mg") as name:
        yield [_assignment(folder / "gradebook.db", path, Path(name)) for path in releases]


def _assignment(gradebook: Path, release: Path, folder: Path) -> Assignment:
    own = folder / f"{release.stem}.db"
    shutil.copyfile(gradebook, own)
    own.chmod(0o600)
    with Gradebook(f"sqlite:///{own}") as book:
        for student in list(book.students):
            book.remove_student(student.id)
        for other in [other.name for other in book.assignments if other.name != release.stem]:
            book.remove_assignment(other)
        notebook = book.find_notebook(release.stem, release.stem)
        cells = sorted((cell.name, cell.source or "") for cell in notebook.source_cells)
        points = sorted((cell.name, cell.max_score) for cell in notebook.grade_cells)
    with contextlib.closing(sqlite3.connect(own)) as database:
        database.execute("VACUUM")  # removed rows stay readable in the file until then
    said = json.dumps([cells, points, release.read_text(encoding="utf-8")])
    return Assignment(release.stem, read_notebook(release), own, hashlib.sha256(said.encode()).hexdigest())


def submissions_in(
    folder: Path, assignments: Sequence[Assignment], roster: Sequence[str] = ()
) -> list[Submission]:
    """All that are to be graded, and all that are missing, in the order of the students' names."""
    found = handed_in(folder)
    names = sorted({*found, *roster})
    return [one for name in names for one in matched(name, found.get(name, []), assignments)]


def grade(submission: Submission, assignment: Assignment, limits: isolated.Limits) -> Grade:
    """Grade one submission. Whatever it does, there is a grade, and the reason for a bad one."""
    most = {
        cell.metadata.nbgrader.grade_id: float(cell.metadata.nbgrader.points)
        for cell in assignment.release.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    row = Grade(submission.student, assignment.name, {}, sum(most.values()))
    if submission.problem or submission.path is None:
        return _summed(row, assignment, most, {}, submission.problem)
    notebook, gone = restored(read_notebook(submission.path), assignment.release)
    if len(gone) == len(most):
        return _summed(row, assignment, most, {}, f"not {assignment.name}: none of its graded cells is there")
    written = {
        cell.metadata.nbgrader.grade_id: {
            "score": None if cell.source.strip() != asked.source.strip() else 0.0
        }
        for asked in assignment.release.cells
        for cell in notebook.cells
        if asked.metadata.get("nbgrader", {}).get("solution")
        and asked.metadata.nbgrader.get("grade")
        and cell.metadata.get("nbgrader", {}).get("grade_id") == asked.metadata.nbgrader.grade_id
    }
    outcome = _run(notebook, assignment, limits)
    row.stopped = outcome.stopped
    if outcome.stopped:
        gib, processes = limits.memory / isolated.GIB, limits.processes
        text = OVERRUN[outcome.stopped].format(seconds=limits.seconds, gib=gib, processes=processes)
        row.reasons.append(text)
    try:
        result: dict[str, Any] = json.loads(outcome.result)
    except ValueError:
        lines = [line for line in outcome.log.splitlines() if line.strip()]
        why = f"signal {-outcome.status}" if outcome.status < 0 else (lines or ["no message"])[-1][:160]
        return _summed(row, assignment, most, written, "" if outcome.stopped else f"the grader ended: {why}")
    row.reasons += [f"deleted and put back: {name}" for name in gone]
    tampered = [note for note in result["notes"] if note.startswith("TAMPERED: ")]
    if tampered:
        return _summed(row, assignment, most, written, tampered[0].removeprefix("TAMPERED: "))
    row.reasons += [] if outcome.stopped else result["notes"]
    failed = result["failed"] and f"nbgrader could not grade it: {result['failed'][:160]}"
    return _summed(row, assignment, most, written if failed else result["scores"], failed)


def _run(notebook: Any, assignment: Assignment, limits: isolated.Limits) -> isolated.Outcome:
    """Grade in a temporary course folder that holds this submission alone, and no solution."""
    safe = isolated.namespaces()
    with tempfile.TemporaryDirectory(prefix="mg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        handed = folder / "course" / "submitted" / "student" / assignment.name / f"{assignment.name}.ipynb"
        handed.parent.mkdir(parents=True)
        nbformat.write(notebook, str(handed))
        shutil.copyfile(assignment.gradebook, folder / "course" / "gradebook.db")
        isolated.environment(folder)
        plan = isolated.write_plan(folder, limits, isolated=safe)
        a_cell = limits.seconds / 4  # one endless cell leaves time for the others
        work = partial(write_scores, plan_file=plan, assignment=assignment.name, seconds=a_cell)
        return isolated.run(work, limits, folder)


def _summed(
    row: Grade, assignment: Assignment, most: dict[str, float], scores: dict[str, Any], problem: str
) -> Grade:
    """The row with the points of each exercise; `problem` stands first among the reasons."""
    if problem:
        row.reasons.insert(0, problem)
    for exercise in assignment.exercises:
        ids = exercise.checked + exercise.by_hand
        found = {name: scores.get(name, {"score": 0.0}) for name in ids}
        open_ids = [name for name, cell in found.items() if cell["score"] is None]
        row.outstanding += sum(most[name] for name in open_ids)
        # What the gradebook says a cell is worth holds, whatever the notebook says.
        earned = [
            min(float(cell["score"]), most[name]) for name, cell in found.items() if cell["score"] is not None
        ]
        row.points[exercise.name] = sum(earned) if earned else None
        said = next((cell["said"] for cell in found.values() if cell.get("said")), "")
        row.reasons += [f"{exercise.number}: {said}"] if said else []
    return row
