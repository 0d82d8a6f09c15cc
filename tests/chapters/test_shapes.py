"""The shapes that comments in the chapters state are the shapes that the code gives."""

import nbformat
import pytest

from book.tools.notebook_form import NotebookError, write
from book.tools.notebooks import chapters
from book.tools.shape_comments import PRELUDE, check, comments, instrument


@pytest.mark.slow
@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_shape_comments_of_a_chapter_hold(path):
    assert check(path) > 0, "no shape comment in the whole chapter"


def run(source):
    changed, count = instrument(source, "cell x")
    names = {}
    exec(PRELUDE + "import numpy as np\nfrom jaxtyping import Float\n" + changed, names)
    return count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = np.zeros((2, 3))  # (B, T)\ny = x @ x.T  # (B, B)", 2),
        ("T = 3\nx = np.zeros((2, 3))  # (B, T)", 1),
        ("x = np.zeros((2, 8))  # (B, 4F)\ny = np.zeros((2, 2))  # (B, F)", 2),  # solved for F
        ("x = np.zeros((2, 8))  # (B, T + 1)\ny = x[:, 1:]  # (B, T)", 2),
        ("kv_width = 2\nx = np.zeros((5, 8))  # (T, C + 2 kv_width)\ny = x[:, :4]  # (T, C)", 2),
        ("H, D = 2, 3\nx = np.zeros((5, 6))  # (T, H·D)", 1),
        ("C = 4\nx = np.zeros((2, 16))  # (B, 4C)", 1),
        ("C = 4\nx = np.zeros((2, 2))  # (B, C/2)", 1),
        ("x = np.zeros((5, 2, 3))  # (..., T, D)", 1),
        ("x = [1, 2]  # (n,) token ids", 1),
        ("x = np.float64(1)  # ()", 1),
        (
            "def f(n):\n    return np.zeros((n, 3))  # (B, 3)\nf(2)\nf(4)",
            1,
        ),  # letters are bound anew in each call
        ("T = 9\ndef f():\n    x = np.zeros(3)  # (T,)\n    return x\nf()", 1),  # its own T
        ("x = np.zeros(\n    (2, 3)\n)  # (B, T)", 1),
        ("print(1)  # a remark (not a shape: see text)", 0),
        ("x, y = np.zeros((2, 3)), {}  # (B, T)", 1),  # of several, the first
        ("_, x = None, np.zeros((2, 3))  # (B, T)", 1),
        ("x, y = (np.zeros((2, 3)) for _ in range(2))  # (B, T) each", 1),
        ("x, y = np.zeros((2, 3)), np.zeros((2, 3, 4))  # (B, T), (B, T, V)", 1),
        ("x = np.zeros((2, 3))\nx += 1  # (B, T)", 1),
        ("x = np.zeros((2, 2))  # (T, T), as every mask", 1),
        ("def f():\n    return np.zeros((2, 3)), {}  # (B, T)\nf()", 1),
        ("def f(x, y):  # x (B, T), y (B,)\n    pass\nf(np.zeros((2, 3)), np.zeros(2))", 2),
        ("def f(\n    x,  # (B, T)\n    y,  # (B,)\n):\n    pass\nf(np.zeros((2, 3)), np.zeros(2))", 2),
        ("def f():\n    yield np.zeros(2)  # (B,)\nlist(f())", 1),
        ("for x, y in [np.zeros((2, 3))]:  # (T,) each\n    pass", 1),
        ("for n in (2, 3):\n    x = np.zeros(n)  # (T,)", 1),  # letters are bound anew in each round
        ("def f():\n    T = 3\n    return T\nT = 2\nx = np.zeros(2)  # (T,)", 1),  # the cell's own T
        ("x = np.zeros(3)  # (T,)\nT = 2", 1),  # T is set later
    ],
)
def test_true_comments_pass(source, count):
    assert run(source) == count


