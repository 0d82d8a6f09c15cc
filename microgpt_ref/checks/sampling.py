"""What the exercises of chapter 12 call: sampling."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Array = NDArray[np.float64]
TYPES = {1: np.int8, 2: np.float16, 4: np.float32}

# 1. How many texts fit?


@exercise("12.texts_that_fit")
def texts_that_fit(size: int = 2) -> Exercise:
    def one_by_one(memory: int, parameters: int, N: int, n_kv_head: int, D: int, T: int) -> int:
        """Put in the weights, then one cache after the other; no array here holds its numbers."""
        number = np.zeros((), TYPES[size])
        free = memory - np.broadcast_to(number, parameters).nbytes
        cache = np.broadcast_to(number, (N, 2, n_kv_head, T, D)).nbytes
        texts = 0
        while free >= cache:
            free, texts = free - cache, texts + 1
        return texts

    def fit(
        memory: int, parameters: int, N: int, n_kv_head: int, D: int, T: int, *,
        both: int = 2, each: int = size, weight: int = size,
    ) -> int:  # fmt: skip
        return max(memory - weight * parameters, 0) // (both * N * T * n_kv_head * D * each)

    def case(name: str, texts: tuple[int, int], rest: tuple[float, float]) -> Case:
        """Memory for the weights, some texts and a share of one more; a share below zero: not even that."""

        def make(g: np.random.Generator) -> tuple[int, ...]:
            N, n_kv_head, T = (int(x) for x in g.integers(3, 9, size=3))
            D = int(g.choice([32, 64, 128]))
            cache = 2 * N * T * n_kv_head * D * size
            parameters = int(g.uniform(30, 60) * cache)
            free = int(g.integers(*texts)) * cache + int(g.uniform(*rest) * cache)
            return parameters * size + free, parameters, N, n_kv_head, D, T

        return Case(name, make)

    always = Mistake(
        "you count 2 bytes for each number; the setting `SIZE` says how many there are",
        lambda *a: fit(*a, each=2, weight=2),
    )
    return Exercise(
        reference=one_by_one,
        cases=(
            case("room for one", (1, 2), (0.1, 0.4)),
            case("it fits exactly", (3, 9), (0.0, 0.0)),
            case("nearly one more", (20, 40), (0.8, 0.95)),
            case("many", (40, 80), (0.1, 0.9)),
            case("the weights leave too little", (0, 1), (0.5, 0.9)),
            case("not even the weights fit", (0, 1), (-9.0, -3.0)),
        ),
        mistakes={
            **({} if size == 2 else {"two_bytes": always}),
            "keys_only": Mistake(
                "you count half of the cache: keys and values are two arrays, of `SIZE` bytes a number",
                lambda *a: fit(*a, both=1),
            ),
            "no_weights": Mistake(
                "the weights need memory too: take them off first", lambda *a: fit(*a, weight=0)
            ),
            "weights_as_bytes": Mistake(
                "you take off one byte for each weight; a weight has `SIZE` bytes",
                lambda *a: fit(*a, weight=1),
            ),
            "weights_each": Mistake(
                "you count the weights once for every text; all texts share them",
                lambda m, p, N, h, D, T: m // (p * size + 2 * N * T * h * D * size),
            ),
            "negative": Mistake(
                "where the weights alone do not fit, the answer is 0, not a number below it",
                lambda m, p, N, h, D, T: (m - p * size) // (2 * N * T * h * D * size),
            ),
            "cut_toward_zero": Mistake(
                "where the weights alone do not fit, the answer is 0, not a number below it",
                lambda m, p, N, h, D, T: int((m - p * size) / (2 * N * T * h * D * size)),
            ),
            "rounded": Mistake(
                "you round to the nearest; a text that fits by half does not fit",
                lambda m, p, N, h, D, T: round(max(m - p * size, 0) / (2 * N * T * h * D * size)),
            ),
            "rounded_up": Mistake(
                "you round up; the last text would not fit whole",
                lambda m, p, N, h, D, T: -(-max(m - p * size, 0) // (2 * N * T * h * D * size)),
            ),
            "one_layer": Mistake(
                "every layer has a cache of its own; you count one",
                lambda m, p, N, h, D, T: fit(m, p, 1, h, D, T),
            ),
            "one_position": Mistake(
                "the cache keeps every position of the text, T of them",
                lambda m, p, N, h, D, T: fit(m, p, N, h, D, 1),
            ),
            "one_head": Mistake(
                "every key–value head has keys and values of its own",
                lambda m, p, N, h, D, T: fit(m, p, N, 1, D, T),
            ),
            "no_width": Mistake(
                "a key has D numbers, and so has a value", lambda m, p, N, h, D, T: fit(m, p, N, h, 1, T)
            ),
        },
    )


# 2. Positions that are read


@exercise("12.positions_read")
def positions_read() -> Exercise:
    def by_running(prompt: int, new: int) -> tuple[int, int]:
        """Both loops of the chapter, around a model that only counts what it is given to read."""
        counts = []
        for cached in (False, True):
            ids, read = [0] * prompt, 0
            unread = ids
            for _ in range(new):
                read += len(unread)
                ids = [*ids, 0]
                unread = ids[-1:] if cached else ids
            counts.append(read)
        return counts[0], counts[1]

    def case(name: str, prompt: tuple[int, int], new: tuple[int, int]) -> Case:
        return Case(name, lambda g: (int(g.integers(*prompt)), int(g.integers(*new))))

    def without(prompt: int, new: int) -> int:
        return new * prompt + new * (new - 1) // 2

    return Exercise(
        reference=by_running,
        cases=(
            case("one of each", (1, 2), (1, 2)),
            case("two new", (1, 2), (2, 3)),
            case("a prompt of one", (1, 2), (5, 12)),
            case("one new after a long prompt", (20, 60), (1, 2)),
            case("a long prompt", (30, 60), (4, 9)),
            case("a long answer", (3, 9), (100, 200)),
        ),
        mistakes={
            "exchanged": Mistake(
                "the two counts stand the wrong way round: first without a cache, then with it",
                lambda p, n: (p + n - 1, without(p, n)),
            ),
            "last_is_read": Mistake(
                "with the cache you count one too many: the last character is chosen and never read",
                lambda p, n: (without(p, n), p + n),
            ),
            "cache_without_prompt": Mistake(
                "with the cache the prompt has to be read too, once",
                lambda p, n: (without(p, n), n),
            ),
            "cache_prompt_again": Mistake(
                "with the cache you read the prompt for every new character; it is kept",
                lambda p, n: (without(p, n), n * p),
            ),
            "one_ahead": Mistake(
                "without a cache you count one too many each time: to choose the first character only the"
                " prompt is read",
                lambda p, n: (without(p, n) + n, p + n - 1),
            ),
            "both_one_ahead": Mistake(
                "you count each new character as read before it is chosen, in both counts",
                lambda p, n: (without(p, n) + n, p + n),
            ),
            "whole_triangle": Mistake(
                "without a cache you count T (T + 1) / 2 for the whole text; the prompt itself is not read"
                " character by character",
                lambda p, n: ((p + n) * (p + n + 1) // 2, p + n - 1),
            ),
            "shorter_triangle": Mistake(
                "without a cache you count as if the prompt were written character by character too",
                lambda p, n: ((p + n - 1) * (p + n) // 2, p + n - 1),
            ),
            "chapters_formulas": Mistake(
                "T (T + 1) / 2 and T count a text that is written from its first character on; here the"
                " prompt is read at once, and the last character never",
                lambda p, n: ((p + n) * (p + n + 1) // 2, p + n),
            ),
            "new_only": Mistake(
                "both counts leave the prompt out; it has to be read, too",
                lambda p, n: (n * (n + 1) // 2, n),
            ),
            "one_round_more": Mistake(
                "you count one round too many, both ways: after the last character nothing is read",
                lambda p, n: (without(p, n + 1), p + n),
            ),
            "one_round_less": Mistake(
                "you count one round too few, both ways: each of the `new` characters needs a reading",
                lambda p, n: (without(p, n - 1), p + n - 2),
            ),
            "no_prompt": Mistake(
                "without a cache the prompt is read again for every new character; you left it out",
                lambda p, n: (n * (n + 1) // 2, p + n - 1),
            ),
            "prompt_once": Mistake(
                "without a cache you count the prompt once; it is read again for every new character",
                lambda p, n: (p + n * (n - 1) // 2, p + n - 1),
            ),
            "constant_length": Mistake(
                "without a cache each reading is longer than the last; you count all as long as the first",
                lambda p, n: (p * n, p + n - 1),
            ),
            "always_full": Mistake(
                "without a cache you count each reading as long as the last one",
                lambda p, n: ((p + n - 1) * n, p + n - 1),
            ),
            "always_finished": Mistake(
                "without a cache you count each reading as long as the finished text",
                lambda p, n: ((p + n) * n, p + n - 1),
            ),
        },
    )


# 3. Top-p for a batch


@probe("each row keeps at least one token")
def something_is_left(got: Array, *_: object) -> str | None:
    empty = np.flatnonzero(~np.isfinite(got).any(-1))
    return f"nothing is left in row {empty[0]}" if len(empty) else None


@probe("what is kept reaches top_p")
def reaches(got: Array, logits: Array, top_p: float) -> str | None:
    kept = np.where(np.isfinite(got), special.softmax(logits, -1), 0).sum(-1)
    short = np.flatnonzero(kept < top_p - 1e-9)
    return (
        f"what row {short[0]} keeps has the probability {kept[short[0]]:.3g}, below top_p = {top_p:.3g}"
        if len(short)
        else None
    )


@exercise("12.keep_nucleus")
def keep_nucleus(at_least: int = 1) -> Exercise:
    def one_row_at_a_time(logits: Array, top_p: float) -> Array:
        out = np.full(logits.shape, -np.inf)
        for row, (z, p) in enumerate(zip(logits, special.softmax(logits, -1), strict=True)):
            reached, kept = 0.0, 0
            for token in sorted(range(len(z)), key=lambda token: -z[token]):
                if reached >= top_p and kept >= at_least:
                    break
                out[row, token] = z[token]
                reached, kept = reached + p[token], kept + 1
        return out

    def attempt(
        logits: Array, top_p: float, *,
        least: int = at_least, sign: int = -1, crossing: bool = True, axis: int | None = -1,
        fill: float = -np.inf, shifted: bool = True, strict: bool = False, down: bool = False,
        undo: bool = True, on_logits: bool = False, first_columns: bool = False,
    ) -> Array:  # fmt: skip
        order = np.argsort(sign * logits, -1)
        powers = np.exp(logits - logits.max() if shifted else logits)
        p = logits if on_logits else powers / powers.sum(axis, keepdims=True)
        p = np.take_along_axis(p, order, -1)
        reached = np.cumsum(p, 0 if down else -1)
        if crossing:
            kept = reached - p < top_p
        else:
            kept = (reached < top_p) if strict else (reached <= top_p)
        kept[:, : 0 if first_columns else least] = True
        kept = np.take_along_axis(kept, np.argsort(order, -1) if undo else order, -1)
        kept[:, : least if first_columns else 0] = True
        return np.where(kept, logits, fill)

    def order_not_undone(logits: Array, top_p: float) -> Array:
        order = np.argsort(-logits, -1)
        kept = np.isfinite(np.take_along_axis(one_row_at_a_time(logits, top_p), order, -1))
        return np.where(kept, logits, -np.inf)

    def unsorted(logits: Array, top_p: float) -> Array:
        p = special.softmax(logits, -1)
        return np.where(np.cumsum(p, -1) - p < top_p, logits, -np.inf)

    def left_sorted(logits: Array, top_p: float) -> Array:
        return -np.sort(-one_row_at_a_time(logits, top_p), -1)

    def probabilities(logits: Array, top_p: float) -> Array:
        return np.where(np.isfinite(one_row_at_a_time(logits, top_p)), special.softmax(logits, -1), 0)

    def case(name: str, B: int, V: int, about: float = 0.0) -> Case:
        return Case(name, lambda g: (about + 2 * g.normal(size=(B, V)), float(g.uniform(0.6, 0.9))))

    def sure(g: np.random.Generator) -> tuple[Array, float]:
        logits = g.normal(size=(3, 6))
        logits[np.arange(3), g.integers(1, 6, size=3)] += 12
        return logits, float(g.uniform(0.5, 0.9))

    def cut_before(g: np.random.Generator) -> tuple[Array, float]:
        logits = 2 * g.normal(size=(4, 9))
        logits[:, :4] = -np.inf  # as a top-k leaves them
        return logits, float(g.uniform(0.6, 0.8))

    crossings = {
        f"drops_crossing{name}": Mistake(
            "you drop the token that crosses the line; it must stay",
            lambda z, p, least=least, strict=strict: attempt(
                z, p, crossing=False, least=least, strict=strict
            ),
        )
        for name, least, strict in (
            ("", 0, False),
            ("_strict", 0, True),
            ("_beyond_the_least", at_least, False),
            ("_beyond_the_least_strict", at_least, True),
        )
    }
    one_only = {
        "at_least_ignored": Mistake(
            "you may keep fewer tokens than the setting `AT_LEAST` asks for",
            lambda z, p: attempt(z, p, least=1),
        )
    }
    return Exercise(
        reference=one_row_at_a_time,
        cases=(
            Case("V = 1", lambda g: (g.normal(size=(1, 1)), 0.5)),
            case("B = 1", 1, 4),
            Case("equal logits, top_p = 1", lambda g: (np.full((2, 4), g.normal()), 1.0)),
            Case("the model is sure", sure),
            case("a batch", 6, 12),
            Case("some tokens are cut already", cut_before),
            case("logits about a thousand", 4, 7, 1000.0),
            case("many tokens", 5, 60),
        ),
        mistakes={
            "probabilities": Mistake(
                "you return probabilities; wanted are the logits, with −∞ where a token goes", probabilities
            ),
            "probabilities_shared_out": Mistake(
                "you return probabilities; wanted are the logits, with −∞ where a token goes",
                lambda z, p: special.softmax(one_row_at_a_time(z, p), -1),
            ),
            "log_probabilities": Mistake(
                "you return log p of what is kept; wanted are the logits as they were",
                lambda z, p: special.log_softmax(one_row_at_a_time(z, p), -1),
            ),
            "nothing_cut": Mistake("all logits come back; you cut nothing", lambda z, p: z),
            "zero": Mistake(
                "you set the logits that go to 0; e⁰ = 1, so these tokens can still be drawn: set them to −∞",
                lambda z, p: attempt(z, p, fill=0.0),
            ),
            **({} if at_least == 1 else one_only),
            **crossings,
            "first_columns": Mistake(
                "the first `AT_LEAST` columns stay in the order of the tokens; the likeliest tokens should",
                lambda z, p: attempt(z, p, first_columns=True),
            ),
            "sums_down": Mistake(
                "your running sum goes down the columns; each row needs its own",
                lambda z, p: attempt(z, p, down=True),
            ),
            "sums_logits": Mistake(
                "you add up logits; a nucleus is measured in probabilities",
                lambda z, p: attempt(z, p, on_logits=True),
            ),
            "sorted_twice": Mistake(
                "you carry the decisions back with the order of the sort itself; a sort is undone by its"
                " inverse",
                lambda z, p: attempt(z, p, undo=False),
            ),
            "unsorted": Mistake(
                "you add up the probabilities in the order of the tokens; the likeliest should come first",
                unsorted,
            ),
            "left_sorted": Mistake(
                "your logits come back in sorted order; each belongs to the place of its token", left_sorted
            ),
            "order_not_undone": Mistake(
                "the right number of tokens stays, but the wrong ones: your decision is in sorted order, and"
                " the logits are not",
                order_not_undone,
            ),
            "least_likely": Mistake(
                "you begin with the least likely token: your sort runs upwards",
                lambda z, p: attempt(z, p, sign=1),
            ),
            "over_batch": Mistake(
                "your probabilities sum to one over the whole batch, not in each row",
                lambda z, p: attempt(z, p, axis=None),
            ),
            "columns": Mistake(
                "your probabilities sum to one in each column; each row is one distribution",
                lambda z, p: attempt(z, p, axis=0),
            ),
            "no_maximum": Mistake(
                "large logits overflow in exp; subtract the maximum first, as the chapter's softmax does",
                lambda z, p: attempt(z, p, shifted=False),
            ),
            "all_kept_at_overflow": Mistake(
                "large logits overflow in exp, and then nothing is cut; subtract the maximum first, as the"
                " chapter's softmax does",
                lambda z, p: z if z.max() > 710 else one_row_at_a_time(z, p),
            ),
        },
        probes=(something_is_left, reaches),
    )


# 4. A stop string across pieces

TEXT, SHOWN = "the text", "shown each time a piece is asked for"


@probe("nothing of the stop string comes out")
def stops(got: dict[str, Any], pieces: list[str], stop: str) -> str | None:
    wanted = "".join(pieces).partition(stop)[0]
    if len(got[TEXT]) <= len(wanted):
        return None
    return f"{got[TEXT]!r} comes out; the text before {stop!r} is {wanted!r}"


@probe("nothing before it is lost")
def complete(got: dict[str, Any], pieces: list[str], stop: str) -> str | None:
    wanted = "".join(pieces).partition(stop)[0]
    return None if len(got[TEXT]) >= len(wanted) else f"{got[TEXT]!r} comes out, and not {wanted!r}"


@exercise("12.stop_at")
def stop_at() -> Exercise:
    def drive(answer: Callable[..., Any], pieces: list[str], stop: str) -> dict[str, Any] | None:
        """The text, and how much of it was out whenever the function asked for the next piece."""
        parts, shown = list[str](), list[str]()

        def stream() -> Iterator[str]:
            for piece in pieces:
                shown.append("".join(parts))
                yield piece

        found = answer(stream(), stop)
        if found is None:
            return None
        for part in found:
            parts.append(part)
        return {TEXT: "".join(parts), SHOWN: shown}

    def by_prefixes(pieces: Iterator[str], stop: str) -> Iterator[str]:
        """Out may come what is the same however the text goes on."""
        text, out = "", 0
        for piece in pieces:
            text += piece
            if stop in text:
                yield text[out : text.index(stop)]
                return
            open_starts = [start for start in range(len(text)) if stop.startswith(text[start:])]
            safe = min(open_starts, default=len(text))
            yield text[out:safe]
            out = safe
        yield text[out:]

    @probe("what is safe comes out at once")
    def early(got: dict[str, Any], pieces: list[str], stop: str) -> str | None:
        wanted = drive(by_prefixes, pieces, stop) or {}
        if got[TEXT] != wanted[TEXT] or got[SHOWN] == wanted[SHOWN]:
            return None
        if len(got[SHOWN]) != len(wanted[SHOWN]):
            return f"{len(got[SHOWN])} pieces are asked for, where {len(wanted[SHOWN])} would do"
        moments = zip(pieces, got[SHOWN], wanted[SHOWN], strict=False)
        return next(
            f"{out!r} is out when the piece {piece!r} is asked for; it should be {could!r}"
            for piece, out, could in moments
            if out != could
        )

    def holding(pieces: Iterator[str], stop: str, *, hold: str = "right", rest: bool = True) -> Iterator[str]:
        waiting = ""
        for piece in pieces:
            waiting += piece
            if stop in waiting and hold == "goes on":
                yield waiting.partition(stop)[0]
                break
            if stop in waiting:
                yield waiting[: waiting.rindex(stop) if hold == "last" else waiting.index(stop)]
                return
            possible = [n for n in range(1, len(stop)) if waiting.endswith(stop[:n])]
            if hold == "all":
                held = len(stop) - 1
            elif hold == "one":
                held = int(waiting.endswith(stop[0]) and len(stop) > 1)
            elif hold == "shortest":
                held = min(possible, default=0)
            elif hold == "slice":
                held = max([n for n in range(1, len(stop)) if stop.startswith(waiting[-n:])], default=0)
            elif hold == "zero":
                held = max(possible, default=len(waiting))
            elif hold == "first letter":
                held = len(waiting) - waiting.index(stop[0]) if stop[0] in waiting else 0
            elif hold == "piece":
                held = len(waiting) if possible else 0
            else:
                held = max(possible, default=0)
            safe = len(waiting) - held
            if hold != "slice":
                safe = max(safe, 0)
            yield waiting[: max(safe, 0)]
            waiting = waiting[safe:]
        if rest:
            yield waiting

    def one_late(pieces: Iterator[str], stop: str) -> Iterator[str]:
        """As `holding`, but asks for the next piece before it gives out what is safe."""
        waiting = next(pieces, "")
        for piece in pieces:
            if stop in waiting:
                break
            held = max((n for n in range(1, len(stop)) if waiting.endswith(stop[:n])), default=0)
            yield waiting[: len(waiting) - held]
            waiting = waiting[len(waiting) - held :] + piece
        yield waiting.partition(stop)[0]

    def one_piece_back(pieces: Iterator[str], stop: str) -> Iterator[str]:
        last = ""
        for piece in pieces:
            if stop in last + piece:
                yield (last + piece).partition(stop)[0]
                return
            yield last
            last = piece
        yield last

    def restarts(pieces: Iterator[str], stop: str, again: bool) -> Iterator[str]:
        """Counts how many letters of the stop string have come, and begins at 0 where one is another."""
        count = 0
        for piece in pieces:
            for letter in piece:
                if letter != stop[count]:
                    yield stop[:count]
                    count = 0
                    if not again or letter != stop[0]:
                        yield letter
                        continue
                count += 1
                if count == len(stop):
                    return
        yield stop[:count]

    def each_piece(pieces: Iterator[str], stop: str) -> Iterator[str]:
        for piece in pieces:
            if stop in piece:
                yield piece.partition(stop)[0]
                return
            yield piece

    def shown_at_once(pieces: Iterator[str], stop: str) -> Iterator[str]:
        text = ""
        for piece in pieces:
            out = len(text)
            text += piece
            if stop in text:
                yield text.partition(stop)[0][out:]
                return
            yield piece

    def with_stop(pieces: Iterator[str], stop: str) -> Iterator[str]:
        text = ""

        def noted() -> Iterator[str]:
            nonlocal text
            for piece in pieces:
                text += piece
                yield piece

        yield from holding(noted(), stop)
        yield stop if stop in text else ""

    def goes_on(pieces: Iterator[str], stop: str) -> Iterator[str]:
        yield from holding(pieces, stop)
        yield from pieces

    def asks_on(pieces: Iterator[str], stop: str) -> Iterator[str]:
        yield from holding(pieces, stop)
        for _ in pieces:
            pass

    def loses_the_last(pieces: Iterator[str], stop: str) -> Iterator[str]:
        """As `holding`, but ends without what stood before the stop string."""
        waiting = ""
        for piece in pieces:
            waiting += piece
            if stop in waiting:
                return
            held = max((n for n in range(1, len(stop)) if waiting.endswith(stop[:n])), default=0)
            yield waiting[: len(waiting) - held]
            waiting = waiting[len(waiting) - held :]
        yield waiting

    def letters(g: np.random.Generator, pool: str, n: int) -> str:
        return "".join(g.choice(list(pool), n, replace=len(pool) < n))

    def case(name: str, cut: Callable[[str, str, str], list[str]]) -> Case:
        """`cut` gets a stop string of four letters and two texts without any of them."""

        def make(g: np.random.Generator) -> tuple[list[str], str]:
            stop = letters(g, "wxyz", 4)
            return cut(stop, letters(g, "abcdefg", 5), letters(g, "hijklmn", 5)), stop

        return Case(name, make)

    def two_letters(g: np.random.Generator) -> tuple[list[str], str]:
        text, stop = letters(g, "ab", 24), letters(g, "ab", int(g.integers(2, 5)))
        return [text[i : i + 3] for i in range(0, 24, 3)], stop

    def overlapping(g: np.random.Generator) -> tuple[list[str], str]:
        a, b = list(letters(g, "abcdefg", 2))
        return [b, a, a, a, b, a], a + a + b

    return Exercise(
        reference=by_prefixes,
        drive=drive,
        cases=(
            case("no piece", lambda stop, a, b: []),
            case("the stop string does not come", lambda stop, a, b: [a, b]),
            case("inside one piece", lambda stop, a, b: [a + stop + b, a]),
            case("twice in one piece", lambda stop, a, b: [a + stop + b + stop, a]),
            case("at the very beginning", lambda stop, a, b: [stop + a, b]),
            case("across two pieces", lambda stop, a, b: [a + stop[:2], stop[2:] + b, a]),
            case("across four pieces", lambda stop, a, b: [a, stop[0], stop[1], stop[2], stop[3] + b, b]),
            case("a beginning that goes on otherwise", lambda stop, a, b: [a, b + stop[:3], a, b]),
            case("the text ends in a beginning", lambda stop, a, b: [a, b + stop[:2]]),
            Case("a beginning inside a beginning", overlapping),
            Case("two letters", two_letters),
        ),
        mistakes={
            "waits_for_all": Mistake(
                "the text is right, but nothing comes out before all pieces are there; hand out what is"
                " safe with `yield`",
                lambda pieces, stop: ["".join(pieces).partition(stop)[0]],
            ),
            "list_of_parts": Mistake(
                "the text is right, but you return a list: nothing comes out before all is there; hand out"
                " each part with `yield`",
                lambda pieces, stop: list(holding(pieces, stop)),
            ),
            "each_piece_whole": Mistake(
                "you look for the stop string in each piece alone, and what stands before it in its piece is"
                " lost",
                lambda pieces, stop: itertools.takewhile(lambda piece: stop not in piece, pieces),
            ),
            "one_piece_back": Mistake(
                "you hold back the last piece whole; the stop string may lie across more than two, and what"
                " cannot begin it may go at once",
                one_piece_back,
            ),
            "one_late": Mistake(
                "the text is right, but you ask for the next piece before you give out what is safe",
                one_late,
            ),
            "last_place": Mistake(
                "the stop string may come twice; the text ends at the first",
                lambda pieces, stop: holding(pieces, stop, hold="last"),
            ),
            "rest_after_stop": Mistake(
                "after the stop string you give out what waits, as if the text had ended without it",
                lambda pieces, stop: holding(pieces, stop, hold="goes on"),
            ),
            "minus_zero": Mistake(
                "the text is right, but where nothing need be held back you hold back all: `text[:-0]` is"
                " empty, not the whole text",
                lambda pieces, stop: holding(pieces, stop, hold="zero"),
            ),
            "from_first_letter": Mistake(
                "you hold back all from the first letter of `stop` on, also where it has gone on otherwise",
                lambda pieces, stop: holding(pieces, stop, hold="first letter"),
            ),
            "restarts": Mistake(
                "where a beginning of the stop string goes on otherwise, you throw it out whole; a later"
                " letter of it may begin the stop string",
                lambda pieces, stop: restarts(pieces, stop, True),
            ),
            "restarts_after": Mistake(
                "where a beginning of the stop string goes on otherwise, you throw it out whole, with the"
                " letter that broke it; the stop string may begin there",
                lambda pieces, stop: restarts(pieces, stop, False),
            ),
            "each_piece": Mistake(
                "you look for the stop string in each piece alone; it may lie across two of them",
                each_piece,
            ),
            "shown_at_once": Mistake(
                "you find the stop string across pieces, but its beginning has been shown already: hold back"
                " what could become the stop string",
                shown_at_once,
            ),
            "stop_included": Mistake(
                "your text ends in the stop string; nothing of it should come out", with_stop
            ),
            "rest_missing": Mistake(
                "what you still hold back is lost when the pieces end",
                lambda pieces, stop: holding(pieces, stop, rest=False),
            ),
            "text_before_lost": Mistake(
                "what stands before the stop string in its piece is lost", loses_the_last
            ),
            "goes_on": Mistake(
                "after the stop string your text goes on; the function should end there", goes_on
            ),
            "asks_on": Mistake(
                "the text is right, but after the stop string you go on asking for pieces: the model would"
                " have to write them",
                asks_on,
            ),
            "holds_too_much": Mistake(
                "the text is right, but you hold back as many letters as the stop string has, also where"
                " they cannot begin it",
                lambda pieces, stop: holding(pieces, stop, hold="all"),
            ),
            "holds_piece": Mistake(
                "the text is right, but you hold back all that waits; only its end can begin the stop string",
                lambda pieces, stop: holding(pieces, stop, hold="piece"),
            ),
            "holds_one": Mistake(
                "you hold back one letter at most; a longer beginning of the stop string slips out",
                lambda pieces, stop: holding(pieces, stop, hold="one"),
            ),
            "slice_of_short_text": Mistake(
                "letters are lost: of a text with fewer than n letters `text[-n:]` is the whole text, and"
                " you think that n are held back",
                lambda pieces, stop: holding(pieces, stop, hold="slice"),
            ),
            "holds_shortest": Mistake(
                "you hold back the shortest end that could begin the stop string; take the longest",
                lambda pieces, stop: holding(pieces, stop, hold="shortest"),
            ),
        },
        probes=(stops, complete, early),
    )


# 5. Beam search


@dataclass(frozen=True)
class Table:
    """A model of a few tokens that looks at the whole text; n texts of one length give (n, V)."""

    rows: tuple[tuple[tuple[float, ...], ...], ...]  # logits by length and last token

    def __call__(self, texts: Any) -> Array:
        if len(texts) == 0:
            raise ValueError("log_p is given no text; have all beams ended?")
        if len({len(text) for text in texts}) != 1:
            raise ValueError(f"log_p needs texts of one length; these have {list(map(len, texts))}")
        ids = np.array(texts)
        n = ids.shape[1]
        logits = np.array(self.rows[min(n, len(self.rows)) - 1])[ids[:, -1]]
        keys = (ids + 1) @ np.cos(np.arange(n))  # a number that differs from text to text
        return np.asarray(
            special.log_softmax(logits + np.sin(np.outer(keys, 3 + np.arange(self.V))), axis=-1)
        )

    @property
    def V(self) -> int:
        return len(self.rows[0])

    def __repr__(self) -> str:
        return f"a random model of {self.V} tokens"


Beam = tuple[float, list[int]]


@exercise("12.beam_search")
def beam_search() -> Exercise:
    def by_heap(log_p: Table, start: int, end: int, width: int, longest: int) -> list[int]:
        """One text at a time, the candidates in a heap."""
        open_texts: list[tuple[float, tuple[int, ...]]] = [(0.0, (start,))]
        closed = open_texts[:0]
        for _ in range(longest):
            candidates = [
                (score + float(row[token]), (*ids, token))
                for score, ids in open_texts
                for row in log_p([list(ids)])
                for token in range(log_p.V)
            ]
            chosen = heapq.nlargest(width, candidates)
            closed += [c for c in chosen if c[1][-1] == end]
            open_texts = [c for c in chosen if c[1][-1] != end]
        return list(max(closed or open_texts)[1])

    @probe("no likelier text would be found")
    def likeliest(got: Any, log_p: Table, start: int, end: int, width: int, longest: int) -> str | None:
        right = by_heap(log_p, start, end, width, longest)
        whole = got[:1] == [start] and (got[-1] == end or len(got) == longest + 1)
        if not whole or got == right:
            return None
        mine, best = (
            sum(float(log_p([text[:i]])[0, text[i]]) for i in range(1, len(text))) for text in (got, right)
        )
        return f"your text {got} has the log p {mine:.3f}; the search gives {right}, with {best:.3f}"

    def attempt(
        log_p: Table, start: int, end: int, width: int, longest: int, *,
        ends: str = "kept", add: bool = True, worst: bool = False, rank: str = "sum",
        by_beam: bool = False, stops: bool = True,
    ) -> Any:  # fmt: skip
        beams, closed = [(0.0, [start])], list[Beam]()
        for step in range(longest):
            found = log_p([ids for _, ids in beams])
            longer = [
                (score * add + float(found[i, token]), [*ids, token])
                for i, (score, ids) in enumerate(beams)
                for token in range(found.shape[1])
            ]
            if by_beam and step:
                V = found.shape[1]
                longer = [max(longer[i : i + V]) for i in range(0, len(longer), V)]
            longer.sort(reverse=not worst)
            best = longer[:width]
            if ends == "ignored":
                beams = best
                continue
            closed += [beam for beam in best if beam[1][-1] == end and ends != "dropped"]
            beams = [beam for beam in best if beam[1][-1] != end]
            if (stops and not beams) or (rank == "first" and closed):
                break
        if rank == "with log p":
            return max(closed or beams)
        if rank == "ended only":
            return max(closed)[1]
        if rank == "also unfinished":
            return max(closed + beams)[1]
        if rank == "mean":
            return max(closed or beams, key=lambda beam: beam[0] / (len(beam[1]) - 1))[1]
        return max(closed or beams or [(0.0, [start])])[1]

    def without_end(log_p: Table, start: int, end: int, width: int, longest: int) -> list[int]:
        found = by_heap(log_p, start, end, width, longest)
        return found[:-1] if found[-1] == end else found

    def case(name: str, V: int, longest: int, width: tuple[int, int], toward_end: float) -> Case:
        """toward_end: how much likelier or rarer than others the token that ends a text is, in nats."""

        def make(g: np.random.Generator) -> tuple[Table, int, int, int, int]:
            logits = 1.5 * g.normal(size=(longest, V, V))
            logits[..., 0] += toward_end
            table = Table(tuple(tuple(map(tuple, step)) for step in logits.tolist()))
            return table, int(g.integers(0, V)), 0, int(g.integers(*width)), longest

        return Case(name, make)

    return Exercise(
        reference=by_heap,
        rounds=12,
        cases=(
            case("one beam is greedy", 3, 3, (1, 2), 0.0),
            case("two beams", 3, 4, (2, 3), -1.0),
            case("four tokens", 4, 4, (2, 4), -1.5),
            case("texts that end early", 4, 5, (2, 4), 0.5),
            case("longer texts", 3, 8, (2, 4), -1.0),
        ),
        probes=(likeliest,),
        mistakes={
            "greedy": Mistake(
                "you keep one beam only, which is greedy: a bold first step can pay later",
                lambda log_p, start, end, width, longest: attempt(log_p, start, end, 1, longest),
            ),
            "all_kept": Mistake(
                "you keep more than the `width` likeliest of a round, those that end counted; all others go",
                lambda log_p, start, end, width, longest: attempt(log_p, start, end, 300, longest),
            ),
            "not_added": Mistake(
                "you rank by the last step alone; the log p of all steps add up",
                lambda *a: attempt(*a, add=False),
            ),
            "worst": Mistake(
                "you keep the least likely beams: your sort runs upwards", lambda *a: attempt(*a, worst=True)
            ),
            "ends_ignored": Mistake(
                "you go on after `end`; a text that ends there should be set aside",
                lambda *a: attempt(*a, ends="ignored"),
            ),
            "ends_lost": Mistake(
                "texts that have ended are thrown away, and the best unfinished one is returned",
                lambda *a: attempt(*a, ends="dropped"),
            ),
            "first_end": Mistake(
                "you return as soon as a text has ended; a longer one may still be likelier",
                lambda *a: attempt(*a, rank="first"),
            ),
            "with_log_p": Mistake(
                "return the text alone, without its log p", lambda *a: attempt(*a, rank="with log p")
            ),
            "also_unfinished": Mistake(
                "a text that has not ended competes with those that have; it counts only if none has ended",
                lambda *a: attempt(*a, rank="also unfinished"),
            ),
            "ended_only": Mistake(
                "if no text has ended, return the likeliest of the others",
                lambda *a: attempt(*a, rank="ended only"),
            ),
            "mean": Mistake(
                "you compare the mean of log p; asked is the likeliest text, so the sum",
                lambda *a: attempt(*a, rank="mean"),
            ),
            "all_ended": Mistake(
                "when all beams have ended nothing is left to extend: end the loop",
                lambda *a: attempt(*a, stops=False),
            ),
            "each_its_own": Mistake(
                "each beam keeps its own best token; the `width` likeliest of all may come from one beam",
                lambda *a: attempt(*a, by_beam=True),
            ),
            "a_round_less": Mistake(
                "you stop a round early; `longest` tokens may follow `start`",
                lambda log_p, start, end, width, longest: attempt(log_p, start, end, width, longest - 1),
            ),
            "a_round_more": Mistake(
                "you go on for a round too many; at most `longest` tokens follow `start`",
                lambda log_p, start, end, width, longest: attempt(log_p, start, end, width, longest + 1),
            ),
            "no_end": Mistake("the last token, `end`, belongs to the text, too", without_end),
            "no_start": Mistake(
                "the first token, `start`, is missing in your text", lambda *a: attempt(*a)[1:]
            ),
        },
    )
