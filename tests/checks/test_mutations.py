"""Wrong answers are rejected, most with their very mistake named; right ones, in any style, are accepted."""

from __future__ import annotations

import functools
import importlib.util
from collections import Counter

import numpy as np
import pytest

from microgpt_ref.checks import CHAPTERS, examine, load, names
from microgpt_ref.checks.running import run
from tests.checks.answers import Answer, right_answers, wrong_answers

pytestmark = pytest.mark.slow  # not each test, but all of them together

WRITTEN = [
    chapter
    for chapter, word in CHAPTERS.items()
    if importlib.util.find_spec(f"tests.checks.wrong_answers.ch{chapter}_{word}")
]
EXERCISES = [name for chapter in WRITTEN for name in names(chapter)]
BAD = [answer for chapter in WRITTEN for answer in wrong_answers(chapter)]
GOOD = [answer for chapter in WRITTEN for answer in right_answers(chapter)]


@functools.cache
def report_on(answer: Answer):
    return examine(answer.exercise, answer.function)


@pytest.mark.parametrize("answer", BAD, ids=str)
def test_wrong_answer_is_rejected_and_named(answer):
    report = report_on(answer)
    assert not report.passed, f"{answer} was accepted: {report}"
    if answer.mistake is not None:
        assert report.diagnosis == answer.mistake, f"told {report.diagnosis!r}:\n{report}"


@pytest.mark.parametrize("answer", GOOD, ids=str)
def test_right_answer_is_accepted(answer, monkeypatch):
    monkeypatch.setattr("microgpt_ref.checks.SECONDS", 30.0)  # JAX compiles, and the machine may be busy
    monkeypatch.setattr("microgpt_ref.checks.SECONDS_TOGETHER", 60.0)
    report = report_on(answer)
    assert report.passed, report.message
    assert report.message.startswith("✓")


@pytest.mark.parametrize("name", EXERCISES)
def test_enough_answers_are_tried(name):
    bad = [answer for answer in BAD if answer.exercise == name]
    good = [answer for answer in GOOD if answer.exercise == name]
    assert len(bad) >= 6, f"{name} has {len(bad)} wrong answers"
    assert len(good) >= 2, f"{name} has {len(good)} right answers in other ways"
    assert len({answer.way for answer in good}) == len(good)
    named = sum(
        answer.mistake is not None and report_on(answer).diagnosis == answer.mistake for answer in bad
    )
    assert named >= 0.8 * len(bad), f"{name}: {named} of {len(bad)} mistakes are named"
    distinct = Counter(answer.mistake for answer in bad if answer.mistake)
    assert len(distinct) >= 5, f"{name}: the wrong answers make only the mistakes {sorted(distinct)}"


@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_one_and_is_told_apart(name):
    """Each function that a check holds to be a mistake is rejected, with its own name or an earlier one's."""
    task = load(name)
    for key, mistake in task.mistakes.items():
        report = examine(name, mistake.answer)
        assert not report.passed, f"the mistake {key!r} of {name} is accepted"
        assert report.diagnosis == key, f"the mistake {key!r} of {name} is told as {report.diagnosis!r}"


@pytest.mark.parametrize("name", EXERCISES)
def test_recorded_results_are_rejected(name):
    """An answer that returns, call by call, what was right for other numbers: hard-coding does not pass."""
    task, tape = load(name), []
    generator = np.random.default_rng()

    @functools.wraps(task.reference)
    def recorder(*arguments, **settings):
        tape.append(task.reference(*arguments, **settings))
        return tape[-1]

    for case in (case for case in task.cases for _ in range(task.rounds)):
        run(lambda *a: task.call(recorder, a), case.make(generator), 60.0)
    if not tape:
        pytest.skip("this check does not call a wrapped answer, so there is nothing to replay")
    results = iter(tape)
    hard_coded = functools.wraps(task.reference)(lambda *_, **__: next(results))
    assert not examine(name, hard_coded).passed


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes_its_own_check(name):
    task = load(name)
    assert examine(name, task.reference).passed
