"""For functions that run once a word, where a type check at every call would take most of the time."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def no_type_check(function: T) -> T:
    """Keep the checker that the tests put on every function away from this one; it goes by this name.

    Unlike `typing.no_type_check` it lets mypy look.
    """
    return function
