"""What the exercises of chapter 14 call: LoRA, and the loss on answers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Adapter = tuple[Array, Array, float]


# 1. How many numbers


@exercise("14.count_lora")
def count_lora() -> Exercise:
    def by_building(inputs: int, outputs: int, rank: int) -> tuple[int, int, float]:
        W, A, B = np.empty((outputs, inputs)), np.empty((rank, inputs)), np.empty((outputs, rank))
        return W.size, A.size + B.size, 1 / (1 / inputs + 1 / outputs)

    def case(name: str, inputs: tuple[int, int], outputs: tuple[int, int], most: int = 9) -> Case:
        def make(g: np.random.Generator) -> tuple[int, int, int]:
            return int(g.integers(*inputs)), int(g.integers(*outputs)), int(g.integers(2, most))

        return Case(name, make)

    def square(g: np.random.Generator) -> tuple[int, int, int]:
        n = 2 * int(g.integers(5, 40)) + 1
        return n, n, int(g.integers(2, 5))

    def even(i: int, o: int) -> float:
        return i * o / (i + o)

    def right_but(
        layer: Callable[[int, int], int] = lambda i, o: i * o,
        adapter: Callable[[int, int, int], int] = lambda i, o, r: r * (i + o),
        rank: Callable[[int, int, int], float] = lambda i, o, r: even(i, o),
    ) -> Callable[[int, int, int], tuple[int, int, float]]:
        return lambda i, o, r: (layer(i, o), adapter(i, o, r), rank(i, o, r))

    return Exercise(
        reference=by_building,
        cases=(
            case("a small layer", (5, 9), (11, 15), 4),
            Case("a square layer", square),
            Case("rank 1", lambda g: (int(g.integers(10, 90)), int(g.integers(100, 190)), 1)),
            case("more inputs than outputs", (301, 400), (101, 199)),
            case("more outputs than inputs", (701, 800), (3001, 3100)),
        ),
        mistakes={
            "only_A": Mistake(
                "B is not counted: an adapter has two matrices", right_but(adapter=lambda i, o, r: r * i)
            ),
            "only_B": Mistake(
                "A is not counted: an adapter has two matrices", right_but(adapter=lambda i, o, r: r * o)
            ),
            "product": Mistake(
                "you count rank times the whole layer; A has one side of the layer, B the other",
                right_but(adapter=lambda i, o, r: r * i * o),
            ),
            "square": Mistake(
                "you count as if A and B were both as wide as the inputs; B is as long as the outputs",
                right_but(adapter=lambda i, o, r: 2 * r * i),
            ),
            "with_bias": Mistake(
                "you count a bias for each output; this layer has none",
                right_but(layer=lambda i, o: i * o + o),
            ),
            "whole_rank": Mistake(
                "you round the last number; it is asked for as it is, whole or not",
                right_but(rank=lambda i, o, r: i * o // (i + o)),
            ),
            "full_rank": Mistake(
                "the last number is the highest rank that such a matrix can have; "
                "the adapter grows as large as the layer at a lower one",
                right_but(rank=lambda i, o, r: min(i, o)),
            ),
            "ratio": Mistake(
                "the last number says how many times smaller this adapter is; "
                "the rank is asked for at which it would be as large as the layer",
                right_but(rank=lambda i, o, r: even(i, o) / r),
            ),
            "swapped": Mistake(
                "the layer comes first, then the adapter; yours are exchanged",
                lambda i, o, r: (r * (i + o), i * o, even(i, o)),
            ),
        },
    )


# 2. Which targets are graded


def spoken(
    ids: Ids, assistant: int, end: int, with_end: bool = True, with_mark: bool = False
) -> NDArray[np.bool_]:
    """(n,), true where a token is the assistant's: looks back for the last mark, place by place."""
    out = np.zeros(len(ids), bool)
    for t, token in enumerate(ids):
        before = [s for s in range(t) if ids[s] in (assistant, end)]
        inside = bool(before) and ids[before[-1]] == assistant
        out[t] = (inside and (with_end or token != end)) or (with_mark and token == assistant)
    return out


