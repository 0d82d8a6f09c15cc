"""Check the shape comments of a notebook, `scores = q @ k.T  # (B, T, T)`, by running it.

After each commented assignment a check is put in that compares the array's shape with the comment. A letter
that the same function or cell sets to a whole number, `T = 8`, means that number; any other letter is bound
where it is first used, and must mean the same in the rest of its function or cell.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

from nbformat import NotebookNode

from book.tools.notebook_form import NotebookError, normalise, read

COMMENT = re.compile(r"#\s*\(([^()]*)\)(?!\S)")
DIMENSION = re.compile(r"\.\.\.|…|[\w+\-*/ ]+")

# Runs inside the notebook's kernel, before the first cell.
PRELUDE = '''
def _check_shape(value, comment, where, bound, own, everything):
    """`value` as it was; an AssertionError if its shape is not the one that the comment states."""
    import re
    def size(dimension):
        dimension = re.sub(r"(?<=[0-9])(?=[A-Za-z])", "*", dimension).replace("/", "//")
        known = {**own, **bound} if dimension.isidentifier() else {**everything, **own, **bound}
        try:
            return eval(dimension, {"__builtins__": {}}, known)
        except NameError:
            return None
    own = {name: number for name, number in own.items() if type(number) is int}
    shape = tuple(value.shape) if hasattr(value, "shape") else (len(value),)
    stated = [d.strip() for d in comment.split(",") if d.strip()]
    rest = shape
    if stated and stated[0] in ("...", "…"):
        stated = stated[1:]
        rest = shape[len(shape) - len(stated):] if len(shape) >= len(stated) else shape
    good = len(rest) == len(stated)
    for dimension, actual in zip(stated, rest):
        wanted = size(dimension)
        if wanted is None and dimension.isidentifier():
            bound[dimension] = wanted = actual
        good = good and wanted == actual
    assert good, f"{where}: the comment says ({comment}), the shape is {shape}; letters: {bound}"
    return value
'''


def comments(source: str) -> dict[int, str]:
    """Line number → what stands between the brackets, for each comment that is a shape."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        code_before = token.line[: token.start[1]].strip()
        if token.type != tokenize.COMMENT or not code_before or not (match := COMMENT.match(token.string)):
            continue
        if all(DIMENSION.fullmatch(part.strip()) for part in match[1].split(",") if part.strip()):
            found[token.start[0]] = match[1]
    return found


class _Checks(ast.NodeTransformer):
    """Wraps what a commented statement assigns or returns into a call of `_check_shape`."""

    def __init__(self, shapes: dict[int, str], where: str, own: set[str]) -> None:
        self.shapes, self.where, self.checked = shapes, where, set[int]()
        # At the level of a cell locals() holds the names of all earlier cells too; only this one's count.
        self.own = f"{{k: v for k, v in globals().items() if k in {sorted(own)!r}}}"

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outside, self.own = self.own, "locals()"
        self.generic_visit(node)
        self.own = outside
        node.body.insert(0, ast.parse("_bound = {}").body[0])
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._wrap(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return self._wrap(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return self._wrap(node)

    def _wrap(self, node: ast.Assign | ast.AnnAssign | ast.Return) -> ast.AST:
        self.generic_visit(node)
        line = node.end_lineno or node.lineno
        comment = self.shapes.get(line)
        if comment is None or node.value is None:
            return node
        where = f"{self.where}, line {line}"
        code = f"_check_shape(0, {comment!r}, {where!r}, _bound, {self.own}, {{**globals(), **locals()}})"
        call = ast.parse(code, mode="eval").body
        assert isinstance(call, ast.Call)
        call.args[0] = node.value
        node.value = call
        self.checked.add(line)
        return node


def instrument(source: str, where: str) -> tuple[str, int]:
    """The source with its checks, and how many there are.

    Raises:
        NotebookError: for a shape comment beside something that assigns and returns nothing.
    """
    shapes = comments(source)
    if not shapes:
        return source, 0
    tree: ast.Module = ast.parse(source)
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    checks = _Checks(shapes, where, own)
    tree = checks.visit(tree)
    tree.body.insert(0, ast.parse("_bound = {}").body[0])
    if idle := sorted(set(shapes) - checks.checked):
        raise NotebookError(
            f"{where}: the shape comment in line {idle[0]} stands beside no assignment or return"
        )
    return ast.unparse(ast.fix_missing_locations(tree)), len(checks.checked)


def instrumented(path: Path) -> tuple[NotebookNode, int]:
    """A copy of the notebook with all its shape comments turned into checks, and how many they are."""
    notebook, total = normalise(read(path)), 0
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        if "%" in cell.source and cell.id == "install":  # IPython's own syntax, and no arrays
            continue
        cell.source, count = instrument(cell.source, f"{path.stem}, cell {cell.id}")
        total += count
    cells[0].source = PRELUDE + "\n" + cells[0].source
    return notebook, total


def check(path: Path) -> int:
    """Run a notebook with its shape comments checked; returns how many there were.

    Raises:
        NotebookError: for a comment that does not hold; the message names the cell, the line and the shape.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook, total = instrumented(path)
    if total == 0:
        return 0
    folder = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    except CellExecutionError as error:
        raise NotebookError(f"{error.ename}: {error.evalue}") from None
    return total
