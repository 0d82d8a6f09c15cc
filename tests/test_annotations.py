"""Every public function that takes or returns arrays says their shapes in its signature."""

import ast
import importlib
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError

ROOT = Path(__file__).resolve().parents[1]
# where the arrays are; elsewhere `Any` is a JSON value or a matplotlib axis
FRAMEWORKS = ("numpy/", "jax/", "torch/", "shards.py", "evaluate.py")
ARRAYS = {"np.ndarray", "Tensor", "torch.Tensor", "Array", "jax.Array", "ArrayLike"}
JAXTYPING = {"Float", "Int", "Int8", "Integer", "Bool", "Shaped", "Num", "UInt8", "UInt16", "UInt32"}
NOT_SHAPED = {
    "shards.py write_tokens ids: ArrayLike": "takes whatever NumPy makes an array of, lists too",
}
ANY_IS_NO_ARRAY = {
    "dtype: Any": "a number format, whose type NumPy and JAX name differently",
    "values: Any": "numbers for one line of the log",
    "changes: Any": "fields of a recipe, by name",
}


def bare_arrays(annotation: ast.expr, named: dict[str, ast.expr]) -> list[str]:
    """The array types in an annotation that no jaxtyping type gives a shape.

    A dictionary of parameters has one shape a name, which `parameter_shapes` states and
    `check_parameters` checks. What a function argument takes and returns is its own matter.
    """
    if isinstance(annotation, ast.Name) and annotation.id in named:
        others = {name: meaning for name, meaning in named.items() if name != annotation.id}
        return bare_arrays(named[annotation.id], others)
    if ast.unparse(annotation) in ARRAYS:
        return [ast.unparse(annotation)]
    if isinstance(annotation, ast.Subscript):
        outside = ast.unparse(annotation.value)
        if outside in JAXTYPING:
            has_shape = isinstance(annotation.slice, ast.Tuple) and len(annotation.slice.elts) == 2
            return [] if has_shape else [outside]
        if outside in ("dict", "Callable"):
            return []
    return [
        bare
        for child in ast.iter_child_nodes(annotation)
        if isinstance(child, ast.expr)
        for bare in bare_arrays(child, named)
    ]


def mentions_any(annotation: ast.expr) -> bool:
    """Whether `Any` stands for a value itself, not for those of a dictionary or a progress bar."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) not in ("tuple", "list"):
        return False
    own = isinstance(annotation, ast.Name) and annotation.id == "Any"
    return own or any(
        mentions_any(child) for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr)
    )


def aliases(tree: ast.Module) -> dict[str, ast.expr]:
    """Name → annotation, for `Heads = Float[…]` at the top of a module."""
    return {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def public_functions(body: list[ast.stmt], prefix: str = "") -> list[tuple[str, ast.FunctionDef]]:
    """(name, function) of all public functions, and of methods as `Class.method`."""
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += public_functions(node.body, f"{node.name}.")
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            found.append((prefix + node.name, node))
    return found


def shapeless(file: str, source: str) -> list[str]:
    """`file function argument: annotation` of all that should have a shape in a module and has none."""
    tree, found = ast.parse(source), []
    named = aliases(tree)
    for name, function in public_functions(tree.body):
        parts = function.args
        arguments = [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, parts.vararg, parts.kwarg]
        annotations = [(a.arg, a.annotation) for a in arguments if a and a.arg not in ("self", "cls")]
        if function.name != "__init__":
            annotations.append(("return", function.returns))
        for argument, annotation in annotations:
            if annotation is None:
                found.append(f"{file} {name} {argument}: no annotation")
                continue
            said = f"{argument}: {ast.unparse(annotation)}"
            hidden = file.startswith(FRAMEWORKS) and mentions_any(annotation) and said not in ANY_IS_NO_ARRAY
            if hidden or bare_arrays(annotation, named):
                found.append(f"{file} {name} {said}")
    return found


def test_every_public_function_says_the_shapes_of_its_arrays():
    package = ROOT / "microgpt_ref"
    found = [
        place
        for path in sorted(package.rglob("*.py"))
        for place in shapeless(path.relative_to(package).as_posix(), path.read_text(encoding="utf-8"))
    ]
    missing = sorted(set(found) - set(NOT_SHAPED))
    assert not missing, "\n".join(["give these a jaxtyping annotation:", *missing])
    assert set(NOT_SHAPED) <= set(found), "an exception that is no longer needed"


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def f(x: np.ndarray) -> None: ...", "numpy/a.py f x: np.ndarray"),
        ("def f(x: Tensor | None) -> None: ...", "numpy/a.py f x: Tensor | None"),
        ("def f(x: list[np.ndarray]) -> None: ...", "numpy/a.py f x: list[np.ndarray]"),
        ("def f(x: int) -> tuple[Tensor, int]: ...", "numpy/a.py f return: tuple[Tensor, int]"),
        ("def f(x: int) -> Any: ...", "numpy/a.py f return: Any"),
        ("def f(x) -> None: ...", "numpy/a.py f x: no annotation"),
        ("class A:\n    def f(self, x: Tensor) -> None: ...", "numpy/a.py A.f x: Tensor"),
        ("Heads = np.ndarray\ndef f(x: Heads) -> None: ...", "numpy/a.py f x: Heads"),
    ],
)
def test_a_missing_shape_is_found(source, missing):
    assert shapeless("numpy/a.py", source) == [missing]


@pytest.mark.parametrize(
    "source",
    [
        'def f(x: Float[np.ndarray, "B T"] | None) -> dict[str, np.ndarray]: ...',
        'Heads = Float[Tensor, "B H T D"]\ndef f(x: Heads, dtype: Any) -> tuple[Heads, int]: ...',
        "def _private(x: np.ndarray) -> np.ndarray: ...",
    ],
)
def test_a_stated_shape_is_enough(source):
    assert shapeless("numpy/a.py", source) == []


@pytest.mark.parametrize(
    ("framework", "array"), [("numpy", "numpy.zeros"), ("torch", "torch.zeros"), ("jax", "jax.numpy.zeros")]
)
def test_the_test_run_checks_annotations(framework, array):
    """Another axis than the signature's is an error while tests run, in each framework."""
    place, _, zeros = array.rpartition(".")
    zeros = getattr(importlib.import_module(place), zeros)
    layer_norm = importlib.import_module(f"microgpt_ref.{framework}.norm").layer_norm
    layer_norm(zeros((2, 3)), zeros((3,)))
    with pytest.raises(TypeCheckError, match="weight"):
        layer_norm(zeros((2, 3)), zeros((2,)))
