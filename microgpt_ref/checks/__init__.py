"""Checks for the exercises: right, or which mistake it is.

`check("04.causal_mask", causal_mask)` calls the answer on new random inputs, the smallest first, and compares
with an independent reference. If they differ, it looks for the mistake that gives just these wrong answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgpt_ref.checks.compare import Difference, difference, plain, show
from microgpt_ref.checks.exercise import (
    CHAPTERS,
    Case,
    Exercise,
    Mistake,
    Probe,
    exercise,
    load,
    names,
    probe,
)
from microgpt_ref.checks.report import CheckFailed, Report
from microgpt_ref.checks.running import Outcome, OutOfTime, explain, run

__all__ = [
    "CHAPTERS",
    "Case",
    "CheckFailed",
    "Exercise",
    "Mistake",
    "Probe",
    "Report",
    "check",
    "examine",
    "exercise",
    "load",
    "names",
    "probe",
]

SECONDS = 3.0  # that one call of a learner's function may take
SECONDS_TOGETHER = 15.0  # that all its calls may take: JAX compiles for each new shape
SECONDS_OF_A_MISTAKE = 2.0


@dataclass(frozen=True)
class Trial:
    """One call of the answer: the case, its arguments, what was wanted, what came."""

    case: Case
    arguments: tuple[Any, ...]
    wanted: Outcome
    got: Outcome
    fault: Difference | None


def check(name: str, answer: Any, **settings: Any) -> Report:
    """Print whether an answer to an exercise is right and, if not, which mistake it is.

    name: such as "04.causal_mask". answer: the learner's function or class, itself and not its result.
    settings: those of the exercise that the notebook names, such as window=4.
    Returns a `Report`, true if the answer is right. Raises ValueError for an unknown name or setting, and
    CheckFailed for a wrong answer while nbgrader runs the notebook.
    """
    return examine(name, answer, **settings).hand_over()


def examine(name: str, answer: Any, **settings: Any) -> Report:
    """As `check`, without printing."""
    task = load(name, **settings)
    if not callable(answer):
        text = f"give `check` the function itself, without brackets or arguments; this is {show(answer)}"
        return Report(name, False, "not_callable", f"✗ {name}: {text}")
    trials = _trials(task, answer)
    failing = [trial for trial in trials if trial.fault]
    if failing:
        kind, text = _diagnose(task, answer, trials, failing[0])
        return Report(name, False, kind, f"✗ {name}: {text}")
    cases = dict.fromkeys(trial.case.name for trial in trials)
    tested = "; ".join([", ".join(cases), *(probe.name for probe in task.probes)])
    return Report(name, True, "", f"✓ {name}: right on {len(trials)} new inputs ({tested})")


def _trials(task: Exercise, answer: Callable[..., Any]) -> list[Trial]:
    """Call the answer on every case; stop at a stub, an endless loop or when the time is used up."""
    generator, left, trials = np.random.default_rng(), SECONDS_TOGETHER, list[Trial]()
    for case in (case for case in task.cases for _ in range(task.rounds)):
        arguments = case.make(generator)
        wanted = run(lambda *a: task.call(task.reference, a), arguments, 60.0)
        if wanted.error and not isinstance(wanted.error, task.raises):
            raise wanted.error  # a fault of the check itself
        got = run(lambda *a: task.call(answer, a), arguments, min(left, SECONDS))
        left -= got.seconds
        trials.append(Trial(case, arguments, wanted, got, _fault(task, arguments, wanted, got)))
        if isinstance(got.error, NotImplementedError | OutOfTime):
            break
    return trials


def _fault(task: Exercise, arguments: tuple[Any, ...], wanted: Outcome, got: Outcome) -> Difference | None:
    if isinstance(got.error, NotImplementedError):
        return Difference("not_written", "not written yet")
    if isinstance(got.error, OutOfTime):
        text = f"your function did not end in {got.seconds:.0f} seconds; does a loop in it ever stop?"
        return Difference("endless", text)
    if wanted.error and got.error:
        return None if isinstance(got.error, type(wanted.error)) else Difference("raised", "")
    if wanted.error:
        text = f"your function returns {show(got.value)}; here it should raise {type(wanted.error).__name__}"
        return Difference("value", text)
    if got.error:
        return Difference("raised", "")
    if got.value is None and wanted.value is not None:
        return Difference("returned_none", "your function returns None; does it end in `return …`?")
    if found := difference(got.value, wanted.value, task.tolerance):
        return found
    for rule in task.probes:
        if sentence := rule.broken(plain(got.value), *arguments):
            return Difference(f"probe:{rule.name}", sentence)
    if not task.may_change_arguments and (left := difference(got.arguments, arguments, 0.0, "the arguments")):
        text = (
            f"the result is right, but your function changes what it was given ({left.text}); work on a copy"
        )
        return Difference("changed_arguments", text)
    return None


def _diagnose(task: Exercise, answer: Any, trials: list[Trial], first: Trial) -> tuple[str, str]:
    """The id of the mistake, and the text: what it is, where it shows, the smallest example that failed."""
    fault = first.fault
    assert fault is not None
    if fault.kind in ("not_written", "endless", "returned_none", "changed_arguments"):
        example = "" if fault.kind == "not_written" else _example(answer, first)
        return fault.kind, fault.text + example
    for name, mistake in task.mistakes.items():
        if _explains(task, mistake, trials):
            return name, "\n".join([mistake.says, *_evidence(task, first)]) + _example(answer, first)
    if first.got.error:
        return "raised", explain(first.got.error, answer) + _example(answer, first)
    broken = [(rule.name, text) for rule in task.probes if (text := _broken(rule, first))]
    if broken and fault.kind == "value":
        return f"probe:{broken[0][0]}", broken[0][1] + _example(answer, first)
    return fault.kind, fault.text + _example(answer, first)


def _explains(task: Exercise, mistake: Mistake, trials: list[Trial]) -> bool:
    """Does a mistake give the learner's answers, right and wrong ones, on every input?

    An exception agrees with one of the same type, if on some other input the values agree.
    """
    left, agreed = SECONDS_OF_A_MISTAKE, False
    for trial in trials:
        got = run(lambda *a: task.call(mistake.answer, a), trial.arguments, left)
        left -= got.seconds
        if (got.error is None) != (trial.got.error is None):
            return False
        if got.error and trial.got.error:
            if type(got.error) is not type(trial.got.error):
                return False
        elif difference(trial.got.value, got.value, task.tolerance):
            return False
        else:
            agreed = True
    return agreed


def _broken(rule: Probe, trial: Trial) -> str | None:
    try:
        return None if trial.got.error else rule.broken(plain(trial.got.value), *trial.arguments)
    except Exception:  # a wrong shape or type; another part of the diagnosis tells that
        return None


def _evidence(task: Exercise, first: Trial) -> list[str]:
    """What shows the mistake on this input: a broken property, or the first number that is wrong."""
    texts = [text for rule in task.probes if (text := _broken(rule, first))]
    if not texts and first.fault and first.fault.text:
        texts = [first.fault.text]
    if first.got.error:
        texts = [
            f"it shows as {type(first.got.error).__name__}: {' '.join(str(first.got.error).split())[:120]}"
        ]
    return [f"  Here {text}" for text in texts[:1]]


def _example(answer: Any, trial: Trial) -> str:
    """The input that failed, as the learner can type it, and what came out."""
    try:
        parameters = list(inspect.signature(answer).parameters)
    except (TypeError, ValueError):
        parameters = []
    labels = [f"argument {i + 1}" for i in range(len(trial.arguments))]
    labels[: len(parameters)] = parameters[: len(labels)]
    lines = [f"\n  The smallest example that fails ({trial.case.name}):"]
    lines += [_labelled(f"{label} = ", value) for label, value in zip(labels, trial.arguments, strict=True)]
    if trial.got.error is None:
        lines.append(_labelled("your answer: ", trial.got.value))
    if trial.got.printed.strip():
        lines.append(f"  Your function printed: {trial.got.printed.strip()}")
    return "\n".join(lines)


def _labelled(label: str, value: Any) -> str:
    """One line, or several below each other for a table."""
    return f"    {label}" + show(value).replace("\n", "\n" + " " * (4 + len(label)))
