"""Drawing stories. Same seed, same stories, on every machine."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

import numpy as np

from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.reading import Walk
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary

SPLITS = ("train", "validation")
VALIDATION_SHARE = 10  # one story in ten


@no_type_check
def split_of(story: str) -> str:
    """The split a story belongs to, whoever draws it: validation when its sha256 is in the lowest tenth."""
    number = int.from_bytes(hashlib.sha256(story.encode()).digest()[:8], "big")
    return "validation" if number * VALIDATION_SHARE >> 64 == 0 else "train"


def integers(seed: int, split: str, stream: int = 0) -> Iterator[int]:
    """An endless row of 64-bit integers. PCG64's raw output is what NumPy promises never to change.

    Raises ValueError for a seed that is not a whole number of at least 0, or another split.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} does not exist; use one of {SPLITS}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed={seed!r} is not a whole number of at least 0; use for instance seed=0")
    generator = np.random.PCG64(np.random.SeedSequence([int(seed), SPLITS.index(split), stream]))
    return (number for _ in iter(int, 1) for number in generator.random_raw(4096).tolist())


@no_type_check
def tell(row: Iterator[int], vocabulary: Vocabulary = TOWN) -> str:
    """One story, drawn with the grammar's own probabilities from a row of 64-bit integers."""
    walk, parts = Walk(vocabulary), []
    while walk.node is not None:
        choice, sums, targets = walk.node.expand(walk.cast)
        # the option whose stretch of 0 … sum holds the point; integers only, so no machine rounds differently
        option = 0 if len(sums) == 1 else bisect_right(sums, next(row) * sums[-1] >> 64)
        parts.append(choice.texts[option])
        walk.take(targets[option])
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
    the seeds and amounts. The hash knows nothing of what a story says: in a split each of its stories is more
    probable by one constant (10 in validation, 10/9 in train), and the others are impossible. Only a reader
    who computes hashes could use that, so `log_probability`, `entropy` and the floor are the whole town's.
    Raises ValueError for a negative count or seed, or another split.
    """
    if count < 0:
        raise ValueError(f"count={count} is negative; ask for 0 stories or more")
    return list(islice(_stories(seed, split, vocabulary), count))


def corpus(characters: int, seed: int = 0, split: str = "train", vocabulary: Vocabulary = TOWN) -> str:
    """Whole stories in a row, as few as make at least `characters` characters: the start of one endless text.

    Raises ValueError for a negative number of characters or seed, or another split.
    """
    if characters < 0:
        raise ValueError(f"characters={characters} is negative; ask for 0 or more")
    parts: list[str] = []
    length, stories = 0, _stories(seed, split, vocabulary)
    while length < characters:
        parts.append(next(stories))
        length += len(parts[-1])
    return "".join(parts)
