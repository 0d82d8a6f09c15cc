"""Execute the chapters and store them in one normal form, so that a diff shows what a person changed.

python -m book.tools.notebooks execute [02 ...]      run and store; all chapters if none is named
python -m book.tools.notebooks normalise [02 ...]    the form only, nothing is run
python -m book.tools.notebooks new chapters/03_embeddings.ipynb "Vectors and positions"
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from book.tools.notebook_form import ROOT, NotebookError, faults, normalise, numbered, read, write

CHAPTERS = ROOT / "chapters"
CELL_TIMEOUT = 300  # seconds; a stuck cell ends with an error instead of hanging


def chapters(names: Sequence[str] = ()) -> list[Path]:
    """The chapter files, in order. A name is a number, a stem or a path: `02`, `02_bigram`."""
    return numbered(CHAPTERS, names, "chapter")


def execute(path: Path) -> float:
    """Run a notebook in a fresh kernel and store it in normal form; an error leaves the file as it was.

    Returns the seconds it took, the kernel's start included.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["TQDM_DISABLE"] = "1"
    notebook = normalise(read(path))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(f"{path.name} was not stored.\n{error}") from None
    seconds = time.perf_counter() - start
    normal = normalise(notebook)
    if found := faults(normal):
        raise NotebookError("\n  ".join([f"{path.name} was not stored:", *found]))
    write(path, normal)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m book.tools.notebooks", description="The chapters' notebooks."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("execute", "run and store"), ("normalise", "store in normal form, without running")):
        commands.add_parser(name, help=text).add_argument("chapters", nargs="*")
    new = commands.add_parser("new", help="write the skeleton of a chapter")
    new.add_argument("path", type=Path)
    new.add_argument("title")
    options = parser.parse_args(arguments)
    try:
        if options.command == "new":
            from book.tools.skeleton import create

            create(options.path, options.title)
            return 0
        for path in chapters(options.chapters):
            if options.command == "execute":
                print(f"{path.stem:24s}", end=" ", flush=True)
                seconds = execute(path)
                print(f"{seconds:5.1f} s", "" if seconds <= 60 else "  over the limit of 60 s")
            else:
                write(path, normalise(read(path)))
    except NotebookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
