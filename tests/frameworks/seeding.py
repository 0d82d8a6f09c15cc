"""Put a mistake into a function: one line of its source replaced, wherever the function is used."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any


@dataclass(frozen=True)
class Bug:
    """A mistake: in `function`, `wrong` stands where `right` stood; `notices` is the check that must fail."""

    name: str
    function: Callable[..., Any]
    right: str
    wrong: str
    notices: Callable[[], object]


@contextmanager
def seeded(bug: Bug) -> Iterator[None]:
    """The mistake, for as long as the block lasts.

    The code of the function is exchanged, not its name in a module: all who imported it earlier, and every
    table that holds it, run the wrong one too.
    """
    function = inspect.unwrap(bug.function)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(bug.right) != 1:
        raise LookupError(
            f"{bug.name}: {function.__qualname__} holds {bug.right!r} {source.count(bug.right)} times"
        )
    source = source.replace(bug.right, bug.wrong)
    if function.__code__.co_freevars:  # super() needs a class around it
        source = "class _:\n" + textwrap.indent(source, "    ")
    right = function.__code__
    function.__code__ = _find(compile(source, f"<{bug.name}>", "exec"), function.__name__)
    try:
        yield
    finally:
        function.__code__ = right


def _find(code: CodeType, name: str) -> CodeType:
    """The code of the function of that name, not run but taken out of the compiled source."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            if constant.co_name == "_":
                return _find(constant, name)
    raise LookupError(f"no function {name!r} in the source")