@exercise("14.answer_targets")
def answer_targets(ignore: int = -1) -> Exercise:
    def drive(answer: Callable[..., Any], *arguments: Any) -> Any:
        """A list of whole numbers will do as well as an array."""
        got = answer(*arguments)
        return np.array(got, dtype=None if got else np.int64) if isinstance(got, list) else got

    def case(name: str, *turns: tuple[int, int], whole: bool = True) -> Case:
        """Turns of (question, answer): how many tokens each has."""

        def make(g: np.random.Generator) -> tuple[Ids, int, int]:
            user, end_user, assistant, end = (int(mark) for mark in g.permutation(np.arange(90, 94)))
            ids: list[int] = []
            for asked, answered in turns:
                ids += [user, *g.integers(3, 60, size=asked), end_user]
                ids += [assistant, *g.integers(3, 60, size=answered), end] if answered >= 0 else []
            return np.array(ids if whole else ids[:-2], dtype=np.int64), assistant, end

        return Case(name, make)

    def where(mask: NDArray[np.bool_], values: Ids, other: int = ignore) -> Ids:
        return np.where(mask, values, other)

    def only(ids: Ids, a: int, e: int, which: int) -> Ids:
        """One answer alone, the first or the last."""
        mask, starts = spoken(ids, a, e), np.flatnonzero(ids == a)
        if len(starts):
            place = np.arange(len(ids))
            mask &= place > starts[-1] if which else place <= (starts[1] if len(starts) > 1 else len(ids))
        return where(mask[1:], ids[1:])

    def closed(ids: Ids, a: int, e: int) -> Ids:
        mask = spoken(ids, a, e)
        ends = np.flatnonzero(ids == e)
        return where((mask & (np.arange(len(ids)) <= (ends[-1] if len(ends) else -1)))[1:], ids[1:])

    minus_one = {
        "minus_one": Mistake(
            f"you write −1 where no loss is taken; here it is {ignore}",
            lambda ids, a, e: where(spoken(ids, a, e)[1:], ids[1:], -1),
        )
    }
    return Exercise(
        reference=lambda ids, a, e: where(spoken(ids, a, e)[1:], ids[1:]),
        drive=drive,
        cases=(
            case("a question without an answer", (2, -1)),
            case("one answer", (2, 3)),
            case("an empty answer", (1, 0), (2, 1)),
            case("two answers", (2, 2), (3, 3)),
            case("an answer that is cut off", (2, 2), (1, 5), whole=False),
            case("a longer conversation", (6, 3), (1, 5), (4, 2)),
        ),
        mistakes={
            "no_mask": Mistake(
                "there is no mask: the user's tokens are graded, too", lambda ids, a, e: ids[1:]
            ),
            "zeros": Mistake(
                f"you write 0 where no loss is taken; 0 is a token, {ignore} is what the loss leaves out",
                lambda ids, a, e: where(spoken(ids, a, e)[1:], ids[1:], 0),
            ),
            **({} if ignore == -1 else minus_one),
            "late": Mistake(
                "all that is graded stands one place too late: you ask whether the input is the assistant's; "
                "the mask is about the next token",
                lambda ids, a, e: where(spoken(ids, a, e)[:-1], ids[1:]),
            ),
            "no_end": Mistake(
                "the end token is not graded: the model would never learn to stop",
                lambda ids, a, e: where(spoken(ids, a, e, with_end=False)[1:], ids[1:]),
            ),
            "mark": Mistake(
                "the mark that opens the answer is graded; the program writes it, not the model",
                lambda ids, a, e: where(spoken(ids, a, e, with_mark=True)[1:], ids[1:]),
            ),
            "by_target": Mistake(
                "you open and close at the target: so the opening mark is graded and the end token is not",
                lambda ids, a, e: where(spoken(ids, a, e, with_end=False, with_mark=True)[1:], ids[1:]),
            ),
            "never_closed": Mistake(
                "once the assistant has spoken, all that follows is graded, the user's next turn too",
                lambda ids, a, e: where(np.cumsum(ids == a)[:-1] > 0, ids[1:]),
            ),
            "first_only": Mistake("only the first answer is graded", lambda ids, a, e: only(ids, a, e, 0)),
            "last_only": Mistake("only the last answer is graded", lambda ids, a, e: only(ids, a, e, 1)),
            "unfinished": Mistake(
                "an answer that is cut off, without an end token, is left out; what there is of it counts",
                closed,
            ),
            "the_user": Mistake(
                "it is the other way round: you grade what the user says",
                lambda ids, a, e: where(~spoken(ids, a, e)[1:], ids[1:]),
            ),
            "too_long": Mistake(
                "there are as many targets as ids; the first id is no target: nothing stands before it",
                lambda ids, a, e: where(spoken(ids, a, e), ids),
            ),
        },
    )


