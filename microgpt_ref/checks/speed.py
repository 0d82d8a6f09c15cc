"""What the exercises of chapter 10 call: speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise

# 1. At least how long?

FORMATS = {2: np.float16, 4: np.float32, 8: np.float64}


@exercise("10.least_seconds")
def least_seconds(size: int = 4) -> Exercise:
    def by_counting(n: int, C: int, F: int, peak: float, bandwidth: float) -> float:
        """Counted on arrays that hold no numbers: bytes as NumPy has them, FLOPs result by result."""
        number = np.zeros((), FORMATS[size])
        moved = sum(np.broadcast_to(number, shape).nbytes for shape in ((n, C), (C, F), (n, F)))
        flops = np.full((n, F), C + C).sum()  # each result: C products, and as many additions
        return float(max(flops / peak, moved / bandwidth))

    def case(name: str, rows: tuple[int, int], ridge: float) -> Case:
        """`ridge`: FLOPs a byte of a machine, which decide what a product waits for."""

        def make(g: np.random.Generator) -> tuple[int, int, int, float, float]:
            C, F = (int(x) for x in g.integers(40, 90, size=2))
            bandwidth = float(g.uniform(1e9, 9e9))
            return int(g.integers(*rows)), C, F, ridge * bandwidth, bandwidth

        return Case(name, make)

    def seconds(
        n: int, C: int, F: int, peak: float, bandwidth: float, *,
        each: float = 2, bytes_each: float = size, rule: Callable[..., float] = max, arrays: str = "iwo",
    ) -> float:  # fmt: skip
        numbers = {"i": n * C, "w": C * F, "o": n * F}
        moved = bytes_each * sum(numbers[array] for array in arrays)
        return float(rule((each * n * C * F / peak, moved / bandwidth)))

    return Exercise(
        reference=by_counting,
        cases=(
            case("one row: memory decides", (1, 2), 100.0),
            case("a few rows", (2, 9), 100.0),
            case("many rows: the processor decides", (60, 90), 0.5),
            case("as many rows as columns", (40, 90), 9.0),
        ),
        mistakes={
            **_fixed_size(size, seconds),
            "sum": Mistake(
                "you add the two times; but the processor computes while memory fetches",
                lambda *a: seconds(*a, rule=sum),
            ),
            "shorter": Mistake(
                "you take the shorter of the two times; the work ends when both have ended",
                lambda *a: seconds(*a, rule=min),
            ),
            "no_bytes": Mistake(
                "you count numbers, not bytes: each number has `SIZE` of them",
                lambda *a: seconds(*a, bytes_each=1),
            ),
            "bits": Mistake(
                "you count bits; `SIZE` and the bandwidth are in bytes",
                lambda *a: seconds(*a, bytes_each=8 * size),
            ),
            "one_flop": Mistake(
                "you count one FLOP for each pair of numbers; a product adds as often as it multiplies",
                lambda *a: seconds(*a, each=1),
            ),
            "weights_only": Mistake(
                "you count only the bytes of the matrix; the inputs are read and the results written too",
                lambda *a: seconds(*a, arrays="w"),
            ),
            "no_results": Mistake(
                "the results are missing: they are written to memory too",
                lambda *a: seconds(*a, arrays="iw"),
            ),
            "no_memory": Mistake(
                "you count FLOPs only: with few rows a product waits for memory",
                lambda *a: seconds(*a, rule=lambda times: times[0]),
            ),
            "no_processor": Mistake(
                "you count bytes only: with many rows a product waits for the processor",
                lambda *a: seconds(*a, rule=lambda times: times[1]),
            ),
            "rate": Mistake(
                "that is a rate, products a second; the seconds of one product are its inverse",
                lambda *a: 1 / seconds(*a),
            ),
        },
    )


def _fixed_size(size: int, seconds: Callable[..., float]) -> dict[str, Mistake]:
    """With 4 bytes a number, "always 4" is right."""
    says = "you count 4 bytes for each number; the setting `SIZE` says how many there are"
    return {} if size == 4 else {"four_bytes": Mistake(says, lambda *a: seconds(*a, bytes_each=4))}


# 2. Where a sum stops


def rounded(number: float, fraction_bits: int) -> float:
    """The nearest number of a format with so many bits of fraction; of two, the one whose last bit is 0."""
    fraction, exponent = math.frexp(number)  # 0.5 <= fraction < 1
    unit = 2.0 ** (exponent - 1 - fraction_bits)
    return round(number / unit) * unit if fraction else 0.0


def added_until_it_stands(term: float, fraction_bits: int) -> float:
    """The experiment: add the term again and again, until the sum does not change."""
    total = 0.0
    while (longer := rounded(total + term, fraction_bits)) != total:
        total = longer
    return total


@exercise("10.sum_stops")
def sum_stops() -> Exercise:
    def case(name: str, bits: tuple[int, int], powers: tuple[int, ...]) -> Case:
        return Case(name, lambda g: (2.0 ** int(g.choice(powers)), int(g.integers(*bits))))

    return Exercise(
        reference=added_until_it_stands,
        cases=(
            Case("ones in bf16", lambda g: (1.0, 7)),
            case("ones in other formats", (3, 7), (0,)),
            case("large terms", (3, 6), (1, 2, 3)),
            case("small terms", (4, 8), (-5, -4, -3)),
            case("as exact as fp16", (10, 11), (-2, -1, 1, 2)),
        ),
        mistakes={
            "always_bf16": Mistake(
                "you have the number of bf16 for every format; it depends on the bits of fraction",
                lambda term, bits: term * 256,
            ),
            "one_early": Mistake(
                "your sum stops a factor of 2 too early: there, the step between numbers is as large as"
                " the term, so adding it still leads to the next number",
                lambda term, bits: term * 2**bits,
            ),
            "one_late": Mistake(
                "your sum stops a factor of 2 too late: it cannot pass a place where the term is only half"
                " of the step between numbers",
                lambda term, bits: term * 2 ** (bits + 2),
            ),
            "no_term": Mistake(
                "your answer is right for ones; it does not depend on the term as it should",
                lambda term, bits: 2.0 ** (bits + 1),
            ),
            "divided": Mistake(
                "you divide by the term: a larger term would stop earlier; but numbers twice as large have"
                " steps twice as large",
                lambda term, bits: 2.0 ** (bits + 1) / term,
            ),
            "last_but_one": Mistake(
                "you stop one addition early; the last one, to a power of two, still works",
                lambda term, bits: term * (2 ** (bits + 1) - 1),
            ),
            "step": Mistake(
                "that is the step between the term and the next larger number; asked is where the sum stops",
                lambda term, bits: term * 2.0**-bits,
            ),
            "times_not_power": Mistake(
                "you multiply by the number of bits; each bit more doubles how many numbers there are",
                lambda term, bits: term * 2 * (bits + 1),
            ),
            "digits": Mistake(
                "you take the bits for decimal digits; each of them doubles, not multiplies by ten",
                lambda term, bits: term * 10.0**bits,
            ),
            "largest": Mistake(
                "the sum does not run to an overflow: it stands still long before",
                lambda term, bits: math.inf,
            ),
        },
    )


# 3. The scale of fp16


def scaler_of_torch(overflows: list[bool], first: float, interval: int, growth: float, backoff: float) -> Any:
    """The same steps with PyTorch's GradScaler: a gradient of infinity is an overflow."""
    scaler = torch.amp.GradScaler(
        "cpu", init_scale=first, growth_factor=growth, backoff_factor=backoff, growth_interval=interval
    )
    weight, found = torch.nn.Parameter(torch.ones(1)), list[float]()
    optimizer: Any = SimpleNamespace(param_groups=[{"params": [weight]}], step=lambda: None)  # does nothing
    for overflow in overflows:
        weight.grad = torch.full((1,), math.inf if overflow else 1.0)
        scaler.scale(weight.sum())
        scaler.step(optimizer)
        scaler.update()
        found.append(scaler.get_scale())
    return found


