"""Drawing stories. Same seed, same stories, on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate, islice

import numpy as np

from microgpt_ref.stories.reading import Walk
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary

SPLITS = ("train", "validation")
VALIDATION_SHARE = 10  # one story in ten


def split_of(story: str) -> str:
    """The split a story belongs to, whoever draws it: validation when sha256(story) falls in a tenth of its range."""
    number = int.from_bytes(hashlib.sha256(story.encode()).digest()[:8], "big")
    return "validation" if number * VALIDATION_SHARE >> 64 == 0 else "train"


def integers(seed: int, split: str, stream: int = 0) -> Iterator[int]:
    """An endless row of 64-bit integers. PCG64's raw output is the part of NumPy that is promised never to change."""
    if split not in SPLITS:
        raise ValueError(f"split={split!r} does not exist; use one of {SPLITS}")
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} is not a whole number of at least 0")
    generator = np.random.PCG64(np.random.SeedSequence([seed, SPLITS.index(split), stream]))
    while True:
        yield from generator.random_raw(4096).tolist()


def tell(row: Iterator[int], vocabulary: Vocabulary = TOWN) -> str:
    """One story, drawn with the grammar's own probabilities from 64-bit integers."""
    walk, parts = Walk(vocabulary), []
    while walk.node is not None:
        choice, targets = walk.choice()
        index = 0
        if len(choice.texts) > 1:
            point = next(row) * sum(choice.weights) >> 64
            index = next(i for i, total in enumerate(accumulate(choice.weights)) if point < total)
        parts.append(choice.texts[index])
        walk.take(targets[index])
    return "".join(parts)


def _stories(seed: int, split: str, vocabulary: Vocabulary) -> Iterator[str]:
    row = integers(seed, split)
    while True:
        story = tell(row, vocabulary)
        if split_of(story) == split:
            yield story


def generate(count: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN) -> list[str]:
    """`count` stories, each one line ending in a newline; the first ones are the same whatever the count.

    A story is in one split only, decided by a hash of its text, so train and validation share none whatever
    the seeds and amounts. The hash knows nothing of what a story says: given its split a story is as probable as before
    (times a constant), and no reader can use the split to predict better.
    Raises ValueError for a negative count or seed, or another split.
    """
    if count < 0:
        raise ValueError(f"count={count} is negative; ask for 0 stories or more")
    return list(islice(_stories(seed, split, vocabulary), count))


def corpus(characters: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN) -> str:
    """Whole stories in a row, as few as make at least `characters` characters: the beginning of one endless text.

    Raises ValueError for a negative number of characters or seed, or another split.
    """
    if characters < 0:
        raise ValueError(f"characters={characters} is negative; ask for 0 or more")
    parts, length = [], 0
    stories = _stories(seed, split, vocabulary)
    while length < characters:
        parts.append(next(stories))
        length += len(parts[-1])
    return "".join(parts)
