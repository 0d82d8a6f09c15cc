"""What was measured, read from `benchmarks/results/*.json`: the tables of the results page and of README.

No number is typed by hand. A result file brings its own words in "measured", a list of rows with `what`,
`value`, `unit`, …; or `book/results.yml` says which of its values are shown, and how; a file without either
is shown whole. An entry of `book/results.yml` with a sentence under `missing` is shown without a file too,
with that sentence; what was not measured is said so. `python -m book.tools.results` fills README's table in
again; with `--check` it only says whether the table is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
WORDS = ROOT / "book" / "results.yml"
NOT_MEASURED = "not measured"
START, END = "<!-- measured: filled in by `make figures` -->", "<!-- end of measured -->"
NOTHING = "Nothing has been measured yet: `make bench` does it."


class ResultError(Exception):
    """A result that cannot be shown; the message names the file, the field and the way out."""


@dataclass(frozen=True)
class Result:
    """One result file in words: what was measured in one go, where, and how to repeat it."""

    name: str
    title: str
    command: str
    date: str
    machine: str
    rows: list[dict[str, Any]]
    note: str = ""


def load(folder: Path = RESULTS, words: Path = WORDS) -> list[Result]:
    """Every result in the folder: first those that `words` names, in its order, then the others."""
    chosen = yaml.safe_load(words.read_text(encoding="utf-8")) or {}
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    found = []
    for name in [*chosen, *(name for name in files if name not in chosen)]:
        if name in files:
            found.append(_result(files[name], chosen.get(name)))
        elif "missing" in (chosen[name] or {}):
            found.append(_missing(name, chosen[name]))
    return found


def _missing(name: str, words: dict[str, Any]) -> Result:
    """What would be shown if it had been measured."""
    rows = [
        {k: v for k, v in row.items() if k != "target" or not isinstance(v, str)} for row in words["rows"]
    ]
    rows = [{**row, "value": NOT_MEASURED} for row in rows]
    note = f"{words['missing']} {words.get('note', '')}".strip()
    return Result(name, words.get("title", name), _command(name, words), "", "", rows, note)


def _not_measured(row: dict[str, Any]) -> dict[str, Any]:
    """The row without a value, and without a target that would stand in the file."""
    known = {key: value for key, value in row.items() if key != "target" or not isinstance(value, str)}
    return {**known, "value": NOT_MEASURED}


def _command(name: str, words: dict[str, Any]) -> str:
    return str(words.get("command", f"python -m benchmarks.{name}"))


def _result(path: Path, words: dict[str, Any] | None) -> Result:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ResultError(f"{path.name} is not JSON ({error}); run the benchmark again") from None
    for field in ("date", "machine"):
        if field not in data:
            raise ResultError(f"{path.name} has no {field!r}; run the benchmark again")
    if words is None and "measured" in data:
        words = {"note": data.get("about", ""), **data}
        rows = [_row(path.name, data, row) for row in data["measured"]]
    elif words is None:
        apart = {"date", "machine", "versions"}
        rows = [{"what": f"`{key}`", "value": v} for key, v in _flat(data) if key.split(".")[0] not in apart]
        words = {"title": path.stem.replace("_", " ").capitalize(), "rows": []}
    else:
        rows = [_row(path.name, data, row, "missing" in words) for row in words["rows"]]
    return Result(
        name=path.stem,
        title=words.get("title", path.stem),
        command=_command(path.stem, words),
        date=data["date"],
        machine=_machine(data["machine"] | data.get("versions", {})),
        rows=rows,
        note=words.get("note", ""),
    )


def _row(file: str, data: dict[str, Any], row: dict[str, Any], partly: bool = False) -> dict[str, Any]:
    """A row with `value` and `target` looked up where they are paths into the file and not numbers.

    partly: whether the file may lack a value; it was not measured then.
    """
    if missing := {"what", "value"} - set(row):
        raise ResultError(f"a row about {file} has no {sorted(missing)[0]!r}: {row}")
    if "target" in row and row.get("better") not in ("lower", "higher"):
        raise ResultError(f"the row {row['what']!r} about {file} has a target; say better: lower or higher")
    paths = {key: row[key] for key in ("value", "target") if isinstance(row.get(key), str)}
    try:
        return {**row, **{key: _look_up(file, data, value) for key, value in paths.items()}}
    except ResultError:
        if not partly:
            raise
        return _not_measured(row)


def _look_up(file: str, data: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict) and key in data:
            data = data[key]
        else:
            raise ResultError(f"book/results.yml asks for {path!r}, but {file} has no {key!r} there")
    return data


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(data, dict | list):
        yield path, data
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def number(value: Any, digits: int | None = None) -> str:
    """`digits` decimals if given, else four significant figures; commas in thousands; words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {True: "yes", False: "no", None: "none"}.get(value, str(value))
    if digits is not None:
        return f"{value:,.{digits}f}"
    if isinstance(value, int) or value.is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _line(row: dict[str, Any]) -> str:
    measured = row["value"] != NOT_MEASURED
    unit = row.get("unit", "") if measured else ""
    value = f"{number(row['value'], row.get('digits'))} {unit}".strip()
    against = [row["source"]] if row.get("source") else []
    if "target" in row:
        mark = {"lower": "≤", "higher": "≥"}[row["better"]]
        target = f"{mark} {number(row['target'], row.get('digits'))}"
        if measured:
            met = row["value"] <= row["target"] if row["better"] == "lower" else row["value"] >= row["target"]
            target = f"{target} {'met' if met else '**not met**'}"
        against.insert(0, target)
    return f"| {row['what']} | {value} | {'; '.join(against)} |"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of measured rows; the third column only where something stands in it."""
    lines = ["| What | Measured | Against |", "|---|---|---|", *map(_line, rows)]
    if not any("target" in row or row.get("source") for row in rows):
        lines = [line.rsplit("|", 2)[0] + "|" for line in lines]
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items())


def page(results: Sequence[Result]) -> str:
    """Everything that was measured, as Markdown: one section a file."""
    return "\n\n".join(_sections(results)) or NOTHING


def _sections(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        yield f"## {result.title}"
        if result.note:
            yield result.note
        yield table(result.rows)
        where = (
            f"Measured on {result.date}: {result.machine}. To repeat it" if result.date else "To measure it"
        )
        yield f"{where}: `{result.command}`."


def readme_table(results: Sequence[Result]) -> str:
    """The rows that are marked for README; all of them have their place on the results page."""
    chosen = [r for r in results if r.date and any(row.get("readme") for row in r.rows)]
    rows = [row for result in chosen for row in result.rows if row.get("readme")]
    machines = sorted({result.machine for result in chosen})
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
