"""Wrong answers to the exercises of chapter 1."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise

import regex

from microgpt_ref.tokenizers import GPT2_PATTERN
from tests.checks.answers import wrong


@wrong("01.token_cost", "bytes")
def cost_of_bytes(text, ids):
    return 100 * len(ids) / len(bytes(text, "utf-8"))


@wrong("01.token_cost", "upside_down")
def characters_per_token(text, ids):
    return 100 * (len(text) / len(ids))


@wrong("01.token_cost", "no_per")
def cost_of_one(text, ids):
    characters = 0
    for _ in text:
        characters += 1
    return len(ids) / characters


@wrong("01.token_cost", "divided_by_per")
def hundredths(text, ids):
    return len(ids) / (len(text) * 100)


@wrong("01.token_cost", "whole")
def floor_division(text, ids):
    return (len(ids) * 100) // len(text) * 1.0


@wrong("01.token_cost", "different_tokens")
def vocabulary_used(text, ids):
    return len(Counter(ids)) / len(text) * 100


@wrong("01.token_cost", "different_characters")
def alphabet_used(text, ids):
    alphabet = sorted(set(text))
    return len(ids) / len(alphabet) * 100


@wrong("01.token_cost", "sum_of_ids")
def added_ids(text, ids):
    total = 0
    for i in ids:
        total += i
    return total / len(text) * 100


@wrong("01.token_cost", "without_spaces")
def letters_only(text, ids):
    letters = [character for character in text if character != " "]
    return 100 * len(ids) / (len(letters) or 1)


@wrong("01.token_cost")
def per_word(text, ids):
    return 100 * len(ids) / max(len(text.split()), 1)


def counts_of(ids):
    counts = defaultdict(int)
    for a, b in pairwise(ids):
        counts[a, b] += 1
    return counts


def smallest_of_commonest(ids):
    counts = counts_of(ids)
    most = max(counts.values())
    return min(pair for pair in counts if counts[pair] == most)


def rewritten(ids, pair, new_id):
    result = []
    skip = False
    for t in range(len(ids)):
        if skip:
            skip = False
        elif (ids[t], *ids[t + 1 : t + 2]) == pair:
            result.append(new_id)
            skip = True
        else:
            result.append(ids[t])
    return result


@wrong("01.merge_step", "first_seen")
def counters_favourite(ids, new_id):
    pair, _ = Counter(pairwise(ids)).most_common(1)[0]
    return rewritten(ids, pair, new_id), pair


@wrong("01.merge_step", "larger_ids")
def max_of_both(ids, new_id):
    pair = max((count, pair) for pair, count in counts_of(ids).items())[1]
    return rewritten(ids, pair, new_id), pair


@wrong("01.merge_step", "first_id_only")
def tie_by_the_first_id(ids, new_id):
    counts = counts_of(ids)
    pair = sorted(counts, key=lambda p: (-counts[p], p[0]))[0]
    return rewritten(ids, pair, new_id), pair


@wrong("01.merge_step", "second_stays")
def without_a_jump(ids, new_id):
    pair, out, t = smallest_of_commonest(ids), [], 0
    while t < len(ids):
        out.append(new_id if tuple(ids[t : t + 2]) == pair else ids[t])
        t += 1
    return out, pair


@wrong("01.merge_step", "last_lost")
def loop_to_the_last_but_one(ids, new_id):
    pair, out, t = smallest_of_commonest(ids), [], 0
    while t < len(ids) - 1:
        if (ids[t], ids[t + 1]) == pair:
            out.append(new_id)
            t += 2
        else:
            out.append(ids[t])
            t += 1
    return out, pair


@wrong("01.merge_step", "raised")
def looks_past_the_end(ids, new_id):
    pair, out, t = smallest_of_commonest(ids), [], 0
    while t < len(ids):
        if (ids[t], ids[t + 1]) == pair:
            out.append(new_id)
            t += 2
        else:
            out.append(ids[t])
            t += 1
    return out, pair


@wrong("01.merge_step", "once")
def first_place_only(ids, new_id):
    pair = smallest_of_commonest(ids)
    t = next(t for t in range(len(ids)) if tuple(ids[t : t + 2]) == pair)
    return [*ids[:t], new_id, *ids[t + 2 :]], pair


@wrong("01.merge_step", "from_the_right")
def backwards(ids, new_id):
    pair, out, t = smallest_of_commonest(ids), list(ids), len(ids) - 2
    while t >= 0:
        if tuple(out[t : t + 2]) == pair:
            out[t : t + 2] = [new_id]
            t -= 1
        t -= 1
    return out, pair


@wrong("01.merge_step", "no_overlap")
def counted_with_a_jump(ids, new_id):
    counts = dict.fromkeys(pairwise(ids), 0)
    for pair in counts:
        t = 0
        while t < len(ids) - 1:
            if tuple(ids[t : t + 2]) == pair:
                counts[pair] += 1
                t += 1
            t += 1
    pair = min(counts, key=lambda p: (-counts[p], p))
    return rewritten(ids, pair, new_id), pair


@wrong("01.merge_step", "either_order")
def sets_of_two(ids, new_id):
    pair, out, t = smallest_of_commonest(ids), [], 0
    while t < len(ids):
        if sorted(ids[t : t + 2]) == sorted(pair):
            out.append(new_id)
            t += 2
        else:
            out.append(ids[t])
            t += 1
    return out, pair


@wrong("01.merge_step", "ids_only")
def list_alone(ids, new_id):
    return rewritten(ids, smallest_of_commonest(ids), new_id)


@wrong("01.merge_step", "pair_first")
def results_exchanged(ids, new_id):
    pair = smallest_of_commonest(ids)
    return pair, rewritten(ids, pair, new_id)


@wrong("01.merge_step", "changed_arguments")
def merges_in_place(ids, new_id):
    pair, t = smallest_of_commonest(ids), 0
    while t < len(ids) - 1:
        if (ids[t], ids[t + 1]) == pair:
            ids[t] = new_id
            del ids[t + 1]
        t += 1
    return ids, pair


@wrong("01.crossing", "any_space")
def with_a_space(tokens):
    return [token for token in tokens if 32 in token]


@wrong("01.crossing", "inner_space")
def space_after_the_start(tokens):
    return [token for token in tokens if token.decode().find(" ", 1) > 0]


@wrong("01.crossing", "words")
def two_words(tokens):
    return [token for token in tokens if len(token.split()) >= 2]


@wrong("01.crossing", "not_letters")
def other_than_letters(tokens):
    return [token for token in tokens if not regex.fullmatch(r" ?\p{L}+", token.decode())]


@wrong("01.crossing", "ascii")
def pattern_for_re(tokens):
    pattern = GPT2_PATTERN.replace(r"\p{L}", "A-Za-z").replace(r"\p{N}", "0-9")
    pattern = pattern.replace(" ?A-Za-z+", " ?[A-Za-z]+").replace(" ?0-9+", " ?[0-9]+")
    return [token for token in tokens if len(re.findall(pattern, token.decode())) > 1]


@wrong("01.crossing", "space_alone")
def pattern_without_spaces(tokens):
    pattern = GPT2_PATTERN.replace(" ?", "")
    return [token for token in tokens if len(regex.findall(pattern, token.decode())) > 1]


@wrong("01.crossing", "letters_and_digits")
def word_characters(tokens):
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return [token for token in tokens if len(regex.findall(pattern, token.decode())) > 1]


@wrong("01.crossing", "no_endings")
def pattern_without_endings(tokens):
    pattern = GPT2_PATTERN.removeprefix("'s|'t|'re|'ve|'m|'ll|'d|")
    return [token for token in tokens if len(regex.findall(pattern, token.decode())) > 1]


@wrong("01.crossing", "the_others")
def one_chunk_only(tokens):
    return [token for token in tokens if len(regex.findall(GPT2_PATTERN, token.decode())) == 1]


@wrong("01.crossing", "truths")
def yes_and_no(tokens):
    return [len(regex.findall(GPT2_PATTERN, token.decode())) > 1 for token in tokens]


@wrong("01.crossing", "strings")
def decoded(tokens):
    texts = [token.decode() for token in tokens]
    return [text for text in texts if len(regex.findall(GPT2_PATTERN, text)) > 1]


@wrong("01.crossing", "raised")
def pattern_on_bytes(tokens):
    return [token for token in tokens if len(regex.findall(GPT2_PATTERN, token)) > 1]


@wrong("01.doubling", "one_token_each")
def one_less_for_each(copies, merges):
    tokens = 3 * copies
    for _ in range(merges):
        tokens -= 1
    return tokens


@wrong("01.doubling", "grows_by_one")
def a_letter_for_each_merge(copies, merges):
    whole, rest = divmod(3 * copies, 1 + merges)
    return whole + (rest > 0)


@wrong("01.doubling", "no_doubling")
def stops_at_copies(copies, merges):
    return {0: 3 * copies, 1: 2 * copies}.get(merges, copies)


@wrong("01.doubling", "halved_at_once")
def binary_from_the_start(copies, merges):
    if merges == 0:
        return copies
    return copies // 2**merges + bin(copies % 2**merges).count("1")


@wrong("01.doubling", "text_halved")
def half_of_the_text(copies, merges):
    tokens = 3 * copies
    for _ in range(merges):
        tokens //= 2
    return tokens


@wrong("01.doubling", "one_late")
def three_merges_for_three_letters(copies, merges):
    if merges < 3:
        return copies * (3 - merges)
    k = merges - 3
    return copies // 2**k + bin(copies % 2**k).count("1")


@wrong("01.doubling", "left_over_lost")
def rounded_down(copies, merges):
    tokens = copies * max(3 - merges, 1)
    for _ in range(merges - 2):
        tokens = tokens // 2
    return tokens


@wrong("01.doubling", "one_left_over")
def rounded_up(copies, merges):
    tokens = copies * max(3 - merges, 1)
    for _ in range(merges - 2):
        tokens = (tokens + 1) // 2
    return tokens


@wrong("01.doubling", "dtype")
def true_division(copies, merges):
    return copies * (3 - merges) if merges < 3 else copies / 2 ** (merges - 2)


@wrong("01.doubling", "length")
def longest_token(copies, merges):
    return [1, 2, 3, 6, 12, 24, 48, 96, 192][merges]


def singles(chunk):
    return [chunk[t : t + 1] for t in range(len(chunk))]


@wrong("01.encode_by_ranks", "bytes_only")
def never_joined(chunk, ranks):
    return [ranks[piece] for piece in singles(chunk)]


@wrong("01.encode_by_ranks", "one_join")
def no_loop(chunk, ranks):
    pieces = singles(chunk)
    best = None
    for t in range(len(pieces) - 1):
        rank = ranks.get(pieces[t] + pieces[t + 1])
        if rank is not None and (best is None or rank < best[0]):
            best = rank, t
    if best is not None:
        t = best[1]
        pieces = [*pieces[:t], pieces[t] + pieces[t + 1], *pieces[t + 2 :]]
    return [ranks[piece] for piece in pieces]


@wrong("01.encode_by_ranks", "longest_first")
def greedy(chunk, ranks):
    ids, start = [], 0
    while start < len(chunk):
        end = len(chunk)
        while chunk[start:end] not in ranks:
            end -= 1
        ids.append(ranks[chunk[start:end]])
        start = end
    return ids


@wrong("01.encode_by_ranks", "first_pair")
def from_the_left(chunk, ranks):
    pieces, t = singles(chunk), 0
    while t + 1 < len(pieces):
        if pieces[t] + pieces[t + 1] in ranks:
            pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]
            t = 0
        else:
            t += 1
    return [ranks[piece] for piece in pieces]


def by_the_best(chunk, ranks, best, key):
    pieces = singles(chunk)
    while True:
        found = [
            (key(pieces[t], pieces[t + 1]), t)
            for t in range(len(pieces) - 1)
            if pieces[t] + pieces[t + 1] in ranks
        ]
        if not found:
            return pieces
        t = best(found)[1]
        pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]


@wrong("01.encode_by_ranks", "highest_rank")
def newest_token_first(chunk, ranks):
    pieces = by_the_best(chunk, ranks, min, lambda a, b: -ranks[a + b])
    return [ranks[piece] for piece in pieces]


@wrong("01.encode_by_ranks", "ranks_of_parts")
def smallest_parts(chunk, ranks):
    pieces = by_the_best(chunk, ranks, min, lambda a, b: ranks[a] + ranks[b])
    return [ranks[piece] for piece in pieces]


@wrong("01.encode_by_ranks", "from_the_right")
def max_of_negative_ranks(chunk, ranks):
    pieces = by_the_best(chunk, ranks, max, lambda a, b: -ranks[a + b])
    return [ranks[piece] for piece in pieces]


@wrong("01.encode_by_ranks", "pieces")
def tokens_for_ids(chunk, ranks):
    return by_the_best(chunk, ranks, min, lambda a, b: ranks[a + b])


@wrong("01.encode_by_ranks", "endless")
def waits_for_one_piece(chunk, ranks):
    pieces = singles(chunk)
    while len(pieces) > 1:
        for t in range(len(pieces) - 1):
            if pieces[t] + pieces[t + 1] in ranks:
                pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]
                break
    return [ranks[piece] for piece in pieces]


@wrong("01.encode_by_ranks", "raised")
def min_of_nothing(chunk, ranks):
    pieces = singles(chunk)
    while len(pieces) > 1:
        _, t = min((ranks[a + b], t) for t, (a, b) in enumerate(pairwise(pieces)) if a + b in ranks)
        pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]
    return [ranks[piece] for piece in pieces]
