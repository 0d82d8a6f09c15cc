"""Import `microgpt_ref` with its shape comments turned into checks.

Works in a process that has not imported the package yet: `with checked_package() as places: …`. The modules
that are imported inside are compiled from source with the checks put in; nothing is written to disk.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from book.tools import shape_runtime
from book.tools.shape_comments import instrument_tree

PACKAGE = "microgpt_ref"


class ShapeLoader(SourceFileLoader):
    """Compiles a module with its checks, never from or to a cached .pyc."""

    def __init__(self, spec: ModuleSpec, replacements: Mapping[str, tuple[str, str]]) -> None:
        assert spec.origin is not None
        super().__init__(spec.name, spec.origin)
        self.place = f"{PACKAGE}/" + spec.origin.rpartition(f"/{PACKAGE}/")[2]
        self.replacement = replacements.get(self.place)

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        if self.replacement:
            old, new = self.replacement
            if source.count(old) != 1:
                raise ValueError(f"{self.place} holds {old!r} {source.count(old)} times, not once")
            source = source.replace(old, new)
        tree, _ = instrument_tree(source, self.place)
        return compile(tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_check_shape"] = shape_runtime.check_shape
        module.__dict__["_bind_signature"] = shape_runtime.bind_signature
        super().exec_module(module)


class ShapeFinder(MetaPathFinder):
    """Finds the package's modules where they always are, and hands them to `ShapeLoader`."""

    def __init__(self, replacements: Mapping[str, tuple[str, str]]) -> None:
        self.replacements = replacements

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = ShapeLoader(spec, self.replacements)
        return spec


def forget_package() -> None:
    """Let the next import of the package load it anew."""
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@contextlib.contextmanager
def checked_package(replacements: Mapping[str, tuple[str, str]] | None = None) -> Iterator[None]:
    """Inside, `import microgpt_ref…` gives modules with checks; afterwards the package is forgotten.

    Args:
        replacements: file, such as `microgpt_ref/numpy/gpt.py`, → text that stands in it once, and what to
            put in its place: a mistake that the checks should find.
    """
    finder = ShapeFinder(replacements or {})
    forget_package()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        forget_package()


def commented_places(root: Path) -> list[str]:
    """`file, line 3` of every check in the package below `root`.

    Raises:
        NotebookError: for a shape comment beside something whose shape it cannot state.
    """
    places = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        places += instrument_tree(path.read_text(encoding="utf-8"), name)[1]
    return places