# 3. Merge


@exercise("14.merge_adapters")
def merge_adapters(power: float = 1.0) -> Exercise:
    def by_terms(W: Array, adapters: list[Adapter]) -> Array:
        """One direction of one adapter at a time."""
        out = W.copy()
        for A, B, alpha in adapters:
            for r in range(len(A)):
                out += alpha * len(A) ** -power * np.outer(B[:, r], A[r])
        return out

    def merged(W: Array, adapters: list[Adapter], scale: Callable[[Array, Array, float], float]) -> Array:
        return np.asarray(W + sum(scale(A, B, alpha) * B @ A for A, B, alpha in adapters))

    def right(A: Array, B: Array, alpha: float) -> float:
        return float(alpha / len(A) ** power)

    def scaled(scale: Callable[[Array, Array, float], float]) -> Callable[[Array, list[Adapter]], Array]:
        return lambda W, adapters: merged(W, adapters, scale)

    def case(name: str, shape: tuple[int, int], *ranks: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, list[Adapter]]:
            out, inputs = shape
            adapters = [
                (g.normal(size=(r, inputs)), g.normal(size=(out, r)), float(g.uniform(3, 20))) for r in ranks
            ]
            return g.normal(size=shape), adapters

        return Case(name, make)

    divided = {
        "by_rank": Mistake(
            f"you divide alpha by the rank; here it is divided by rank to the power {power:g}",
            scaled(lambda A, B, alpha: alpha / len(A)),
        )
    }
    return Exercise(
        reference=by_terms,
        cases=(
            case("no adapter", (2, 2)),
            case("one adapter", (2, 3), 2),
            case("a square matrix", (3, 3), 2),
            case("two of the same rank", (4, 3), 2, 2),
            case("two ranks", (5, 4), 2, 3),
            case("a square matrix, two ranks", (4, 4), 3, 2),
            case("three adapters", (3, 6), 2, 4, 3),
        ),
        mistakes={
            "no_scale": Mistake(
                "the scale is missing: B A is added as it is", scaled(lambda A, B, alpha: 1.0)
            ),
            **({} if power == 1 else divided),
            "alpha_alone": Mistake(
                "alpha is not divided: the scale depends on the rank, too", scaled(lambda A, B, alpha: alpha)
            ),
            "times_rank": Mistake(
                "alpha is multiplied where it should be divided: a higher rank gets a smaller scale",
                scaled(lambda A, B, alpha: alpha * len(A) ** power),
            ),
            "wrong_axis": Mistake(
                "you divide by the number of inputs; the rank is the number of A's rows, or of B's columns",
                scaled(lambda A, B, alpha: alpha / A.shape[1] ** power),
            ),
            "outputs": Mistake(
                "you divide by the number of outputs; the rank is the number of A's rows, or of B's columns",
                scaled(lambda A, B, alpha: alpha / len(B) ** power),
            ),
            "first_rank": Mistake(
                "you use the first adapter's rank for all of them; each has its own",
                lambda W, all_of_them: merged(
                    W, all_of_them, lambda A, B, alpha: alpha / len(all_of_them[0][0]) ** power
                ),
            ),
            "last_only": Mistake(
                "only the last adapter is in the result: each one is added to W anew",
                lambda W, all_of_them: merged(W, all_of_them[-1:], right),
            ),
            "first_only": Mistake(
                "only the first adapter is in the result: do you return inside the loop?",
                lambda W, all_of_them: merged(W, all_of_them[:1], right),
            ),
            "change_alone": Mistake(
                "the old weight is missing: this is the change alone",
                lambda W, all_of_them: merged(0 * W, all_of_them, right),
            ),
            "averaged": Mistake(
                "you average the changes; merged adapters add up",
                lambda W, all_of_them: merged(W, all_of_them, lambda *a: right(*a) / len(all_of_them)),
            ),
            "base_each_time": Mistake(
                "the old weight is in the result once for each adapter; it belongs there once",
                lambda W, all_of_them: merged(len(all_of_them) * W, all_of_them, right),
            ),
            "transposed": Mistake(
                "the change is transposed: B A has the shape of W, (out, in)",
                lambda W, all_of_them: np.asarray(
                    W + sum(right(A, B, alpha) * A.T @ B.T for A, B, alpha in all_of_them)
                ),
            ),
        },
    )


