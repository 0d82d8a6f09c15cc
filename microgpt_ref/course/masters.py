"""Master notebooks: where they lie, what exercises they hold, and the versions made from them.

A master (`exercises/solutions/NN_word.ipynb`) holds solutions between `### BEGIN SOLUTION` and
`### END SOLUTION`, hidden tests between `### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS`, and nbgrader's
metadata. nbgrader itself strips them, so that a student notebook from here and one from
`nbgrader generate_assignment` ask the same.
"""

from __future__ import annotations

import ast
import copy
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import microgpt_ref

if TYPE_CHECKING:
    from nbformat import NotebookNode

CODE_STUB = "raise NotImplementedError  # your answer here"
TEXT_STUB = "YOUR ANSWER HERE"


@dataclass(frozen=True)
class ExerciseInfo:
    """One exercise, as the metadata and the heading of its first cell tell it.

    `checked` and `by_hand` are the `grade_id`s of its graded cells: those that run, and those that somebody
    reads.
    """

    name: str
    number: int
    title: str
    kind: str
    difficulty: str
    minutes: int
    points: int
    trains: str
    checked: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()


def course_root(path: str | Path | None = None) -> Path:
    """The checkout of the course: `path`, or where the package was installed from with `pip install -e`.

    Raises:
        FileNotFoundError: there are no masters there.
    """
    root = Path(path) if path is not None else Path(microgpt_ref.__file__).resolve().parents[1]
    if not (root / "exercises" / "solutions").is_dir():
        raise FileNotFoundError(
            f"no exercises/solutions in {root}: clone the course and install it with `pip install -e .`, "
            "or name the clone with --course PATH"
        )
    return root


def masters(root: str | Path) -> list[Path]:
    """All master notebooks below a checkout of the course, in the chapters' order."""
    return sorted((Path(root) / "exercises" / "solutions").glob("[0-9]*.ipynb"))


def master_of(root: str | Path, chapter: str) -> Path:
    """The master of a chapter, named by its number or its stem: `4`, `04` or `04_attention`.

    Raises:
        ValueError: there is none.
    """
    known = masters(root)
    for path in known:
        number = path.stem.split("_")[0]
        if chapter == path.stem or (chapter.isdecimal() and int(chapter) == int(number)):
            return path
    names = ", ".join(path.stem for path in known) or "none"
    raise ValueError(f"there is no master for chapter {chapter!r}; there are {names}")


def read_notebook(path: str | Path) -> NotebookNode:
    """A notebook of format 4.

    Raises:
        ValueError: the file is no notebook.
    """
    import nbformat

    try:
        return nbformat.read(str(path), as_version=4)
    except OSError:
        raise
    except Exception as error:  # nbformat lets errors of many libraries through
        raise ValueError(f"{Path(path).name} is not a notebook: {error}") from error


def exercises_of(notebook: NotebookNode) -> list[ExerciseInfo]:
    """The exercises of a master or a student notebook, in order.

    Raises:
        ValueError: the first cell of an exercise has no heading such as `## 1. The mask`.
    """
    found: list[ExerciseInfo] = []
    for cell in notebook.cells:
        about = cell.metadata.get("exercise")
        if about is not None:
            found.append(_described(cell.source, about))
        grader = cell.metadata.get("nbgrader", {})
        if found and grader.get("grade"):
            field = "by_hand" if grader.get("solution") or cell.cell_type != "code" else "checked"
            ids = (*getattr(found[-1], field), grader["grade_id"])
            found[-1] = ExerciseInfo(**{**vars(found[-1]), field: ids})
    return found


def _described(source: str, about: dict[str, Any]) -> ExerciseInfo:
    heading = re.match(r"## (\d+)\. (.+)", source)
    if heading is None:
        raise ValueError(f"exercise {about.get('name')!r} must begin with a heading such as '## 1. The mask'")
    fields = ("name", "kind", "difficulty", "minutes", "points", "trains")
    missing = [field for field in fields if field not in about]
    if missing:
        raise ValueError(f"exercise {about.get('name')!r} lacks {', '.join(missing)} in its metadata")
    told = {field: about[field] for field in fields}
    return ExerciseInfo(number=int(heading[1]), title=heading[2].strip(), **told)


