"""Questions about a story, their answers, and pairs of which one is better: all gradeable by program."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from microgpt_ref.stories.asks import Ask, asks, plain
from microgpt_ref.stories.facts import facts
from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.reading import consistent
from microgpt_ref.stories.sampling import generate, integers
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary

T = TypeVar("T")


class Question(NamedTuple):
    """A question about a story. `answer` is a whole sentence; `grade` takes other ways to say it.

    kind: holder (who has it?), where, owner (who had it at first?), promiser, promise (what?), kept, scene.
    """

    story: str
    question: str
    answer: str
    kind: str


class Preference(NamedTuple):
    """Two ways to go on after a prompt: `chosen` follows from it and `rejected` does not (see `follows`).

    kind: answer (the prompt is a story and a question) or continuation (the beginning of a story).
    """

    prompt: str
    chosen: str
    rejected: str
    kind: str


@functools.lru_cache(maxsize=256)  # grading asks about the same story again and again
def _settled(story: str, words: Vocabulary) -> tuple[Ask, ...]:
    return tuple(asks(facts(story, words), words))


def questions_about(story: str, vocabulary: Vocabulary = TOWN) -> list[Question]:
    """Every question that a story settles. Raises ValueError where the text is not one story."""
    return [Question(story, ask.question, ask.answer, ask.kind) for ask in _settled(story, vocabulary)]


def _find(question: Question, words: Vocabulary) -> Ask:
    for ask in _settled(question.story, words):
        if ask.question == question.question:
            return ask
    raise ValueError(
        f"the story does not settle {question.question!r}; questions_about(story) lists what it does"
    )


def grade(question: Question, answer: str, vocabulary: Vocabulary = TOWN) -> bool:
    """Whether an answer gives the right fact and nothing else, in one of the ways people say it.

    Case, spaces and the final stop do not matter; "Mara", "Mara has it" and "Mara has the lantern." are one
    answer. A hedge ("Mara or Ben") is wrong. Raises ValueError for a question that the story does not settle.
    """
    return plain(answer) in _find(question, vocabulary).accepted


def wrong_answers(question: Question, vocabulary: Vocabulary = TOWN) -> tuple[str, ...]:
    """Full sentences that answer the question wrongly, one for each thing it could have been."""
    return _find(question, vocabulary).wrong


@no_type_check
class _Dice:
    """Picks that are the same on every machine."""

    def __init__(self, seed: int, split: str, stream: int) -> None:
        self.integers = integers(seed, split, stream)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self.integers) * len(options) >> 64]


def questions(
    count: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN
) -> list[Question]:
    """One question about each of `count` stories; its kind is drawn evenly among those the story settles.

    The stories are those of `generate` with the same seed and split.
    """
    dice = _Dice(seed, split, 1)
    return [_one_question(story, dice, vocabulary) for story in generate(count, seed, split, vocabulary)]


def _one_question(story: str, dice: _Dice, words: Vocabulary) -> Question:
    return _pick(questions_about(story, words), dice)


def _pick(possible: list[Question], dice: _Dice) -> Question:
    """A kind first, so that a kind with many questions is not asked more often."""
    kind = dice.pick(sorted({each.kind for each in possible}))
    return dice.pick([each for each in possible if each.kind == kind])


def quizzes(
    count: int, seed: int = 0, split: str = "train", turns: int = 1, vocabulary: Vocabulary = TOWN
) -> list[list[Question]]:
    """Up to `turns` different questions about each of `count` stories: all of them if a story settles fewer.

    The first is that of `questions`; a further one is drawn alike among those not asked yet.
    Raises ValueError for less than one turn.
    """
    if turns < 1:
        raise ValueError(f"turns={turns} asks nothing; use 1 or more")
    first, further = _Dice(seed, split, 1), _Dice(seed, split, 3)  # the first do not depend on `turns`
    quizzes = []
    for story in generate(count, seed, split, vocabulary):
        quiz, rest = [_one_question(story, first, vocabulary)], questions_about(story, vocabulary)
        while len(quiz) < turns and len(rest) > 1:
            rest.remove(quiz[-1])
            quiz.append(_pick(rest, further))
        quizzes.append(quiz)
    return quizzes


def follows(prompt: str, text: str, vocabulary: Vocabulary = TOWN) -> bool:
    """Whether a text rightly follows a prompt, by program.

    After a story and a question: whether it is a right answer. After the beginning of a story: whether the
    story may go on so. Raises ValueError for a question that the story does not settle.
    """
    story, newline, question = prompt.rpartition("\n")
    if newline and question.endswith("?"):
        return grade(Question(story + newline, question, "", ""), text, vocabulary)
    return consistent(prompt + text, vocabulary)


def preferences(
    count: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN
) -> list[Preference]:
    """One preference about each of `count` stories of the split, half of them of either kind.

    answer: `rejected` is wrong, though it speaks of people, objects and places of the same story.
    continuation: `chosen` is the story's next sentence; in `rejected` one name or object is wrong.
    The stories are those of `generate` with the same seed and split.
    """
    dice = _Dice(seed, split, 2)
    stories = generate(count, seed, split, vocabulary)
    makers = (_answer_preference, _continuation_preference)
    return [makers[i % 2](story, dice, vocabulary) for i, story in enumerate(stories)]


def _answer_preference(story: str, dice: _Dice, words: Vocabulary) -> Preference:
    question = _one_question(story, dice, words)
    known, wrong = facts(story, words), wrong_answers(question, words)
    named = (*known.people, known.scene, *(spot for _, spot in known.where.values()))
    tempting = [
        each for each in wrong if any(name in each for name in named)
    ]  # of this story, not just of the town
    return Preference(story + question.question, question.answer, dice.pick(tempting or wrong), "answer")


def _continuation_preference(story: str, dice: _Dice, words: Vocabulary) -> Preference:
    """Change one name or object of a sentence whose place in it the story has settled."""
    known = facts(story, words)
    swaps = []
    for group in (known.people, known.objects):
        for old in group:
            for found in re.finditer(rf"\b{old}\b", story):
                swaps += [(found.start(), old, new) for new in group if new != old]
    cuts = [i + 1 for i in range(len(story) - 1) if story[i] in '."' and story[i + 1] == " "]
    good = []
    for position, old, new in swaps:
        start = max((cut for cut in cuts if cut <= position), default=0)
        stop = min((cut for cut in cuts if cut > position), default=len(story))
        rejected = story[start:position] + new + story[position + len(old) : stop]
        if start and not consistent(story[:start] + rejected, words):
            good.append(Preference(story[:start], story[start:stop], rejected, "continuation"))
    return dice.pick(good)
