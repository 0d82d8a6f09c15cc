"""A chapter as homework: a course folder that nbgrader can use as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt_ref.course.errors import LastError
from microgpt_ref.course.masters import (
    CODE_STUB,
    TEXT_STUB,
    exercises_of,
    master_of,
    read_notebook,
    with_locked_settings,
    with_variant,
)

if TYPE_CHECKING:
    from nbformat import NotebookNode

CONFIG = f'''"""What nbgrader reads when it is started in this folder."""

import os

c = get_config()  # noqa: F821

# What students find in the place of a solution. It is also how nbgrader knows an answer that nobody wrote.
c.ClearSolutions.code_stub = {{"python": "{CODE_STUB}"}}
c.ClearSolutions.text_stub = "{TEXT_STUB}"

# Seconds for one cell; an endless one is stopped, and the others still count.
c.Execute.timeout = 60

# nbgrader takes any word on stderr for a failure, a warning too.
os.environ.setdefault("PYTHONWARNINGS", "ignore")
os.environ.setdefault("TQDM_DISABLE", "1")
'''

README = """# Homework: {names}

{variant}{table}

## Hand out

{hand_out}

Nothing else of this folder: `gradebook.db` holds the hidden tests{source}.

## Grade

Put what comes back below `submitted/`, as `submitted/NAME/{first}/{first}.ipynb`. Then either

    microgpt-course grade submitted --csv grades.csv --assignment .

which runs every notebook apart from the others and from your files, with limits of time and memory, and
writes one line a student; or nbgrader itself, in this folder and in the environment where
`microgpt-ref[lecturer]` is installed:

    nbgrader autograde {first}
    nbgrader export

nbgrader alone runs a student's code with your own rights: do that in a container, or with students you trust.
Questions with an open answer are not graded by either; `nbgrader formgrader` shows them in the browser.
"""


def create(
    root: Path, chapters: Sequence[str], out: Path, *, solutions: bool = True, variant: int | None = None
) -> list[str]:
    """Make the course folder `out` for these chapters; returns the assignments' names.

    It is complete or not there: everything is made beside `out` and then renamed.

    Raises:
        FileExistsError: `out` has something in it already.
        ValueError: there is no such chapter, or nbgrader refuses its master.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; name another folder with --out, or remove it first")
    paths = list(dict.fromkeys(master_of(root, chapter) for chapter in chapters))
    if not paths:
        raise ValueError("name a chapter, for instance 04")
    notebooks = {path.stem: _prepared(read_notebook(path), variant) for path in paths}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        folder = Path(name) / "course"
        _fill(folder, notebooks)
        if not solutions:
            shutil.rmtree(folder / "source")
        (folder / "README.md").write_text(_readme(notebooks, variant, solutions=solutions), encoding="utf-8")
        folder.replace(out)
    return list(notebooks)


def _prepared(master: NotebookNode, variant: int | None) -> NotebookNode:
    return with_locked_settings(master if variant is None else with_variant(master, variant))


def _fill(folder: Path, notebooks: dict[str, NotebookNode]) -> None:
    """Sources, configuration, and what nbgrader makes of them."""
    import nbformat
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(folder.absolute())
    config.ClearSolutions.code_stub = {"python": CODE_STUB}
    config.ClearSolutions.text_stub = TEXT_STUB
    (folder / "submitted").mkdir(parents=True)
    (folder / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    for name, notebook in notebooks.items():
        source = folder / "source" / name / f"{name}.ipynb"
        source.parent.mkdir(parents=True)
        nbformat.write(notebook, str(source))
        config.CourseDirectory.assignment_id = name
        maker = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        maker.log.addHandler(last := LastError())
        try:
            with scripts_on_path():
                maker.start()
        except NbGraderException as error:
            raise ValueError(f"nbgrader refuses {name}: {last.said or error}") from error
        finally:
            maker.log.removeHandler(last)


@contextlib.contextmanager
def scripts_on_path() -> Iterator[None]:
    """nbgrader calls alembic by its name, which lies beside the Python that runs this."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + before
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _readme(notebooks: dict[str, NotebookNode], variant: int | None, *, solutions: bool) -> str:
    rows = ["| exercise | | points | minutes | graded |", "|---|---|---|---|---|"]
    for name, notebook in notebooks.items():
        for exercise in exercises_of(notebook):
            ways = [
                word for word, ids in (("by tests", exercise.checked), ("by hand", exercise.by_hand)) if ids
            ]
            words = (name, f"{exercise.number}. {exercise.title}", exercise.points, exercise.minutes)
            rows.append("| " + " | ".join(map(str, (*words, " and ".join(ways)))) + " |")
    told = ""
    if variant is not None:
        chosen = {
            name: value
            for notebook in notebooks.values()
            for name, value in notebook.metadata.microgpt_variant.settings.items()
        }
        values = ", ".join(f"`{name} = {value!r}`" for name, value in chosen.items()) or "nothing to vary"
        told = f"Variant {variant}: {values}. The same seed makes the same homework.\n\n"
    return README.format(
        names=", ".join(notebooks),
        first=next(iter(notebooks)),
        variant=told,
        table="\n".join(rows),
        hand_out="\n".join(f"- `release/{name}/{name}.ipynb`" for name in notebooks),
        source=", `source/` the solutions" if solutions else "",
    )
