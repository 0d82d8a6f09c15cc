"""What an exercise's check consists of: a reference, cases with new numbers, and the mistakes people make."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The module of each chapter's checks, loaded when one of them is asked for: some need torch or jax.
CHAPTERS = {
    "01": "tokens",
    "02": "bigram",
    "03": "embeddings",
    "04": "attention",
    "05": "layernorm",
    "06": "ffn",
    "07": "gpt",
    "08": "training",
    "09": "jax",
    "10": "speed",
    "12": "sampling",
    "14": "lora",
}


@dataclass(frozen=True)
class Case:
    """One kind of input, such as "T = 1". `make` draws the arguments of one call, anew at every check."""

    name: str
    make: Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class Mistake:
    """What the learner reads, and a function that goes wrong in just that way."""

    says: str
    answer: Callable[..., Any]


@dataclass(frozen=True)
class Probe:
    """A property of right answers. `broken(got, *arguments)` says where it fails; None if it holds."""

    name: str
    broken: Callable[..., str | None]


def probe(name: str) -> Callable[[Callable[..., str | None]], Probe]:
    """Turn a function `(got, *arguments) -> sentence or None` into a `Probe` of that name."""
    return lambda broken: Probe(name, broken)


@dataclass(frozen=True)
class Exercise:
    """Everything `check` needs to know about one exercise.

    reference   a right answer, written independently of the solution where that is possible
    cases       the smallest first: the first that fails is the example that the learner sees
    mistakes    id → mistake, in the order in which they are tried
    probes      properties; what one of them says is added to a diagnosis, or is the diagnosis
    tolerance   of numbers, relative to the largest one wanted
    drive       `drive(answer, *arguments)` gives what is compared; the default calls `answer(*arguments)`
    rounds      how often each case is drawn
    raises      errors that the reference raises on purpose, and a right answer too
    """

    reference: Callable[..., Any]
    cases: tuple[Case, ...]
    mistakes: Mapping[str, Mistake] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    tolerance: float = 1e-6
    drive: Callable[..., Any] | None = None
    rounds: int = 2
    may_change_arguments: bool = False
    raises: tuple[type[Exception], ...] = ()

    def call(self, answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """What an answer gives for the arguments of one case."""
        return self.drive(answer, *arguments) if self.drive else answer(*arguments)


Builder = Callable[..., Exercise]
_BUILDERS: dict[str, Builder] = {}


def exercise(name: str) -> Callable[[Builder], Builder]:
    """Register the function that builds an exercise, under a name such as "04.causal_mask".

    Its keyword arguments, each with a default, are the settings that may differ from class to class.
    """

    def register(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return register


def names(chapter: str) -> list[str]:
    """The exercises of a chapter, such as "04", in the order in which its module defines them."""
    if chapter not in CHAPTERS:
        raise ValueError(f"chapter={chapter!r} has no exercises; choose one of {', '.join(CHAPTERS)}")
    importlib.import_module(f"microgpt_ref.checks.{CHAPTERS[chapter]}")
    return [name for name in _BUILDERS if name.startswith(f"{chapter}.")]


def load(name: str, **settings: Any) -> Exercise:
    """Build the exercise of that name.

    Raises ValueError for a name or a setting that does not exist; it names those that do.
    """
    chapter = name.split(".")[0]
    if chapter not in CHAPTERS or name not in names(chapter):
        known = [known for c in CHAPTERS for known in (names(c) if c == chapter else ())]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known) or 'none'}"
        raise ValueError(f"there is no exercise {name!r}{hint}")
    builder = _BUILDERS[name]
    allowed = inspect.signature(builder).parameters
    for setting in settings:
        if setting not in allowed:
            raise ValueError(
                f"exercise {name!r} has no setting {setting!r}; it has {', '.join(allowed) or 'none'}"
            )
    return builder(**settings)
