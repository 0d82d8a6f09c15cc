"""Write the recorded terminal session into its page: `python -m book.tools.session`.

The session is benchmarks/results/session.json, recorded by `python -m benchmarks.session`. Nothing is left
out or changed; long lines are folded.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from book.tools.repository import ROOT
from microgpt_ref._files import atomic_write

PAGE = ROOT / "book" / "session.md"
RECORDED = ROOT / "benchmarks" / "results" / "session.json"
BEGIN, END = "<!-- recorded: filled in by `make figures` -->", "<!-- end of recorded -->"
WIDTH = 36  # with the seconds, what a phone shows without scrolling


def console(lines: list[dict[str, Any]]) -> str:
    """The lines of a terminal, each with the second at which it was complete; folded ones are indented."""
    shown = []
    for line in lines:
        folded = textwrap.wrap(line["text"], WIDTH, subsequent_indent="  ", break_on_hyphens=False) or [""]
        shown.append(f"{line['seconds']:6.1f}  {folded[0]}".rstrip())
        shown += [f"{'':6}  {rest}" for rest in folded[1:]]
    return "\n".join(shown)


def block(recorded: dict[str, Any]) -> str:
    """What stands between the two marks of the page."""
    right = sum(each["right"] for each in recorded["graded"])
    machine = recorded["machine"]
    return (
        f"{BEGIN}\n\n```text\n{console(recorded['lines'])}\n```\n\n"
        f"Recorded on {recorded['date']}: {machine['processor']}, {machine['cores']} cores. From the first "
        f"line to the last {recorded['lines'][-1]['seconds']:.0f} seconds. A program graded the answers: "
        f"{right} of {len(recorded['graded'])} are right.\n\n{END}"
    )


def filled(page: str, recorded: dict[str, Any]) -> str:
    """The page with the recorded session between its marks.

    Raises:
        ValueError: if the page lacks the marks.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE.name} must have the lines {BEGIN!r} and {END!r} once each")
    before, rest = page.split(BEGIN)
    return before + block(recorded) + rest.split(END)[1]


def main(page: Path = PAGE, recorded: Path = RECORDED) -> None:
    """Fill in the page."""
    text = filled(page.read_text(encoding="utf-8"), json.loads(recorded.read_text(encoding="utf-8")))
    with atomic_write(page) as file:
        file.write(text.encode())


if __name__ == "__main__":
    main()