@pytest.mark.parametrize(
    "source",
    [
        "x = np.zeros((2, 3))  # (B,)",
        "x = np.zeros((2, 3))  # (B, B)",
        "T = 4\nx = np.zeros((2, 3))  # (B, T)",
        "x = np.zeros((2, 3))  # (B, T)\ny = np.zeros((2, 4))  # (B, T)",
        "def f():\n    return np.zeros(3)  # (2,)\nf()",
        "def f():\n    T = 4\n    return np.zeros(3)  # (T,)\nf()",
        "x = np.zeros(2)  # (..., B, T)",
        "x = np.zeros((2, 7))  # (B, 4F)",
        "x = np.zeros((2, 3))  # (B, T)\ny = x  # (B, T + 1)",
        "x, y = np.zeros((2, 3)), {}  # (T, T)",
        "x, y = np.zeros((2, 3)), np.zeros((2, 4))  # (B, T) each",
        "x, y = np.zeros((2, 3)), np.zeros((2, 4))  # (B, T), (B, T)",
        "x = np.zeros((2, 3))\nx += 1  # (T, T)",
        "def f():\n    return np.zeros((2, 3)), {}  # (B, B)\nf()",
        "def f(x, y):  # x (B, T), y (T,)\n    pass\nf(np.zeros((2, 3)), np.zeros(2))",
        "for x, y in [np.zeros((2, 3))]:  # (T, T) each\n    pass",
        "def f(x: Float[np.ndarray, 'B T']):\n    y = x.T  # (B, T)\nf(np.zeros((2, 3)))",
        "def f(x: Float[np.ndarray, '*batch C'] | None):\n    y = x.T  # (..., C)\nf(np.zeros((2, 3, 4)))",
    ],
)
def test_false_comments_fail(source):
    with pytest.raises(AssertionError, match="cell x, line"):
        run(source)


@pytest.mark.parametrize(
    "source", ["f(x)  # (B, T)", "with f() as x:  # (B, T)\n    pass", "x = f(  # (B, T)\n)"]
)
def test_a_comment_beside_nothing_is_refused(source):
    with pytest.raises(NotebookError, match="cell x, line 1: the shape comment stands beside no assignment"):
        instrument(source, "cell x")


def test_a_list_in_brackets_that_is_no_shape_is_refused():
    with pytest.raises(NotebookError, match=r"cell x, line 1: \(1, T' \+ 1\) is no shape"):
        instrument("x = 1  # (1, T' + 1)", "cell x")


def test_docstrings_and_imports_from_the_future_stay_first():
    changed, _ = instrument('"""a"""\nfrom __future__ import annotations\nx = y  # (B,)', "cell x")
    names = {"y": [1]}
    exec(PRELUDE, names)
    exec(compile(changed, "x", "exec"), names)
    assert names["__doc__"] == "a"


def test_strings_and_ordinary_remarks_are_no_comments():
    assert comments("x = '# (B, T)'\n# (B, T) alone on a line\ny = 1  # see (Ba et al., 2016; p. 3)") == {}


def test_a_false_comment_in_a_notebook_is_found_with_its_cell(tmp_path):
    path = tmp_path / "01_x.ipynb"
    cells = [
        nbformat.v4.new_code_cell("import numpy as np", id="install"),
        nbformat.v4.new_code_cell("x = np.zeros((2, 3))  # (B, T)", id="good"),
        nbformat.v4.new_code_cell("T = 7", id="another"),
        nbformat.v4.new_code_cell("y = x  # (B, T)", id="letters-are-bound-anew"),
        nbformat.v4.new_code_cell("y = x.T  # (T, C, B)", id="wrong"),
    ]
    write(path, nbformat.v4.new_notebook(cells=cells))
    with pytest.raises(
        NotebookError,
        match=r"01_x.ipynb, cell wrong, line 1: the comment says \(T, C, B\), the shape is \(3, 2\)",
    ):
        check(path)
