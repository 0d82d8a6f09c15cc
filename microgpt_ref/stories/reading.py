"""The ideal reader knows the grammar and remembers the story: it knows the odds of every next character."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from microgpt_ref.stories.choices import CATEGORIES, Choice, match, next_weights, read
from microgpt_ref.stories.grammar import grammar
from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.nodes import Cast, Node, Target
from microgpt_ref.stories.state import END, START, State
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


@no_type_check
class Walk:
    """A story so far: its state at the last sentence, the node it has come to (None: over), who is who."""

    __slots__ = ("cast", "grammar", "node", "state")

    def __init__(self, words: Vocabulary) -> None:
        self.grammar = grammar(words)
        self.cast: Cast = {kind: [] for kind in words.items}
        self.state: State = START
        self.node: Node | None = self.grammar.node(START)

    def take(self, target: Target) -> None:
        after, kind, item = target
        if kind is not None:
            self.cast[kind].append(item)
        if type(after) is Node:
            self.node = after
        else:
            self.state = after  # type: ignore[assignment]
            self.node = None if after is END else self.grammar.node(self.state)


class Step(NamedTuple):
    """One choice met in a text, and the option the text takes: -1 where it ends or goes wrong."""

    position: int
    walk: Walk
    choice: Choice
    option: int


@no_type_check
def steps(text: str, words: Vocabulary) -> Iterator[Step]:
    """Read stories one after another. Stops after the first step whose option is -1."""
    position = 0
    while position < len(text):
        walk = Walk(words)
        while walk.node is not None:
            choice, _, targets = walk.node.expand(walk.cast)
            option = match(choice.texts, text, position)
            yield Step(position, walk, choice, option)
            if option < 0:
                return
            position += len(choice.texts[option])
            walk.take(targets[option])


@no_type_check
def _agreed(text: str, step: Step) -> str:
    """The part of the step's options that the text agrees with."""
    rest = text[step.position :]
    return max((_common(rest, each) for each in step.choice.texts), key=len)


@no_type_check
def _common(a: str, b: str) -> str:
    return "".join(
        x for x, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    )


class Inconsistency(NamedTuple):
    """Where a text stops being a story.

    position: of the first character that cannot stand there; category: what kind of character it should have
    been; expected: every character that could have stood there; found: the one that does.
    """

    position: int
    category: str
    expected: str
    found: str

    def describe(self, text: str) -> str:
        before = text[max(0, self.position - 40) : self.position]
        return (
            f"character {self.position} is {self.found!r} after {before!r}; "
            f"a story goes on there with one of {self.expected!r} ({self.category})"
        )


def first_inconsistency(text: str, vocabulary: Vocabulary = TOWN) -> Inconsistency | None:
    """The first character at which the text can no longer be a row of stories (the last may be cut), or None.

    Its category says what the writer got wrong: a free character means a word that cannot stand there,
    recall that the story was forgotten.
    """
    for step in steps(text, vocabulary):
        seen = _agreed(text, step) if step.option < 0 else ""
        position = step.position + len(seen)
        if step.option < 0 and position < len(text):
            option = next(i for i, each in enumerate(step.choice.texts) if each.startswith(seen))
            category = CATEGORIES[read(step.choice, option).categories[len(seen)]]
            expected = "".join(sorted(next_weights(step.choice, seen)))
            return Inconsistency(position, category, expected, text[position])
    return None


def consistent(text: str, vocabulary: Vocabulary = TOWN) -> bool:
    """Whether the text is a row of stories, the last of which may be cut short."""
    return first_inconsistency(text, vocabulary) is None


@no_type_check
def whole_stories(text: str, words: Vocabulary) -> Iterator[Step]:
    """The steps of a text that must be whole stories. Raises ValueError where it is not."""
    if not text:
        raise ValueError("text is empty; give one or more whole stories, each ending in a newline")
    for step in steps(text, words):
        if step.option < 0:
            wrong = first_inconsistency(text, words)
            if wrong is not None:
                raise ValueError("text is not a story: " + wrong.describe(text))
            raise ValueError(
                f"text of {len(text)} characters ends inside a story, after {text[-40:]!r}; "
                "give whole stories, each ending in a newline"
            )
        yield step


def character_log_probabilities(text: str, vocabulary: Vocabulary = TOWN) -> Float[np.ndarray, " n"]:
    """The ideal reader's log p, in nats, of each of the n characters of one or more whole stories.

    Raises ValueError, with the position, where the text is not a row of whole stories.
    """
    parts = [read(step.choice, step.option).log_probabilities for step in whole_stories(text, vocabulary)]
    return np.frombuffer(b"".join(parts), np.float64).copy()


def log_probability(story: str, vocabulary: Vocabulary = TOWN) -> float:
    """Log-probability in nats of one or more whole stories. Raises ValueError where the text is not."""
    return float(character_log_probabilities(story, vocabulary).sum())


def categories(text: str, vocabulary: Vocabulary = TOWN) -> Int8[np.ndarray, " n"]:
    """Index into CATEGORIES of each of the n characters of one or more whole stories.

    free: even the ideal reader is unsure, more than one character may follow;
    recall: determined, but only by what the story said earlier. It is in a name, object, place, task,
    deadline or pronoun already settled, where the town's words that could stand there go on differently;
    spelling: the rest of a word once begun; grammar: everything else that is determined.
    Raises ValueError where the text is not a row of whole stories.
    """
    parts = [read(step.choice, step.option).categories for step in whole_stories(text, vocabulary)]
    return np.frombuffer(b"".join(parts), np.int8).copy()


def spans(text: str, vocabulary: Vocabulary = TOWN) -> list[tuple[str, str]]:
    """(category, characters) of each run of characters of one category, to draw a story in colours."""
    kinds = categories(text, vocabulary)
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(text)]
    return [(CATEGORIES[kinds[a]], text[a:b]) for a, b in itertools.pairwise(edges)]


def next_character_distribution(prefix: str, vocabulary: Vocabulary = TOWN) -> dict[str, float]:
    """The ideal reader's probability of each character that may follow; characters that cannot are left out.

    The prefix is any number of whole stories, then possibly the beginning of one.
    Raises ValueError, with the position, where it is not.
    """
    walk, seen = Walk(vocabulary), ""
    assert walk.node is not None
    choice = walk.node.expand(walk.cast).choice
    for step in steps(prefix, vocabulary):
        if step.option < 0:
            wrong = first_inconsistency(prefix, vocabulary)
            if wrong is not None:
                raise ValueError("prefix is not the beginning of a story: " + wrong.describe(prefix))
            choice, seen = step.choice, _agreed(prefix, step)
    weights = next_weights(choice, seen)
    total = sum(weights.values())
    return {character: weight / total for character, weight in sorted(weights.items())}
