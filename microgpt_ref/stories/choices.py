"""A choice: texts the story may go on with. The reader sees letters, so a choice is a trie of letters.

No text of a choice is the beginning of another, so the letters that follow tell which one was chosen,
and the ideal reader's next-character probability is the weight of the texts that go on with that
character over the weight of the texts that still agree with what was read.
"""

from __future__ import annotations

import functools
import itertools
import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from microgpt_ref.stories.hot import no_type_check

CATEGORIES = ("spelling", "grammar", "free", "recall")
SPELLING, GRAMMAR, FREE, RECALL = range(4)


@no_type_check
class Candidates:
    """What could stand in a slot if the story so far were forgotten. Equal only to itself."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts = tuple(dict.fromkeys(texts))
        self._branching: dict[str, tuple[bool, ...]] = {}

    def branching(self, text: str) -> tuple[bool, ...]:
        """For each position of `text`, whether the candidates that agree with it so far go on differently."""
        if text not in self._branching:
            self._branching[text] = tuple(
                len({each[i : i + 1] for each in self.texts if each.startswith(text[:i])}) > 1
                for i in range(len(text))
            )
        return self._branching[text]


class Choice(NamedTuple):
    """Texts with integer weights; `slots[i]` is what could have stood where text i does, or None."""

    texts: tuple[str, ...]
    weights: tuple[int, ...]
    slots: tuple[Candidates | None, ...]


class Reading(NamedTuple):
    """What the ideal reader makes of one text: bytes of float64 log p, bytes of int8 categories."""

    log_probabilities: bytes
    categories: bytes


@no_type_check
def determined(text: str, slot: Candidates | None) -> list[int]:
    """Category of each character of a text, if it were known that this text comes. It follows no letter."""
    out = [
        SPELLING if i and text[i].isalpha() and text[i - 1].isalpha() else GRAMMAR for i in range(len(text))
    ]
    if slot is not None:
        out = [RECALL if branch else kind for branch, kind in zip(slot.branching(text), out, strict=True)]
    return out


@no_type_check
@functools.lru_cache(maxsize=1 << 17)
def read(choice: Choice, index: int) -> Reading:
    """Log-probability and category of every character of one option."""
    text, alive = choice.texts[index], list(zip(choice.texts, choice.weights, strict=True))
    log_probabilities, kinds = [], determined(text, choice.slots[index])
    total = sum(choice.weights)
    for position, character in enumerate(text):
        if len(alive) == 1:
            log_probabilities += [0.0] * (len(text) - position)
            break
        alive = [each for each in alive if each[0][position] == character]
        agreed = sum(weight for _, weight in alive)
        log_probabilities.append(math.log(agreed / total) if agreed < total else 0.0)
        if agreed < total:
            kinds[position] = FREE
        total = agreed
    return Reading(np.array(log_probabilities, np.float64).tobytes(), bytes(kinds))


@no_type_check
@functools.lru_cache(maxsize=1 << 16)
def _search_order(texts: tuple[str, ...]) -> tuple[list[str], list[int], int]:
    """The texts sorted, where each one stood, and the length of the longest.

    Raises ValueError when one text begins another.
    """
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ranked = [texts[i] for i in order]
    if ranked[0] == "":
        raise ValueError("a choice offers an empty text; give every option at least one character")
    for shorter, longer in itertools.pairwise(ranked):
        if longer.startswith(shorter):
            raise ValueError(
                f"{shorter!r} begins {longer!r}: the text would not tell which was chosen; reword one of them"
            )
    return ranked, order, max(map(len, texts))


@no_type_check
def match(texts: tuple[str, ...], text: str, position: int) -> int:
    """Index of the option that stands at `position`, or -1."""
    if len(texts) == 1:
        return 0 if text.startswith(texts[0], position) else -1
    ranked, order, longest = _search_order(texts)
    place = bisect_right(ranked, text[position : position + longest]) - 1
    return order[place] if place >= 0 and text.startswith(ranked[place], position) else -1


@no_type_check
def next_weights(choice: Choice, seen: str) -> dict[str, int]:
    """Weight of each character that may follow `seen`, the part of the choice already read."""
    weights: dict[str, int] = {}
    for text, weight in zip(choice.texts, choice.weights, strict=True):
        if len(text) > len(seen) and text.startswith(seen):
            weights[text[len(seen)]] = weights.get(text[len(seen)], 0) + weight
    return weights
