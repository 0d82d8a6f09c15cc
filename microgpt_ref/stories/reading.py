"""The ideal reader: it knows the grammar, remembers the story, and so knows the odds of every next character."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from microgpt_ref.stories.choices import CATEGORIES, Choice, match, next_weights, read_option
from microgpt_ref.stories.grammar import END, START, State, grammar
from microgpt_ref.stories.nodes import Cast, Node, Target
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


class Walk:
    """A story told so far: where in the grammar it is, and who is who."""

    def __init__(self, words: Vocabulary) -> None:
        self.grammar = grammar(words)
        self.cast: Cast = {kind: [] for kind in words.items}
        self.state: State = START
        self.node: Node | None = self.grammar.node(START)  # None: the story is over

    def choice(self) -> tuple[Choice, tuple[Target, ...]]:
        assert self.node is not None, "the story is over"
        return self.node.expand(self.cast)

    def take(self, target: Target) -> None:
        if target.kind is not None:
            self.cast[target.kind].append(target.item)
        if isinstance(target.after, Node):
            self.node = target.after
        else:
            assert isinstance(target.after, State)
            self.state = target.after
            self.node = None if self.state is END else self.grammar.node(self.state)


class Step(NamedTuple):
    """One choice met while reading, and the option that the text takes (-1 where the text ends or goes wrong)."""

    position: int
    walk: Walk
    choice: Choice
    index: int


def steps(text: str, words: Vocabulary) -> Iterator[Step]:
    """Read stories one after another. Stops after the first step whose index is -1."""
    position = 0
    while position < len(text):
        walk = Walk(words)
        while walk.node is not None:
            choice, targets = walk.choice()
            index = match(choice.texts, text, position)
            yield Step(position, walk, choice, index)
            if index < 0:
                return
            position += len(choice.texts[index])
            walk.take(targets[index])


class Inconsistency(NamedTuple):
    """Where a text stops being a story: the character's category had it been right, what may stand there, what does."""

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


def _stop(text: str, step: Step) -> tuple[int, str, Choice]:
    """How far the text agrees with some option of the step, and that part of the option."""
    read = ""
    for length in range(1, len(text) - step.position + 1):
        part = text[step.position : step.position + length]
        if not any(each.startswith(part) for each in step.choice.texts):
            break
        read = part
    return step.position + len(read), read, step.choice


def first_inconsistency(text: str, vocabulary: Vocabulary = TOWN) -> Inconsistency | None:
    """The first character at which the text can no longer be the beginning of a row of stories, or None."""
    for step in steps(text, vocabulary):
        if step.index < 0:
            position, read, choice = _stop(text, step)
            if position == len(text):
                return None
            return Inconsistency(
                position, _category(text, step, read), _characters(choice, read), text[position]
            )
    return None


def _characters(choice: Choice, read: str) -> str:
    return "".join(sorted(next_weights(choice, read)))


def _category(text: str, step: Step, read: str) -> str:
    index = next(i for i, each in enumerate(step.choice.texts) if each.startswith(read))
    reading = read_option(step.choice, index)
    after_letter = step.position > 0 and text[step.position - 1].isalpha()
    kinds = reading.categories_after_letter if after_letter else reading.categories
    return CATEGORIES[kinds[len(read)]]


def consistent(text: str, vocabulary: Vocabulary = TOWN) -> bool:
    """Whether the text is one or more stories, the last of which may be cut short."""
    return first_inconsistency(text, vocabulary) is None


def read_whole(text: str, words: Vocabulary) -> Iterator[Step]:
    """The steps of a text that must be whole stories. Raises ValueError where it is not."""
    if not text:
        raise ValueError("text is empty; give one or more whole stories, each ending in a newline")
    for step in steps(text, words):
        if step.index < 0:
            wrong = first_inconsistency(text, words)
            if wrong is None:
                raise ValueError(
                    f"text ends inside a story, after {text[-40:]!r}; give whole stories, each ending in a newline"
                )
            raise ValueError("text is not a story: " + wrong.describe(text))
        yield step


def character_log_probabilities(text: str, vocabulary: Vocabulary = TOWN) -> Float[np.ndarray, " n"]:
    """The ideal reader's log p, in nats, of each of the n characters of one or more whole stories.

    Raises ValueError, with the position, where the text is not a row of whole stories.
    """
    parts = [read_option(step.choice, step.index).log_probabilities for step in read_whole(text, vocabulary)]
    return np.frombuffer(b"".join(parts), np.float64).copy()


def log_probability(story: str, vocabulary: Vocabulary = TOWN) -> float:
    """Log-probability in nats of a story, or of several together. Raises ValueError where the text is not a story."""
    return float(character_log_probabilities(story, vocabulary).sum())


def categories(text: str, vocabulary: Vocabulary = TOWN) -> Int8[np.ndarray, " n"]:
    """Index into CATEGORIES of each of the n characters of one or more whole stories.

    free: the ideal reader is unsure; recall: determined, but only by what the story said earlier (a reader
    who knows every name, object and place of the town, but not this story, would be unsure);
    spelling: the rest of a word once begun; grammar: everything else that is determined.
    Raises ValueError where the text is not a row of whole stories.
    """
    parts = []
    after_letter = False
    for step in read_whole(text, vocabulary):
        reading = read_option(step.choice, step.index)
        parts.append(reading.categories_after_letter if after_letter else reading.categories)
        after_letter = step.choice.texts[step.index][-1].isalpha()
    return np.frombuffer(b"".join(parts), np.int8).copy()


def spans(text: str, vocabulary: Vocabulary = TOWN) -> list[tuple[str, str]]:
    """(category, characters) of each run of characters of one category, to print or draw a story in colours."""
    kinds = categories(text, vocabulary)
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(text)]
    return [(CATEGORIES[kinds[a]], text[a:b]) for a, b in zip(edges, edges[1:], strict=False)]


def next_character_distribution(prefix: str, vocabulary: Vocabulary = TOWN) -> dict[str, float]:
    """The ideal reader's probability of each character that may follow; those that cannot are left out.

    The prefix is any number of whole stories, then possibly the beginning of one.
    Raises ValueError, with the position, where it is not.
    """
    choice, read = Walk(vocabulary).choice()[0], ""
    for step in steps(prefix, vocabulary):
        if step.index < 0:
            position, read, choice = _stop(prefix, step)
            if position < len(prefix):
                wrong = first_inconsistency(prefix, vocabulary)
                assert wrong is not None
                raise ValueError("prefix is not the beginning of a story: " + wrong.describe(prefix))
    weights = next_weights(choice, read)
    total = sum(weights.values())
    return {character: weight / total for character, weight in sorted(weights.items())}
