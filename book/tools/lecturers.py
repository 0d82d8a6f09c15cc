"""The tables of the lecturer's page, made from the masters and from the chapters when the book is built."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from book.tools.exercises import CHECKERS
from book.tools.masters import Exercise, load, masters
from book.tools.notebook_form import read
from book.tools.notebooks import chapters

PAGE = "book/lecturers"

# Weeks as lists of chapters; what is planned joins when it is written.
SIX_WEEKS = (("01", "02"), ("03", "04"), ("05", "06"), ("07", "08"), ("10", "12"), ("14",))
TWELVE_WEEKS = tuple((f"{number:02d}",) for number in (*range(1, 11), 12, 14))
FIRST = 3  # the exercises of a chapter that are homework in the shorter course


def page(text: str) -> str:
    """The text of the page with its tables."""
    for place, table in PLACES.items():
        text = text.replace(f"<!-- {place} -->", table())
    return text


def _title(path: Path) -> str:
    return re.sub(r"^# ", "", read(path).cells[0].source.split("\n")[0]).strip()


def _linked(number: str) -> str:
    path = next(path for path in chapters([number]))
    return f"{int(number)} [{_title(path)}](../chapters/{path.name})"


def _all() -> dict[str, list[Exercise]]:
    """The exercises of each chapter, by its number."""
    return {path.stem[:2]: load(path) for path in masters()}


def _totals(found: list[Exercise]) -> str:
    """The columns exercises, minutes, points."""
    minutes, points = (sum(getattr(e.info, field) for e in found) for field in ("minutes", "points"))
    return f"{len(found)} | {minutes} | {points}"


def syllabus(weeks: tuple[tuple[str, ...], ...], first: int | None) -> str:
    """One row a week: its chapters, and the homework in them (the first exercises, or all) in minutes."""
    known = _all()
    rows = ["| week | chapters | exercises | minutes | points |", "|---|---|---|---|---|"]
    for number, week in enumerate(weeks, start=1):
        homework = [exercise for chapter in week for exercise in known.get(chapter, [])[:first]]
        rows.append(f"| {number} | {'; '.join(map(_linked, week))} | {_totals(homework)} |")
    return "\n".join(rows)


def overview() -> str:
    """One row a chapter, and their sum."""
    known = _all()
    rows = ["| chapter | exercises | minutes | points |", "|---|---|---|---|"]
    rows += [f"| {_linked(chapter)} | {_totals(found)} |" for chapter, found in known.items()]
    everything = [exercise for found in known.values() for exercise in found]
    return "\n".join([*rows, f"| all | {_totals(everything)} |"])


def each_exercise() -> str:
    """A table for each chapter: what every exercise trains, and how long it takes."""
    parts = []
    for chapter, found in _all().items():
        path = chapters([chapter])[0]
        rows = ["| exercise | minutes | points | difficulty | kind | trains |", "|---|---|---|---|---|---|"]
        rows += [
            f"| {i.number}. {i.title} | {i.minutes} | {i.points} | {i.difficulty} | {i.kind} | {i.trains} |"
            for i in (exercise.info for exercise in found)
        ]
        parts.append("\n".join([f"### {int(chapter)} {_title(path)}", "", *rows]))
    return "\n\n".join(parts)


def checkers() -> str:
    """What the checks said to wrong and right answers: a sentence with the sums, and a folded table."""
    if not CHECKERS.exists():
        return "They have not been counted yet: `python -m book.tools.exercises counts` does it."
    counts = json.loads(CHECKERS.read_text(encoding="utf-8"))
    fields = ("wrong", "rejected", "named", "right", "right_accepted")
    total = {field: sum(row[field] for row in counts.values()) for field in fields}
    sentence = (
        f"{len(counts)} checks were tried on {total['wrong']} wrong answers."
        f" {total['rejected']} were rejected, {total['named']} of them with the very mistake named."
        f" Of {total['right']} right answers, written in other ways than the solution,"
        f" {total['right_accepted']} were accepted."
    )
    rows = [
        "| exercise | wrong answers | rejected | mistake named | right answers | accepted |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {name} | {' | '.join(str(row[field]) for field in fields)} |" for name, row in counts.items()
    ]
    table = "\n".join(rows)
    return f"{sentence}\n\n<details><summary>Each check</summary>\n\n{table}\n\n</details>"


PLACES: dict[str, Callable[[], str]] = {
    "six weeks": lambda: syllabus(SIX_WEEKS, FIRST),
    "twelve weeks": lambda: syllabus(TWELVE_WEEKS, None),
    "minutes and points": overview,
    "each exercise": each_exercise,
    "checkers": checkers,
}
