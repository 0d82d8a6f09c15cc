"""A choice: texts the story may go on with. The reader sees letters, so a choice is a trie of letters.

No text of a choice is the beginning of another, so the letters that follow tell which one was chosen,
and the ideal reader's next-character probability is the weight of the texts that go on with that
character over the weight of the texts that still agree with what was read.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

CATEGORIES = ("spelling", "grammar", "free", "recall")
SPELLING, GRAMMAR, FREE, RECALL = range(4)


class Choice(NamedTuple):
    """Texts with their integer weights; `marks[i]` lists what could stand in text i's slot had the story been forgotten."""

    texts: tuple[str, ...]
    weights: tuple[int, ...]
    marks: tuple[tuple[str, ...] | None, ...]


class Reading(NamedTuple):
    """What the ideal reader does with one text of a choice: bytes of float64 log p, bytes of int8 categories."""

    log_probabilities: bytes
    categories_after_letter: bytes
    categories: bytes


@functools.lru_cache(maxsize=1 << 16)
def search_order(texts: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """The texts sorted, with where each one stood. Raises ValueError when one text begins another."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ranked = [texts[i] for i in order]
    if "" in ranked:
        raise ValueError("a choice offers an empty text; give every option at least one character")
    for shorter, longer in zip(ranked, ranked[1:], strict=False):
        if longer.startswith(shorter):
            raise ValueError(
                f"{shorter!r} begins {longer!r}: the text would not tell which was chosen; reword one"
            )
    return ranked, order


def match(texts: tuple[str, ...], text: str, position: int) -> int:
    """Index of the option that stands at `position`, or -1."""
    if len(texts) == 1:
        return 0 if text.startswith(texts[0], position) else -1
    ranked, order = search_order(texts)
    place = bisect_right(ranked, text[position : position + 64]) - 1
    if place >= 0 and text.startswith(ranked[place], position):
        return order[place]
    return next((order[i] for i, each in enumerate(ranked) if text.startswith(each, position)), -1)


def next_weights(choice: Choice, read: str) -> dict[str, int]:
    """Weight of each character that may follow `read`, the part of the choice already read."""
    weights: dict[str, int] = {}
    for text, weight in zip(choice.texts, choice.weights, strict=True):
        if len(text) > len(read) and text.startswith(read):
            weights[text[len(read)]] = weights.get(text[len(read)], 0) + weight
    return weights


def branches(candidates: tuple[str, ...], text: str, position: int) -> bool:
    """Whether the candidates that agree with text[:position] go on with more than one character."""
    following = {each[position : position + 1] for each in candidates if each.startswith(text[:position])}
    return len(following) > 1


@functools.lru_cache(maxsize=1 << 17)
def read_option(choice: Choice, index: int) -> Reading:
    """Log-probability and category of every character of one option."""
    text, marks = choice.texts[index], choice.marks[index]
    alive = list(zip(choice.texts, choice.weights, strict=True))
    log_probabilities, kinds = [], {True: bytearray(), False: bytearray()}
    for position, character in enumerate(text):
        total = sum(weight for _, weight in alive)
        agree = [each for each in alive if each[0][position] == character]
        chosen = sum(weight for _, weight in agree)
        log_probabilities.append(math.log(chosen / total) if chosen < total else 0.0)
        for after_letter, out in kinds.items():
            in_word = character.isalpha() and (text[position - 1].isalpha() if position else after_letter)
            if chosen < total:
                out.append(FREE)
            elif marks is not None and branches(marks, text, position):
                out.append(RECALL)
            else:
                out.append(SPELLING if in_word else GRAMMAR)
        alive = agree
    return Reading(np.array(log_probabilities, np.float64).tobytes(), bytes(kinds[True]), bytes(kinds[False]))
