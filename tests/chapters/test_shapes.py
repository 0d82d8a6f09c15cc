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
    exec(PRELUDE + "import numpy as np\n" + changed, names)
    return count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = np.zeros((2, 3))  # (B, T)\ny = x @ x.T  # (B, B)", 2),
        ("T = 3\nx = np.zeros((2, 3))  # (B, T)", 1),
        ("x = np.zeros((2, 8))  # (B, 4F)\n", 0),  # F is not known: see below
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
    ],
)
def test_true_comments_pass(source, count):
    if "4F" in source:
        with pytest.raises(AssertionError, match="4F"):
            run(source)
        return
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
    ],
)
def test_false_comments_fail(source):
    with pytest.raises(AssertionError, match="cell x, line"):
        run(source)


def test_a_comment_beside_nothing_is_refused():
    with pytest.raises(NotebookError, match="line 1 stands beside no assignment"):
        instrument("f(x)  # (B, T)", "cell x")


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
        NotebookError, match=r"cell wrong, line 1: the comment says \(T, C, B\), the shape is \(3, 2\)"
    ):
        check(path)
