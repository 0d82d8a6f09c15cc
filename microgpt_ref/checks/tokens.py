"""What the exercises of chapter 1 call: text into numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from microgpt_ref import _bpe
from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Pair = tuple[int, int]
Ranks = dict[bytes, int]


def draw(g: np.random.Generator, letters: Sequence[str], longest: int, shortest: int = 1) -> str:
    """A random string of these letters."""
    return "".join(g.choice(list(letters), size=g.integers(shortest, longest + 1)))


# 1. What a text costs


@exercise("01.token_cost")
def token_cost(per: int = 100) -> Exercise:
    def case(name: str, letters: str, shortest: int, longest: int) -> Case:
        def make(g: np.random.Generator) -> tuple[str, list[int]]:
            text = draw(g, letters, longest, shortest)
            ids = list(text.encode())
            joined = int(g.integers(0, len(ids) // 2 + 1))  # as if so many pairs had become one token
            return text, [int(i) for i in g.choice(ids, size=len(ids) - joined)]

        return Case(name, make)

    def three(tokens: int) -> Case:  # thirds: cutting and rounding differ for one of them, whatever `per` is
        def make(g: np.random.Generator) -> tuple[str, list[int]]:
            return draw(g, "abcdé", 3, 3), [int(i) for i in g.integers(0, 400, tokens)]

        return Case(f"three characters, tokens: {tokens}", make)

    return Exercise(
        reference=lambda text, ids: per * sum(1 for _ in ids) / sum(1 for _ in text),
        cases=(
            case("one letter", "abc", 1, 1),
            case("one character of two bytes", "éяñü", 1, 1),
            three(1),
            three(2),
            case("a word", "abcde", 4, 9),
            case("accents and other scripts", "aéя水🙂", 6, 12),
            case("a sentence", "abc é", 30, 40),
            case("a long text", "abcde яω", 2 * per + 20, 2 * per + 60),
        ),
        mistakes={
            "bytes": Mistake(
                "you divide by the bytes of the text; a character such as é is one character, but two bytes",
                lambda text, ids: per * len(ids) / len(text.encode()),
            ),
            "upside_down": Mistake(
                "you count characters for each token; tokens for each character are asked for",
                lambda text, ids: per * len(text) / len(ids),
            ),
            "upside_down_all": Mistake(
                "the fraction stands upside down: the number of tokens belongs on top",
                lambda text, ids: len(text) / (per * len(ids)),
            ),
            "no_per": Mistake(
                f"this is the cost of one character; that of {per} is asked for",
                lambda text, ids: len(ids) / len(text),
            ),
            "divided_by_per": Mistake(
                f"you divide by {per}; more characters cost more, so the cost of one is multiplied",
                lambda text, ids: len(ids) / len(text) / per,
            ),
            "whole": Mistake(
                "your result is cut down to a whole number; // throws the rest away",
                lambda text, ids: float(per * len(ids) // len(text)),
            ),
            "rounded": Mistake(
                "your result is rounded to a whole number",
                lambda t, ids: float(round(per * len(ids) / len(t))),
            ),
            "different_tokens": Mistake(
                "you count each token once; a token that comes twice costs twice",
                lambda text, ids: per * len(set(ids)) / len(text),
            ),
            "different_characters": Mistake(
                "you count each character of the text once, however often it stands there",
                lambda text, ids: per * len(ids) / len(set(text)),
            ),
            "sum_of_ids": Mistake(
                "you add the ids up; an id is a name, and their number is what counts",
                lambda text, ids: per * sum(ids) / len(text),
            ),
            "without_spaces": Mistake(
                "you leave the spaces out; a space is a character too",
                lambda text, ids: per * len(ids) / max(len(text.replace(" ", "")), 1),
            ),
        },
    )


# 2. One merge step


def commonest(ids: Sequence[int], tie: Callable[[Pair, int], object] | None = None) -> Pair:
    """The commonest pair. tie: of a pair and the place where it first stands; the smallest wins."""
    counts, first = Counter(pairwise(ids)), dict[Pair, int]()
    for place, pair in enumerate(pairwise(ids)):
        first.setdefault(pair, place)
    return min(counts, key=lambda pair: (-counts[pair], tie(pair, first[pair]) if tie else pair))


def replaced(ids: Sequence[int], pair: Pair, new_id: int, most: int = -1) -> list[int]:
    """The pair replaced by Python's own search, on characters that stand for ids; it goes from the left."""
    text = "".join(map(chr, ids)).replace("".join(map(chr, pair)), chr(new_id), most)
    return [ord(character) for character in text]


