"""What was measured, read from `benchmarks/results/*.json`: the tables of the results page and of README.

No number is typed by hand. `python -m book.tools.results` fills README's table in again; with `--check` it
only says whether the table is out of date. The form of a result file:

    {"title": …, "command": how to repeat it, "date": "2026-01-31", "seconds": 171,
     "machine": {"processor": …, "cores": 2, …},
     "measured": [{"what": …, "value": 1.5, "unit": "nats per character",
                   "digits": 3, "target": 1.88, "better": "lower", "source": …, "readme": true}]}
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- measured: filled in by `make figures` -->", "<!-- end of measured -->"
NOTHING = "Nothing has been measured yet: `make bench` does it."


class ResultError(Exception):
    """A result file that cannot be shown; the message names the file, the field and the way out."""


@dataclass(frozen=True)
class Result:
    """One result file: what was measured in one go, where, and how to repeat it."""

    name: str
    title: str
    command: str
    date: str
    machine: dict[str, Any]
    measured: list[dict[str, Any]]
    seconds: float | None = None


def load(folder: Path = RESULTS) -> list[Result]:
    """Every result in the folder, by file name."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> Result:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ResultError(f"{path.name} is not JSON ({error}); run the benchmark again") from None
    for field in ("title", "command", "date", "machine", "measured"):
        if field not in data:
            raise ResultError(f"{path.name} has no {field!r}; see book/tools/results.py for the form")
    for row in data["measured"]:
        for field in ("what", "value", "unit"):
            if field not in row:
                raise ResultError(f"{path.name}: a row of 'measured' has no {field!r}: {row}")
        if "target" in row and row.get("better") not in ("lower", "higher"):
            raise ResultError(f'{path.name}: {row["what"]!r} has a target; say "better": "lower" or "higher"')
    known = {key: data[key] for key in Result.__dataclass_fields__ if key in data}
    return Result(name=path.stem, **known)


def number(value: float, digits: int | None = None) -> str:
    """`digits` decimals if given; else four significant figures, with commas in thousands."""
    if digits is not None:
        return f"{value:,.{digits}f}"
    if isinstance(value, int) or float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _row(row: dict[str, Any]) -> str:
    value = f"{number(row['value'], row.get('digits'))} {row['unit']}".strip()
    if "target" not in row:
        return f"| {row['what']} | {value} | {row.get('source', '')} |"
    met = row["value"] <= row["target"] if row["better"] == "lower" else row["value"] >= row["target"]
    mark = {"lower": "≤", "higher": "≥"}[row["better"]]
    target = f"{mark} {number(row['target'], row.get('digits'))}: {'met' if met else '**not met**'}"
    return f"| {row['what']} | {value} | {'. '.join(filter(None, [target, row.get('source', '')]))} |"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of measured rows."""
    return "\n".join(["| What | Measured | Against |", "|---|---|---|", *map(_row, rows)])


def _machine(machine: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items())


def page(results: Sequence[Result]) -> str:
    """Everything that was measured, as Markdown: one section a file."""
    return "\n\n".join(_sections(results)) or NOTHING


def _sections(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        took = f" It took {result.seconds:,.0f} seconds." if result.seconds is not None else ""
        where = f"Measured on {result.date}: {_machine(result.machine)}."
        yield f"## {result.title}"
        yield table(result.measured)
        yield f"{where}{took} To repeat it: `{result.command}`."


def readme_table(results: Sequence[Result]) -> str:
    """The rows that a result marks for README; all of them have their place on the results page."""
    rows = [row for result in results for row in result.measured if row.get("readme")]
    machines = sorted(
        {_machine(result.machine) for result in results if any(r.get("readme") for r in result.measured)}
    )
    return f"{table(rows)}\n\nMeasured on: {'; '.join(machines)}." if rows else NOTHING


def fill(text: str, content: str) -> str:
    """`text` with `content` between the two marks."""
    if text.count(START) != 1 or text.count(END) != 1:
        raise ResultError(f"README.md needs these two lines once each, around the table:\n{START}\n{END}")
    before, rest = text.split(START)
    return f"{before}{START}\n\n{content}\n\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m book.tools.results", description="Fill in README's table."
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the table is out of date"
    )
    options = parser.parse_args(arguments)
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    try:
        after = fill(before, readme_table(load()))
    except ResultError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check and after != before:
        print("README's table is out of date; run: make figures", file=sys.stderr)
        return 1
    if after != before:
        readme.write_text(after, encoding="utf-8")
        print("README.md: the table of measured results was filled in again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
