"""How many letters of each category a choice has, on average over everybody and everything it may be about.

A choice between "Mara" and "Milo" is free for two letters, between "Mara" and "Ben" for one. So the mean is
taken over all ways to give the roles of the choice their items: each role is an axis of an array.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np

from microgpt_ref.stories.choices import CATEGORIES, FREE, Candidates, determined
from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.nodes import Fresh, Mention, Piece
from microgpt_ref.stories.vocabulary import Vocabulary

Role = tuple[str, int]
Counts = tuple[float, float, float, float]  # characters of each of CATEGORIES


class Variant(NamedTuple):
    """One text of an option, or one for each item of `role`; `item` is the unused item it is, or -1."""

    option: int
    texts: tuple[str, ...]
    slot: Candidates | None
    role: Role | None
    kind: str
    item: int


@no_type_check
def tally(categories: list[int]) -> Counts:
    spelling, grammar, free, recall = (float(categories.count(kind)) for kind in range(len(CATEGORIES)))
    return spelling, grammar, free, recall


@functools.lru_cache(maxsize=1 << 14)
def tally_words(text: str) -> Counts:
    """Of words that are certain to come."""
    return tally(determined(text, None))


@functools.lru_cache(maxsize=1 << 14)
def mean_tallies(
    words: Vocabulary, pieces: tuple[Piece, ...], used: tuple[tuple[str, int], ...]
) -> tuple[Counts, ...]:
    """For each option of a choice, its mean number of characters of each category.

    `used` says how many items of a kind the story has used; all ways to have chosen them are alike.
    """
    roles = sorted({(each.kind, each.role) for each in pieces if isinstance(each, Mention)})
    fresh = {each.kind for each in pieces if isinstance(each, Fresh)}
    roles = sorted(
        {*roles, *((kind, role) for kind, count in used if kind in fresh for role in range(count))}
    )
    shape = tuple(len(words.items[kind]) for kind, _ in roles)
    variants = [each for option, piece in enumerate(pieces) for each in _variants(words, option, piece)]
    possible = np.ones(shape, bool)
    for (a, first), (b, second) in itertools.combinations(enumerate(roles), 2):
        if first[0] == second[0]:  # two roles are never the same item
            possible &= _along(np.arange(shape[a]), a, len(shape)) != _along(
                np.arange(shape[b]), b, len(shape)
            )
    valid = [_valid(each, roles, shape) for each in variants]
    sums = np.zeros((len(pieces), len(CATEGORIES)))
    seen = np.zeros(len(pieces))
    for i, variant in enumerate(variants):
        free = np.zeros(shape, np.int64)  # bit p is set where another text parts from this one at character p
        for j, other in enumerate(variants):
            if i != j:
                free |= np.where(valid[j], 1 << _common_lengths(variant, other, roles, len(shape)), 0)
        where = possible & valid[i]
        seen[variant.option] += where.sum()
        sums[variant.option] += _sum_counts(variant, np.where(where, free, -1), roles)
    return tuple(tuple((row / count).tolist()) for row, count in zip(sums, seen, strict=True))


@no_type_check
def _variants(words: Vocabulary, option: int, piece: Piece) -> list[Variant]:
    if isinstance(piece, str):
        return [Variant(option, (piece,), None, None, "", -1)]
    items = [forms[piece.form] for forms in words.items[piece.kind]]
    if isinstance(piece, Mention):
        texts = tuple(item[0] for item in items)
        slot = words.candidates(piece.kind, piece.form)
        return [Variant(option, texts, slot, (piece.kind, piece.role), piece.kind, -1)]
    return [
        Variant(option, (text,), None, None, piece.kind, i) for i, item in enumerate(items) for text in item
    ]


@no_type_check
def _along(values: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    """The values laid along one axis of an array, ready to be broadcast over the others."""
    return values.reshape([-1 if i == axis else 1 for i in range(dimensions)])


@no_type_check
def _valid(variant: Variant, roles: list[Role], shape: tuple[int, ...]) -> np.ndarray:
    """Where the variant's item is still unused."""
    valid = np.ones(shape, bool)
    for axis, (kind, _) in enumerate(roles):
        if variant.item >= 0 and kind == variant.kind:
            valid &= _along(np.arange(shape[axis]), axis, len(shape)) != variant.item
    return valid


@no_type_check
@functools.lru_cache(maxsize=1 << 16)
def _common(a: str, b: str) -> int:
    """How many characters two texts share at their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@no_type_check
def _common_lengths(a: Variant, b: Variant, roles: list[Role], dimensions: int) -> np.ndarray:
    """Shared beginnings of two variants' texts, laid along the axes of their roles."""
    if a.role is not None and a.role == b.role:  # two forms of one person
        same = np.array([_common(x, y) for x, y in zip(a.texts, b.texts, strict=True)])
        return _along(same, roles.index(a.role), dimensions)
    table = np.array([[_common(x, y) for y in b.texts] for x in a.texts])
    lengths = np.ones(dimensions, int)
    for axis, variant in enumerate((a, b)):
        if variant.role is not None:
            lengths[roles.index(variant.role)] = table.shape[axis]
    if a.role is not None and b.role is not None and roles.index(a.role) > roles.index(b.role):
        table = table.T
    return table.reshape(lengths)


@no_type_check
def _sum_counts(variant: Variant, free: np.ndarray, roles: list[Role]) -> np.ndarray:
    """Characters of each category, summed over the array; -1 marks what is not possible."""
    sums = np.zeros(len(CATEGORIES))
    for i, text in enumerate(variant.texts):
        masks = free if variant.role is None else np.take(free, i, axis=roles.index(variant.role))
        for mask, count in zip(*np.unique(masks[masks >= 0], return_counts=True), strict=True):
            kinds = [FREE if mask >> p & 1 else kind for p, kind in enumerate(determined(text, variant.slot))]
            sums += np.array(tally(kinds)) * count
    return sums
