"""Sentences become a trie of pieces: words, mentions of somebody already named, and fresh picks.

The trie is symbolic. It says "the person with role 1" where the text says "Mara", so that it depends on the
state of a story and on nothing else, is built once per state, and can be walked by the sampler, by the
reader and by the exact computation of the entropy.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from microgpt_ref.stories.choices import Choice
from microgpt_ref.stories.vocabulary import Vocabulary

Cast = dict[str, list[int]]  # kind -> the vocabulary index that each role of that kind has been given


class Ref(NamedTuple):
    """Somebody or something that the story has already named: the role-th of its kind."""

    kind: str
    role: int


class Mention(NamedTuple):
    """A slot filled by what the story said before."""

    kind: str
    role: int
    form: str


class Fresh(NamedTuple):
    """A slot filled by an item that the story has not used yet, all equally likely. It takes the next role."""

    kind: str
    form: str


Piece = str | Mention | Fresh


class Sentence(NamedTuple):
    """One way to go on: a template, what its slots refer to (others are fresh), a weight, and the state after it."""

    template: str
    slots: Mapping[str, Ref]
    weight: int
    after: object


SLOTS = {  # slot: (kind, form when the template names none)
    **dict.fromkeys(
        ("actor", "other", "asker", "reply", "promiser", "promisee", "holder", "newcomer", "friend"),
        ("person", "name"),
    ),
    **dict.fromkeys(("object", "first", "second"), ("object", "noun")),
    "thing": ("object", "thing"),
    **dict.fromkeys(("place", "scene"), ("place", "where")),
    **dict.fromkeys(("spot", "other_spot"), ("spot", "spot")),
    "task": ("task", "base"),
    **{kind: (kind, "text") for kind in ("deadline", "weather", "time", "stay", "idle", "interlude")},
}


@functools.cache
def parse(template: str) -> tuple[str | tuple[str, str, str], ...]:
    """The template's words and its slots as (slot, kind, form). Raises ValueError for a slot that does not exist."""
    parts: list[str | tuple[str, str, str]] = []
    for words, slot, form in re.findall(r"([^{]+)|\{(\w+)(?:\.(\w+))?\}", template):
        if words:
            parts.extend(
                re.findall(r"[A-Za-z]+ ?|[^A-Za-z]", words)
            )  # words, so that shared beginnings merge in the trie
        elif slot in SLOTS:
            parts.append((slot, SLOTS[slot][0], form or SLOTS[slot][1]))
        else:
            raise ValueError(f"template {template!r} has the slot {slot!r}; the slots are {sorted(SLOTS)}")
    return tuple(parts)


def pieces(sentence: Sentence) -> tuple[Piece, ...]:
    out: list[Piece] = []
    for part in parse(sentence.template):
        if isinstance(part, str):
            out.append(part)
        elif part[0] in sentence.slots:
            kind, role = sentence.slots[part[0]]
            out.append(Mention(kind, role, part[2]))
        else:
            out.append(Fresh(part[1], part[2]))
    return tuple(out)


class Option(NamedTuple):
    piece: Piece
    weight: int
    after: object  # a Node, or the state at the end of the sentence


class Target(NamedTuple):
    """What taking an option leads to; a fresh pick also gives an item of `kind` its role."""

    after: object
    kind: str | None
    item: int