@exercise("10.scales")
def scales(growth: float = 2.0, backoff: float = 0.5) -> Exercise:
    def case(
        name: str,
        pattern: Callable[[np.random.Generator, int], list[bool]],
        intervals: tuple[int, ...] = (2, 3, 4),
    ) -> Case:
        def make(g: np.random.Generator) -> tuple[list[bool], float, int]:
            interval = int(g.choice(intervals))
            return pattern(g, interval), 2.0 ** int(g.integers(4, 17)), interval

        return Case(name, make)

    def attempt(
        overflows: list[bool], first: float, interval: int, *,
        up: float = growth, down: float = backoff, late: int = 0,
        after_growth: bool = True, after_overflow: bool = True, counts_all: bool = False,
    ) -> list[float]:  # fmt: skip
        scale, good, found = first, 0, list[float]()
        for overflow in overflows:
            good += counts_all or not overflow
            if overflow:
                scale *= down
                good = 0 if after_overflow else good
            elif good >= interval + late:
                scale *= up
                good = 0 if after_growth else good
            found.append(scale)
        return found

    def every_interval(overflows: list[bool], first: float, interval: int) -> list[float]:
        scale, found = first, list[float]()
        for step, overflow in enumerate(overflows, 1):
            scale *= backoff if overflow else growth if step % interval == 0 else 1
            found.append(scale)
        return found

    fixed = Mistake(
        "your factors are 2 and a half; the settings `GROWTH` and `BACKOFF` ask for others",
        lambda *a: attempt(*a, up=2.0, down=0.5),
    )
    return Exercise(
        reference=lambda overflows, first, interval: scaler_of_torch(
            overflows, first, interval, growth, backoff
        ),
        cases=(
            case("no step", lambda g, n: []),
            case("one good step", lambda g, n: [False]),
            case("one overflow", lambda g, n: [True]),
            case("good steps only", lambda g, n: [False] * (2 * n + 1)),
            case(
                "an overflow between good steps", lambda g, n: [False] * (n - 1) + [True] + [False] * (n + 1)
            ),
            case("overflows in a row", lambda g, n: [True, True, True] + [False] * n),
            case("a larger scale after each good step", lambda g, n: [False, True, False, False], (1,)),
            case("many steps", lambda g, n: (g.random(30) < 0.15).tolist()),
        ),
        mistakes={
            **({} if (growth, backoff) == (2.0, 0.5) else {"fixed_factors": fixed}),
            "before": Mistake(
                "you keep the scale before each step; asked is the one after it",
                lambda o, f, n: [f, *attempt(o, f, n)][: len(o)],
            ),
            "first_too": Mistake(
                "your list begins with the first scale: it has one entry more than there are steps",
                lambda o, f, n: [f, *attempt(o, f, n)],
            ),
            "never_smaller": Mistake(
                "your scale does not fall after an overflow", lambda *a: attempt(*a, down=1)
            ),
            "never_larger": Mistake(
                "your scale never grows: after `interval` good steps it should", lambda *a: attempt(*a, up=1)
            ),
            "exchanged": Mistake(
                "your scale grows after an overflow and falls after good steps; it should be the other way",
                lambda *a: attempt(*a, up=backoff, down=growth),
            ),
            "at_once": Mistake(
                "your scale grows after every good step; `interval` of them should come first",
                lambda o, f, n: attempt(o, f, 1),
            ),
            "grows_on": Mistake(
                "after the scale has grown, the count goes on, so it grows again at the next step",
                lambda *a: attempt(*a, after_growth=False),
            ),
            "overflow_keeps_count": Mistake(
                "an overflow does not set your count to zero: good steps before it still count",
                lambda *a: attempt(*a, after_overflow=False),
            ),
            "every_interval": Mistake(
                "your scale grows at each step whose number `interval` divides; but an overflow lets the"
                " count begin anew",
                every_interval,
            ),
            "one_late": Mistake(
                "your scale grows one good step too late: it should at the step that makes the count full",
                lambda *a: attempt(*a, late=1),
            ),
            "overflow_counts": Mistake(
                "the step with the overflow counts as the first good one",
                lambda o, f, n: attempt_with_overflow_counted(o, f, n, growth, backoff),
            ),
        },
    )


