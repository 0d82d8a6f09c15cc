"""What a check found, as the learner reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass


class CheckFailed(AssertionError):
    """A wrong answer, while nbgrader runs the notebook: it gives points to cells that raise nothing."""


@dataclass(frozen=True)
class Report:
    """True if the answer is right. `diagnosis` is the id of the mistake, "" if there is none."""

    exercise: str
    passed: bool
    diagnosis: str
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return self.message

    def _ipython_display_(self) -> None:
        """Nothing: `check` has printed the message, and a notebook would show it again."""

    def hand_over(self) -> Report:
        """Print the message; under nbgrader, raise it if the answer is wrong."""
        if not self.passed and os.environ.get("NBGRADER_EXECUTION"):
            raise CheckFailed(self.message)
        print(self.message)
        return self
