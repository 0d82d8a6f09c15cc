"""Byte-pair encoding on bytes, in pure Python (Gage 1994; Sennrich et al. 2016; on bytes, GPT-2, 2019).

Training starts from the 256 bytes and repeats one step: find the commonest pair of neighbours, and make it
a token. A token's id is its rank, the moment at which it was made; ids 0 to 255 are the bytes themselves.

`train_plain` is the idea, `train_fast` the same result some hundred times sooner. The rule for ties is part
of the result: among pairs of equal count the one with the smaller ids wins (first id, then second id).
Pairs never cross the border of a chunk, and chunks are cut by GPT-2's pattern before training and encoding.
"""

import base64
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import regex

Pair = tuple[int, int]

# GPT-2's cut, in order: English endings, a word, a number, punctuation (each with the one space before it),
# then white space, whose last space goes to the word that follows it. Radford et al. 2019, encoder.py.
GPT2_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def split(text: str, pattern: str = GPT2_PATTERN) -> list[str]:
    """The chunks of `text`, left to right; together they are the whole text.

    Raises:
        ValueError: a `pattern` of your own leaves some of the text out (GPT-2's never does).
    """
    chunks = [match.group() for match in regex.finditer(pattern, text)]
    if sum(map(len, chunks)) != len(text):
        raise ValueError(
            f"pattern={pattern!r} leaves out part of the text; let it end in |. with the flag (?s)"
        )
    return chunks


def count_pairs(chunks: Iterable[Sequence[int]]) -> Counter[Pair]:
    """How often each pair of neighbours occurs. Overlaps count: (1, 1, 1) holds the pair (1, 1) twice."""
    counts: Counter[Pair] = Counter()
    for ids in chunks:
        counts.update(pairwise(ids))
    return counts


def merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """`ids` with each occurrence of `pair`, from left to right, replaced by `new_id`."""
    merged, position = [], 0
    while position < len(ids):
        if position + 1 < len(ids) and (ids[position], ids[position + 1]) == pair:
            merged.append(new_id)
            position += 2
        else:
            merged.append(ids[position])
            position += 1
    return merged


def train_plain(text: str, vocab_size: int, pattern: str = GPT2_PATTERN) -> list[bytes]:
    """The bytes of each of `vocab_size` tokens, by id. Written to be read: `train_fast` is for real text.

    Raises:
        ValueError: `vocab_size` is below 256, or the text runs out of pairs that occur twice.
    """
    chunks: list[list[int]] = [list(chunk.encode()) for chunk in split(text, pattern)]
    vocabulary = _bytes(vocab_size)
    while len(vocabulary) < vocab_size:
        counts = count_pairs(chunks)
        # the commonest pair; among equals the one with the smallest ids
        pair = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if pair is None or counts[pair] < 2:
            raise _too_little_text(vocab_size, len(vocabulary))
        chunks = [merge(ids, pair, len(vocabulary)) for ids in chunks]
        vocabulary.append(vocabulary[pair[0]] + vocabulary[pair[1]])
    return vocabulary


def train_fast(text: str, vocab_size: int, pattern: str = GPT2_PATTERN) -> list[bytes]:
    """The same vocabulary as `train_plain`, token by token, in seconds for a megabyte.

    Three ideas. Equal chunks are kept once, with their number. A merge touches only the chunks that hold the
    pair, so only their pairs are counted again. The commonest pair comes from a heap whose entries may be out
    of date: once a pair is made its count only falls, so an old entry is put back with the new count.
    """
    vocabulary = _bytes(vocab_size)
    occurrences = Counter(split(text, pattern))
    weights = list(occurrences.values())
    chunks: list[list[int]] = [list(chunk.encode()) for chunk in occurrences]

    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)  # chunks that hold the pair, or once held it
    for index, (ids, weight) in enumerate(zip(chunks, weights, strict=True)):
        for pair in pairwise(ids):
            counts[pair] += weight
            where[pair].add(index)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)

    while len(vocabulary) < vocab_size:
        commonest = _pop_commonest(heap, counts)
        if commonest is None:
            raise _too_little_text(vocab_size, len(vocabulary))
        pair = commonest
        new_id = len(vocabulary)
        vocabulary.append(vocabulary[pair[0]] + vocabulary[pair[1]])
        made = set()  # pairs that hold the new id
        for index in where.pop(pair):
            old, weight = chunks[index], weights[index]
            new = merge(old, pair, new_id)
            if len(new) == len(old):
                continue  # an earlier merge took this chunk's pair apart
            for neighbours in pairwise(old):
                counts[neighbours] -= weight
            for neighbours in pairwise(new):
                counts[neighbours] += weight
                if new_id in neighbours:
                    where[neighbours].add(index)
                    made.add(neighbours)
            chunks[index] = new
        for neighbours in made:
            heapq.heappush(heap, (-counts[neighbours], neighbours))
    return vocabulary


def _pop_commonest(heap: list[tuple[int, Pair]], counts: Mapping[Pair, int]) -> Pair | None:
    """The commonest pair, smallest ids first among equals; None when no pair occurs twice."""
    while heap:
        negative_count, pair = heapq.heappop(heap)
        if -negative_count == counts[pair]:
            return pair if counts[pair] >= 2 else None
        if counts[pair] >= 2:
            heapq.heappush(heap, (-counts[pair], pair))
    return None


def encode_chunk(chunk: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """The ids of one chunk: join the neighbours whose joint token has the lowest rank, until none has one.

    Joining by rank replays the merges in the order in which training made them.
    """
    parts = [chunk[i : i + 1] for i in range(len(chunk))]
    while len(parts) > 1:
        joined = [ranks.get(left + right) for left, right in pairwise(parts)]
        lowest = min((rank for rank in joined if rank is not None), default=None)
        if lowest is None:
            break
        position = joined.index(lowest)
        parts[position : position + 2] = [parts[position] + parts[position + 1]]
    return [ranks[part] for part in parts]


def _bytes(vocab_size: int) -> list[bytes]:
    if vocab_size < 256:
        raise ValueError(f"vocab_size={vocab_size} is too small: the 256 bytes come first; use 256 or more")
    return [bytes([value]) for value in range(256)]


def _too_little_text(vocab_size: int, reached: int) -> ValueError:
    return ValueError(
        f"vocab_size={vocab_size} cannot be reached: after {reached} tokens no pair of neighbours "
        f"occurs twice; use vocab_size={reached} or less, or give more text"
    )


def write_ranks(vocabulary: Sequence[bytes]) -> bytes:
    """tiktoken's text format: a line a token, its bytes in base64 and its rank."""
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(vocabulary))


def read_ranks(path: str | Path) -> list[bytes]:
    """The bytes of each token, by rank, from tiktoken's format. Raises ValueError naming the line."""
    vocabulary: list[bytes] = []
    for rank, line in enumerate(Path(path).read_bytes().splitlines()):
        try:
            token, number = line.split()
            vocabulary.append(base64.b64decode(token, validate=True))
            in_order = int(number) == rank
        except ValueError:
            in_order = False
        if not in_order:
            raise ValueError(
                f"{path}, line {rank + 1}: expected base64 and the rank {rank}, found {line[:60]!r}"
            )
    return vocabulary
