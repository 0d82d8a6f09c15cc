"""A small master of exercises without fault, and a chapter that it belongs to."""

from copy import deepcopy

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.tools.exercises import master_form
from book.tools.skeleton import INSTALL_TAGS, install_source

NAMES = ["04.double", "04.window_sum", "04.halve", "04.how_many"]  # the checks that the sample calls

HINTS = "\n".join(f"<details><summary>Hint {n}</summary>\n\nThink.\n\n</details>" for n in (1, 2, 3))
RUBRIC = "\n\n| criterion | points |\n|---|---|\n| says why | 3 |\n| gives an example | 2 |"


def grader(grade_id: str, *, solution: bool, points: int = 0) -> dict:
    cell = {"grade_id": grade_id, "schema_version": 3, "solution": solution, "task": False}
    graded = {"grade": True, "points": points} if points else {"grade": False}
    return {"nbgrader": {**cell, **graded, "locked": not solution}}


STUB = '''def NAME(numbers: list[int]) -> int:
    """What NAME gives.

    Example: [1] gives 1.
    """
    ### BEGIN SOLUTION
    LINE
    ### END SOLUTION'''

CHECK = """check("04.NAME", NAME)
### BEGIN HIDDEN TESTS
x = NAME([4])
assert x is not None
### END HIDDEN TESTS"""


def checked(number: int, name: str, minutes: int, line: str, kind: str = "code", setting: str = "") -> list:
    """The cells of an exercise that a check tests; `setting` is the name of a constant in it."""
    slug, about = name.replace("_", "-"), {"name": f"04.{name}", "kind": kind, "difficulty": "easy"}
    about |= {"minutes": minutes, "points": 2, "trains": "counting"}
    words = f"## {number}. The {slug}\n\nDo it" + (f" with `{setting}`." if setting else ".")
    cells = [new_markdown_cell(words, id=f"exercise-{slug}", metadata={"exercise": about})]
    if setting:
        varying = {"exercise_variant": {setting: [3, 4]}}
        cells.append(new_code_cell(f"{setting} = 4  # numbers", id=f"settings-{slug}", metadata=varying))
    return [
        *cells,
        new_code_cell(
            STUB.replace("NAME", name).replace("LINE", line),
            id=f"solve-{slug}",
            metadata=grader(f"solve-{slug}", solution=True),
        ),
        new_code_cell(
            CHECK.replace("NAME", name),
            id=f"check-{slug}",
            metadata=grader(f"check-{slug}", solution=False, points=2),
        ),
        new_markdown_cell(HINTS, id=f"hints-{slug}"),
    ]


def sound() -> NotebookNode:
    """A master without fault, for the chapter 04_sample; its checks are those in `NAMES`."""
    setup = "import numpy as np\n\nfrom microgpt_ref.checks import check"
    about = {
        "name": "04.why",
        "kind": "open",
        "difficulty": "hard",
        "minutes": 30,
        "points": 5,
        "trains": "words",
    }
    cells = [
        new_markdown_cell("# Exercises to chapter 4: a sample\n\nTo try the tools.", id="title"),
        new_code_cell(install_source(), id="install", metadata={"tags": INSTALL_TAGS}),
        new_code_cell(setup, id="setup"),
        new_code_cell("given = np.ones(3)", id="given"),
        *checked(1, "double", 5, "return 2 * numbers[-1]"),
        *checked(2, "window_sum", 10, "return sum(numbers[-WINDOW:])", setting="WINDOW"),
        *checked(3, "halve", 10, "return numbers[-1] // PARTS", setting="PARTS"),
        *checked(4, "how_many", 15, "return len(numbers)", kind="prediction"),
        new_markdown_cell("## 5. Why?\n\nSay why." + RUBRIC, id="exercise-why", metadata={"exercise": about}),
        new_markdown_cell(
            "Because.", id="answer-why", metadata=grader("answer-why", solution=True, points=5)
        ),
        new_markdown_cell(HINTS, id="hints-why"),
    ]
    return master_form(new_notebook(cells=cells))


def chapter() -> NotebookNode:
    """A chapter whose section of exercises was written by hand, in the middle of cells."""
    return new_notebook(
        cells=[
            new_markdown_cell("# A sample", id="title"),
            new_code_cell("1 + 1", id="sum", execution_count=1),
            new_markdown_cell("## Summary\n\nShort.\n\n## Exercises\n\nSome.", id="summary-cell"),
            new_code_cell("def old(): ...", id="old", execution_count=2),
            new_markdown_cell("### 2. Old\n\nGone.\n\n## Further reading\n\n- A book.", id="last-cell"),
        ]
    )


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


def copy_of(notebook: NotebookNode) -> NotebookNode:
    return nbformat.from_dict(deepcopy(notebook))
