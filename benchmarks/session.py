"""Record a terminal session: `microgpt finetune`, then `microgpt chat`, as a person would have them.

    python -m benchmarks.session            about four minutes on two cores; writes results/session.json
    python -m benchmarks.session --quick    a few updates, to see whether it runs; writes nothing

The commands run in a terminal of their own, in an empty folder. Progress bars are switched off. Every answer
is graded by program, which the terminal does not show.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pexpect

from benchmarks._common import write_result
from microgpt_ref import stories

LIMIT = 300.0
PROMPT = "\r\n> "
ASKED = 4  # questions about each story


class Terminal:
    """A terminal whose lines are kept with the second at which they were complete."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, time.perf_counter()
        self.lines: list[dict[str, Any]] = []

    def show(self, text: str) -> None:
        """Keep a text that appeared."""
        seconds = round(time.perf_counter() - self.began, 1)
        self.lines += [{"seconds": seconds, "text": line.rstrip()} for line in text.split("\n")]

    def spawn(self, *words: str) -> pexpect.spawn:
        """Begin a command; `microgpt` is the one of this environment."""
        self.show("$ " + " ".join(("microgpt", *words)))
        environment = {**os.environ, "TQDM_DISABLE": "1", "TERM": "dumb", "COLUMNS": "110"}
        command = ["-m", "microgpt_ref.cli", *words]
        return pexpect.spawn(
            sys.executable,
            command,
            cwd=self.folder,
            env=environment,
            encoding="utf-8",
            timeout=900,
            echo=False,
        )


def clean(text: str) -> str:
    """What a person sees of a terminal's bytes."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r\n", "\n").strip("\n")


def finetune(terminal: Terminal, more: list[str]) -> int:
    """`microgpt finetune`, line by line; returns its exit status."""
    process = terminal.spawn("finetune", *more)
    for line in process:
        if text := clean(line):
            terminal.show(text)
    process.close()
    return process.exitstatus


def chat(terminal: Terminal) -> list[dict[str, Any]]:
    """`microgpt chat`: questions about two stories. Returns them with their answers and grades."""
    process = terminal.spawn("chat")
    graded = []
    process.expect(PROMPT)
    shown = clean(process.before)
    terminal.show(shown)
    for number in range(2):
        story = next(line for line in shown.split("\n") if stories.consistent(line + "\n"))
        for question in stories.questions_about(story + "\n")[:: 2 + number][:ASKED]:
            answer = say(terminal, process, question.question)
            graded.append(
                {
                    "story": story,
                    "question": question.question,
                    "answer": answer,
                    "right": stories.grade(question, answer),
                }
            )
        if number == 0:
            shown = say(terminal, process, "/story")
    terminal.show("> /quit")
    process.sendline("/quit")
    process.expect(pexpect.EOF)
    terminal.show(clean(process.before))
    process.close()
    return graded


def say(terminal: Terminal, process: pexpect.spawn, line: str) -> str:
    """Type a line and wait for the whole reply."""
    terminal.show("> " + line)
    process.sendline(line)
    process.expect(PROMPT)
    reply = clean(process.before)
    terminal.show(reply)
    return reply


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Record the session; returns what is written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few updates, nothing written")
    quick = parser.parse_args(arguments).quick
    more = ["--steps", "4", "--warmup-steps", "1", "--conversations", "100"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(Path(folder))
        status = finetune(terminal, more)
        if status:
            raise RuntimeError(f"microgpt finetune ended with {status}: {terminal.lines[-1]['text']}")
        graded = chat(terminal)
    seconds = terminal.lines[-1]["seconds"]
    right = sum(each["right"] for each in graded)
    content = {
        "title": "From the first command to the last answer",
        "command": "python -m benchmarks.session",
        "about": "`microgpt finetune`, then `microgpt chat`, in a terminal, start to finish.",
        "lines": terminal.lines,
        "graded": graded,
        "measured": [
            {
                "what": "microgpt finetune, then a chat about two stories, start to finish",
                "value": seconds,
                "unit": "s",
                "digits": 0,
                "target": LIMIT,
                "better": "lower",
                "source": "the course's limit",
                "readme": True,
            },
            {"what": f"Right answers of {len(graded)} in that chat", "value": right, "unit": "", "digits": 0},
        ],
    }
    print(f"{seconds:.0f} s, {right} of {len(graded)} right")
    if not quick:
        print("written:", write_result("session", content, ("microgpt-ref", "torch")).name)
    return content


if __name__ == "__main__":
    main()
