"""What is exactly true of all stories at once: their entropy, mean length and number.

A story is a walk over states, and what may follow depends on the state alone, so each state is worked out
once. Items that the story has not used are alike: a fresh pick of one in n costs log n, whoever is picked,
and a name, wherever it is said, has the mean length of all names.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from microgpt_ref.stories.choices import CATEGORIES
from microgpt_ref.stories.grammar import Grammar, grammar
from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.letters import Counts, mean_tallies, tally_words
from microgpt_ref.stories.nodes import Fresh, Mention, Node, Piece
from microgpt_ref.stories.state import END, START, State
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


class Totals(NamedTuple):
    """Over all ways to go on from a place in a story.

    entropy: in nats; characters: their mean number; number: of ways to go on; shortest, longest: bounds of
    the characters, reached only if the shortest and longest words fall together.
    """

    entropy: float
    characters: float
    number: int
    shortest: int
    longest: int


@no_type_check
class _Exact:
    """Totals of every state and node, each worked out once."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.grammar: Grammar = grammar(words)
        self.states: dict[State, Totals] = {END: Totals(0.0, 0.0, 1, 0, 0)}
        self.lengths = {
            (kind, form): [len(text) for item in items for text in item[form]]
            for kind, items in words.items.items()
            for form in (items[0] if items else ())
        }

    def state(self, state: State) -> Totals:
        if state not in self.states:
            self.states[state] = self.node(self.grammar.node(state), state)
        return self.states[state]

    def after(self, after: object, state: State) -> Totals:
        return self.node(after, state) if isinstance(after, Node) else self.state(after)  # type: ignore[arg-type]

    def node(self, node: Node, state: State) -> Totals:
        total = sum(option.weight for option in node.options)
        entropy = characters = 0.0
        number, shortest, longest = 0, 1 << 60, 0
        for piece, weight, after in node.options:
            rest, p = self.after(after, state), weight / total
            ways, mean, low, high = self.piece(piece, state)
            entropy += p * (math.log(ways) - math.log(p) + rest.entropy)
            characters += p * (mean + rest.characters)
            number += ways * rest.number
            shortest, longest = min(shortest, low + rest.shortest), max(longest, high + rest.longest)
        return Totals(entropy, characters, number, shortest, longest)

    def piece(self, piece: Piece, state: State) -> tuple[int, float, int, int]:
        """In how many equally likely ways a piece may be said; its mean, least and greatest length."""
        if isinstance(piece, str):
            return 1, float(len(piece)), len(piece), len(piece)
        lengths = self.lengths[piece.kind, piece.form]
        items, ways = len(self.words.items[piece.kind]), 1
        if isinstance(piece, Fresh):
            ways = len(lengths) // items * (items - used(state).get(piece.kind, 0))
        return ways, sum(lengths) / len(lengths), min(lengths), max(lengths)


@no_type_check
def used(state: State) -> dict[str, int]:
    """How many items of a kind the story used before this sentence. None uses two new ones of a kind."""
    return {"person": state.people, "place": state.places, "object": len(state.where)}


@no_type_check
class _Letters:
    """Mean number of characters of each category from every state and node on."""

    def __init__(self, words: Vocabulary) -> None:
        self.words, self.grammar = words, grammar(words)
        self.states: dict[State, Counts] = {END: (0.0, 0.0, 0.0, 0.0)}

    def state(self, state: State) -> Counts:
        if state not in self.states:
            self.states[state] = self.node(self.grammar.node(state), state)
        return self.states[state]

    def node(self, node: Node, state: State) -> Counts:
        total = sum(option.weight for option in node.options)
        sums = [0.0] * len(CATEGORIES)
        for (_, weight, after), own in zip(node.options, self.own(node, state), strict=True):
            rest = self.node(after, state) if isinstance(after, Node) else self.state(after)  # type: ignore[arg-type]
            for kind in range(len(CATEGORIES)):
                sums[kind] += weight / total * (own[kind] + rest[kind])
        return tuple(sums)  # type: ignore[return-value]

    def own(self, node: Node, state: State) -> tuple[Counts, ...]:
        """Of the node's options themselves. Roles are numbered as they come, so that like choices agree."""
        pieces = tuple(option.piece for option in node.options)
        if len(pieces) == 1 and isinstance(pieces[0], str):
            return (tally_words(pieces[0]),)
        roles: dict[str, dict[int, int]] = {}
        shape: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Mention):
                numbers = roles.setdefault(piece.kind, {})
                shape.append(piece._replace(role=numbers.setdefault(piece.role, len(numbers))))
            else:
                shape.append(piece)
        fresh = {each.kind for each in pieces if isinstance(each, Fresh)}
        return mean_tallies(
            self.words, tuple(shape), tuple((k, n) for k, n in used(state).items() if k in fresh)
        )


@functools.cache
def totals(vocabulary: Vocabulary = TOWN) -> Totals:
    """Entropy, mean length, number and length bounds of all stories; worked out once per process."""
    return _Exact(vocabulary).state(START)


def entropy(vocabulary: Vocabulary = TOWN) -> float:
    """Entropy of a story in nats: the mean of −log p. Over `expected_length()`, the floor per character."""
    return totals(vocabulary).entropy


def expected_length(vocabulary: Vocabulary = TOWN) -> float:
    """Mean length of a story in characters, newline included."""
    return totals(vocabulary).characters


def number_of_stories(vocabulary: Vocabulary = TOWN) -> int:
    """How many different stories there are."""
    return totals(vocabulary).number


@functools.cache
def _expected_letters(vocabulary: Vocabulary) -> Counts:
    return _Letters(vocabulary).state(START)


def expected_categories(vocabulary: Vocabulary = TOWN) -> dict[str, float]:
    """Mean number of characters of each category in a story; they add up to `expected_length()`."""
    return dict(zip(CATEGORIES, _expected_letters(vocabulary), strict=True))


def entropy_by_category(vocabulary: Vocabulary = TOWN) -> dict[str, float]:
    """Entropy of a story in nats, split by category: all of it is in the free choices.

    A category's floor per character is its entropy over its `expected_categories()`.
    """
    return {category: entropy(vocabulary) if category == "free" else 0.0 for category in CATEGORIES}
