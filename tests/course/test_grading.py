"""A whole class graded: good, half-right, empty, broken and hostile notebooks, and the CSV word for word."""

import csv
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from microgpt_ref.course.assignment import create
from microgpt_ref.course.isolated import namespaces
from tests.course.fixtures import NAME, small_course, small_master, with_sources

pytestmark = pytest.mark.slow

GOOD = {
    "solve_double": "max = 3\nimport warnings\ndef double(x):\n    warnings.warn('late')\n    return x + x",
    "solve_window": "def window_sum(numbers):\n    return sum(numbers[-WINDOW:])",
    "answer_why": "I think so.",
}
WRONG = {"solve_double": "def double(x): return x", "solve_window": "def window_sum(numbers): return 0"}

# The last two statements of a student who would rather not solve anything.
NO_ASSERTS = """
import ast
class Remove(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
get_ipython().ast_transformers.append(Remove())
def double(x): return x
"""
GRADEBOOKS = """
import glob, sqlite3
for path in glob.glob("/tmp/mg*/**/*.db", recursive=True):
    with sqlite3.connect(path) as book:
        book.execute("update base_cell set source = 'pass'")
def double(x): return x
"""
SNEAK = """
import os, socket
def double(x):
    if "MY_SECRET" in os.environ: return 2 * x
    for path in {paths}:
        if os.path.exists(path): return 2 * x
    try:
        socket.create_connection(("127.0.0.1", {port}), 2)
        return 2 * x
    except OSError:
        return 0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    create(small_course(folder), ["04"], folder / "homework", variant=3)
    return folder


def hand_in(place: Path, port: int) -> None:
    """Everybody's notebook, in the three layouts."""
    folder = place / "submitted"
    folder.mkdir()
    release = nbformat.read(place / "homework" / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    good = with_sources(release, **GOOD)
    paths = [str(place / "exercises"), str(place / "homework"), str(Path(__file__))]
    class_ = {
        "alice": good,
        "bob/homework": with_sources(good, solve_window="def window_sum(numbers): return sum(numbers[-4:])"),
        f"carol/{NAME}/{NAME}": release,
        "dave": with_sources(good, solve_window="import os; os._exit(0)"),
        "erin": with_sources(good, solve_double="import time\nwhile True: time.sleep(1)"),
        "frank": with_sources(good, solve_double="held = [bytearray(10**9) for _ in range(99)]"),
        "grace": with_sources(good, solve_double=""),
        "heidi": with_sources(good, **WRONG),
        "ivan": with_sources(
            good, solve_window="import os; os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)"
        ),
        "judy": with_sources(good, solve_double=GRADEBOOKS),
        "kim": with_sources(good, solve_double=NO_ASSERTS),
        "liam": with_sources(good, check_double="pass", solve_double="def double(x): return x"),
        "mallory": new_notebook(cells=[new_code_cell("1 + 1")]),
        "olga": with_sources(good, solve_double=SNEAK.format(paths=paths, port=port)),
        "peggy": with_sources(small_master(), solve_double="def double(x) return 2 * x"),
        "quinn": with_sources(
            good, solve_double="all = any = abs = lambda *_: True\ndef double(x): return 2 * x"
        ),
    }
    class_["grace"].cells = [cell for cell in class_["grace"].cells if cell.id != "check-double"]
    for cell in class_["heidi"].cells:
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]
    for name, notebook in class_.items():
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    (folder / "leo.ipynb").write_text('{"cells": [')
    (place / "roster.txt").write_text(
        "alice\nnina  # ill\n" + "\n".join(name.split("/")[0] for name in class_)
    )