class Node:
    """A place in the trie where the story goes on in one or several ways."""

    __slots__ = ("_choices", "_constant", "_kinds", "_marks", "_targets", "_weights", "options", "words")

    def __init__(self, words: Vocabulary, options: tuple[Option, ...]) -> None:
        self.words, self.options = words, options
        self._marks = tuple(
            words.candidates(piece.kind, piece.form) if isinstance(piece, Mention) else None
            for piece, _, _ in options
        )
        self._weights = tuple(option.weight for option in options)
        self._targets = tuple(Target(option.after, None, -1) for option in options)
        self._kinds = tuple(sorted({piece.kind for piece, _, _ in options if not isinstance(piece, str)}))
        self._choices: dict[tuple[tuple[int, ...], ...], tuple[Choice, tuple[Target, ...]]] = {}
        self._constant = None if self._kinds else self._expand_named({})

    def expand(self, cast: Cast) -> tuple[Choice, tuple[Target, ...]]:
        """The choice in letters, given who is who, and where each of its options leads."""
        if self._constant is not None:
            return self._constant
        if not any(isinstance(option.piece, Fresh) for option in self.options):
            return self._expand_named(cast)
        key = tuple(tuple(cast[kind]) for kind in self._kinds)
        if key not in self._choices:
            self._choices[key] = self._expand_fresh(cast)
        return self._choices[key]

    def _mention(self, piece: Mention, cast: Cast) -> str:
        return self.words.items[piece.kind][cast[piece.kind][piece.role]][piece.form][0]

    def _expand_named(self, cast: Cast) -> tuple[Choice, tuple[Target, ...]]:
        texts = tuple(
            piece if isinstance(piece, str) else self._mention(piece, cast)  # type: ignore[arg-type]
            for piece, _, _ in self.options
        )
        return Choice(texts, self._weights, self._marks), self._targets

    def _expand_fresh(self, cast: Cast) -> tuple[Choice, tuple[Target, ...]]:
        picks = [
            self._fresh(piece, cast) if isinstance(piece, Fresh) else None for piece, _, _ in self.options
        ]
        scale = math.lcm(
            *(len(pick) for pick in picks if pick is not None)
        )  # keeps the weights whole numbers
        rows: list[tuple[str, int, tuple[str, ...] | None, Target]] = []
        for (piece, weight, after), mark, pick in zip(self.options, self._marks, picks, strict=True):
            if pick is None:
                text = piece if isinstance(piece, str) else self._mention(piece, cast)  # type: ignore[arg-type]
                rows.append((text, weight * scale, mark, Target(after, None, -1)))
            else:
                share = weight * scale // len(pick)
                rows.extend((text, share, None, Target(after, piece.kind, item)) for item, text in pick)  # type: ignore[union-attr]
        texts, weights, marks, targets = zip(*rows, strict=True)
        return Choice(texts, weights, marks), targets

    def _fresh(self, piece: Fresh, cast: Cast) -> list[tuple[int, str]]:
        """(item, text) of everything a fresh pick may take."""
        items = enumerate(self.words.items[piece.kind])
        return [(i, text) for i, forms in items if i not in cast[piece.kind] for text in forms[piece.form]]


def build(words: Vocabulary, sentences: Iterable[Sentence]) -> Node:
    """The trie of the sentences.

    Raises ValueError when two sentences have the same words, or one is the beginning of another: the text
    would then not determine what happened.
    """
    rows = [(pieces(sentence), sentence.weight, sentence.after) for sentence in sentences]
    if not rows:
        raise ValueError("the grammar has come to a state from which no sentence leads on")
    return _branch(words, rows)


def _branch(words: Vocabulary, rows: list[tuple[tuple[Piece, ...], int, object]]) -> Node:
    groups: dict[Piece, list[tuple[tuple[Piece, ...], int, object]]] = {}
    for row in rows:
        groups.setdefault(row[0][0], []).append((row[0][1:], row[1], row[2]))
    options = []
    for piece, group in groups.items():
        weight = sum(row[1] for row in group)
        if any(not row[0] for row in group):
            if len(group) > 1:
                raise ValueError(f"two sentences share their words up to {piece!r}: reword one, or drop one")
            options.append(Option(piece, weight, group[0][2]))
            continue
        after = _branch(words, group)
        first = after.options[0]
        if isinstance(piece, str) and len(after.options) == 1 and isinstance(first.piece, str):
            options.append(
                Option(piece + first.piece, weight, first.after)
            )  # words with one continuation are one piece
        else:
            options.append(Option(piece, weight, after))
    return Node(words, tuple(options))
