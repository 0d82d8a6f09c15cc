"""nbgrader's execution of a notebook, made harder to fool and kinder to what was earned before a crash.

nbgrader gives a check cell its points if no error stands in its output. So a cell that never ran would count.
Here a check cell counts only if it ran to its last line, and a last cell looks whether errors and
comparisons still work. A notebook that dies keeps the points of the cells before. No grader that runs the
tests in the student's own process can resist somebody who rewrites Python itself: read what looks strange.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbgrader import utils
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.preprocessors.execute import UnresponsiveKernelError
from traitlets import List, Unicode

NOT_RUN = "NotRun"

# Runs in the student's kernel, last. Every line must find that what is wrong is still called wrong.
AUDIT = """
def _audit():
    import builtins, importlib, sys
    space, wrong = globals(), []
    for name, told in {
        "all": lambda f: f([True, False]) is False,
        "any": lambda f: f([False]) is False,
        "abs": lambda f: f(-2) == 2,
        "len": lambda f: f([1, 2]) == 2,
        "max": lambda f: f([1, 3, 2]) == 3,
        "min": lambda f: f([2, 1, 3]) == 1,
        "sum": lambda f: f([1, 2]) == 3,
        "isinstance": lambda f: f(1, str) is False,
        "range": lambda f: list(f(2)) == [0, 1],
        "zip": lambda f: list(f([1], [2])) == [(1, 2)],
    }.items():
        for holder in (space, vars(builtins)):
            try:
                if name in holder and not told(holder[name]):
                    wrong.append(name)
            except Exception:  # a variable called max is a slip that helps nobody
                pass
    def raises(f, *numbers):
        try:
            f(*numbers)
        except AssertionError:
            return True
        return False
    def apart(f, *numbers):
        return not bool(f(*numbers))
    for module, name, told in (
        ("math", "isclose", apart), ("numpy", "allclose", apart), ("numpy", "array_equal", apart),
        ("numpy", "isclose", apart), ("numpy.testing", "assert_allclose", raises),
        ("numpy.testing", "assert_array_equal", raises), ("torch", "allclose", apart),
        ("torch", "equal", apart), ("torch.testing", "assert_close", raises),
        ("jax.numpy", "allclose", apart), ("jax.numpy", "array_equal", apart),
    ):
        if module in sys.modules:
            held = importlib.import_module(module)
            make = sys.modules["torch"].tensor if "torch" in module else float
            if not told(getattr(held, name), make(0.0), make(1.0)):
                wrong.append(module + "." + name)
    return wrong
assert False, "{nonce} " + ", ".join(_audit())
"""


class SandboxedKernelManager(AsyncKernelManager):
    """Starts the kernel behind the words of `before`, such as `python sandbox.py plan.json`."""

    before = List(Unicode()).tag(config=True)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return [*self.before, *super().format_kernel_cmd(extra_arguments)]


class AttestedExecute(Execute):
    """nbgrader's Execute with safeguards; `resources["notes"]` says what was strange."""

    def __init__(self, *args: Any, **words: Any) -> None:
        words.setdefault("kernel_manager_class", SandboxedKernelManager)
        super().__init__(*args, **words)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any], km: Any = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        notes: list[str] = []
        self.reached, nonce = -1, secrets.token_hex(8)
        checks = [cell for cell in nb.cells if cell.cell_type == "code" and utils.is_grade(cell)]
        sources = [cell.source for cell in checks]
        for cell in checks:
            cell.metadata.pop("tags", None)  # a tag can keep a cell from running
            shown = f"__import__('IPython').display.publish_display_data({{'text/plain': '{nonce}'}})"
            cell.source += f"\n{shown}"
        audit = new_code_cell(AUDIT.replace("{nonce}", nonce))
        nb.cells.append(audit)
        try:
            super().preprocess(nb, resources, km)
        except (DeadKernelError, UnresponsiveKernelError) as error:
            dead = isinstance(error, DeadKernelError)
            where = sum(utils.is_grade(cell) for cell in nb.cells[: self.reached + 1])
            notes.append(f"the kernel {'died' if dead else 'could not be interrupted'} after check {where}")
        else:
            notes += audited(audit, nonce)
        nb.cells.remove(audit)
        for cell, source in zip(checks, sources, strict=True):
            cell.source = source
            cell.outputs = attested(cell.outputs, nonce)
        resources["notes"] = notes
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Any:
        done = super().preprocess_cell(cell, resources, index)
        self.reached = index
        return done


def attested(outputs: list[NotebookNode], nonce: str) -> list[NotebookNode]:
    """The outputs of a check cell: an error more if its last line was not reached, else nothing on stderr.

    nbgrader takes every word on stderr for a failure; a warning is none.
    """
    reached = [output for output in outputs if output.get("data", {}).get("text/plain") == nonce]
    rest = [output for output in outputs if output not in reached]
    if any(output.output_type == "error" for output in rest):
        return rest
    if not reached:
        said = "the check did not run to its end"
        return [*rest, new_output("error", ename=NOT_RUN, evalue=said, traceback=[f"{NOT_RUN}: {said}"])]
    return [output for output in rest if output.get("name") != "stderr"]


def audited(cell: NotebookNode, nonce: str) -> list[str]:
    """What the last cell found: nothing if its assertion failed as it must and names no function."""
    said = [output.evalue for output in cell.outputs if output.output_type == "error"]
    ours = [text for text in said if text.startswith(nonce)]
    if not ours:
        return ["TAMPERED: errors no longer reach the grader in this notebook"]
    changed = ours[0].removeprefix(nonce).strip()
    return [f"TAMPERED: what tells right from wrong was changed: {changed}"] if changed else []


class Collect(NbGraderPreprocessor):
    """Keeps the score of each graded cell in this process, out of the reach of whoever writes to files."""

    scores: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (one process grades one notebook)
    notes: list[str] = []  # noqa: RUF012

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        Collect.notes = resources.pop("notes", [])
        before = ""
        for cell in nb.cells:
            if not utils.is_grade(cell):
                before = said(cell) or before
                continue
            score, _ = utils.determine_grade(cell)
            # A function that could not be defined: say why, rather than that its name is unknown.
            told = (before or said(cell)) if score == 0 and said(cell) else ""
            Collect.scores[cell.metadata.nbgrader.grade_id] = {"score": score, "said": told}
            before = ""
        return nb, resources


def said(cell: NotebookNode) -> str:
    """The first line of a cell's error, in a few words."""
    for output in cell.get("outputs", []):
        if output.output_type != "error":
            continue
        if output.ename == "NotImplementedError":
            return "not written yet"
        lines = [
            line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", output.evalue).splitlines() if line.strip()
        ]
        if output.ename == "CheckFailed" and lines:
            return re.sub(r"^✗ [\w.]+: ", "", lines[0])[:160]
        text = output.ename if output.ename != NOT_RUN else ""
        if output.ename in ("CellTimeoutError", "KeyboardInterrupt"):  # how the grader ends a cell
            return "took too long"
        return ": ".join(word for word in (text, lines[0] if lines else "") if word)[:160]
    return ""
