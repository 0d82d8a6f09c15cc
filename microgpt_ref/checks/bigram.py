"""What the exercises of chapter 2 call: a first language model."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe
from microgpt_ref.numpy.check import numerical_gradient

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


# 1. The loss of a model that never looks


@exercise("02.constant_loss")
def constant_loss() -> Exercise:
    def by_shares(q: Array, y: Ids) -> Array:
        return np.bincount(y, minlength=len(q)) / len(y)

    def drawn(g: np.random.Generator, V: int, n: int) -> tuple[Array, Ids]:
        return g.dirichlet(np.full(V, 2.0)), g.integers(0, V, n)

    def never_seen(g: np.random.Generator) -> tuple[Array, Ids]:
        q = np.append(g.dirichlet(np.full(3, 2.0)), 0.0)
        return q, g.integers(0, 3, 7)

    def impossible(g: np.random.Generator) -> tuple[Array, Ids]:
        q = np.append(g.dirichlet(np.full(3, 2.0)), 0.0)
        return q, np.append(g.integers(0, 3, 5), 3)

    def by_product(q: Array, y: Ids) -> float:
        return float(-np.log(np.prod(q[y])) / len(y))

    return Exercise(
        reference=lambda q, y: sum(-math.log(q[k]) if q[k] else math.inf for k in y) / len(y),
        cases=(
            Case("one id", lambda g: drawn(g, 3, 1)),
            Case("V = 2", lambda g: drawn(g, 2, 5)),
            Case(
                "a uniform model", lambda g: (np.full(V := int(g.integers(3, 9)), 1 / V), drawn(g, V, 6)[1])
            ),
            Case("an id that never comes and has no chance", never_seen),
            Case("a longer text", lambda g: drawn(g, 6, 40)),
            Case("an id that comes although it had no chance", impossible),
            Case("2,000 ids", lambda g: drawn(g, 20, 2000)),
        ),
        mistakes={
            "sum": Mistake(
                "this is the loss of the whole text; divide by the number of its ids",
                lambda q, y: float(-np.log(q[y]).sum()),
            ),
            "sign": Mistake(
                "your loss has the wrong sign: ln of a probability is below zero, a loss is not",
                lambda q, y: float(np.log(q[y]).mean()),
            ),
            "bits": Mistake(
                "this is in bits; nats need the natural logarithm", lambda q, y: float(-np.log2(q[y]).mean())
            ),
            "log10": Mistake("you take the logarithm to base 10", lambda q, y: float(-np.log10(q[y]).mean())),
            "perplexity": Mistake(
                "this is the perplexity; the loss is its logarithm",
                lambda q, y: float(np.exp(-np.log(q[y]).mean())),
            ),
            "ln_V": Mistake(
                "this is ln V, the loss of the uniform model; yours gives the probabilities q",
                lambda q, y: math.log(len(q)),
            ),
            "entropy": Mistake(
                "this is the entropy of q, the loss on text that q itself wrote; the text y is not used",
                lambda q, y: float(special.entr(q).sum()),
            ),
            "entropy_of_text": Mistake(
                "this is the entropy of the text's own shares; the model's probabilities q are not used",
                lambda q, y: float(special.entr(by_shares(q, y)).sum()),
            ),
            "swapped": Mistake(
                "the two are exchanged: shares of the text weigh, and the logarithm is of q",
                lambda q, y: float(-(q * np.log(by_shares(q, y))).sum()),
            ),
            "log_of_mean": Mistake(
                "you average probabilities, then take the logarithm; the mean is one of the ids' losses",
                lambda q, y: float(-np.log(q[y].mean())),
            ),
            "once": Mistake(
                "you count each character once, however often it comes",
                lambda q, y: float(-np.log(q[np.unique(y)]).mean()),
            ),
            "all_of_q": Mistake(
                "this is the mean over the vocabulary; take it over the ids of the text",
                lambda q, y: float(-np.log(q).mean()),
            ),
            "entropy_nan": Mistake(
                "this is the entropy of q, the loss on text that q itself wrote; the text y is not used. "
                "And where q is 0 it gives nan",
                lambda q, y: float(-(q * np.log(q)).sum()),
            ),
            "over_V": Mistake(
                "you divide by V, the length of q; the mean is over the ids of the text",
                lambda q, y: float(-np.log(q[y]).sum() / len(q)),
            ),
            "first_left_out": Mistake(
                "the first id is not counted; the model predicts every id of y, since it looks at none",
                lambda q, y: float(-np.log(q[y[1:]]).mean()) if len(y) > 1 else math.nan,
            ),
            "last_left_out": Mistake(
                "the last id is not counted; the model predicts every id of y, since it looks at none",
                lambda q, y: float(-np.log(q[y[:-1]]).mean()) if len(y) > 1 else math.nan,
            ),
            "zero_stops": Mistake(
                "right, but math.log stops at 0; np.log gives the infinite loss of an id that had no chance",
                lambda q, y: -sum(math.log(q[k]) for k in y) / len(y),
            ),
            "zero_times_infinity": Mistake(
                "a character that never comes and has no chance gives 0 times ln 0, which is nan; "
                "leave out what does not come",
                lambda q, y: float(-(by_shares(q, y) * np.log(q)).sum()),
            ),
            "underflow": Mistake(
                "you multiply the probabilities first, and a long product underflows to 0; add logarithms",
                by_product,
            ),
        },
    )


# 2. Smoothing


@probe("each row sums to one")
def rows_sum_to_one(got: Array, *_: object) -> str | None:
    sums = got.sum(axis=1)
    bad = np.flatnonzero(~np.isclose(sums, 1))
    return f"row {bad[0]} sums to {sums[bad[0]]:.4g}, not to 1" if len(bad) else None


@exercise("02.smooth")
def smooth() -> Exercise:
    def case(name: str, V: int, most: int, low: float, high: float, empty: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, float]:
            counts = g.integers(0, most, (V, V)).astype(float)
            counts[0, 0], counts[0, -1] = 0, most  # a pair that never came, and a table without symmetry
            if empty:
                counts[int(g.integers(V))] = 0
            return counts, float(g.uniform(low, high))

        return Case(name, make)

    def divided(counts: Array, by: Any) -> Array:
        return np.asarray(counts / by)

    def only_zeros(counts: Array, alpha: float) -> Array:
        raised = np.where(counts == 0, alpha, counts)
        return divided(raised, raised.sum(1, keepdims=True))

    def empty_zero(counts: Array, alpha: float) -> Array:
        raised = np.where(counts.sum(1, keepdims=True) > 0, counts + alpha, 0)
        return divided(raised, np.maximum(raised.sum(1, keepdims=True), alpha))

    return Exercise(
        reference=lambda counts, alpha: np.array(
            [[(n + alpha) / math.fsum(m + alpha for m in row) for n in row] for row in counts]
        ),
        cases=(
            case("V = 2", 2, 5, 0.3, 0.9),
            case("an empty row", 3, 5, 0.3, 0.9, empty=True),
            case("V = 5", 5, 9, 0.3, 0.9),
            case("a small alpha", 4, 50, 0.001, 0.01),
            case("a large alpha", 4, 5, 100, 1000, empty=True),
            case("large counts", 3, 1_000_000, 0.5, 2),
        ),
        mistakes={
            "alpha_not_below": Mistake(
                "alpha is added above the line, but the divisor is still the bare sum of the row",
                lambda c, a: divided(c + a, c.sum(1, keepdims=True)),
            ),
            "alpha_once_below": Mistake(
                "your divisor grows by one alpha; each of the V entries of the row gained one",
                lambda c, a: divided(c + a, c.sum(1, keepdims=True) + a),
            ),
            "alpha_only_below": Mistake(
                "alpha stands in the divisor alone; each count gains it too",
                lambda c, a: divided(c, c.sum(1, keepdims=True) + a * len(c)),
            ),
            "no_alpha": Mistake(
                "alpha is not used: an unseen pair still has probability 0, and an empty row gives nan",
                lambda c, a: divided(c, c.sum(1, keepdims=True)),
            ),
            "always_one": Mistake(
                "you add 1, whatever alpha is",
                lambda c, a: divided(c + 1, (c + 1).sum(1, keepdims=True)),
            ),
            "no_keepdims": Mistake(
                "column j is divided by the sum of row j: keepdims is missing",
                lambda c, a: divided(c + a, (c + a).sum(1)),
            ),
            "columns": Mistake(
                "your columns sum to one; the rows should",
                lambda c, a: divided(c + a, (c + a).sum(0)),
            ),
            "whole_table": Mistake(
                "you divide by the sum of the whole table; each row is a distribution of its own",
                lambda c, a: divided(c + a, (c + a).sum()),
            ),
            "only_zeros": Mistake(
                "you add alpha only where the count is 0; every count gains it",
                lambda c, a: only_zeros(c, a),
            ),
            "after_dividing": Mistake(
                "you divide first and add alpha then; add it to the counts",
                lambda c, a: divided(c, c.sum(1, keepdims=True)) + a,
            ),
            "after_dividing_safely": Mistake(
                "you divide first and add alpha then; add it to the counts",
                lambda c, a: divided(c, np.maximum(c.sum(1, keepdims=True), 1)) + a,
            ),
            "no_brackets": Mistake(
                "only alpha is divided, since `/` comes before `+`; put the sum into brackets",
                lambda c, a: np.asarray(c + a / (c.sum(1, keepdims=True) + a * len(c))),
            ),
            "alpha_for_each_cell": Mistake(
                "your divisor grows by one alpha for each cell of the table; a row has V of them",
                lambda c, a: divided(c + a, c.sum(1, keepdims=True) + a * c.size),
            ),
            "empty_stays_zero": Mistake(
                "a row without counts has only zeros in your table; its entries gained alpha too",
                empty_zero,
            ),
            "softmax": Mistake(
                "this is a softmax; counts are positive already and are only divided by their sum",
                lambda c, a: np.asarray(special.softmax(c, axis=1)),
            ),
            "not_divided": Mistake("these are still counts; divide each row by its sum", lambda c, a: c + a),
        },
        probes=(rows_sum_to_one,),
    )


# 3. Counting n-grams


def as_numbers(answer: Callable[..., Any], *arguments: Any) -> Any:
    """Counts may come as whole numbers or as floats."""
    got = answer(*arguments)
    whole = getattr(got, "dtype", None) is not None and np.asarray(got).dtype.kind in "iu"
    return np.asarray(got, dtype=float) if whole else got


@exercise("02.ngram_counts")
def ngram_counts(n: int = 3) -> Exercise:
    def counted(x: Ids, V: int, starts: Any = None, width: int = n) -> Array:
        counts = np.zeros((V,) * width)
        grams = (tuple(x[t : t + width]) for t in (range(len(x)) if starts is None else starts))
        for gram, number in Counter(gram for gram in grams if len(gram) == width).items():
            counts[gram] = number
        return counts

    def case(name: str, V: int, length: int) -> Case:
        return Case(name, lambda g: (g.integers(0, V, length), V))

    def repeated(g: np.random.Generator) -> tuple[Ids, int]:
        return np.tile(g.permutation(n + 1), 4)[: 3 * n + 4], n + 1

    def first_axis(x: Ids, V: int) -> Array:
        counts, starts = np.zeros((V,) * n), max(len(x) - n + 1, 0)
        np.add.at(counts, np.array([x[k : k + starts] for k in range(n)]), 1)
        return counts

    def shares(x: Ids, V: int) -> Array:
        counts = counted(x, V)
        return np.asarray(counts / np.maximum(counts.sum(-1, keepdims=True), 1))

    return Exercise(
        reference=counted,
        cases=(
            case(f"{n} ids", 2, n),
            case(f"{n - 1} ids: too few", 2, n - 1),
            Case("V = 1", lambda g: (np.zeros(int(g.integers(n + 2, 12)), int), 1)),
            Case("a text that repeats", repeated),
            case("V = 4", 4, 60),
            case("many repeats", 2, 80),
        ),
        mistakes={
            "repeats_lost": Mistake(
                "no count is above 1: `counts[…] += 1` with arrays of places adds once to each place",
                lambda x, V: (counted(x, V) > 0).astype(float),
            ),
            "reversed": Mistake(
                "the axes are in the wrong order: the first axis belongs to the first of the ids",
                lambda x, V: counted(x, V).T,
            ),
            "last_first": Mistake(
                "the axis of the next character should be the last one",
                lambda x, V: np.moveaxis(counted(x, V), -1, 0),
            ),
            "around": Mistake(
                "your text is a ring: its end is counted together with its beginning; np.roll does that",
                lambda x, V: counted(np.append(x, x[: n - 1]), V),
            ),
            "last_lost": Mistake(
                f"the last {n} ids are not counted; does a slice or a range end one too early?",
                lambda x, V: counted(x[:-1], V),
            ),
            "first_lost": Mistake(
                f"the first {n} ids are not counted; does a slice or a range begin one too late?",
                lambda x, V: counted(x[1:], V),
            ),
            "steps": Mistake(
                f"you go on by {n} ids after each count; the groups of {n} overlap",
                lambda x, V: counted(x, V, range(0, len(x), n)),
            ),
            "pairs": Mistake(
                f"you count pairs; groups of {n} ids are asked for, so the table has {n} axes",
                lambda x, V: counted(x, V, width=2),
            ),
            "one_more": Mistake(
                f"you count groups of {n + 1}; n counts the next character too",
                lambda x, V: counted(x, V, width=n + 1),
            ),
            "flat": Mistake(
                f"the counts are right, but in a table of another shape; it should have {n} axes of length V",
                lambda x, V: counted(x, V).ravel(),
            ),
            "two_axes": Mistake(
                f"the counts are right, but in a table of two axes; it should have {n} axes of length V",
                lambda x, V: counted(x, V).reshape(-1, V),
            ),
            "shares": Mistake("these are probabilities; the counts are asked for", shares),
            "shares_of_all": Mistake(
                "these are shares of the whole text; the counts are asked for",
                lambda x, V: counted(x, V) / max(len(x) - n + 1, 1),
            ),
            "first_axis_only": Mistake(
                "a list of arrays, or one array, picks places of the first axis alone and adds to all behind "
                "them; give a tuple, one array for each axis",
                first_axis,
            ),
        },
        drive=as_numbers,
    )


# 4. How far a model must look


@exercise("02.copy_loss")
def copy_loss(lag: int = 3) -> Exercise:
    def entropy(p: Array) -> float:
        return float(special.entr(p).sum())

    def by_all_texts(context: int, V: int, noise: float) -> float:
        """The experiment without chance: every text of context + 1 characters, with its probability."""
        length = context + 1
        texts = np.array(list(itertools.product(range(V), repeat=length)))
        p = np.full(len(texts), float(V) ** -min(lag, length))
        for t in range(lag, length):
            p *= noise / V + (1 - noise) * (texts[:, t] == texts[:, t - lag])
        return entropy(p) - entropy(p.reshape(-1, V).sum(axis=1))

    def told(V: int, copied: float) -> float:
        """The loss if the right character has this probability and the rest share what is left."""
        return entropy(np.array([copied, *[(1 - copied) / (V - 1)] * (V - 1)]))

    def seen(V: int, noise: float) -> float:
        return told(V, 1 - noise + noise / V)

    def after(least: int, high: float | None = None) -> Callable[..., float]:
        return lambda context, V, noise: seen(V, noise) if context >= least else math.log(V)

    right = after(lag)

    def noisy(loss: Callable[[int, float], float]) -> Callable[..., float]:
        return lambda context, V, noise: loss(V, noise) if context >= lag else math.log(V)

    def outcomes(V: int, noise: float) -> list[float]:
        return [1 - noise + noise / V] + [noise / V] * (V - 1)

    def older_copies(context: int, V: int, noise: float) -> float:
        """As if each further LAG places were one more noisy step."""
        steps = context // lag
        return seen(V, 1 - (1 - noise) ** steps) if steps else math.log(V)

    def with_nan(context: int, V: int, noise: float) -> float:
        return math.nan if context >= lag and noise == 0 else right(context, V, noise)

    def case(name: str, context: Callable[[np.random.Generator], int], low: float, high: float) -> Case:
        return Case(
            name, lambda g: (context(g), int(g.integers(3, 5)), float(round(g.uniform(low, high), 3)))
        )

    return Exercise(
        reference=by_all_texts,
        cases=(
            case("no context", lambda g: 0, 0.2, 0.6),
            case("one character too few", lambda g: lag - 1, 0.2, 0.6),
            case("just enough context", lambda g: lag, 0.2, 0.6),
            case("one character more", lambda g: lag + 1, 0.2, 0.6),
            Case("two letters", lambda g: (lag, 2, float(g.uniform(0.2, 0.6)))),
            case("all noise", lambda g: lag, 1, 1),
            case("no noise", lambda g: lag, 0, 0),
            case("no noise and one character too few", lambda g: lag - 1, 0, 0),
            Case("twice the context", lambda g: (2 * lag, 2, float(g.uniform(0.2, 0.6)))),
        ),
        mistakes={
            "bits": Mistake("this is in bits, not in nats", lambda *a: right(*a) / math.log(2)),
            "perplexity": Mistake(
                "this is the perplexity; the loss is its logarithm", lambda *a: math.exp(right(*a))
            ),
            "uniform": Mistake(
                "you say ln V for every context; a context that reaches the copied character helps",
                lambda context, V, noise: math.log(V),
            ),
            "no_context": Mistake(
                "you leave the context out: a model that does not see the copied character has to guess",
                lambda context, V, noise: seen(V, noise),
            ),
            "one_late": Mistake(
                f"a context of {lag} does reach the character {lag} places back; yours needs one more",
                after(lag + 1),
            ),
            "one_early": Mistake(
                f"a context of {lag - 1} does not reach the character {lag} places back",
                after(lag - 1),
            ),
            "step_by_step": Mistake(
                "you let the loss fall a little with each character of context; "
                "those before the copied one say nothing about it",
                lambda context, V, noise: (
                    math.log(V) + min(context / lag, 1) * (seen(V, noise) - math.log(V))
                ),
            ),
            "mean_of_losses": Mistake(
                "you take the mean of two losses, 0 for a copy and ln V for noise; "
                "but the model does not know which of the two comes next",
                noisy(lambda V, noise: noise * math.log(V)),
            ),
            "noise_is_another": Mistake(
                "you let noise always bring another character; it draws from all V, and may hit the same one",
                noisy(lambda V, noise: told(V, 1 - noise)),
            ),
            "noise_is_copy": Mistake(
                "you take `noise` for the probability of a copy",
                noisy(lambda V, noise: told(V, noise + (1 - noise) / V)),
            ),
            "two_outcomes": Mistake(
                "you treat all other characters as one; V − 1 of them share the rest",
                noisy(lambda V, noise: told(2, 1 - noise + noise / V)),
            ),
            "one_other": Mistake(
                "you count only one of the other letters; there are V − 1, each with probability noise/V",
                noisy(lambda V, noise: entropy(np.array([1 - noise + noise / V, noise / V]))),
            ),
            "copy_or_draw": Mistake(
                "this is the entropy of the choice between copy and new draw; "
                "the entropy of the next character is asked for",
                noisy(lambda V, noise: entropy(np.array([noise, 1 - noise]))),
            ),
            "copy_and_draw": Mistake(
                "you add the entropy of the choice, copy or new draw, to that of the draw; but whether the "
                "same letter was copied or drawn again nobody sees: add up its two probabilities first",
                noisy(lambda V, noise: entropy(np.array([noise, 1 - noise])) + noise * math.log(V)),
            ),
            "only_just_enough": Mistake(
                f"a context longer than {lag} holds the character {lag} places back, too",
                lambda context, V, noise: seen(V, noise) if context == lag else math.log(V),
            ),
            "older_copies": Mistake(
                f"with a context of {2 * lag} you use the character {2 * lag} places back; "
                f"the one {lag} places back says all that it could",
                older_copies,
            ),
            "sure_without_noise": Mistake(
                "without noise you say 0 for every context; one that does not reach the copied character "
                "must still guess",
                lambda context, V, noise: right(context, V, noise) if noise else 0.0,
            ),
            "zero_stops": Mistake(
                "without noise math.log stops at 0; leave out what has probability 0",
                noisy(lambda V, noise: -sum(p * math.log(p) for p in outcomes(V, noise))),
            ),
            "only_the_copy": Mistake(
                "you count the loss of the copied character alone; the others come too, and cost more",
                noisy(lambda V, noise: -math.log(1 - noise + noise / V)),
            ),
            "zero_log": Mistake(
                "without noise your loss is nan: 0 times ln 0; leave out what has probability 0", with_nan
            ),
        },
        tolerance=3e-4,  # torch cuts probabilities off at 1e-7
    )


# 5. A gradient with weight decay


@exercise("02.decayed_gradient")
def decayed_gradient(decay: float = 0.1) -> Exercise:
    def by_differences(W: Array, counts: Array) -> Array:
        table = W.copy()

        def loss() -> float:
            log_p = special.log_softmax(table, axis=1)
            return float(-(counts * log_p).sum() / counts.sum() + decay / 2 * (table**2).sum())

        return numerical_gradient(loss, table)

    def attempt(
        W: Array, counts: Array, *, pull: float = 1.0, mean: bool = True, sign: float = 1.0, axis: int = 1
    ) -> Array:
        """The gradient, or one with a single thing wrong."""
        n, row = counts.sum(), counts.sum(1, keepdims=True)
        d_W = sign * (row * special.softmax(W, axis=axis) - counts) / (n if mean else 1)
        return np.asarray(d_W + pull * decay * W)

    def row_means(W: Array, counts: Array, least: float = 1, n: float = 1) -> Array:
        row = np.maximum(counts.sum(1, keepdims=True), least)
        return np.asarray((special.softmax(W, axis=1) - counts / row) / n + decay * W)

    def of_text(W: Array, counts: Array) -> Array:
        return attempt(W, counts, pull=0)

    def row_across(W: Array, counts: Array) -> Array:
        return np.asarray((counts.sum(1) * special.softmax(W, axis=1) - counts) / counts.sum() + decay * W)

    def one_each(W: Array, counts: Array) -> Array:
        return np.asarray((special.softmax(W, axis=1) - counts) / counts.sum() + decay * W)

    def overflowing(W: Array, counts: Array) -> Array:
        powers = np.exp(W)
        p = powers / powers.sum(1, keepdims=True)
        return np.asarray((counts.sum(1, keepdims=True) * p - counts) / counts.sum() + decay * W)

    def case(name: str, V: int, scale: float, empty: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array]:
            counts = g.integers(0, 6, (V, V)).astype(float)
            counts[0, 0], counts[-1, 0] = 3, 7
            if empty:
                counts[1] = 0
            return scale * g.normal(size=(V, V)), counts

        return Case(name, make)

    return Exercise(
        reference=by_differences,
        cases=(
            case("V = 2", 2, 1),
            case("all logits 0", 3, 0),
            case("an empty row", 4, 1, empty=True),
            case("V = 5", 5, 2),
            Case("large logits", lambda g: (g.choice([-900.0, 0.0, 900.0], (3, 3)), np.ones((3, 3)))),
        ),
        mistakes={
            "no_decay": Mistake(
                "the gradient of the decay is missing",
                lambda W, counts: attempt(W, counts, pull=0),
            ),
            "decay_doubled": Mistake(
                "the decay pulls twice too hard: the derivative of W²/2 is W",
                lambda W, counts: attempt(W, counts, pull=2),
            ),
            "decay_halved": Mistake(
                "the decay pulls half as hard as it should: the derivative of W² brings a 2 that meets the ½",
                lambda W, counts: attempt(W, counts, pull=0.5),
            ),
            "decay_away": Mistake(
                "your decay has the wrong sign: descent would push the logits away from 0",
                lambda W, counts: attempt(W, counts, pull=-1),
            ),
            "decay_is_the_loss": Mistake(
                "you add the decay's loss itself; its derivative belongs in the gradient",
                lambda W, counts: attempt(W, counts, pull=0) + decay / 2 * W**2,
            ),
            "decay_squared": Mistake(
                "your decay is still squared; the derivative of W²/2 is W",
                lambda W, counts: of_text(W, counts) + decay * W**2,
            ),
            "decay_summed": Mistake(
                "you add the sum of all logits to each entry; only one term of the sum depends on W[i, k]",
                lambda W, counts: of_text(W, counts) + decay * W.sum(),
            ),
            "over_cells": Mistake(
                "n is the number of pairs, the sum of the counts; you divide by the number of cells",
                lambda W, counts: of_text(W, counts) * counts.sum() / counts.size + decay * W,
            ),
            "over_V": Mistake(
                "n is the number of pairs, the sum of the counts; you divide by V",
                lambda W, counts: of_text(W, counts) * counts.sum() / len(counts) + decay * W,
            ),
            "no_keepdims": Mistake(
                "column k of p is multiplied by the sum of row k: keepdims is missing",
                row_across,
            ),
            "decay_over_n": Mistake(
                "you divide the decay by the number of pairs too; only the loss of the text is a mean",
                lambda W, counts: attempt(W, counts, pull=float(1 / counts.sum())),
            ),
            "decay_times_row": Mistake(
                "your decay acts on p, not on W",
                lambda W, counts: attempt(W, counts, pull=0) + decay * special.softmax(W, axis=1),
            ),
            "sum": Mistake(
                "you forgot to divide by the number of pairs: the loss is a mean",
                lambda W, counts: attempt(W, counts, mean=False),
            ),
            "sign": Mistake(
                "the sign is wrong: the gradient is what the model said minus what happened",
                lambda W, counts: attempt(W, counts, sign=-1),
            ),
            "row_means": Mistake(
                "each row weighs the same in your gradient; a row counts as often as its character occurs",
                row_means,
            ),
            "row_means_nan": Mistake(
                "each row weighs the same in your gradient, and a row without counts gives nan; "
                "a row counts as often as its character occurs",
                lambda W, counts: row_means(W, counts, least=0),
            ),
            "row_means_over_n": Mistake(
                "p minus the shares is not yet multiplied by the sum of its row: "
                "a row counts as often as its character occurs",
                lambda W, counts: row_means(W, counts, n=counts.sum()),
            ),
            "row_means_over_n_nan": Mistake(
                "p minus the shares is not yet multiplied by the sum of its row, and a row without counts "
                "gives nan: a row counts as often as its character occurs",
                lambda W, counts: row_means(W, counts, least=0, n=counts.sum()),
            ),
            "one_each": Mistake(
                "p is not multiplied by the sum of its row: the row was predicted so many times",
                one_each,
            ),
            "columns": Mistake(
                "your softmax runs down the columns; each row of W is a distribution",
                lambda W, counts: attempt(W, counts, axis=0),
            ),
            "overflow": Mistake(
                "exp overflows for large logits; subtract each row's maximum first", overflowing
            ),
        },
        tolerance=1e-5,
    )
