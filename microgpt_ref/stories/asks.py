"""Every question that a story settles, with the ways to answer it rightly and wrongly."""

from __future__ import annotations

import re
from typing import NamedTuple

from microgpt_ref.stories.facts import Facts
from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.vocabulary import Vocabulary


class Ask(NamedTuple):
    """One question that a story settles.

    answer: a whole sentence; wrong: whole sentences, each a wrong answer in the town's own words;
    accepted: the ways to give the right answer, as `plain` writes them.
    """

    kind: str
    question: str
    answer: str
    wrong: tuple[str, ...]
    accepted: frozenset[str]


def asks(known: Facts, words: Vocabulary) -> list[Ask]:
    """Every question that the facts settle."""
    return [ask for make in (_about_objects, _about_promise, _about_beginning) for ask in make(known, words)]


def _names(words: Vocabulary) -> list[str]:
    return [name for name, _ in words.names]


def _wheres(words: Vocabulary) -> list[str]:
    return [f"{preposition} the {noun}" for preposition, noun in words.places]


@no_type_check
def _ask(kind: str, question: str, right: str, values: list[str], ways: tuple[str, ...], **more: str) -> Ask:
    """`ways` are sentences with `{}` for the value, the full one first; `values` all it could have been."""

    def answer(value: str, way: str = ways[0]) -> str:
        text = way.format(value, **more)
        return text[0].upper() + text[1:] + "."

    accepted = frozenset(plain(answer(right, way)) for way in ways)
    return Ask(
        kind, question, answer(right), tuple(answer(value) for value in values if value != right), accepted
    )


HOLDER: tuple[str, ...] = (
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
OWNER: tuple[str, ...] = (
    "{} had the {noun} at first",
    "{}",
    "{} did",
    "{} had the {noun}",
    "{} had it",
    "{} had it at first",
)
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
    asked: tuple[str, ...] = (
        "{who} promised to {}",
        "{}",
        "to {}",
        "{she} promised to {}",
        "{who} promised {whom} to {}",
    )
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
    no: tuple[str, ...] = (
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


@no_type_check
def plain(answer: str) -> str:
    """An answer in lower case, without commas, stops and needless spaces."""
    return " ".join(re.sub(r"[.,!]", " ", answer.lower()).split())
