"""Answers to the exercises, wrong ones and right ones, as a student would write them; they try the checks."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from microgpt_ref.checks import CHAPTERS, examine

WRONG: list[Answer] = []
RIGHT: list[Answer] = []


@dataclass(frozen=True)
class Answer:
    """An answer to an exercise. mistake: the id that the check must tell. way: how it differs in style."""

    exercise: str
    function: Callable[..., Any]
    mistake: str | None = None
    way: str = ""

    def __str__(self) -> str:
        return f"{self.exercise}-{self.function.__name__}"


def wrong(exercise: str, mistake: str | None = None) -> Callable[[Any], Any]:
    """Register a wrong answer, and the id of the mistake that the check must tell; None: any will do."""

    def register(function: Any) -> Any:
        WRONG.append(Answer(exercise, function, mistake))
        return function

    return register


def right(exercise: str, way: str) -> Callable[[Any], Any]:
    """Register a right answer that is written in another way than the solution: loops, einsum, torch, …"""

    def register(function: Any) -> Any:
        RIGHT.append(Answer(exercise, function, way=way))
        return function

    return register


def _of(chapter: str, folder: str, register: list[Answer]) -> list[Answer]:
    importlib.import_module(f"tests.checks.{folder}.ch{chapter}_{CHAPTERS[chapter]}")
    return [answer for answer in register if answer.exercise.startswith(f"{chapter}.")]


def wrong_answers(chapter: str) -> list[Answer]:
    """The wrong answers to a chapter's exercises, in the order of their file."""
    return _of(chapter, "wrong_answers", WRONG)


def right_answers(chapter: str) -> list[Answer]:
    """The right answers to a chapter's exercises, in the order of their file."""
    return _of(chapter, "other_answers", RIGHT)


def count(exercise: str) -> dict[str, int | float]:
    """Try an exercise's answers: how many were rejected, named, accepted; the slowest check's seconds."""
    chapter = exercise.split(".")[0]
    bad = [answer for answer in wrong_answers(chapter) if answer.exercise == exercise]
    good = [answer for answer in right_answers(chapter) if answer.exercise == exercise]
    rejected = named = accepted = 0
    slowest = 0.0
    for answer in bad + good:
        start = time.perf_counter()
        report = examine(exercise, answer.function)
        slowest = max(slowest, time.perf_counter() - start)
        if answer in good:
            accepted += report.passed
        else:
            rejected += not report.passed
            named += not report.passed and answer.mistake == report.diagnosis
    return {
        "wrong": len(bad),
        "rejected": rejected,
        "named": named,
        "right": len(good),
        "right_accepted": accepted,
        "slowest_s": round(slowest, 2),
    }
