"""What is exactly true of all stories at once: their entropy, mean length and number.

A story is a walk over states, and what may follow depends on the state alone, so each state is worked out
once. Items that the story has not used are alike: a fresh pick of one in n costs log n, whoever is picked,
and a name, wherever it is said, has the mean length of all names.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from microgpt_ref.stories.grammar import END, START, Grammar, State, grammar
from microgpt_ref.stories.nodes import Fresh, Node, Piece
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


class Totals(NamedTuple):
    """Of all ways to go on: entropy (nats), mean length (characters), how many there are, bounds of their length."""

    entropy: float
    length: float
    count: int
    shortest: int
    longest: int


NOTHING = Totals(0.0, 0.0, 1, 0, 0)


class _Exact:
    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.grammar: Grammar = grammar(words)
        self.states: dict[State, Totals] = {END: NOTHING}

    def state(self, state: State) -> Totals:
        if state not in self.states:
            self.states[state] = self.node(self.grammar.node(state), state)
        return self.states[state]

    def node(self, node: Node, state: State) -> Totals:
        total = sum(option.weight for option in node.options)
        entropy = length = 0.0
        count, shortest, longest = 0, 1 << 60, 0
        for piece, weight, after in node.options:
            rest = self.node(after, state) if isinstance(after, Node) else self.state(after)  # type: ignore[arg-type]
            ways, mean, low, high = self.piece(piece, state)
            p = weight / total
            entropy += p * (math.log(ways) - math.log(p) + rest.entropy)
            length += p * (mean + rest.length)
            count += ways * rest.count
            shortest, longest = min(shortest, low + rest.shortest), max(longest, high + rest.longest)
        return Totals(entropy, length, count, shortest, longest)

    def piece(self, piece: Piece, state: State) -> tuple[int, float, int, int]:
        """In how many equally likely ways a piece may be said; its mean, least and greatest length."""
        if isinstance(piece, str):
            return 1, float(len(piece)), len(piece), len(piece)
        forms = [text for item in self.words.items[piece.kind] for text in item[piece.form]]
        lengths = [len(text) for text in forms]
        mean = sum(lengths) / len(lengths)
        if not isinstance(piece, Fresh):
            return 1, mean, min(lengths), max(lengths)
        items = len(self.words.items[piece.kind])
        ways = len(forms) // items * (items - self.used(piece.kind, state))
        return ways, mean, min(lengths), max(lengths)

    def used(self, kind: str, state: State) -> int:
        """How many items of a kind the story has used before this sentence; each sentence uses at most one more."""
        return {"person": state.people, "place": state.places, "object": len(state.where)}.get(kind, 0)


@functools.cache
def totals(vocabulary: Vocabulary = TOWN) -> Totals:
    """Entropy, mean length, number and length bounds of all stories; worked out once per process."""
    return _Exact(vocabulary).state(START)


def entropy(vocabulary: Vocabulary = TOWN) -> float:
    """Entropy of a story in nats: the mean of −log p. Divided by `expected_length()` it is the floor per character."""
    return totals(vocabulary).entropy


def expected_length(vocabulary: Vocabulary = TOWN) -> float:
    """Mean length of a story in characters, newline included."""
    return totals(vocabulary).length


def number_of_stories(vocabulary: Vocabulary = TOWN) -> int:
    """How many different stories there are."""
    return totals(vocabulary).count