# 4. The rank of the sum


@exercise("14.merged_rank")
def merged_rank() -> Exercise:
    def by_experiment(outputs: int, inputs: int, ranks: list[int], same_A: bool) -> int:
        g = np.random.default_rng()
        shared = g.normal(size=(ranks[0], inputs))
        change = np.zeros((outputs, inputs))
        for rank in ranks:
            A = shared if same_A else g.normal(size=(rank, inputs))
            change += g.normal(size=(outputs, rank)) @ A
        return int(np.linalg.matrix_rank(change))

    def case(name: str, low: int, high: int, count: int, rank: tuple[int, int], same: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[int, int, list[int], bool]:
            outputs, inputs = (int(n) for n in g.choice(np.arange(low, high), size=2, replace=False))
            ranks = [int(r) for r in g.choice(np.arange(*rank), size=count, replace=False)]
            return outputs, inputs, ranks[:1] * count if same else ranks, same

        return Case(name, make)

    def flat(g: np.random.Generator, turned: bool) -> tuple[int, int, list[int], bool]:
        long, short = int(g.integers(20, 30)), int(g.integers(6, 9))
        sizes = (short, long) if turned else (long, short)
        return *sizes, [int(r) for r in g.choice(np.arange(4, 8), size=3, replace=False)], False

    return Exercise(
        reference=by_experiment,
        cases=(
            case("one adapter", 8, 14, 1, (2, 6)),
            case("two adapters", 20, 30, 2, (2, 8)),
            case("three adapters", 30, 40, 3, (2, 9)),
            Case("few inputs", lambda g: flat(g, False)),
            Case("few outputs", lambda g: flat(g, True)),
            case("the same A", 20, 30, 3, (2, 6), same=True),
            case("a rank higher than the matrix allows", 4, 8, 2, (9, 12), same=True),
        ),
        mistakes={
            "no_limit": Mistake(
                "your rank grows without limit; how many rows and columns has the matrix?",
                lambda o, i, ranks, same: ranks[0] if same else sum(ranks),
            ),
            "no_limit_no_sharing": Mistake(
                "you add up all ranks, always; think of the size of the matrix, and of adapters that read "
                "the same directions",
                lambda o, i, ranks, same: sum(ranks),
            ),
            "sharing": Mistake(
                "with the same A all changes read the same directions; a sum of them reads no more",
                lambda o, i, ranks, same: min(o, i, sum(ranks)),
            ),
            "largest": Mistake(
                "the largest rank is too few: another adapter has other directions, and they come on top",
                lambda o, i, ranks, same: min(o, i, max(ranks)),
            ),
            "first": Mistake(
                "you look at the first adapter alone", lambda o, i, ranks, same: min(o, i, ranks[0])
            ),
            "smallest": Mistake(
                "the smallest rank does not bound a sum (it does bound a product)",
                lambda o, i, ranks, same: min(o, i, *ranks),
            ),
            "rows_only": Mistake(
                "you limit the rank by the outputs alone; a matrix of few inputs has few columns",
                lambda o, i, ranks, same: min(o, ranks[0] if same else sum(ranks)),
            ),
            "columns_only": Mistake(
                "you limit the rank by the inputs alone; a matrix of few outputs has few rows",
                lambda o, i, ranks, same: min(i, ranks[0] if same else sum(ranks)),
            ),
            "full": Mistake(
                "that is the highest rank that such a matrix can have; few directions do not get there",
                lambda o, i, ranks, same: min(o, i),
            ),
            "product": Mistake(
                "ranks of a sum add up; you multiply them",
                lambda o, i, ranks, same: min(o, i, ranks[0] if same else int(np.prod(ranks))),
            ),
        },
    )


# 5. Backward


@exercise("14.lora_backward")
def lora_backward() -> Exercise:
    def by_autograd(d_out: Array, x: Array, W: Array, A: Array, B: Array, alpha: float) -> tuple[Array, ...]:
        leaves = [torch.tensor(array, requires_grad=True) for array in (x, A, B)]
        t_x, t_A, t_B = leaves
        out = t_x @ torch.tensor(W).T + alpha / len(A) * (t_x @ t_A.T @ t_B.T)
        return tuple(g.numpy() for g in torch.autograd.grad(out, leaves, torch.tensor(d_out)))

    def attempt(
        d: Array,
        x: Array,
        W: Array,
        A: Array,
        B: Array,
        alpha: float,
        *,
        scale: float | None = None,
        inner: float | None = None,
        frozen: float = 1,
        beside: float = 1,
    ) -> tuple[Array, Array, Array]:
        """inner: the factor of d_A and d_B; scale: that of d_x; frozen, beside: the two ways of d_x."""
        of_x = alpha / len(A) if scale is None else scale
        own = of_x if inner is None else inner
        return frozen * (d @ W) + beside * of_x * (d @ B @ A), own * (d @ B).T @ x, own * d.T @ (x @ A.T)

    def case(name: str, T: int, inputs: int, outputs: int, rank: int, zero: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Any, ...]:
            shapes = ((T, outputs), (T, inputs), (outputs, inputs), (rank, inputs), (outputs, rank))
            d_out, x, W, A, B = (g.normal(size=shape) for shape in shapes)
            return d_out, x, W, A, B * (not zero), float(g.uniform(4, 16))

        return Case(name, make)

    def changed(
        change: Callable[[Array, Array, Array], tuple[Array, ...]],
    ) -> Callable[..., tuple[Array, ...]]:
        return lambda *given: change(*attempt(*given))

    return Exercise(
        reference=by_autograd,
        cases=(
            case("T = 1, rank 1", 1, 2, 2, 1),
            case("B = 0, as at the start", 2, 3, 2, 2, zero=True),
            case("rank 2", 3, 3, 4, 2),
            case("more inputs than outputs", 5, 6, 2, 3),
            case("in = out = rank = T", 3, 3, 3, 3),
        ),
        mistakes={
            "no_scale": Mistake("the scale is missing everywhere", lambda *given: attempt(*given, scale=1)),
            "alpha_alone": Mistake(
                "your scale is alpha; it is alpha divided by the rank",
                lambda *given: attempt(*given, scale=given[-1]),
            ),
            "gradients_unscaled": Mistake(
                "d_A and d_B lack the scale: it stands between them and the output",
                lambda *given: attempt(*given, inner=1),
            ),
            "d_x_unscaled": Mistake(
                "the scale is missing in d_x, on the way through A and B",
                lambda *given: attempt(*given, scale=1, inner=given[-1] / len(given[3])),
            ),
            "d_x_all_scaled": Mistake(
                "the scale belongs to the way through A and B alone; you scale the way through W, too",
                lambda *given: attempt(*given, frozen=given[-1] / len(given[3])),
            ),
            "no_frozen_way": Mistake(
                "d_x lacks the way through W: W is not changed, but gradients pass through it",
                lambda *given: attempt(*given, frozen=0),
            ),
            "no_adapter_way": Mistake(
                "d_x lacks the way through A and B", lambda *given: attempt(*given, beside=0)
            ),
            "W_transposed": Mistake(
                "W stands transposed in d_x: backward it is used as it is, (out, in)",
                lambda d, x, W, *rest: attempt(d, x, W.T, *rest),
            ),
            "swapped": Mistake(
                "A's gradient comes before B's; yours are exchanged",
                changed(lambda d_x, d_A, d_B: (d_x, d_B, d_A)),
            ),
            "transposed": Mistake(
                "d_A and d_B are transposed: a gradient has the shape of what it belongs to",
                changed(lambda d_x, d_A, d_B: (d_x, d_A.T, d_B.T)),
            ),
            "zero_A": Mistake(
                "your d_A is always zero; that holds only as long as B is zero",
                changed(lambda d_x, d_A, d_B: (d_x, 0 * d_A, d_B)),
            ),
            "averaged": Mistake(
                "you average over the positions; each adds to the gradients of A and B",
                lambda *given: attempt(*given, inner=given[-1] / len(given[3]) / len(given[1])),
            ),
            "x_alone": Mistake(
                "in d_B stands x where A x belongs: B reads what A writes",
                lambda d, x, W, A, B, alpha: (
                    *attempt(d, x, W, A, B, alpha)[:2],
                    alpha / len(A) * d.T @ x,
                ),
            ),
        },
    )


# 6. Cut


@probe("of that rank")
def no_more_than(got: Any, A: Array, B: Array, rank: int) -> str | None:
    found = int(np.linalg.matrix_rank(got["B A"], tol=1e-8 * max(1.0, float(np.abs(B @ A).max()))))
    return f"b a has the rank {found}, not {rank} or less" if found > rank else None


@exercise("14.cut_adapter")
def cut_adapter() -> Exercise:
    def drive(answer: Callable[..., Any], *arguments: Any) -> Any:
        got = answer(*arguments)
        if not (isinstance(got, list | tuple) and len(got) == 2 and all(hasattr(m, "shape") for m in got)):
            return got
        a, b = (np.asarray(m.detach() if hasattr(m, "detach") else m) for m in got)
        A, B, _ = arguments
        fits = a.shape[1:] == A.shape[1:] and b.shape[:-1] == B.shape[:-1] and b.shape[-1] == len(a)
        # many pairs have the same product, so the product is compared, not the pair
        return {"A's shape": str(a.shape), "B's shape": str(b.shape), "B A": b @ a if fits else None}

    def by_eigenvectors(A: Array, B: Array, rank: int) -> tuple[Array, Array]:
        change = B @ A
        a = np.linalg.eigh(change.T @ change)[1][:, ::-1][:, :rank].T
        return a, change @ a.T

    def svd(A: Array, B: Array) -> tuple[Array, Array, Array]:
        U, S, Vt = np.linalg.svd(B @ A, full_matrices=False)
        return U, S, Vt

    def powered(power: float) -> Callable[..., tuple[Array, Array]]:
        def cut(A: Array, B: Array, rank: int) -> tuple[Array, Array]:
            U, S, Vt = svd(A, B)
            return Vt[:rank], U[:, :rank] * S[:rank] ** power

        return cut

    def alone(matrix: Array, rank: int) -> Array:
        U, S, Vt = np.linalg.svd(matrix, full_matrices=False)
        return np.asarray((U[:, :rank] * S[:rank]) @ Vt[:rank])

    def each_alone(A: Array, B: Array, rank: int) -> tuple[Array, Array]:
        U, S, _ = np.linalg.svd(B, full_matrices=False)
        _, s, vt = np.linalg.svd(A, full_matrices=False)
        return s[:rank, None] * vt[:rank], U[:, :rank] * S[:rank]

    def smallest(A: Array, B: Array, rank: int) -> tuple[Array, Array]:
        U, S, Vt = (part[..., : len(A)] if part.ndim < 2 else part for part in svd(A, B))
        last = slice(len(A) - rank, len(A))
        return Vt[last], U[:, last] * S[last]

    def columns_of_v(A: Array, B: Array, rank: int) -> tuple[Array, Array]:
        U, S, Vt = np.linalg.svd(B @ A)
        return Vt[:, :rank].T, U[:, :rank] * S[:rank]

    def kept(a: Array, b: Array, more: int) -> tuple[Array, Array]:
        return np.pad(a, ((0, more), (0, 0))), np.pad(b, ((0, 0), (0, more)))

    def case(name: str, outputs: int, inputs: int, old: int, new: int, zero: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array, int]:
            return g.normal(size=(old, inputs)), g.normal(size=(outputs, old)) * (not zero), new

        return Case(name, make)

    return Exercise(
        reference=by_eigenvectors,
        drive=drive,
        probes=(no_more_than,),
        cases=(
            case("rank 2 cut to 1", 3, 4, 2, 1),
            case("a square weight", 5, 5, 3, 2),
            case("the same rank", 4, 6, 2, 2),
            case("B = 0", 4, 3, 2, 1, zero=True),
            case("rank 8 cut to 3", 12, 20, 8, 3),
            case("more outputs than inputs", 20, 9, 6, 4),
        ),
        mistakes={
            "first_rows": Mistake(
                "you keep the first rows of A and columns of B; which of them matter is not in their order",
                lambda A, B, rank: (A[:rank], B[:, :rank]),
            ),
            "no_strength": Mistake(
                "the singular values are missing: U and V have columns of length 1",
                powered(0),
            ),
            "root_once": Mistake("the root of the singular values is in one matrix only", powered(0.5)),
            "each_alone": Mistake(
                "you cut A and B one by one; the product of the two is what has to be near the old one",
                each_alone,
            ),
            "filtered_alone": Mistake(
                "you take the best approximations of A and of B, but keep their old shapes",
                lambda A, B, rank: (alone(A, rank), alone(B, rank)),
            ),
            "smallest": Mistake(
                "you keep the weakest directions; singular values come sorted, the largest first", smallest
            ),
            "columns_of_v": Mistake(
                "NumPy returns V transposed; you take its columns, and its rows are the directions",
                columns_of_v,
            ),
            "swapped": Mistake(
                "A comes first, then B; yours are exchanged",
                lambda A, B, rank: by_eigenvectors(A, B, rank)[::-1],
            ),
            "transposed": Mistake(
                "both matrices are transposed: A is (rank, in), B is (out, rank)",
                lambda A, B, rank: tuple(m.T for m in by_eigenvectors(A, B, rank)),
            ),
            "uncut": Mistake("nothing is cut: the rank is the old one", lambda A, B, rank: (A, B)),
            "zeroed": Mistake(
                "the weaker directions are set to zero, but the matrices keep their old size",
                lambda A, B, rank: kept(*by_eigenvectors(A, B, rank), len(A) - rank),
            ),
        },
    )
