"""The grades on disk: a CSV for the lecturer, and beside it what an interrupted run needs to go on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microgpt_ref._files import atomic_write
from microgpt_ref.course.grade import Grade

VERSION = 1


class Ledger:
    """Grades by student and assignment, written to `path` (a CSV) and `path`.state.json after each new one.

    Raises:
        FileExistsError: the CSV is there and was not written by an earlier run, or has been changed since.
    """

    def __init__(self, path: Path, exercises: Sequence[str]) -> None:
        self.path, self.exercises = path, list(exercises)
        self.state = path.with_name(path.name + ".state.json")
        self.rows: dict[tuple[str, str], Grade] = {}
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        written: list[str] = []
        if self.state.exists():
            held = json.loads(self.state.read_text(encoding="utf-8"))
            if held.get("version") == VERSION:
                written = held["csv"]
                self.known = {(row["student"], row["assignment"]): row for row in held["rows"]}
        if path.exists() and _digest(path.read_bytes()) not in written:
            raise FileExistsError(
                f"{path} was not written by this command, or has been changed since; "
                "name another file with --csv, or move it away"
            )
        self.written = written

    def recall(self, student: str, assignment: str, digest: str, limits: Sequence[float]) -> Grade | None:
        """The grade of an earlier run for the same content; if it was stopped, then by the same limits."""
        held = self.known.get((student, assignment))
        if held is None or held["digest"] != digest:
            return None
        if held["grade"]["stopped"] and held["limits"] != list(limits):
            return None
        self.rows[student, assignment] = Grade(**held["grade"])
        return self.rows[student, assignment]

    def add(self, row: Grade, digest: str, limits: Sequence[float]) -> None:
        """Keep a grade, on disk too."""
        key = (row.student, row.assignment)
        self.rows[key] = row
        self.known[key] = {
            "student": row.student,
            "assignment": row.assignment,
            "digest": digest,
            "limits": list(limits),
            "grade": vars(row),
        }
        self.write()

    def write(self) -> None:
        """Both files, each whole or not at all; a CSV left from before a stop is still known as ours."""
        text = self.table().encode()
        self.written = [_digest(text), *self.written[:1]]
        state = {"version": VERSION, "csv": self.written, "rows": list(self.known.values())}
        with atomic_write(self.state) as file:
            file.write(json.dumps(state, indent=1).encode())
        with atomic_write(self.path) as file:
            file.write(text)

    def table(self) -> str:
        """The CSV's text."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["student", "assignment", *self.exercises, "total", "max", "outstanding", "reason"])
        for _, row in sorted(self.rows.items()):
            points = [number(row.points.get(exercise)) for exercise in self.exercises]
            sums = [number(row.total), number(row.maximum), number(row.outstanding)]
            words = [row.student, row.assignment, *points, *sums, "; ".join(row.reasons)]
            writer.writerow([plain(word) for word in words])
        return out.getvalue()


def number(value: float | None) -> str:
    """Points without needless digits; nothing for what nobody has graded yet."""
    return "" if value is None else f"{value:g}"


def plain(word: str) -> str:
    """A cell that a spreadsheet shows and does not compute: students choose names and error messages."""
    word = "".join(letter if letter.isprintable() else " " for letter in word)
    return f"'{word}" if word[:1] in "=+-@" and word else word


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
