"""The skeleton of a chapter: the order of its sections, and the two setup cells that every chapter has."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.tools.notebook_form import NotebookError, normalise, write
from book.tools.repository import requirement

INSTALL_TAGS = ["nbval-skip", "hide-cell"]


def install_source() -> str:
    """The first setup cell, word for word. The condition keeps it idle everywhere but on Colab."""
    return f"""\
# On Colab this installs the course's package; anywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install -q "{requirement()}\""""


SETUP_START = "import numpy as np"
SETUP_END = """\
from microgpt_ref import plots

SCALE = "cpu"  # "cpu", "gpu" or "tpu": the size of this chapter's runs
plots.use_style()"""

SECTIONS = (
    "## What you will be able to do",
    "## Time and what you need",
    "## The first idea",
    "## Compare with the reference",
    "## Common mistakes, and how each one looks",
    "## Summary",
    "## Check your understanding",
    "## Exercises",
    "## Further reading",
)


def setup_cells() -> list[NotebookNode]:
    install = nbformat.v4.new_code_cell(install_source(), id="install", metadata={"tags": INSTALL_TAGS})
    setup = nbformat.v4.new_code_cell(f"{SETUP_START}\n\n{SETUP_END}", id="setup")
    return [install, setup]


def create(path: Path, title: str) -> None:
    """Write a new chapter with its headings and setup cells; an existing file is left alone."""
    if path.exists():
        raise NotebookError(f"{path} exists; remove it first, or choose another name")
    cells = [nbformat.v4.new_markdown_cell(f"# {title}\n\nWhat you will build, and why, in one figure.")]
    for section in SECTIONS:
        cells.append(nbformat.v4.new_markdown_cell(section))
        if section == SECTIONS[1]:
            cells += [nbformat.v4.new_markdown_cell("## Setup"), *setup_cells()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, normalise(notebook))