@probe("no two ids are lost or made")
def spells_the_same(got: object, ids: list[int], new_id: int) -> str | None:
    if not isinstance(got, list | tuple) or len(got) != 2 or not isinstance(got[0], list):
        return None
    after, pair = got
    spelled = [i for token in after for i in (pair if token == new_id else [token])]
    return None if spelled == ids else f"the merged list spells {spelled}, and not the ids it came from"


@exercise("01.merge_step")
def merge_step() -> Exercise:
    def step(ids: list[int], new_id: int) -> tuple[list[int], Pair]:
        return replaced(ids, commonest(ids), new_id), commonest(ids)

    def chosen_by(tie: Callable[[Pair, int], object]) -> Callable[..., object]:
        return lambda ids, new_id: (replaced(ids, commonest(ids, tie), new_id), commonest(ids, tie))

    def merged_by(merge: Callable[[list[int], Pair, int], list[int]]) -> Callable[..., object]:
        return lambda ids, new_id: (merge(ids, commonest(ids), new_id), commonest(ids))

    def from_the_right(ids: list[int], pair: Pair, new_id: int) -> list[int]:
        return replaced(ids[::-1], pair[::-1], new_id)[::-1]

    def second_stays(ids: list[int], pair: Pair, new_id: int) -> list[int]:
        return [new_id if two == pair else two[0] for two in pairwise(ids)] + ids[-1:]

    def last_lost(ids: list[int], pair: Pair, new_id: int) -> list[int]:
        whole = replaced(ids, pair, new_id)
        return whole if whole[-1] == new_id else whole[:-1]

    def either_order(ids: list[int], pair: Pair, new_id: int) -> list[int]:
        merged: list[int] = []
        for token in ids:
            if merged and {merged[-1], token} == set(pair) and (merged[-1] != token or pair[0] == pair[1]):
                merged[-1] = new_id
            else:
                merged.append(token)
        return merged

    def rarest(ids: list[int], new_id: int) -> tuple[list[int], Pair]:
        counts = Counter(pairwise(ids))
        pair = min(counts, key=lambda pair: (counts[pair], pair))
        return replaced(ids, pair, new_id), pair

    def without_overlap(ids: list[int], new_id: int) -> tuple[list[int], Pair]:
        counts = {pair: len(ids) - len(replaced(ids, pair, new_id)) for pair in pairwise(ids)}
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        return replaced(ids, pair, new_id), pair

    def case(name: str, pattern: str, most: int = 256) -> Case:
        """A list in which equal letters are equal ids; ids rise in the order of the alphabet."""

        def make(g: np.random.Generator) -> tuple[list[int], int]:
            ids = np.sort(g.choice(most, size=6, replace=False))
            return [int(ids["abcdef".index(letter)]) for letter in pattern], int(g.integers(most, most + 99))

        return Case(name, make)

    def longer(g: np.random.Generator) -> tuple[list[int], int]:
        ids = np.sort(g.choice(300, size=4, replace=False))
        return [int(i) for i in g.choice(ids, size=int(g.integers(15, 30)))], 300

    return Exercise(
        reference=step,
        cases=(
            case("two ids", "ba"),
            case("three ids, a tie", "cab"),
            case("three equal ids", "aaa"),
            case("a pair and one id more", "abc"),
            case("a tie of pairs that stand twice", "cbacbacd"),
            case("a tie of pairs with the same first id", "acdabeacdab"),
            case("both orders of a pair", "abacadbae"),
            case("a run of equal ids", "ababccccd"),
            case("ids of earlier merges", "eabfabeab", 400),
            Case("a longer list", longer),
        ),
        mistakes={
            "ids_only": Mistake(
                "you return the list alone; the pair that was merged is the second result",
                lambda ids, new_id: step(ids, new_id)[0],
            ),
            "pair_first": Mistake(
                "your two results come in the wrong order: first the list, then the pair",
                lambda ids, new_id: step(ids, new_id)[::-1],
            ),
            "first_seen": Mistake(
                "among equally common pairs you take the first seen, not the one with smaller ids",
                chosen_by(lambda pair, place: place),
            ),
            "last_seen": Mistake(
                "among equally common pairs you take the last seen, not the one with smaller ids",
                chosen_by(lambda pair, place: -place),
            ),
            "larger_ids": Mistake(
                "among equally common pairs you take the larger ids; `max` of (count, pair) does that",
                chosen_by(lambda pair, place: (-pair[0], -pair[1])),
            ),
            "first_id_only": Mistake(
                "a tie is decided by the first id of the pair alone; look at the second id too",
                chosen_by(lambda pair, place: (pair[0], place)),
            ),
            "rarest": Mistake("you merge the rarest pair, not the commonest", rarest),
            "no_overlap": Mistake(
                "you count only pairs that do not overlap; in a, a, a the pair (a, a) stands twice",
                without_overlap,
            ),
            "once": Mistake(
                "only the first place where the pair stands is merged",
                merged_by(lambda ids, pair, new_id: replaced(ids, pair, new_id, most=1)),
            ),
            "second_stays": Mistake(
                "the second id of the pair stays behind the new id: after a merge jump over both",
                merged_by(second_stays),
            ),
            "last_lost": Mistake(
                "the last id is lost when no pair ends there; does your loop stop one place too early?",
                merged_by(last_lost),
            ),
            "from_the_right": Mistake(
                "you merge from right to left; in a, a, a the first two are joined",
                merged_by(from_the_right),
            ),
            "either_order": Mistake(
                "you merge the pair in the other order too; (b, a) is not (a, b)", merged_by(either_order)
            ),
        },
        probes=(spells_the_same,),
    )


