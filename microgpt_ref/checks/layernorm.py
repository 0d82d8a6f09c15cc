"""What the exercises of chapter 5 call: norms, and the road past each layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe
from microgpt_ref.numpy.check import numerical_gradient

Array = NDArray[np.float64]


def mean(x: Array, axis: int = -1) -> Array:
    return np.asarray(x.mean(axis, keepdims=True))


# 1. LayerNorm


@probe("without weight and bias each row has mean 0")
def rows_have_mean_zero(got: NDArray[Any], x: Array, weight: Array, bias: Array) -> str | None:
    means = ((got - bias) / weight).mean(-1)
    bad = np.argwhere(np.abs(means) > 1e-4)  # room for float32
    return (
        f"row {bad[0].tolist()} has mean {means[tuple(bad[0])]:.3g} before weight and bias"
        if len(bad)
        else None
    )


@exercise("05.layer_norm")
def layer_norm(eps: float = 0.1) -> Exercise:
    def by_rows(x: Array, weight: Array, bias: Array) -> Array:
        """Number by number, as the chapter does it by hand."""
        out = np.empty_like(x)
        for place in np.ndindex(x.shape[:-1]):
            row = x[place].tolist()
            middle = sum(row) / len(row)
            variance = sum((value - middle) ** 2 for value in row) / len(row)
            out[place] = [
                (v - middle) / (variance + eps) ** 0.5 * w + b
                for v, w, b in zip(row, weight, bias, strict=True)
            ]
        return out

    def wrong(normed: Callable[[Array], Array]) -> Callable[..., Array]:
        return lambda x, weight, bias: normed(x) * weight + bias

    def spread(x: Array, **how: Any) -> Array:
        return np.asarray(x.var(-1, keepdims=True, **how))

    def along(x: Array, axis: Any) -> Array:
        return np.asarray((x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps))

    def case(name: str, *shape: int) -> Case:
        return Case(
            name, lambda g: (g.normal(1, 2, shape), g.uniform(0.5, 2, shape[-1]), g.normal(size=shape[-1]))
        )

    def equal_numbers(g: np.random.Generator) -> tuple[Array, ...]:
        return np.full((1, 1, 4), g.normal()), g.uniform(0.5, 2, 4), g.normal(size=4)

    return Exercise(
        reference=by_rows,
        cases=(
            case("B = T = 1", 1, 1, 3),
            Case("a row of equal numbers", equal_numbers),
            case("T = 1", 2, 1, 4),
            case("B = 1", 1, 3, 4),
            case("a batch", 2, 3, 5),
            Case("rows near 20", lambda g: (g.normal(20, 1, (2, 2, 6)), np.ones(6), np.zeros(6))),
        ),
        mistakes={
            "eps_outside": Mistake(
                "ε stands outside the root: you divide by std + ε",
                wrong(lambda x: (x - mean(x)) / (np.sqrt(spread(x)) + eps)),
            ),
            "no_eps": Mistake(
                "ε is missing: a row of equal numbers has the variance 0",
                wrong(lambda x: (x - mean(x)) / np.sqrt(spread(x))),
            ),
            "C_minus_1": Mistake(
                "your variance divides by C − 1; here it divides by C",
                wrong(lambda x: (x - mean(x)) / np.sqrt(spread(x, ddof=1) + eps)),
            ),
            "not_the_root": Mistake(
                "you divide by the variance; its root is missing",
                wrong(lambda x: (x - mean(x)) / (spread(x) + eps)),
            ),
            "mean_left": Mistake(
                "you divide by the standard deviation, but the mean is not taken away",
                wrong(lambda x: x / np.sqrt(spread(x) + eps)),
            ),
            "rms": Mistake(
                "this is RMSNorm with a shift: the mean is taken away neither above nor in the root",
                wrong(lambda x: x / np.sqrt(mean(x**2) + eps)),
            ),
            "not_divided": Mistake("you take the mean away, but do not divide", wrong(lambda x: x - mean(x))),
            "no_brackets": Mistake(
                "you divide the mean only; x − mean wants brackets before it is divided",
                lambda x, weight, bias: x - mean(x) / np.sqrt(spread(x) + eps) * weight + bias,
            ),
            "mean_square": Mistake(
                "above you take the mean away, but not in the root: the variance is of x − mean",
                wrong(lambda x: (x - mean(x)) / np.sqrt(mean(x**2) + eps)),
            ),
            "sum_of_squares": Mistake(
                "your variance is a sum of squares; divide it by C",
                wrong(lambda x: (x - mean(x)) / np.sqrt(x.shape[-1] * spread(x) + eps)),
            ),
            "usual_eps": Mistake(
                "your ε is the chapter's 0.00001; here it is EPS",
                wrong(lambda x: (x - mean(x)) / np.sqrt(spread(x) + 1e-5)),
            ),
            "no_keepdims": Mistake(
                "`keepdims=True` is missing: without it the means have the shape (B, T), and x is (B, T, C)",
                wrong(lambda x: (x - x.mean(-1)) / np.sqrt(x.var(-1) + eps)),
            ),
            "no_keepdims_centred": Mistake(
                "`keepdims=True` is missing: without it the means have the shape (B, T), and x is (B, T, C)",
                wrong(lambda x: (c := x - x.mean(-1)) / np.sqrt((c**2).mean(-1) + eps)),
            ),
            "no_keepdims_below": Mistake(
                "`keepdims=True` is missing under the root: the variances there have the shape (B, T)",
                wrong(lambda x: (x - mean(x)) / np.sqrt(x.var(-1) + eps)),
            ),
            "over_everything": Mistake(
                "your mean and variance are over all of x; each vector of C numbers has its own",
                wrong(lambda x: along(x, None)),
            ),
            "over_time": Mistake(
                "your mean and variance run over positions, not over channels: that leaks the future",
                wrong(lambda x: along(x, 1)),
            ),
            "over_batch": Mistake(
                "your mean and variance run over the batch, not over channels: texts see each other",
                wrong(lambda x: along(x, 0)),
            ),
            "neither": Mistake("weight and bias are not used", lambda x, weight, bias: along(x, -1)),
            "no_bias": Mistake("bias is not used", lambda x, weight, bias: along(x, -1) * weight),
            "no_weight": Mistake("weight is not used", lambda x, weight, bias: along(x, -1) + bias),
            "bias_first": Mistake(
                "you add bias before you multiply by weight; it comes last",
                lambda x, weight, bias: (along(x, -1) + bias) * weight,
            ),
        },
        probes=(rows_have_mean_zero,),
        tolerance=1e-5,
    )


# 2. The scale after N blocks


@exercise("05.scale_after")
def scale_after(branches: int = 2) -> Exercise:
    def experiment(start: float, branch: float, n_block: int) -> float:
        """Add vectors that are at right angles, so that nothing is left to chance."""
        count = 1 + branches * n_block
        directions = np.linalg.qr(np.random.default_rng().normal(size=(2 * count, count)))[0].T
        vectors = directions * np.sqrt(2 * count)  # each of scale 1
        stream = start * vectors[0]
        for vector in vectors[1:]:
            stream = stream + branch * vector
        return float(np.sqrt((stream**2).mean()))

    def case(name: str, first: int, last: int) -> Case:
        def make(g: np.random.Generator) -> tuple[float, float, int]:
            return float(g.uniform(0.5, 2)), float(g.uniform(0.2, 1.5)), int(g.integers(first, last + 1))

        return Case(name, make)

    one_branch = {
        "one_branch": Mistake(
            "each block adds BRANCHES vectors, not one", lambda s, b, n: (s**2 + n * b**2) ** 0.5
        ),
        "branches_as_one": Mistake(
            "the BRANCHES vectors of one block are unrelated too: add their mean squares, not their scales",
            lambda s, b, n: (s**2 + n * (branches * b) ** 2) ** 0.5,
        ),
        "per_block_compound": Mistake(
            "this grows by a factor in each block, as without a norm; with one, each block adds the same",
            lambda s, b, n: s * (1 + branches * b**2) ** (n / 2),
        ),
    }
    return Exercise(
        reference=experiment,
        cases=(
            case("no block", 0, 0),
            case("one block", 1, 1),
            case("a few blocks", 2, 5),
            case("many blocks", 8, 20),
        ),
        mistakes={
            "scales_add": Mistake(
                "you add scales; of unrelated vectors the mean squares add",
                lambda s, b, n: s + branches * n * b,
            ),
            "mean_square": Mistake(
                "this is the mean square; the scale is its root", lambda s, b, n: s**2 + branches * n * b**2
            ),
            "compound": Mistake(
                "this is growth without a norm, where each layer adds in proportion to the stream",
                lambda s, b, n: s * (1 + b**2) ** (branches * n / 2),
            ),
            "no_start": Mistake(
                "the stream's own start is missing: without blocks the scale is start",
                lambda s, b, n: b * (branches * n) ** 0.5,
            ),
            "branch_not_squared": Mistake(
                "branch is a scale: square it before you multiply it by how many there are",
                lambda s, b, n: (s**2 + branches * n * b) ** 0.5,
            ),
            "start_not_squared": Mistake(
                "start is a scale too: square it", lambda s, b, n: (s + branches * n * b**2) ** 0.5
            ),
            "start_is_one": Mistake(
                "you begin at 1, as the chapter's stream did; this one begins at start",
                lambda s, b, n: (1 + branches * n * b**2) ** 0.5,
            ),
            "count_squared": Mistake(
                "you square how many branches there are as well; only the scale of one is squared",
                lambda s, b, n: (s**2 + (branches * n * b) ** 2) ** 0.5,
            ),
            "root_of_count": Mistake(
                "the root is over all, not over the added part alone: mean squares add first",
                lambda s, b, n: s + b * (branches * n) ** 0.5,
            ),
            **(one_branch if branches > 1 else {}),
        },
    )


# 3. Does it leak?


@dataclass(frozen=True)
class Norm:
    """A norm for x (T, C), shown to the learner by its kind."""

    kind: str

    def __repr__(self) -> str:
        return f"<a norm {self.kind}>"

    def __call__(self, x: Array) -> Array:
        return KINDS[self.kind](np.asarray(x, float))


def standard(x: Array, axis: Any) -> Array:
    return np.asarray((x - x.mean(axis, keepdims=True)) / (x.std(axis, keepdims=True) + 1e-12))


def last_channel_over_time(x: Array) -> Array:
    out = standard(x, -1)
    out[:, -1] = standard(x[:, -1], 0)
    return out


KINDS: dict[str, Callable[[Array], Array]] = {
    "over the channels": lambda x: standard(x, -1),
    "over the past": lambda x: x / (1e-6 + np.cumsum(np.abs(x), 0) / np.arange(1, len(x) + 1)[:, None]),
    "over time": lambda x: standard(x, 0),
    "over time, without the mean": lambda x: x / np.sqrt((x**2).mean(0) + 1e-12),
    "over everything": lambda x: standard(x, None),
    "over the channels, then over time": lambda x: standard(x, -1) - standard(x, -1).mean(0),
    "over time in its last channel": last_channel_over_time,
    "with the next position": lambda x: standard(
        x + np.roll(x, -1, 0) * (np.arange(len(x)) < len(x) - 1)[:, None], -1
    ),
    "with the order reversed": lambda x: standard(x[::-1], -1),
    "with the first position": lambda x: standard(x + x[0], -1),
}


@exercise("05.leaks")
def leaks() -> Exercise:
    def moved(norm: Norm, x: Array, t: int, change: Callable[[Array], Array] | None = None) -> Array:
        """(T,): by how much each output changes if row t does; by default it becomes another row."""
        other = x.copy()
        other[t] = change(x[t]) if change else np.cos(97 * x[t]) + np.arange(x.shape[1])
        return np.asarray(np.abs(norm(other) - norm(x)).max(-1))

    def when(
        rows: Callable[[int], slice], change: Callable[[Array], Array] | None = None
    ) -> Callable[..., bool]:
        return lambda norm, x, t: bool((moved(norm, x, t, change)[rows(t)] > 1e-6).any())

    def before(t: int) -> slice:
        return slice(0, t)

    def first_channel(row: Array) -> Array:
        return np.concatenate([row[:1] + 1.5, row[1:]])

    def case(kind: str, T: int, first: int, last: int, name: str = "") -> Case:
        return Case(
            name or kind, lambda g: (Norm(kind), g.normal(size=(T, 3)), int(g.integers(first, last + 1)))
        )

    def any_norm(g: np.random.Generator) -> tuple[Norm, Array, int]:
        sound = ["over the channels", "over the past"]  # as likely as all others together
        kind = str(g.choice(sound if g.random() < 0.5 else [kind for kind in KINDS if kind not in sound]))
        return Norm(kind), g.normal(size=(6, 3)), 4

    return Exercise(
        reference=when(before),
        cases=(
            case("over the channels", 2, 1, 1),
            case("over time", 3, 2, 2),
            case("over time", 4, 0, 0, "t = 0"),
            case("over the past", 6, 2, 4),
            case("over everything", 6, 2, 4),
            case("over the channels, then over time", 6, 2, 4, "over the channels and then over time"),
            case("over time, without the mean", 6, 2, 4, "over time and without the mean"),
            case("over time in its last channel", 6, 2, 4),
            case("with the next position", 6, 2, 4),
            case("with the order reversed", 7, 6, 6),
            case("with the order reversed", 7, 1, 1, "with the order reversed and t early"),
            case("with the first position", 6, 1, 4),
            *(Case("norms in random order", any_norm) for _ in range(8)),
        ),
        mistakes={
            "opposite": Mistake(
                "your answer is upside down: True should mean that an earlier output changes",
                lambda norm, x, t: not when(before)(norm, x, t),
            ),
            "itself": Mistake(
                "the output at t itself counts for you; it may change, only outputs before t must not",
                when(lambda t: slice(0, t + 1)),
            ),
            "any_output": Mistake(
                "you look at all outputs; those at t and later may change", when(lambda t: slice(None))
            ),
            "later": Mistake(
                "you look at outputs after t; they may see x at t", when(lambda t: slice(t + 1, None))
            ),
            "from_t_on": Mistake(
                "you look at outputs from t on; the leak is before t", when(lambda t: slice(t, None))
            ),
            "all_must_change": Mistake(
                "you ask whether all earlier outputs change; one is enough for a leak",
                lambda norm, x, t: bool(t > 0 and (moved(norm, x, t)[:t] > 1e-6).all()),
            ),
            "neighbour": Mistake(
                "you look at one output only, that of t − 1", when(lambda t: slice(max(t - 1, 0), t))
            ),
            "first_output": Mistake("you look at the first output only", when(lambda t: slice(0, min(t, 1)))),
            "shifted": Mistake(
                "you add the same number to all channels of row t: some norms cannot see that change",
                when(before, lambda row: row + 1.5),
            ),
            "stretched": Mistake(
                "you multiply row t by a number: some norms cannot see that change",
                when(before, lambda row: 2 * row),
            ),
            "sign": Mistake(
                "you change only the sign of row t: some norms cannot see that change",
                when(before, lambda row: -row),
            ),
            "first_channel": Mistake(
                "you change only one channel of row t; the leak may be in another",
                when(before, first_channel),
            ),
            "never": Mistake(
                "your answer is always False; are the outputs of two different inputs compared?",
                lambda norm, x, t: False,
            ),
        },
    )


# 4. Both norms, backward


@exercise("05.norm_backward")
def norm_backward() -> Exercise:
    def by_differences(d_out: Array, x: Array, weight: Array, eps: float, centre: int) -> Array:
        def loss() -> float:
            moved = x - centre * mean(x)
            return float((d_out * weight * moved / np.sqrt(mean(moved**2) + eps)).sum())

        return numerical_gradient(loss, x)

    def attempt(formula: Callable[..., Any]) -> Callable[..., Array]:
        """An answer made of d_out, d_normed = d_out · weight, normed, s and centre."""

        def answer(d_out: Array, x: Array, weight: Array, eps: float, centre: int) -> Array:
            moved = x - centre * mean(x)
            s = np.sqrt(mean(moved**2) + eps)
            return np.asarray(formula(d_out, d_out * weight, moved / s, s, centre))

        return answer

    def forward(parts: Callable[[Array, float, int], tuple[Array, Array]]) -> Callable[..., Array]:
        """An answer whose way back is right, from another x without its mean, and another s."""

        def answer(d_out: Array, x: Array, weight: Array, eps: float, centre: int) -> Array:
            moved, s = parts(x, eps, centre)
            dn, n = d_out * weight, moved / s
            return np.asarray((dn - centre * mean(dn) - n * mean(dn * n)) / s)

        return answer

    def root(moved: Array, eps: float) -> tuple[Array, Array]:
        return moved, np.sqrt(mean(moved**2) + eps)

    def case(name: str, centre: int, *shape: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Any, ...]:
            d_out, x = g.normal(1, 1, (2, *shape))
            return d_out, x, g.uniform(0.5, 2, shape[-1]), float(g.uniform(0.1, 1)), centre

        return Case(name, make)

    def equal_numbers(g: np.random.Generator) -> tuple[Any, ...]:
        return g.normal(size=(1, 1, 4)), np.full((1, 1, 4), g.uniform(1, 2)), g.uniform(0.5, 2, 4), 0.5, 1

    return Exercise(
        reference=by_differences,
        cases=(
            case("LayerNorm of one row", 1, 1, 1, 3),
            case("RMSNorm of one row", 0, 1, 1, 3),
            Case("LayerNorm of equal numbers", equal_numbers),
            case("LayerNorm of a batch", 1, 2, 3, 5),
            case("RMSNorm of a batch", 0, 2, 3, 5),
        ),
        mistakes={
            "all_constant": Mistake(
                "you take mean and standard deviation as constants; both move with x",
                attempt(lambda d, dn, n, s, c: dn / s),
            ),
            "std_constant": Mistake(
                "you take the standard deviation as a constant; it moves with x",
                attempt(lambda d, dn, n, s, c: (dn - c * mean(dn)) / s),
            ),
            "mean_constant": Mistake(
                "LayerNorm needs the term of the mean, which moves with x",
                attempt(lambda d, dn, n, s, c: (dn - n * mean(dn * n)) / s),
            ),
            "always_centred": Mistake(
                "RMSNorm has no mean, so no term of it in its gradient",
                attempt(lambda d, dn, n, s, c: (dn - mean(dn) - n * mean(dn * n)) / s),
            ),
            "no_weight": Mistake(
                "weight is missing: the gradient passes it on its way to the normed row",
                attempt(lambda d, dn, n, s, c: (d - c * mean(d) - n * mean(d * n)) / s),
            ),
            "weight_last": Mistake(
                "you multiply by weight at the end; it comes first, since the forward pass ends with it",
                lambda d, x, w, e, c: (
                    w * attempt(lambda d, dn, n, s, c: (d - c * mean(d) - n * mean(d * n)) / s)(d, x, w, e, c)
                ),
            ),
            "not_divided": Mistake(
                "the division by the root is missing",
                attempt(lambda d, dn, n, s, c: dn - c * mean(dn) - n * mean(dn * n)),
            ),
            "multiplied": Mistake(
                "you multiply by the root; the forward pass divides by it, and so does the gradient",
                attempt(lambda d, dn, n, s, c: (dn - c * mean(dn) - n * mean(dn * n)) * s),
            ),
            "sums": Mistake(
                "you take sums over the channels where means belong",
                attempt(lambda d, dn, n, s, c: (dn - n.shape[-1] * (c * mean(dn) + n * mean(dn * n))) / s),
            ),
            "plus": Mistake(
                "the term of the standard deviation is taken away, not added",
                attempt(lambda d, dn, n, s, c: (dn - c * mean(dn) + n * mean(dn * n)) / s),
            ),
            "n_once": Mistake(
                "n stands twice in the term of the standard deviation: outside the mean, too",
                attempt(lambda d, dn, n, s, c: (dn - c * mean(dn) - mean(dn * n)) / s),
            ),
            "forward_centre": Mistake(
                "centre is not used: this is LayerNorm's gradient for both",
                lambda d, x, w, e, c: attempt(lambda d, dn, n, s, c: (dn - mean(dn) - n * mean(dn * n)) / s)(
                    d, x, w, e, 1
                ),
            ),
            "never_centred": Mistake(
                "centre is not used: this is RMSNorm's gradient for both",
                lambda d, x, w, e, c: attempt(lambda d, dn, n, s, c: (dn - n * mean(dn * n)) / s)(
                    d, x, w, e, 0
                ),
            ),
            "upside_down": Mistake(
                "centre is upside down: 1 means LayerNorm, 0 means RMSNorm",
                lambda d, x, w, e, c: attempt(
                    lambda d, dn, n, s, c: (dn - c * mean(dn) - n * mean(dn * n)) / s
                )(d, x, w, e, 1 - c),
            ),
            "mean_away_from_both": Mistake(
                "RMSNorm leaves the mean in x: centre is missing on your way forward",
                forward(lambda x, e, c: root(x - mean(x), e)),
            ),
            "mean_in_both": Mistake(
                "LayerNorm takes the mean out of x first: centre is missing on your way forward",
                forward(lambda x, e, c: root(x, e)),
            ),
            "variance_for_both": Mistake(
                "RMSNorm has the mean square in the root, not the variance",
                forward(lambda x, e, c: (x - c * mean(x), np.sqrt(x.var(-1, keepdims=True) + e))),
            ),
            "no_eps": Mistake(
                "ε is missing in the root", forward(lambda x, e, c: root(x - c * mean(x), 0.0))
            ),
            "eps_outside": Mistake(
                "ε stands outside the root",
                forward(lambda x, e, c: (x - c * mean(x), root(x - c * mean(x), 0.0)[1] + e)),
            ),
        },
        tolerance=1e-5,
    )


# 5. The gradient of std + ε


@exercise("05.std_backward")
def std_backward() -> Exercise:
    def by_differences(d_normed: Array, x: Array, eps: float) -> Array:
        return numerical_gradient(
            lambda: float((d_normed * (x - mean(x)) / (x.std(-1, keepdims=True) + eps)).sum()), x
        )

    def attempt(formula: Callable[..., Any]) -> Callable[..., Array]:
        """An answer made of d_normed, normed, the standard deviation u and ε."""

        def answer(d_normed: Array, x: Array, eps: float) -> Array:
            u = x.std(-1, keepdims=True)
            return np.asarray(formula(d_normed, (x - mean(x)) / (u + eps), u, eps))

        return answer

    def factor(of: Callable[[Array, float], Any]) -> Callable[..., Array]:
        return attempt(lambda d, n, u, e: (d - mean(d) - of(u, e) * n * mean(d * n)) / (u + e))

    def inside(d: Array, x: Array, eps: float) -> Array:
        s = np.sqrt(x.var(-1, keepdims=True) + eps)
        n = (x - mean(x)) / s
        return np.asarray((d - mean(d) - n * mean(d * n)) / s)

    def case(name: str, *shape: int, size: float = 1.0) -> Case:
        return Case(
            name, lambda g: (g.normal(size=shape), size * g.normal(1, 1, shape), float(g.uniform(0.2, 0.6)))
        )

    return Exercise(
        reference=by_differences,
        cases=(
            case("one row", 1, 1, 3),
            case("T = 1", 2, 1, 4),
            case("a batch", 2, 3, 5),
            case("small numbers", 1, 3, 4, size=0.1),
        ),
        mistakes={
            "no_factor": Mistake(
                "the new factor is missing: this is LayerNorm's formula with u + ε in place of s",
                factor(lambda u, e: 1),
            ),
            "upside_down": Mistake("the new factor is upside down", factor(lambda u, e: u / (u + e))),
            "eps_inside": Mistake("this is LayerNorm's gradient, with ε inside the root", inside),
            "no_eps": Mistake(
                "ε is missing: this is the gradient of a division by std alone",
                lambda d, x, eps: inside(d, x, 0.0),
            ),
            "divided_by_u": Mistake(
                "at the end you divide by u; the forward pass divides by u + ε",
                attempt(lambda d, n, u, e: (d - mean(d) - (u + e) / u * n * mean(d * n)) / u),
            ),
            "factor_on_all": Mistake(
                "the new factor belongs to the term of the standard deviation only",
                attempt(lambda d, n, u, e: (d - mean(d) - n * mean(d * n)) / u),
            ),
            "n_without_eps": Mistake(
                "your n is (x − mean) / u; the forward pass divides by u + ε",
                attempt(lambda d, n, u, e: (d - mean(d) - ((u + e) / u) ** 2 * n * mean(d * n)) / (u + e)),
            ),
            "all_constant": Mistake(
                "you take mean and standard deviation as constants; both move with x",
                attempt(lambda d, n, u, e: d / (u + e)),
            ),
            "std_constant": Mistake(
                "you take the standard deviation as a constant; it moves with x",
                attempt(lambda d, n, u, e: (d - mean(d)) / (u + e)),
            ),
            "mean_constant": Mistake(
                "the term of the mean is missing",
                attempt(lambda d, n, u, e: (d - (u + e) / u * n * mean(d * n)) / (u + e)),
            ),
            "C_minus_1": Mistake(
                "your standard deviation divides by C − 1; here it divides by C",
                lambda d, x, eps: by_corrected(d, x, eps),
            ),
            "sums": Mistake(
                "you take sums over the channels where means belong",
                attempt(
                    lambda d, n, u, e: (d - n.shape[-1] * (mean(d) + (u + e) / u * n * mean(d * n))) / (u + e)
                ),
            ),
            "plus": Mistake(
                "the term of the standard deviation is taken away, not added",
                factor(lambda u, e: -(u + e) / u),
            ),
        },
        tolerance=1e-5,
    )


def by_corrected(d: Array, x: Array, eps: float) -> Array:
    """The chapter's formula on a standard deviation that divides by C − 1."""
    u = x.std(-1, keepdims=True, ddof=1)
    n = (x - mean(x)) / (u + eps)
    return np.asarray((d - mean(d) - (u + eps) / u * n * mean(d * n)) / (u + eps))