def student_version(notebook: NotebookNode) -> NotebookNode:
    """What students receive: no solutions, no hidden tests, no outputs. The given notebook is left as it is.

    Needs nbgrader, whose own preprocessors do the work.

    Raises:
        RuntimeError: a solution or a hidden test does not end, or stands in a cell that is not marked for it.
    """
    from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions

    student = with_locked_settings(notebook)
    resources: dict[str, Any] = {}
    steps = (
        ClearSolutions(code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB),
        ClearOutput(),
        ClearHiddenTests(),
    )
    for step in steps:
        student, resources = step.preprocess(student, resources)
    for cell in student.cells:
        cell.source = cell.source.rstrip("\n")  # hidden tests leave an empty line behind
    return student


def with_locked_settings(notebook: NotebookNode) -> NotebookNode:
    """A copy whose cells with settings are locked: nbgrader puts the given value back before it grades."""
    locked = copy.deepcopy(notebook)
    for cell in locked.cells:
        if cell.metadata.get("exercise_variant"):
            names = "-".join(cell.metadata["exercise_variant"])
            cell.metadata["nbgrader"] = {
                "grade": False,
                "grade_id": cell.get("id") or f"settings-{names}",
                "locked": True,
                "schema_version": 3,
                "solution": False,
                "task": False,
            }
    return locked


def settings_of(notebook: NotebookNode) -> dict[str, list[Any]]:
    """The settings that a variant may change, name → the values to choose from."""
    return {
        name: list(values)
        for cell in notebook.cells
        for name, values in cell.metadata.get("exercise_variant", {}).items()
    }


def with_variant(notebook: NotebookNode, seed: int) -> NotebookNode:
    """The same exercises with other settings, chosen by `seed`: the same seed gives the same assignment.

    A cell with the metadata `{"exercise_variant": {"WINDOW": [3, 4, 5]}}` holds a line `WINDOW = …`, whose
    value is replaced. The choice depends on the seed, the cell and the setting alone, so that a new exercise
    leaves the others alone. The title's cell tells the seed; the notebook's metadata hold it with the values.

    Raises:
        ValueError: a cell has no line for its setting.
    """
    variant = copy.deepcopy(notebook)
    chosen: dict[str, Any] = {}
    for cell in variant.cells:
        for name, values in cell.metadata.get("exercise_variant", {}).items():
            chosen[name] = random.Random(f"{seed} {cell.get('id', '')} {name}").choice(list(values))
            cell.source = _set(cell.source, name, chosen[name])
    told = ", ".join(f"`{name} = {value!r}`" for name, value in chosen.items()) or "no settings to change"
    if variant.cells and variant.cells[0].cell_type == "markdown":
        variant.cells[0].source += f"\n\n*Variant {seed}: {told}.*"
    variant.metadata["microgpt_variant"] = {"seed": seed, "settings": chosen}
    return variant


def _set(source: str, name: str, value: Any) -> str:
    """`source` with the line `name = …` set to `value`; a comment behind it stays."""
    line = re.compile(rf"^({re.escape(name)}(?:\s*:[^=\n]+)?\s*=\s*)([^#\n]*?)(\s*#.*)?$", re.MULTILINE)
    found = line.search(source)
    if found is None:
        raise ValueError(f"the cell with the setting {name!r} has no line `{name} = …`:\n{source}")
    if isinstance(value, list) and isinstance(ast.literal_eval(found[2]), tuple):
        value = tuple(value)  # JSON knows no tuples
    return source[: found.start()] + found[1] + repr(value) + (found[3] or "") + source[found.end() :]