# 3. Tokens that cross a border


ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def kind(character: str) -> str:
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "digit"}.get(unicodedata.category(character)[0], "sign")


def one_chunk(text: str) -> bool:
    """GPT-2's pattern told in words: one ending, or blanks, or a run of one kind with a space before it."""
    if text in ENDINGS or all(kind(c) == "space" for c in text):
        return True
    body = text.removeprefix(" ")
    return len({kind(c) for c in body}) == 1 and kind(body[0]) != "space"


def crossing_by(crosses: Callable[[str], bool]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda tokens: [token for token in tokens if crosses(token.decode())]


@exercise("01.crossing")
def crossing() -> Exercise:
    def case(name: str, *forms: str) -> Case:
        """Tokens of these forms in random order; w stands for English letters, é for others, 0 for digits."""

        def make(g: np.random.Generator) -> tuple[list[bytes]]:
            letters = {"w": "abcmpqxyz", "é": "éñüяжω", "0": "0123456789"}
            made = ["".join(draw(g, letters[c], 4, 2) if c in letters else c for c in form) for form in forms]
            return ([made[i].encode() for i in g.permutation(len(made))[: max(1, len(made) - 1)]],)

        return Case(name, make)

    def pieces(pattern: str) -> Callable[[str], bool]:
        return lambda text: len(re.findall(pattern, text)) > 1

    right = crossing_by(lambda text: not one_chunk(text))
    return Exercise(
        reference=right,
        cases=(
            Case("no tokens", lambda g: ([],)),
            case("one token", " w", "w "),
            case("a space in front or behind", " w", "w ", " ww", "www "),
            case("two words", "w w", " w w", "w", " w", "www"),
            case("digits", " 0", "00", "0w", "w0", "0"),
            case("signs", ".", " .", "?!", "w.", " w,", '."', "!", ","),
            case("other scripts", "é", " é", "wé", "é ", " wé", "éw", " éw"),
            case("endings", "'s", "'ll", "w's", " w'd", "'re", "w't", "'m", "'d"),
            case("blanks", "  ", "  w", "\n", " \n", ".\n", "\n\n", "   ", "  0", "   w"),
        ),
        mistakes={
            "the_others": Mistake(
                "you keep the tokens that do not cross a border; the others are asked for",
                crossing_by(one_chunk),
            ),
            "any_space": Mistake(
                "you look for a space; but a space in front of a word belongs to its chunk, "
                "and a border may stand where there is no space",
                crossing_by(lambda text: " " in text),
            ),
            "inner_space": Mistake(
                "you look for a space behind the first character; there are borders without a space too, "
                "as between a word and a full stop",
                crossing_by(lambda text: " " in text[1:]),
            ),
            "words": Mistake(
                "you count words; a border also stands between a word and the space behind it, "
                "and between letters, digits and signs",
                crossing_by(lambda text: len(text.split()) > 1),
            ),
            "not_letters": Mistake(
                "you call all that is not letters a crossing; numbers and signs have chunks of their own",
                crossing_by(lambda text: not text.removeprefix(" ").isalpha()),
            ),
            "ascii": Mistake(
                "your letters are only those of English; é and я are letters too",
                crossing_by(
                    pieces(r"'s|'t|'re|'ve|'m|'ll|'d| ?[a-zA-Z]+| ?[0-9]+| ?[^\sa-zA-Z0-9]+|\s+(?!\S)|\s+")
                ),
            ),
            "space_alone": Mistake(
                "you cut the space off the word behind it; a chunk may begin with one space",
                crossing_by(lambda text: not one_chunk(text) or (text[0] == " " and text.strip() != "")),
            ),
            "letters_and_digits": Mistake(
                "you take letters and digits for one kind; the pattern cuts between them",
                crossing_by(lambda text: not one_chunk(text) and not text.removeprefix(" ").isalnum()),
            ),
            "no_endings": Mistake(
                "you cut endings such as 's in two; the pattern names them as chunks",
                crossing_by(lambda text: not one_chunk(text) or text in ENDINGS),
            ),
            "truths": Mistake(
                "you return True or False for each token; return the tokens that cross a border",
                lambda tokens: [not one_chunk(token.decode()) for token in tokens],
            ),
            "places": Mistake(
                "you return the places of the tokens in the list; return the tokens themselves",
                lambda tokens: [i for i, token in enumerate(tokens) if not one_chunk(token.decode())],
            ),
            "strings": Mistake(
                "you return text; the tokens came as bytes and should stay bytes",
                lambda tokens: [token.decode() for token in right(tokens)],
            ),
            "chunks": Mistake(
                "you return the chunks; the whole tokens are asked for",
                lambda tokens: [
                    chunk.encode() for token in right(tokens) for chunk in _bpe.split(token.decode())
                ],
            ),
        },
    )


# 4. Doubling


@exercise("01.doubling")
def doubling(unit: int = 3) -> Exercise:
    def trained(copies: int, merges: int) -> int:
        """The experiment itself: train on the text and count its tokens."""
        ids = list(range(unit)) * copies
        for new_id in range(unit, unit + merges):
            ids = replaced(ids, commonest(ids), new_id)
        return len(ids)

    def doubled(copies: int, times: int) -> int:
        """Tokens after so many doublings: the whole ones, and one for each binary digit that is left over."""
        return (copies >> times) + (copies % (1 << times)).bit_count()

    def left(copies: int, merges: int, first: int = unit - 1) -> int:
        return copies * (unit - merges) if merges < first else doubled(copies, merges - first)

    def case(name: str, merges: Callable[[np.random.Generator], int]) -> Case:
        def make(g: np.random.Generator) -> tuple[int, int]:
            m = merges(g)
            # odd numbers with many binary digits of one, so that something is left over; enough for no tie
            return int(8 * (1 << max(m - unit + 1, 1)) * g.integers(1, 3) - 1 - 4 * g.integers(0, 2)), m

        return Case(name, make)

    return Exercise(
        reference=trained,
        cases=(
            case("no merge", lambda g: 0),
            case("one merge", lambda g: 1),
            case("each copy is one token", lambda g: unit - 1),
            case("the first doubling", lambda g: unit),
            case("two doublings", lambda g: unit + 1),
            case("more merges", lambda g: unit + int(g.integers(2, 4))),
        ),
        mistakes={
            "one_token_each": Mistake(
                "you let each merge remove one token; it joins its pair at all places at once",
                lambda copies, merges: unit * copies - merges,
            ),
            "grows_by_one": Mistake(
                "you let the longest token grow by one letter a merge; "
                "once a copy is one token, two copies are the commonest pair",
                lambda copies, merges: -(-unit * copies // (merges + 1)),
            ),
            "no_doubling": Mistake(
                "you stop when each copy is one token; then two neighbouring copies are the commonest pair",
                lambda copies, merges: copies * max(unit - merges, 1),
            ),
            "halved_at_once": Mistake(
                f"you let tokens double from the first merge on; {unit} letters need {unit - 1} merges "
                "to become one token",
                lambda copies, merges: left(copies, merges, 0),
            ),
            "one_late": Mistake(
                f"your doubling begins one merge too late: {unit} letters need {unit - 1} merges, not {unit}",
                lambda copies, merges: left(copies, merges, unit),
            ),
            "left_over_lost": Mistake(
                "you lose what is left over when the number of tokens is odd: it stays as a token of its own",
                lambda copies, merges: (
                    left(copies, merges) if merges < unit else copies >> (merges - unit + 1)
                ),
            ),
            "one_left_over": Mistake(
                "you count one token for all that is left over; "
                "each time the number is odd another, shorter one is left",
                lambda copies, merges: (
                    left(copies, merges) if merges < unit else -(-copies >> (merges - unit + 1))
                ),
            ),
            "text_halved": Mistake(
                "you halve the whole text at every merge, also while the letters of one copy are joined",
                lambda copies, merges: unit * copies >> merges,
            ),
            "length": Mistake(
                "this is the number of letters in the longest token; the tokens of the text are asked for",
                lambda copies, merges: unit << (merges - unit + 1) if merges >= unit else merges + 1,
            ),
        },
    )


# 5. Encode by ranks


def joined(
    chunk: bytes, ranks: Mapping[bytes, int], choose: Callable[[list[bytes], list[int]], int]
) -> list[bytes]:
    """Join the neighbours at the place that `choose` names, of those whose sum has a rank, until none has."""
    pieces = [bytes([value]) for value in chunk]
    while places := [t for t, (a, b) in enumerate(pairwise(pieces)) if a + b in ranks]:
        t = choose(pieces, places)
        pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]
    return pieces


def longest_first(chunk: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    pieces = []
    while chunk:
        size = next(n for n in range(len(chunk), 0, -1) if chunk[:n] in ranks)
        pieces.append(chunk[:size])
        chunk = chunk[size:]
    return pieces


@probe("the tokens spell the chunk")
def spells_the_chunk(got: object, chunk: bytes, ranks: Ranks) -> str | None:
    tokens = {rank: token for token, rank in ranks.items()}
    if not isinstance(got, list) or not all(type(i) is int for i in got):
        return None
    unknown = [i for i in got if i not in tokens]
    if unknown:
        return f"{unknown[0]} is not an id: no token has this rank"
    spelled = b"".join(tokens[i] for i in got)
    return None if spelled == chunk else f"your tokens spell {spelled!r}, not {chunk!r}"


@exercise("01.encode_by_ranks")
def encode_by_ranks() -> Exercise:
    def by_tiktoken(chunk: bytes, ranks: Ranks) -> list[int]:
        import tiktoken

        everything = {**ranks, **{bytes([v]): 1000 + v for v in range(256) if bytes([v]) not in ranks}}
        encoding = tiktoken.Encoding("ranks", pat_str="(?s).+", mergeable_ranks=everything, special_tokens={})
        return list(encoding._encode_single_piece(chunk))

    def ids(cut: Callable[[bytes, Ranks], list[bytes]]) -> Callable[[bytes, Ranks], list[int]]:
        return lambda chunk, ranks: [ranks[piece] for piece in cut(chunk, ranks)]

    def choosing(
        choose: Callable[[Ranks, list[bytes], int], int | tuple[int, ...]],
    ) -> Callable[[bytes, Ranks], list[int]]:
        """Join where `choose` of the ranks, the pieces and the place is smallest."""
        return ids(
            lambda chunk, ranks: joined(
                chunk, ranks, lambda pieces, places: min(places, key=lambda t: choose(ranks, pieces, t))
            )
        )

    def one_join(chunk: bytes, ranks: Ranks) -> list[bytes]:
        pieces = [bytes([value]) for value in chunk]
        places = [t for t, (a, b) in enumerate(pairwise(pieces)) if a + b in ranks]
        if places:
            t = min(places, key=lambda t: ranks[pieces[t] + pieces[t + 1]])
            pieces[t : t + 2] = [pieces[t] + pieces[t + 1]]
        return pieces

    mistakes = {
        "bytes_only": Mistake(
            "nothing is joined: these are the ids of the single bytes",
            lambda chunk, ranks: [ranks[bytes([value])] for value in chunk],
        ),
        "one_join": Mistake("you join one pair and stop; repeat until no pair has a rank", ids(one_join)),
        "longest_first": Mistake(
            "you take the longest token that fits from the left; the lowest rank comes first, wherever it is",
            ids(longest_first),
        ),
        "first_pair": Mistake(
            "you join the first pair that you meet; look at all neighbours, then join the lowest rank",
            choosing(lambda ranks, pieces, t: t),
        ),
        "highest_rank": Mistake(
            "you join the pair with the highest rank; the lowest was learned first",
            choosing(lambda ranks, pieces, t: (-ranks[pieces[t] + pieces[t + 1]], t)),
        ),
        "ranks_of_parts": Mistake(
            "you compare the ranks of the two parts; the rank of what they become decides",
            choosing(lambda ranks, pieces, t: (ranks[pieces[t]] + ranks[pieces[t + 1]], t)),
        ),
        "from_the_right": Mistake(
            "where the same pair stands twice you join the right one; begin with the left",
            choosing(lambda ranks, pieces, t: (ranks[pieces[t] + pieces[t + 1]], -t)),
        ),
        "pieces": Mistake(
            "you return the pieces; look up the rank of each, that is its id",
            lambda chunk, ranks: joined(
                chunk,
                ranks,
                lambda pieces, places: min(places, key=lambda t: ranks[pieces[t] + pieces[t + 1]]),
            ),
        ),
    }

    def trained(g: np.random.Generator, letters: str, merges: int) -> Ranks:
        """Ranks from BPE on random letters, so that later tokens are made of earlier ones."""
        ids = list(draw(g, letters, 120, 100).encode())
        tokens = {value: bytes([value]) for value in letters.encode()}
        for new_id in range(256, 256 + merges):
            pair = commonest(ids)
            ids, tokens[new_id] = replaced(ids, pair, new_id), tokens[pair[0]] + tokens[pair[1]]
        return {token: rank for rank, token in enumerate(dict.fromkeys(tokens.values()))}

    def trained_chunk(g: np.random.Generator) -> tuple[bytes, Ranks]:
        return draw(g, "abc", 24, 12).encode(), trained(g, "abc", 14)

    def case(name: str, chunk: str, *tokens: str) -> Case:
        """a, b, c stand for random letters."""

        def make(g: np.random.Generator) -> tuple[bytes, Ranks]:
            table = str.maketrans("abc", draw(g, "defghijkl", 3, 3))
            while len(set(table.values())) < 3:
                table = str.maketrans("abc", draw(g, "defghijkl", 3, 3))
            first = int(g.integers(0, 50))
            names = ["a", "b", "c", *tokens]
            return chunk.translate(table).encode(), {
                name.translate(table).encode(): first + i for i, name in enumerate(names)
            }

        return Case(name, make)

    return Exercise(
        reference=by_tiktoken,
        cases=(
            case("one byte", "a", "ab"),
            case("nothing to join", "cba", "ab"),
            case("one join", "cab", "ab"),
            case("two joins", "abab", "ab"),
            case("a join of joins", "abc", "ab", "abc"),
            case("the lowest rank stands last", "abc", "bc", "ab"),
            case("the lowest rank stands first", "abc", "ab", "bc"),
            case("the letters' own ranks mislead", "bca", "bc", "ca"),
            case("the same pair twice", "aaa", "aa"),
            case("a long token that is out of reach", "abcca", "ab", "bc", "bcc", "abcc"),
            Case("a longer chunk", trained_chunk),
            Case("letters of many bytes", lambda g: (draw(g, "éя水", 5, 3).encode(), _bytes_and(g))),
        ),
        mistakes=mistakes,
        probes=(spells_the_chunk,),
    )


def _bytes_and(g: np.random.Generator) -> Ranks:
    """The bytes of three letters in random order, then two of their pairs."""
    values = sorted(set("éя水".encode()))
    names = [bytes([values[i]]) for i in g.permutation(len(values))]
    return {token: rank for rank, token in enumerate([*names, "é".encode(), "水".encode()[:2], "я".encode()])}
