"""The one form in which notebooks are stored, and what must not be stored at all.

Tools and machines write the same notebook differently: versions, random cell names, streams cut in pieces.
In the normal form a difference between two files is a difference that a person made.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from hashlib import sha1
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {  # without the version, which changes from machine to machine
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
CELL_METADATA = ("mystnb", "tags")
EXERCISE_METADATA = (*CELL_METADATA, "exercise", "exercise_variant", "nbgrader")
# Folders that exist on one machine and not on the reader's.
LOCAL_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|root|Users|tmp|var|work|mnt|opt|usr|private|workspace|content)/\S*"
)


class NotebookError(Exception):
    """A notebook that must not be stored; the message says which cell and why."""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def numbered(folder: Path, names: Sequence[str], what: str) -> list[Path]:
    """The notebooks of a folder in order, or those named: by number, stem or path."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        return found
    chosen = []
    for name in names:
        stem = Path(name).stem
        matches = [path for path in found if path.stem == stem or path.stem.split("_")[0] == stem.zfill(2)]
        if not matches:
            there = ", ".join(path.stem for path in found) or "none"
            raise NotebookError(f"no {what} {name!r}; there are {there}")
        chosen += matches
    return chosen


def to_text(notebook: NotebookNode) -> str:
    """What Jupyter itself would write: one-space indent, sorted keys, a newline at the end."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write(path: Path, notebook: NotebookNode) -> None:
    """Written beside and renamed: a reader sees the old file or the new one, never half of one."""
    text = to_text(notebook)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def normalise(notebook: NotebookNode, keep: Sequence[str] = CELL_METADATA) -> NotebookNode:
    """A copy in normal form: the same whichever tool wrote it, and normalising it again changes nothing.

    Of a cell's metadata only the keys in `keep` stay.
    """
    cells = [_normal_cell(cell, keep) for cell in notebook.cells if cell.source.strip()]
    taken: set[str] = set()
    for cell in cells:
        cell["id"] = _cell_id(cell, taken)
    return nbformat.from_dict(
        {"cells": cells, "metadata": NOTEBOOK_METADATA, "nbformat": 4, "nbformat_minor": 5}
    )


def normalise_exercises(notebook: NotebookNode) -> NotebookNode:
    """The normal form of exercises: they are stored without outputs, and keep what nbgrader must know."""
    normal = normalise(notebook, keep=EXERCISE_METADATA)
    for cell in normal.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    return normal


def _normal_cell(cell: NotebookNode, keep: Sequence[str]) -> dict:
    if cell.get("attachments"):
        raise NotebookError(
            f"a pasted attachment, in the cell that begins {cell.source[:40]!r}: Colab loses it"
        )
    metadata = {key: cell.metadata[key] for key in keep if cell.metadata.get(key)}
    lines = [
        line.rstrip() if cell.cell_type == "code" else line for line in cell.source.strip("\n").split("\n")
    ]
    normal = {
        "cell_type": cell.cell_type,
        "id": cell.get("id", ""),
        "metadata": metadata,
        "source": "\n".join(lines),
    }
    if cell.cell_type == "code":
        normal |= {"execution_count": cell.execution_count, "outputs": list(_normal_outputs(cell.outputs))}
    return normal


def _normal_outputs(outputs: list[NotebookNode]) -> Iterator[dict]:
    """Streams arrive in pieces cut by chance: join them. Of the metadata only the sizes of pictures stay."""
    stream: dict | None = None
    for output in outputs:
        if output.output_type == "stream":
            if stream and stream["name"] == output.name:
                stream["text"] += output.text
                continue
            if stream:
                yield stream
            stream = {"output_type": "stream", "name": output.name, "text": output.text}
            continue
        if stream:
            yield stream
            stream = None
        normal = dict(output)
        if "metadata" in normal:
            normal["metadata"] = {
                key: value for key, value in output.metadata.items() if key.startswith("image/")
            }
        yield normal
    if stream:
        yield stream


def _cell_id(cell: dict, taken: set[str]) -> str:
    """A name that a person gave stays; a random one becomes a hash of the text, the same on every machine."""
    name = cell["id"]
    if (
        not re.fullmatch(r"[a-z][a-z0-9_-]{2,63}", name)
        or re.fullmatch(r"[0-9a-f-]{8,36}", name)
        or name in taken
    ):
        name = sha1(cell["source"].encode()).hexdigest()[:8]
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name}-{number}"
        number += 1
    taken.add(unique)
    return unique


def faults(notebook: NotebookNode) -> list[str]:
    """What would make the stored outputs wrong or worthless on another machine; empty if all is well."""
    found = []
    host = socket.gethostname()
    private = {str(ROOT), str(Path.home())} - {"/"}
    private |= (
        {host} if re.search(r"\d", host) and len(host) > 5 else set()
    )  # a plain word may stand in any text
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        where = f"cell {index} ({cell.get('id')})"
        if cell.execution_count is None:
            found.append(f"{where} was not run")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{where} ends in {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                found.append(f"{where} writes to stderr: {output.text[:200]!r}")
            if any("widget" in kind for kind in output.get("data", {})):
                found.append(f"{where} stores a widget, which needs a server")
            text = _text_of(output)
            found += [
                f"{where} shows a path of one machine: {match[0]}" for match in LOCAL_PATH.finditer(text)
            ]
            found += [f"{where} shows a name of this machine: {name}" for name in private if name in text]
    return found


def _text_of(output: NotebookNode) -> str:
    data = output.get("data", {})
    return "\n".join(
        [output.get("text", ""), *(str(data[kind]) for kind in data if not kind.startswith("image/"))]
    )