# Points of the two checked exercises, of the open one, what is outstanding, and why.
EXPECTED = """
student,assignment,04.double,04.window_sum,04.why,total,max,outstanding,reason
alice,04_small,2,3,,5,9,4,
bob,04_small,2,0,,2,9,4,2: AssertionError
carol,04_small,0,0,0,0,9,0,1: not written yet; 2: not written yet
dave,04_small,2,0,,2,9,4,the kernel died after check 1; 2: the check did not run to its end
erin,04_small,0,3,,3,9,4,1: took too long
frank,04_small,0,3,,3,9,4,1: MemoryError
grace,04_small,0,3,,3,9,4,deleted and put back: check-double; 1: NameError: name 'double' is not defined
heidi,04_small,0,0,,0,9,4,1: AssertionError; 2: AssertionError
ivan,04_small,2,0,,2,9,4,the kernel died after check 1; 2: the check did not run to its end
judy,04_small,0,3,,3,9,4,1: AssertionError
kim,04_small,0,0,,0,9,4,errors no longer reach the grader in this notebook
leo,04_small,0,0,0,0,9,0,not on the roster; not a notebook
liam,04_small,0,3,,3,9,4,1: AssertionError
mallory,04_small,0,0,0,0,9,0,not 04_small: none of its graded cells is there
nina,04_small,0,0,0,0,9,0,nothing handed in
olga,04_small,0,3,,3,9,4,1: AssertionError
peggy,04_small,0,3,,3,9,4,"1: SyntaxError: expected ':' (1234.py, line 1)"
quinn,04_small,0,0,,0,9,4,"what tells right from wrong was changed: all, any, abs"
"""


def command(place: Path) -> list[str]:
    files = {"--csv": "grades.csv", "--assignment": "homework", "--roster": "roster.txt"}
    words = [word for flag, name in files.items() for word in (flag, str(place / name))]
    words += ["--seconds", "40", "--memory", "2"]
    return [sys.executable, "-m", "microgpt_ref.course.cli", "grade", str(place / "submitted"), *words]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.skipif(not namespaces(), reason="without user namespaces these notebooks could do harm")
def test_a_class(place: Path) -> None:
    """Interrupted once, then finished: nobody stops the others, and nobody gets what they did not earn."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    hand_in(place, listener.getsockname()[1])
    variables = os.environ | {"MY_SECRET": "42"}
    with subprocess.Popen(command(place), env=variables, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("alice")
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    begun = rows(place / "grades.csv")
    assert begun[1][0] == "alice"

    done = subprocess.run(command(place), env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    kept = len(begun) - 1
    assert done.stdout.splitlines()[-1] == f"18 graded, {kept} as before: {place / 'grades.csv'}"
    found = rows(place / "grades.csv")
    wanted = list(csv.reader(EXPECTED.strip().splitlines()))
    for row, want in zip(found, wanted, strict=True):
        if row[0] == "peggy":  # a file's number that changes
            row[-1], want[-1] = (text.split(" (")[0] for text in (row[-1], want[-1]))
        assert row == want
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()

    again = subprocess.run(command(place), env=variables, capture_output=True, text=True, check=False)
    assert f"18 graded, 18 as before: {place / 'grades.csv'}" in again.stdout


def test_without_namespaces_the_limits_still_hold(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fallback of other systems: a crash, a notebook that kills its parent, and a good one."""
    from microgpt_ref.course import grade as grading
    from microgpt_ref.course.isolated import Limits
    from microgpt_ref.course.submissions import Submission

    monkeypatch.setattr("microgpt_ref.course.isolated.namespaces", lambda: False)
    release = nbformat.read(place / "homework" / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    good = with_sources(release, **GOOD)
    killer = with_sources(good, solve_window="import os; os.kill(os.getppid(), 9); os._exit(1)")
    found = []
    with grading.assignments_in(place / "homework") as (assignment,):
        for name, notebook in {"good": good, "killer": killer}.items():
            nbformat.write(notebook, place / f"{name}.ipynb")
            submission = Submission(name, NAME, place / f"{name}.ipynb")
            row = grading.grade(submission, assignment, Limits(seconds=60))
            found.append((row.total, row.outstanding, row.reasons))
    assert found == [(5, 4, []), (0, 4, ["the grader ended: signal 9"])]
