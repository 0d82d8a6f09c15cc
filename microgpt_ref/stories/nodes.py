"""Sentences become a trie of pieces: words, mentions of somebody already named, and fresh picks.

The trie is symbolic. It says "the person with role 1" where the text says "Mara", so that it depends on the
state of a story and on nothing else, is built once per state, and can be walked by the sampler, by the
reader and by the exact computation of the entropy.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from microgpt_ref.stories.choices import Candidates, Choice
from microgpt_ref.stories.hot import no_type_check
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
    """A slot filled by an item not yet used in this story, all equally likely; it takes the next role."""

    kind: str
    form: str


Piece = str | Mention | Fresh


class Sentence(NamedTuple):
    """One way to go on: a template, what its slots refer to (others are fresh), a weight, the next state."""

    template: str
    slots: Mapping[str, Ref]
    weight: int
    after: object


SLOTS = {  # slot: (kind, the form it takes when the template names none)
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


@no_type_check
@functools.cache
def parse(template: str) -> tuple[str | tuple[str, str, str], ...]:
    """The template's words and its slots as (slot, kind, form).

    Raises ValueError for a slot that does not exist, and for one glued to a letter or to another slot.
    """
    parts: list[str | tuple[str, str, str]] = []
    if re.search(r"[A-Za-z]\{|(?<!\.I)\}[A-Za-z]|\}\{", template):
        raise ValueError(
            f"template {template!r} has a slot that touches a letter or a slot; put a space between"
        )
    for words, slot, form in re.findall(r"([^{]+)|\{(\w+)(?:\.(\w+))?\}", template):
        if words:
            parts.extend(
                re.findall(r"[A-Za-z]+ ?|[^A-Za-z]", words)
            )  # word by word, so that beginnings are shared
        elif slot in SLOTS:
            parts.append((slot, SLOTS[slot][0], form or SLOTS[slot][1]))
        else:
            raise ValueError(f"template {template!r} has the slot {slot!r}; the slots are {sorted(SLOTS)}")
    return tuple(parts)


@no_type_check
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


class Expansion(NamedTuple):
    """A node in letters: the choice, its weights summed up one after another, and where each option leads."""

    choice: Choice
    sums: tuple[int, ...]
    targets: tuple[Target, ...]


@no_type_check
class Node:
    """A place in the trie where the story goes on in one or several ways."""

    __slots__ = ("_expansions", "_kinds", "_slots", "_sums", "_targets", "_weights", "options", "words")

    def __init__(self, words: Vocabulary, options: tuple[Option, ...]) -> None:
        self.words, self.options = words, options
        self._kinds: tuple[str, ...] | None = None  # the rest is made when the node is first put into letters

    def _prepare(self) -> None:
        pieces = [option.piece for option in self.options]
        self._slots = tuple(
            self.words.candidates(each.kind, each.form) if isinstance(each, Mention) else None
            for each in pieces
        )
        self._weights = tuple(option.weight for option in self.options)
        self._sums = tuple(itertools.accumulate(self._weights))
        self._targets = tuple(Target(option.after, None, -1) for option in self.options)
        self._expansions: dict[object, Expansion] = {}
        fresh = any(isinstance(each, Fresh) for each in pieces)
        self._kinds = (
            tuple(sorted({each.kind for each in pieces if not isinstance(each, str)})) if fresh else ()
        )
        if all(isinstance(each, str) for each in pieces):
            self._expansions[()] = self._named({})

    def expand(self, cast: Cast) -> Expansion:
        """The node in letters, given who is who."""
        if self._kinds is None:
            self._prepare()
        if self._kinds:  # a fresh pick is among the options: the choice is long, so it is kept
            key = tuple([tuple(cast[kind]) for kind in self._kinds])
            if key not in self._expansions:
                self._expansions[key] = self._with_fresh(cast)
            return self._expansions[key]
        return self._expansions.get(()) or self._named(cast)

    def _say(self, piece: Piece, cast: Cast) -> str:
        if isinstance(piece, str):
            return piece
        assert isinstance(piece, Mention)
        return self.words.items[piece.kind][cast[piece.kind][piece.role]][piece.form][0]

    def _named(self, cast: Cast) -> Expansion:
        texts = tuple([self._say(option.piece, cast) for option in self.options])
        return Expansion(Choice(texts, self._weights, self._slots), self._sums, self._targets)

    def _with_fresh(self, cast: Cast) -> Expansion:
        picks = {piece: self._fresh(piece, cast) for piece, _, _ in self.options if isinstance(piece, Fresh)}
        scale = math.lcm(*map(len, picks.values()))  # keeps the weights whole numbers
        rows: list[tuple[str, int, Candidates | None, Target]] = []
        for (piece, weight, after), slot in zip(self.options, self._slots, strict=True):
            if isinstance(piece, Fresh):
                share = weight * scale // len(picks[piece])
                rows += [(text, share, None, Target(after, piece.kind, item)) for item, text in picks[piece]]
            else:
                rows.append((self._say(piece, cast), weight * scale, slot, Target(after, None, -1)))
        texts, weights, slots, targets = zip(*rows, strict=True)
        return Expansion(Choice(texts, weights, slots), tuple(itertools.accumulate(weights)), targets)

    def _fresh(self, piece: Fresh, cast: Cast) -> list[tuple[int, str]]:
        """(item, text) of everything a fresh pick may take."""
        items = enumerate(self.words.items[piece.kind])
        return [(i, text) for i, forms in items if i not in cast[piece.kind] for text in forms[piece.form]]


Row = tuple[tuple[Piece, ...], int, object]  # what is left of a sentence, its weight, the state after it


@no_type_check
def build(words: Vocabulary, sentences: Iterable[Sentence]) -> Node:
    """The trie of the sentences.

    Raises ValueError when two sentences have the same words, or one is the beginning of another: the text
    would then not determine what happened.
    """
    rows = [(pieces(sentence), sentence.weight, sentence.after) for sentence in sentences]
    if not rows:
        raise ValueError("the grammar has come to a state from which no sentence leads on")
    if min(row[1] for row in rows) < 1:
        raise ValueError("a sentence has a weight below 1; leave out what is never said")
    return _branch(words, rows)


@no_type_check
def _branch(words: Vocabulary, rows: list[Row]) -> Node:
    groups: dict[Piece, list[Row]] = {}
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
        only = after.options[0]
        if isinstance(piece, str) and len(after.options) == 1 and isinstance(only.piece, str):
            options.append(
                Option(piece + only.piece, weight, only.after)
            )  # words with one continuation are one piece
        else:
            options.append(Option(piece, weight, after))
    return Node(words, tuple(options))
