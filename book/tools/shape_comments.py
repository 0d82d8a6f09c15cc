"""Turn shape comments, `scores = q @ k.T  # (B, T, T)`, into checks that run with the code.

A comment stands at the end of a statement and says the shape of what the statement assigns, returns or
yields, or of what a loop draws. Other words may follow it.

    x = …             # (B, T, C)            the array x; for a list or tuple, its length: (n,)
    out, saved = …    # (B, T, C)            of several values, the first that is not `_`
    q, k = …          # (B, H, T, D) each    every one
    x, y = …          # (B, T), (B, T, V)    one after the other
    def f(x, y):      # x (B, T), y (B,)     arguments
    x += …            # (..., C)             the last axes; `...` stands for any before them

A dimension is a number, a name, or a formula of them: `4C`, `D/2`, `T + 1`, `C + 2 kv_width`, `H·D`. What a
name means, in this order: the whole number that the same function or cell gave it (`T = 8`, an argument),
the axis of that name in the function's jaxtyping annotations, or what its first use in a comment makes it;
it must then mean the same in the rest of that call or cell, or in a loop, of that round. Inside formulas
whole numbers of earlier cells count too, and a formula with one unknown name is solved for it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from book.tools import shape_runtime
from book.tools.notebook_form import NotebookError, normalise, read

SHAPE = re.compile(r"\(([^()]*)\)")
DIMENSION = re.compile(r"[\w+\-*/· ]+")
# Runs in the notebook's kernel, before the first cell, and leaves only the two names that the checks call.
PRELUDE = f"""
_runtime = {{}}
exec({Path(shape_runtime.__file__).read_text(encoding="utf-8")!r}, _runtime)
_check_shape, _bind_signature = _runtime["check_shape"], _runtime["bind_signature"]
"""


class Said(NamedTuple):
    """What one comment states: shapes, whether `each` follows them, and on a `def` line whose they are."""

    shapes: tuple[tuple[str, ...], ...]
    each: bool = False
    names: tuple[str, ...] = ()


def _dimensions(inside: str) -> tuple[str, ...] | None:
    """`B, T + 1` → its parts; None if this is no shape."""
    parts = [part.strip() for part in inside.split(",") if part.strip()]
    return tuple(parts) if all(_is_dimension(part) for part in parts) else None


def _is_dimension(part: str) -> bool:
    if part in ("...", "…"):
        return True
    try:
        shape_runtime.formula(part)
    except SyntaxError:
        return False
    return bool(DIMENSION.fullmatch(part))


def _shapes(comment: str, where: str) -> Said | None:
    """The shapes that a comment begins with."""
    rest, shapes = comment.lstrip("# "), []
    while match := SHAPE.match(rest):
        dimensions = _dimensions(match[1])
        if dimensions is None:
            if "," in match[1]:
                raise NotebookError(
                    f"{where}: ({match[1]}) is no shape that can be checked; write it with names "
                    f"and numbers, or begin the remark with a word"
                )
            break
        rest = rest[match.end() :]
        if rest and not re.match(r"[\s,;:.]", rest):
            break
        shapes.append(dimensions)
        if not (rest := re.sub(r"^, (?=\()", "", rest)).startswith("("):
            break
    return Said(tuple(shapes), bool(re.match(r"\s+each\b", rest))) if shapes else None


def _trailing_comments(source: str) -> dict[int, str]:
    """Line number → the comment after that line's code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT and t.line[: t.start[1]].strip()
    }


def comments(source: str, where: str = "source") -> dict[int, Said]:
    """Line number → what its comment says, for each comment after code that begins with a shape.

    Raises:
        NotebookError: for a list in brackets that is almost a shape and would go unchecked.
    """
    found = {}
    for line, comment in _trailing_comments(source).items():
        if said := _shapes(comment, f"{where}, line {line}"):
            found[line] = said
    return found


def argument_comments(comment: str) -> list[Said]:
    """`# x and y (B, T), z (B,)` on a `def` line."""
    return [
        Said((dimensions,), True, tuple(re.split(r", | and ", match[1])))
        for match in re.finditer(r"(\w+(?:(?:, | and )\w+)*) \(([^()]*)\)", comment)
        if (dimensions := _dimensions(match[2]))
    ]