def attempt_with_overflow_counted(
    overflows: list[bool], first: float, interval: int, growth: float, backoff: float
) -> list[float]:
    scale, good, found = first, 0, list[float]()
    for overflow in overflows:
        good = 1 if overflow else good + 1
        if overflow:
            scale *= backoff
        elif good == interval:
            scale, good = scale * growth, 0
        found.append(scale)
    return found


# 4. Attention that never sees all keys

Pieces = Iterable[tuple[torch.Tensor, torch.Tensor]]


class NoLargeArray(TorchFunctionMode):
    """Stops at the operation that makes an array with as many numbers as there are pairs of query and key."""

    def __init__(self, T: int, S: int) -> None:
        super().__init__()
        self.T, self.S = T, S

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor) and result.numel() >= self.T * self.S:
            shape = " × ".join(map(str, result.shape))
            raise MemoryError(
                f"this line makes an array of {shape} numbers, as many as {self.T} queries and {self.S} keys"
                " have scores; keep only the scores of one piece"
            )
        return result


@exercise("10.streamed_attention")
def streamed_attention() -> Exercise:
    def drive(answer: Any, q: torch.Tensor, pieces: list[tuple[torch.Tensor, torch.Tensor]]) -> Any:
        stream: Iterator[tuple[torch.Tensor, torch.Tensor]] = iter(pieces)
        keys = sum(len(k) for k, _ in pieces)
        if len(pieces) < 10:  # with so few keys other arrays may be as large as their scores
            return answer(q, stream)
        with NoLargeArray(len(q), keys):
            return answer(q, stream)

    def case(name: str, T: int, D: int, lengths: tuple[int, ...], size: float = 1.0) -> Case:
        def make(g: np.random.Generator) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
            def draw(rows: int) -> torch.Tensor:
                return torch.from_numpy(g.normal(size=(rows, D)))

            return size * draw(T), [(draw(S), draw(S)) for S in lengths]

        return Case(name, make)

    def whole(q: torch.Tensor, pieces: Pieces) -> torch.Tensor:
        k, v = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return torch.softmax(q @ k.T / q.shape[1] ** 0.5, -1) @ v

    def by_rows(q: torch.Tensor, pieces: Pieces) -> torch.Tensor:
        """PyTorch's own attention, one query at a time."""
        k, v = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        attention = torch.nn.functional.scaled_dot_product_attention
        return torch.cat([attention(row[None], k, v) for row in q])

    def streamed(
        q: torch.Tensor, pieces: Pieces, *,
        old_sum: float = 1, old_mix: float = 1, maximum: str = "rows", divide: bool = True, root: bool = True,
    ) -> torch.Tensor:  # fmt: skip
        """old_sum, old_mix: 1 scales down what was added before, 0 leaves it, −1 scales it up."""
        highest = torch.full((len(q), 1), -math.inf, dtype=q.dtype)
        total, mix = torch.zeros_like(highest), torch.zeros_like(q)
        for k, v in pieces:
            scores = q @ k.T / (q.shape[1] ** 0.5 if root else 1)
            if maximum == "none":
                new = torch.zeros_like(highest)
            elif maximum == "one":
                new = torch.maximum(highest, scores.max())
            else:
                new = torch.maximum(highest, scores.max(1, keepdim=True).values)
            shrink = torch.exp(highest - new)
            shrink = torch.where(torch.isinf(highest), 1.0, shrink)
            powers = torch.exp(scores - new)
            total = total * shrink**old_sum + powers.sum(1, keepdim=True)
            mix, highest = mix * shrink**old_mix + powers @ v, new
        return mix / total if divide else mix

    def piece_by_piece(q: torch.Tensor, pieces: Pieces) -> list[torch.Tensor]:
        return [whole(q, [piece]) for piece in pieces]

    return Exercise(
        reference=by_rows,
        drive=drive,
        cases=(
            case("one query, one key", 1, 2, (1,)),
            case("one piece", 2, 2, (3,)),
            case("two pieces", 3, 2, (2, 2)),
            case("pieces of different lengths", 6, 3, (2, 1, 4)),
            case("equal scores", 3, 2, (2, 3, 2), 0.0),
            case("scores of thousands", 8, 2, (3, 3, 3), 8000.0),
            case("a long text", 16, 3, (4,) * 16),
        ),
        mistakes={
            "all_at_once": Mistake(
                "the result is right, but you hold the scores of all keys at once; that is what the pieces"
                " should save",
                whole,
            ),
            "last_piece": Mistake(
                "only the last piece is in your result: what came before is overwritten",
                lambda q, pieces: piece_by_piece(q, pieces)[-1],
            ),
            "first_piece": Mistake(
                "only the first piece is in your result; does a `return` stand inside the loop?",
                lambda q, pieces: piece_by_piece(q, pieces)[0],
            ),
            "sum_of_pieces": Mistake(
                "you add up a softmax of each piece, so the weights sum to the number of pieces",
                lambda q, pieces: sum(piece_by_piece(q, pieces)),
            ),
            "mean_of_pieces": Mistake(
                "you average a softmax of each piece: every piece gets the same share, whatever its scores",
                lambda q, pieces: torch.stack(piece_by_piece(q, pieces)).mean(0),
            ),
            "no_root": Mistake("the scores are not divided by √D", lambda q, p: streamed(q, p, root=False)),
            "no_division": Mistake(
                "the mixture is not divided by the sum of its weights",
                lambda q, p: streamed(q, p, divide=False),
            ),
            "no_maximum": Mistake(
                "large scores overflow in exp; subtract the highest score seen so far",
                lambda q, p: streamed(q, p, maximum="none"),
            ),
            "one_maximum": Mistake(
                "one maximum for all queries: in a row of low scores every exp becomes 0, and 0 / 0 is nan",
                lambda q, p: streamed(q, p, maximum="one"),
            ),
            "no_rescaling": Mistake(
                "when a higher score comes, what you have added up still belongs to the old maximum",
                lambda q, p: streamed(q, p, old_sum=0, old_mix=0),
            ),
            "sum_only": Mistake(
                "you bring the sum of weights to the new maximum, but not the mixture",
                lambda q, p: streamed(q, p, old_mix=0),
            ),
            "mixture_only": Mistake(
                "you bring the mixture to the new maximum, but not the sum of weights",
                lambda q, p: streamed(q, p, old_sum=0),
            ),
            "wrong_way": Mistake(
                "you bring the old sums to the new maximum the wrong way: they should shrink, not grow",
                lambda q, p: streamed(q, p, old_sum=-1, old_mix=-1),
            ),
        },
    )


