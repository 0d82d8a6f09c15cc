"""Right answers to the exercises of chapter 1, written in other ways than the solutions."""

from __future__ import annotations

import heapq
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import regex
import torch

from microgpt_ref import _bpe
from microgpt_ref.tokenizers import GPT2_PATTERN
from tests.checks.answers import right


@right("01.token_cost", way="fractions")
def exactly(text, ids):
    return float(Fraction(100 * len(ids), len(text)))


@right("01.token_cost", way="numpy and code points")
def code_points(text, ids):
    return np.size(ids) / (len(text.encode("utf-32-le")) / 4) * 100


@right("01.merge_step", way="regular expressions on characters")
def on_characters(ids, new_id):
    counts = Counter(pairwise(ids))
    most = max(counts.values())
    pair = min(p for p, count in counts.items() if count == most)
    text = "".join(chr(i) for i in ids)
    wanted = regex.escape("".join(map(chr, pair)))
    return [ord(c) for c in regex.sub(wanted, chr(new_id), text)], pair


@right("01.merge_step", way="torch")
def with_torch(ids, new_id):
    x = torch.tensor(ids)
    pairs, counts = torch.stack([x[:-1], x[1:]], 1).unique(dim=0, return_counts=True)
    a, b = pairs[counts.argmax()].tolist()  # unique sorts, argmax takes the first
    out = []
    for token in ids:
        if out and (out[-1], token) == (a, b):
            out[-1] = new_id
        else:
            out.append(token)
    return out, (a, b)


@right("01.merge_step", way="the package")
def with_the_package(ids, new_id):
    counts = _bpe.count_pairs([ids])
    pair = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[0][0]
    return _bpe.merge(ids, pair, new_id), pair


@right("01.crossing", way="the first match")
def first_match(tokens):
    texts = [token.decode() for token in tokens]
    return [text.encode() for text in texts if len(regex.match(GPT2_PATTERN, text)[0]) < len(text)]


@right("01.crossing", way="the lengths of the chunks")
def by_lengths(tokens):
    crossing = []
    for token in tokens:
        lengths = [len(match[0]) for match in regex.finditer(GPT2_PATTERN, token.decode())]
        if max(lengths) < sum(lengths):
            crossing.append(token)
    return crossing


@right("01.doubling", way="training")
def by_training(copies, merges):
    ids = list(b"abc" * copies)
    for new_id in range(256, 256 + merges):
        counts = _bpe.count_pairs([ids])
        ids = _bpe.merge(ids, min(counts, key=lambda p: (-counts[p], p)), new_id)
    return len(ids)


@right("01.doubling", way="halving step by step")
def step_by_step(copies, merges):
    tokens_of_a_copy = max(3 - merges, 1)
    whole, left_over = copies, 0
    for _ in range(merges - 2):
        whole, odd = divmod(whole, 2)
        left_over += odd
    return tokens_of_a_copy * whole + left_over


@right("01.doubling", way="sum of binary digits")
def binary(copies, merges):
    k = max(merges - 2, 0)
    digits = format(copies, "b")
    tail = digits[-k:] if k else ""
    return max(3 - merges, 1) * (copies >> k) + tail.count("1")


@right("01.encode_by_ranks", way="a heap")
def with_a_heap(chunk, ranks):
    pieces = {t: chunk[t : t + 1] for t in range(len(chunk))}
    follows = {t: t + 1 for t in range(len(chunk))}
    heap = [(ranks[chunk[t : t + 2]], t, 2) for t in range(len(chunk) - 1) if chunk[t : t + 2] in ranks]
    heapq.heapify(heap)
    while heap:
        _, t, length = heapq.heappop(heap)
        after = follows.get(t)
        if t not in pieces or after not in pieces or len(pieces[t] + pieces[after]) != length:
            continue
        pieces[t] += pieces.pop(after)
        follows[t] = follows[after]
        for left in pieces:
            right_one = follows[left]
            if right_one in pieces and t in (left, right_one):
                both = pieces[left] + pieces[right_one]
                if both in ranks:
                    heapq.heappush(heap, (ranks[both], left, len(both)))
    return [ranks[pieces[t]] for t in sorted(pieces)]


@right("01.encode_by_ranks", way="one pass for each rank")
def rank_after_rank(chunk, ranks):
    pieces = [bytes([value]) for value in chunk]
    tokens = sorted(ranks, key=ranks.get)
    place = 0
    while place < len(tokens):
        token, joined, made = tokens[place], [], False
        for piece in pieces:
            if joined and not made and joined[-1] + piece == token:
                joined[-1] = token
                made = True
            else:
                joined.append(piece)
        pieces, place = joined, 0 if made else place + 1
    return [ranks[piece] for piece in pieces]


@right("01.encode_by_ranks", way="the package")
def by_the_package(chunk, ranks):
    return _bpe.encode_chunk(chunk, ranks)