class _Checks(ast.NodeTransformer):
    """Puts a call of `check_shape` after each commented statement, and one of `bind_signature` into each
    function."""

    def __init__(self, source: str, where: str) -> None:
        self.where, self.checked = where, list[str]()
        self.shapes, self.remarks = comments(source, where), _trailing_comments(source)
        self.stores: list[tuple[str, int]] | None = []
        self.used = set[int]()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        annotated = {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}
        count, entry = (
            len(self.checked),
            ast.parse(f"_bound = _bind_signature({annotated!r}, locals(), globals())").body,
        )
        outside, self.stores = self.stores, None
        for line in range(node.lineno, node.body[0].lineno):
            own_line = [a.arg for a in arguments if a.end_lineno == line]
            if line in self.shapes and own_line:
                said = self.shapes[line]._replace(names=tuple(own_line), each=True)
                entry += self._checks(said, line)
            elif line not in self.shapes:
                names = {a.arg for a in arguments}
                for said in argument_comments(self.remarks.get(line, "")):
                    if names.issuperset(said.names):
                        entry += self._checks(said, line)
        self.generic_visit(node)
        self.stores = outside
        if len(self.checked) == count:
            return node
        node.body[_after_docstring(node) : _after_docstring(node)] = entry
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        return self._after(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | list[ast.stmt]:
        return self._after(node, node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        return self._after(node, node.target)

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        self._remember(node.target)
        lines = [line for line in range(node.lineno, node.body[0].lineno) if line in self.shapes]
        drawn = [check for line in lines for check in self._checks(self.shapes[line], line, node.target)]
        return self._rounds(node, drawn)

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        return self._rounds(node, [])

    def _rounds(self, node: ast.For | ast.While, drawn: list[ast.stmt]) -> list[ast.stmt]:
        """Letters that are bound inside a loop are bound anew in each round."""
        count = len(self.checked) - len(drawn)
        self.generic_visit(node)
        if len(self.checked) == count:
            return [node]
        before = f"_before_{node.lineno}"
        node.body[:0] = ast.parse(f"_bound = dict({before})").body + drawn
        return [*ast.parse(f"{before} = dict(_bound)").body, node]

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return self._around(node)

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        return self._around(node)

    def _remember(self, target: ast.expr) -> None:
        """At the level of a cell locals() holds the names of all earlier cells; only this one's count."""
        if self.stores is not None:
            names = [n for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            self.stores += [(name.id, name.lineno) for name in names]

    def _own(self, line: int) -> str:
        if self.stores is None:
            return "locals()"
        names = sorted({name for name, stored in self.stores if stored <= line})
        return f"{{name: globals()[name] for name in {names!r} if name in globals()}}"

    def _call(self, value: str, said: Said, several: bool, line: int) -> str:
        self.used.add(line)
        where = f"{self.where}, line {line}"
        self.checked.append(where)
        names = f"_bound, {self._own(line)}, globals()"
        return f"_check_shape({value}, {said.shapes!r}, {said.each}, {several}, {where!r}, {names})"

    def _checks(self, said: Said, line: int, target: ast.expr | None = None) -> list[ast.stmt]:
        if isinstance(target, ast.Tuple | ast.List):
            names = [ast.unparse(element) for element in target.elts]
            value, several = f"({', '.join(name for name in names if name != '_')},)", True
        else:
            value, several = f"({', '.join(said.names)},)" if target is None else ast.unparse(target), False
        return ast.parse(self._call(value, said, several, line)).body

    def _after(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, target: ast.expr
    ) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        self._remember(target)
        line = node.end_lineno or node.lineno
        if line not in self.shapes or node.value is None:
            return node
        check = self._checks(self.shapes[line], line, target)
        return [node, *(ast.copy_location(statement, node) for statement in check)]

    def _around(self, node: ast.Return | ast.Yield) -> ast.AST:
        self.generic_visit(node)
        line = node.end_lineno or node.lineno
        if line not in self.shapes or node.value is None:
            return node
        code = self._call("0", self.shapes[line], isinstance(node.value, ast.Tuple), line)
        call = ast.parse(code, mode="eval").body
        assert isinstance(call, ast.Call)
        call.args[0] = node.value
        node.value = ast.copy_location(call, node)
        return node


def _after_docstring(node: ast.Module | ast.FunctionDef) -> int:
    """Where a statement can be put in: behind the docstring and imports from the future."""
    place = 1 if ast.get_docstring(node, clean=False) is not None else 0
    while place < len(node.body) and isinstance(future := node.body[place], ast.ImportFrom):
        if future.module != "__future__":
            break
        place += 1
    return place


def instrument_tree(source: str, where: str) -> tuple[ast.Module, list[str]]:
    """The source with its checks, and the place, `where, line 3`, of each.

    Raises:
        NotebookError: for a shape comment beside something whose shape it cannot state.
    """
    checks = _Checks(source, where)
    tree: ast.Module = checks.visit(ast.parse(source))
    tree.body[_after_docstring(tree) : _after_docstring(tree)] = ast.parse("_bound = {}").body
    if idle := sorted(set(checks.shapes) - checks.used):
        raise NotebookError(
            f"{where}, line {idle[0]}: the shape comment stands beside no assignment, return, yield or loop; "
            f"move it to the end of the statement that makes the array"
        )
    return ast.fix_missing_locations(tree), checks.checked


def instrument(source: str, where: str) -> tuple[str, int]:
    """The source with its checks, as text, and how many there are; errors as `instrument_tree`."""
    tree, checked = instrument_tree(source, where)
    return (ast.unparse(tree), len(checked)) if checked else (source, 0)


def instrumented(path: Path) -> tuple[NotebookNode, int]:
    """A copy of the notebook with all its shape comments turned into checks, and how many they are."""
    notebook, total = normalise(read(path)), 0
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        if "%" in cell.source and cell.id == "install":  # IPython's own syntax, and no arrays
            continue
        cell.source, count = instrument(cell.source, f"{path.parent.name}/{path.name}, cell {cell.id}")
        total += count
    cells[0].source = PRELUDE + "\n" + cells[0].source
    return notebook, total


def check(path: Path) -> int:
    """Run a notebook with its shape comments checked; returns how many there were.

    Raises:
        NotebookError: for a comment that does not hold; the message names the file, the cell, the line, what
            the comment says and what the shape is.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook, total = instrumented(path)
    if total == 0:
        return 0
    folder = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    except CellExecutionError as error:
        raise NotebookError(f"{error.ename}: {error.evalue}") from None
    return total
