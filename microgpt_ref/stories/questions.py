"""Questions about a story, their answers, and answers of which one is better: all gradeable by program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from microgpt_ref.stories.grammar import State
from microgpt_ref.stories.reading import Step, consistent, whole_stories
from microgpt_ref.stories.sampling import generate, integers
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


T = TypeVar("T")


class Question(NamedTuple):
    """A question about a story. `answer` is a whole sentence; `grade` takes other ways to say it."""

    story: str
    question: str
    answer: str
    kind: str


class Preference(NamedTuple):
    """Two ways to go on after a prompt; `chosen` is right and `rejected` wrong, which a program can check."""

    prompt: str
    chosen: str
    rejected: str
    kind: str


class Facts(NamedTuple):
    """What a story says, in words. `where` maps each object to ("person", name) or ("place", "at the mill")."""

    people: tuple[str, ...]
    objects: tuple[str, ...]
    owners: dict[str, str]
    where: dict[str, tuple[str, str]]
    scene: str
    promiser: str
    promisee: str
    task: str
    done: str
    deadline: str
    kept: bool
    pronouns: dict[str, str]


def facts(story: str, vocabulary: Vocabulary = TOWN) -> Facts:
    """What one whole story says. Raises ValueError where the text is not one story."""
    begin = closing = None
    last: Step | None = None
    for step in whole_stories(story, vocabulary):
        last = step
        if step.walk.state.phase == "begin" and begin is None:
            begin = step.walk.state
        if step.walk.state.phase == "closing":
            closing = step.walk.state
    if story.count("\n") != 1:
        raise ValueError(
            f"facts are of one story, and the text has {story.count(chr(10))}; split it at the newlines"
        )
    assert last is not None
    assert begin is not None
    assert closing is not None
    return _facts(last.walk.cast, begin, closing, vocabulary)


def _facts(cast: dict[str, list[int]], begin: State, closing: State, words: Vocabulary) -> Facts:
    def say(kind: str, role: int, form: str) -> str:
        return words.items[kind][cast[kind][role]][form][0]

    people = tuple(say("person", role, "name") for role in range(begin.people))
    objects = tuple(say("object", role, "noun") for role in range(len(closing.where)))
    where = {
        noun: (spot.kind, say(spot.kind, spot.role, "name" if spot.kind == "person" else "where"))
        for noun, spot in zip(objects, closing.where, strict=True)
    }
    return Facts(
        people,
        objects,
        dict(zip(objects, people, strict=False)),
        where,
        say("place", 0, "where"),
        people[begin.promiser],
        people[begin.promisee],
        say("task", 0, "base"),
        say("task", 0, "past"),
        say("deadline", 0, "text"),
        closing.kept,
        {name: say("person", role, "she") for role, name in enumerate(people)},
    )


# ------------------------------------------------------------------------------------------------ questions


class Ask(NamedTuple):
    """One question that a story settles. `accepted` are ways to give the answer, in lower case and without the stop."""

    kind: str
    question: str
    answer: str
    wrong: tuple[str, ...]  # full sentences, each a wrong answer that the town's words allow
    accepted: frozenset[str]


def asks(known: Facts, vocabulary: Vocabulary = TOWN) -> list[Ask]:
    """Every question that the facts settle."""
    return [
        ask for make in (_about_objects, _about_promise, _about_beginning) for ask in make(known, vocabulary)
    ]


def _names(words: Vocabulary) -> list[str]:
    return [name for name, _ in words.names]


def _wheres(words: Vocabulary) -> list[str]:
    return [f"{preposition} the {noun}" for preposition, noun in words.places]


def _ask(kind: str, question: str, right: str, values: list[str], ways: tuple[str, ...], **more: str) -> Ask:
    """`ways` are sentences with `{}` for the value, the full answer first; `values` are all it could have been."""

    def answer(value: str, way: str = ways[0]) -> str:
        text = way.format(value, **more)
        return text[0].upper() + text[1:] + "."

    accepted = frozenset(_plain(answer(right, way)) for way in ways)
    return Ask(
        kind, question, answer(right), tuple(answer(value) for value in values if value != right), accepted
    )


HOLDER = (
    "{} has the {noun}",
    "{}",
    "{} has it",
    "{} does",
    "{} holds the {noun}",
    "{} holds it",
    "{} had the {noun}",
)
HOLDER += ("it is {}", "it's {}", "with {}", "the {noun} is with {}", "it is with {}")
SPOT = ("the {noun} is {}", "{}", "it is {}", "it's {}", "the {noun} was {}", "it was {}")
OWNER = ("{} had the {noun} at first", "{}", "{} did", "{} had the {noun}", "{} had it", "{} had it at first")
OWNER += ("it was {}", "at first {} had the {noun}", "at first {} had it")


def _about_objects(known: Facts, words: Vocabulary) -> list[Ask]:
    out = []
    for noun, (kind, value) in known.where.items():
        spots = [f"with {name}" for name in known.people] + _wheres(words)
        where = f"Where is the {noun}?"
        if kind == "person":
            out.append(_ask("holder", f"Who has the {noun}?", value, _names(words), HOLDER, noun=noun))
            ask = _ask("where", where, f"with {value}", spots, SPOT, noun=noun)
            out.append(ask._replace(accepted=ask.accepted | out[-1].accepted))
        else:
            ask = _ask("where", where, value, spots, SPOT, noun=noun)
            bare = value.split(" ", 1)[1]  # "the mill"
            out.append(ask._replace(accepted=ask.accepted | {bare}))
    for noun, owner in known.owners.items():
        out.append(_ask("owner", f"Who had the {noun} at first?", owner, _names(words), OWNER, noun=noun))
    return out


def _about_promise(known: Facts, words: Vocabulary) -> list[Ask]:
    more = {"who": known.promiser, "she": known.pronouns[known.promiser], "whom": known.promisee}
    more |= {"task": known.task, "done": known.done, "deadline": known.deadline}
    made = ("{} made a promise", "{}", "{} did", "it was {}", "{} made the promise", "{} promised to {task}")
    asked = ("{who} promised to {}", "{}", "to {}", "{she} promised to {}", "{who} promised {whom} to {}")
    asked += (
        "{} {deadline}",
        "to {} {deadline}",
        "{who} promised to {} {deadline}",
        "{she} promised to {} {deadline}",
    )
    tasks = [task for task, _ in words.tasks]
    out = [_ask("promiser", "Who made a promise?", known.promiser, _names(words), made, **more)]
    out.append(_ask("promise", f"What did {known.promiser} promise to do?", known.task, tasks, asked, **more))
    yes = (
        "yes, {who} {done}",
        "yes",
        "yes, {who} did",
        "yes, {she} did",
        "{who} did",
        "{she} did",
        "{who} {done}",
    )
    no = (
        "no, {who} did not {task}",
        "no",
        "no, {who} did not",
        "no, {she} did not",
        "{who} did not",
        "{she} did not",
    )
    no += ("{who} did not {task}", "no, {who} forgot")
    right, wrong = (yes, no) if known.kept else (no, yes)
    kept = _ask("kept", f"Did {known.promiser} {known.task}?", "", [], right, **more)
    return [*out, kept._replace(wrong=(_ask("kept", "", "", [], wrong, **more).answer,))]


def _about_beginning(known: Facts, words: Vocabulary) -> list[Ask]:
    bare = known.scene.split(" ", 1)[1]
    ways = (
        "the story began {}",
        "{}",
        "it began {}",
        "it was {}",
        "the story begins {}",
        "it begins {}",
        "{bare}",
    )
    return [_ask("scene", "Where did the story begin?", known.scene, _wheres(words), ways, bare=bare)]


def questions_about(story: str, vocabulary: Vocabulary = TOWN) -> list[Question]:
    """Every question that a story settles. Raises ValueError where the text is not one story."""
    return [
        Question(story, ask.question, ask.answer, ask.kind)
        for ask in asks(facts(story, vocabulary), vocabulary)
    ]


def _plain(answer: str) -> str:
    return " ".join(answer.lower().split()).rstrip(".!").strip()


def _find(question: Question, words: Vocabulary) -> Ask:
    for ask in asks(facts(question.story, words), words):
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
    return _plain(answer) in _find(question, vocabulary).accepted


def wrong_answers(question: Question, vocabulary: Vocabulary = TOWN) -> tuple[str, ...]:
    """Full sentences that answer the question wrongly, one for each thing it could have been."""
    return _find(question, vocabulary).wrong


class _Dice:
    """Picks that are the same on every machine."""

    def __init__(self, seed: int, split: str, stream: int) -> None:
        self.integers = integers(seed, split, stream)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self.integers) * len(options) >> 64]


def questions(
    count: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN
) -> list[Question]:
    """One question about each of `count` stories of the split, its kind drawn evenly among those the story settles."""
    dice = _Dice(seed, split, 1)
    return [_one_question(story, dice, vocabulary) for story in generate(count, seed, split, vocabulary)]


def _one_question(story: str, dice: _Dice, words: Vocabulary) -> Question:
    possible = questions_about(story, words)
    kind = dice.pick(sorted({each.kind for each in possible}))
    return dice.pick([each for each in possible if each.kind == kind])


# ------------------------------------------------------------------------------------------------ preferences


def preferences(
    count: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN
) -> list[Preference]:
    """One preference about each of `count` stories of the split, half of them of either kind.

    answer: the prompt is a story and a question, `chosen` the right answer, `rejected` a wrong one.
    continuation: the prompt is the beginning of a story, `chosen` is how it goes on, and in `rejected` one
    word contradicts what happened: `consistent(prompt + chosen)` holds and `consistent(prompt + rejected)` does not.
    """
    dice = _Dice(seed, split, 2)
    stories = generate(count, seed, split, vocabulary)
    makers = (_answer_preference, _continuation_preference)
    return [makers[i % 2](story, dice, vocabulary) for i, story in enumerate(stories)]


def _answer_preference(story: str, dice: _Dice, words: Vocabulary) -> Preference:
    question = _one_question(story, dice, words)
    known, wrong = facts(story, words), wrong_answers(question, words)
    named = (*known.people, *known.objects, *(spot for kind, spot in known.where.values() if kind == "place"))
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