# 5. A polynomial


@exercise("10.polynomial")
def polynomial(most: int = 30) -> Exercise:
    def by_matrices(coefficients: tuple[float, float, float], s: float, at_least: float) -> float:
        """Rounds of the matrix iteration, on a matrix with the single singular value s."""
        a, b, c = coefficients
        X = s * np.outer([0.6, 0.8, 0.0], [0.0, 1.0])
        for rounds in range(most + 1):
            if np.linalg.norm(X) > at_least:
                return float(rounds)
            A = X @ X.T
            X = a * X + (b * A + c * A @ A) @ X
        return math.inf

    def near(g: np.random.Generator, steep: float) -> tuple[float, float, float]:
        a = steep * g.uniform(0.98, 1.02)
        return float(a), float(-1.4 * a * g.uniform(0.98, 1.02)), float(0.6 * a * g.uniform(0.98, 1.02))

    def case(name: str, make: Callable[[np.random.Generator], tuple[Any, float, float]]) -> Case:
        return Case(name, make)

    def count(
        coefficients: tuple[float, float, float], s: float, at_least: float, *,
        powers: tuple[int, int, int] = (1, 3, 5), extra: int = 0, one: bool = False, limit: int = most,
    ) -> float:  # fmt: skip
        for rounds in range(limit + 1):
            if s > at_least:
                return float(max(rounds, one) + extra)
            s = sum(c * s**power for c, power in zip(coefficients, powers, strict=True))
        return math.inf

    def in_turn(coefficients: tuple[float, float, float], s: float, at_least: float) -> float:
        a, b, c = coefficients
        for rounds in range(most + 1):
            if s > at_least:
                return rounds
            s = a * s
            s = s + b * s**3
            s = s + c * s**5
        return math.inf

    def but(replace: Callable[[float], float]) -> Callable[..., float]:
        """The right count, changed."""
        return lambda *a: replace(count(*a))

    return Exercise(
        reference=by_matrices,
        cases=(
            case("nothing to do", lambda g: (near(g, 3.4), float(g.uniform(0.6, 0.9)), 0.5)),
            case("a doubling", lambda g: ((2.0, 0.0, 0.0), 2.0 ** -int(g.integers(3, 6)), 0.7)),
            case(
                "about Muon's", lambda g: (near(g, 3.4), float(g.uniform(0.001, 0.02)), g.uniform(0.5, 0.65))
            ),
            case(
                "slow near 1",
                lambda g: ((1.5, -0.5, 0.0), float(g.uniform(0.01, 0.1)), g.uniform(0.98, 0.99)),
            ),
            case("a fifth power", lambda g: ((1.875, -1.25, 0.375), float(g.uniform(0.01, 0.1)), 0.999)),
            case("it never gets there", lambda g: ((1.0, float(g.uniform(-0.9, -0.5)), 0.0), 0.5, 0.7)),
            case("just in time", lambda g: ((2.0, 0.0, 0.0), 0.75 * 2.0**-most, 0.7)),
            case("just too late", lambda g: ((2.0, 0.0, 0.0), 0.75 * 2.0 ** -(most + 1), 0.7)),
        ),
        mistakes={
            "one_more": Mistake(
                "you count one round too many: `s` that is large enough already needs none",
                lambda *a: count(*a, extra=1),
            ),
            "at_least_one": Mistake(
                "you always do one round; `s` that is large enough already needs none",
                lambda *a: count(*a, one=True),
            ),
            "one_less": Mistake(
                "you count one round too few: the last one, which lifts `s` over the mark, counts too",
                but(lambda rounds: max(rounds - 1, 0)),
            ),
            "wrong_powers": Mistake(
                "your powers are 1, 2, 3; only odd ones act on singular values alone: 1, 3, 5",
                lambda *a: count(*a, powers=(1, 2, 3)),
            ),
            "reversed": Mistake(
                "your coefficients stand in the reverse order: `a` belongs to s, `c` to s⁵",
                lambda *a: count(*a, powers=(5, 3, 1)),
            ),
            "first_term": Mistake(
                "you only multiply by `a`; the other two terms matter when `s` is near 1",
                lambda p, s, at_least: count((p[0], 0.0, 0.0), s, at_least),
            ),
            "in_turn": Mistake(
                "you change `s` before its other powers are taken: all three terms need the old `s`",
                in_turn,
            ),
            "gives_up_with_a_number": Mistake(
                "where `MOST` rounds do not reach the mark you return a number of rounds, not infinity",
                but(lambda rounds: min(rounds, most)),
            ),
            "one_round_short": Mistake(
                "you give up one round too early: exactly `MOST` rounds are allowed",
                but(lambda rounds: rounds if rounds < most else math.inf),
            ),
            "one_round_long": Mistake(
                "you give up one round too late: `MOST` rounds are allowed, no more",
                lambda *a: count(*a, limit=most + 1),
            ),
        },
    )
