"""What the exercises of chapter 4 call: attention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe
from microgpt_ref.numpy.check import numerical_gradient

Array = NDArray[np.float64]


def softmax(scores: Array, axis: int = -1) -> Array:
    return np.asarray(special.softmax(scores, axis=axis))


def later(T: int, first: int = 1) -> NDArray[np.bool_]:
    """(T, T), true where the key stands `first` places or more after the query."""
    return np.subtract.outer(np.arange(T), np.arange(T)) <= -first


def hide(scores: Array, hidden: NDArray[np.bool_], value: float = -np.inf) -> Array:
    return np.where(hidden, value, scores)


# 1. The mask


@probe("each row sums to one")
def rows_sum_to_one(got: Array, *_: object) -> str | None:
    sums = got.sum(-1).reshape(-1, got.shape[-2])  # one row of sums for each batch entry
    bad = np.argwhere(~np.isclose(sums, 1))
    return f"row {bad[0][1]} sums to {sums[tuple(bad[0])]:.3g}, not to 1" if len(bad) else None


@probe("no position sees a later one")
def nothing_later(got: Array, *_: object) -> str | None:
    seen = (np.abs(got).reshape(-1, *got.shape[-2:]).max(0) > 0) & later(got.shape[-1])
    if not seen.any():
        return None
    query, key = np.argwhere(seen)[0]
    weight = np.abs(got).reshape(-1, *got.shape[-2:]).max(0)[query, key]
    return f"position {query} sees position {key}, which comes later (weight {weight:.3g})"


def masked(scores: Array, first: int = 1) -> Array:
    return softmax(hide(scores, later(scores.shape[-1], first)))


def without_maximum(scores: Array) -> Array:
    powers = np.exp(hide(scores, later(scores.shape[-1])))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


@exercise("04.causal_mask")
def causal_mask() -> Exercise:
    return Exercise(
        reference=masked,
        cases=(
            Case("T = 1", lambda g: (g.normal(size=(1, 1)),)),
            Case("T = 2", lambda g: (g.normal(size=(2, 2)),)),
            Case("equal scores", lambda g: (np.full((3, 3), g.normal()),)),
            Case("a batch of one with two heads", lambda g: (g.normal(size=(1, 2, 4, 4)),)),
            Case("many axes in front", lambda g: (g.normal(size=(2, 3, 5, 5)),)),
            Case("scores of a thousand", lambda g: (1000 * g.normal(size=(6, 6)),)),
        ),
        mistakes={
            "no_mask": Mistake("there is no mask: every position looks at the whole text", softmax),
            "zero_score": Mistake(
                "you set the hidden scores to 0; but e⁰ = 1, so a score of 0 still gets weight",
                lambda s: softmax(hide(s, later(s.shape[-1]), 0.0)),
            ),
            "small_score": Mistake(
                "you set the hidden scores to a number that is not low enough: large scores fall below it",
                lambda s: softmax(hide(s, later(s.shape[-1]), -100.0)),
            ),
            "one_late": Mistake(
                "your mask begins one place too late: each position sees the next one",
                lambda s: masked(s, 2),
            ),
            "hides_itself": Mistake(
                "your mask hides the position itself too, and row 0 has nothing left to look at",
                lambda s: masked(s, 0),
            ),
            "upside_down": Mistake(
                "your mask keeps the wrong triangle: it hides the past; you may have used triu for tril",
                lambda s: softmax(hide(s, later(s.shape[-1]).T)),
            ),
            "after_softmax": Mistake(
                "you take the weights away after softmax, so what is left does not sum to one",
                lambda s: np.tril(softmax(s)),
            ),
            "product_with_infinity": Mistake(
                "you multiply the mask by infinity: 0 times infinity is nan; choose with where instead",
                lambda s: softmax(s - np.inf * later(s.shape[-1])),
            ),
            "columns": Mistake(
                "your softmax runs along the queries: columns sum to one, not rows",
                lambda s: softmax(hide(s, later(s.shape[-1])), axis=-2),
            ),
            "no_maximum": Mistake(
                "large scores overflow in exp; subtract each row's maximum first",
                without_maximum,
            ),
        },
        probes=(rows_sum_to_one, nothing_later),
    )


# 2. The scale


@exercise("04.unit_scores")
def unit_scores(variance: float = 1.0) -> Exercise:
    want = variance**0.5

    def case(T: int, D: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array, float, float]:
            a, b = (float(x) for x in g.uniform(1.2, 3, size=2))
            return a * g.normal(size=(T, D)), b * g.normal(size=(T, D)), a, b

        return Case(f"T = {T}, D = {D}", make)

    def scaled(q: Array, k: Array, by: float) -> Array:
        return np.einsum("td,sd->ts", q, k) * want / by

    target = {
        "unit_variance": Mistake(
            "your scores have the variance 1; the setting asks for another one",
            lambda q, k, a, b: scaled(q, k, a * b * len(q[0]) ** 0.5 * want),
        ),
        "variance_not_root": Mistake(
            "you multiply by the variance; numbers that are multiplied by its root get that variance",
            lambda q, k, a, b: scaled(q, k, a * b * len(q[0]) ** 0.5 / want),
        ),
    }
    return Exercise(
        reference=lambda q, k, a, b: scaled(q, k, a * b * len(q[0]) ** 0.5),
        cases=(case(1, 2), case(2, 3), case(5, 7), case(4, 64)),
        mistakes={
            "no_scale": Mistake("the scores are not divided at all", lambda q, k, a, b: q @ k.T),
            **({} if variance == 1 else target),
            "no_a_b": Mistake(
                "you divide by √D alone: that is right only where both deviations are 1",
                lambda q, k, a, b: scaled(q, k, len(q[0]) ** 0.5),
            ),
            "no_D": Mistake(
                "D is missing: a sum of D products varies more than one product",
                lambda q, k, a, b: scaled(q, k, a * b),
            ),
            "D_not_root": Mistake(
                "you divide by D where its root belongs: variances add up, deviations are their roots",
                lambda q, k, a, b: scaled(q, k, a * b * len(q[0])),
            ),
            "variance": Mistake(
                "you divide by the variance; its root, the standard deviation, brings the variance to 1",
                lambda q, k, a, b: scaled(q, k, (a * b) ** 2 * len(q[0])),
            ),
            "squares": Mistake(
                "a and b are deviations already; you divide by their squares",
                lambda q, k, a, b: scaled(q, k, (a * b) ** 2 * len(q[0]) ** 0.5),
            ),
            "root_of_a_b": Mistake(
                "you take the root of a and b too; they are deviations, not variances",
                lambda q, k, a, b: scaled(q, k, (a * b * len(q[0])) ** 0.5),
            ),
            "root_of_T": Mistake(
                "you divide by √T; each score is a sum over the D channels, not over positions",
                lambda q, k, a, b: scaled(q, k, a * b * len(q) ** 0.5),
            ),
            "sum_of_a_b": Mistake(
                "the variance of a product is the product of the variances, not their sum",
                lambda q, k, a, b: scaled(q, k, ((a**2 + b**2) * len(q[0])) ** 0.5),
            ),
            "transposed": Mistake(
                "a row belongs to a query and a column to a key; yours are exchanged",
                lambda q, k, a, b: scaled(k, q, a * b * len(q[0]) ** 0.5),
            ),
        },
    )


# 3. Heads without a loop


@exercise("04.split_heads")
def split_heads() -> Exercise:
    def by_loops(qkv: Array, H: int) -> Array:
        B, T, width = qkv.shape
        D = width // (3 * H)
        out = np.empty((3, B, H, T, D))
        for part in range(3):
            for h in range(H):
                start = part * H * D + h * D
                out[part, :, h] = qkv[:, :, start : start + D]
        return out

    def case(name: str, B: int, T: int, H: int, D: int) -> Case:
        return Case(name, lambda g: (g.normal(size=(B, T, 3 * H * D)), H))

    def cut(z: Array, *axes: int) -> Array:
        return z.reshape(*(z.shape[:2] if axes[0] == 0 else ()), *axes[1:])

    return Exercise(
        reference=by_loops,
        cases=(
            case("one head", 1, 2, 1, 2),
            case("T = 1", 1, 1, 2, 2),
            case("B = 1", 1, 4, 2, 3),
            case("three heads", 2, 5, 3, 4),
            case("H = T = D", 2, 3, 3, 3),
        ),
        mistakes={
            "mixed_positions": Mistake(
                "one reshape to the final shape mixes positions: cut the last axis, then move axes",
                lambda z, H: z.reshape(3, z.shape[0], H, z.shape[1], -1),
            ),
            "heads_first": Mistake(
                "you cut heads first and q, k, v inside each; all channels of q come first, then k, then v",
                lambda z, H: cut(z, 0, H, 3, z.shape[-1] // (3 * H)).transpose(3, 0, 2, 1, 4),
            ),
            "every_third": Mistake(
                "you take every third channel for q; q, k and v are three neighbouring pieces",
                lambda z, H: cut(z, 0, H, z.shape[-1] // (3 * H), 3).transpose(4, 0, 2, 1, 3),
            ),
            "strided_heads": Mistake(
                "a head of yours takes every H-th channel; its D channels should be neighbours",
                lambda z, H: cut(z, 0, 3, z.shape[-1] // (3 * H), H).transpose(2, 0, 4, 1, 3),
            ),
            "no_transpose": Mistake(
                "the axes are cut right, but not moved: positions stand before heads",
                lambda z, H: cut(z, 0, 3, H, z.shape[-1] // (3 * H)).transpose(2, 0, 1, 3, 4),
            ),
            "three_inside": Mistake(
                "the axis of q, k, v should come first, before the batch",
                lambda z, H: cut(z, 0, 3, H, z.shape[-1] // (3 * H)).transpose(0, 2, 3, 1, 4),
            ),
            "channels_before_positions": Mistake(
                "the last two axes are exchanged: a head should be (T, D)",
                lambda z, H: cut(z, 0, 3, H, z.shape[-1] // (3 * H)).transpose(2, 0, 3, 4, 1),
            ),
            "order_v_k_q": Mistake(
                "q, k and v come out in another order than they went in",
                lambda z, H: by_loops(z, H)[::-1],
            ),
        },
    )


# 4. The sliding window


@exercise("04.sliding_window")
def sliding_window(window: int = 4) -> Exercise:
    def windowed(
        q: Array, k: Array, v: Array, before: int, after: int = 0, divide: bool = True, weigh: bool = True
    ) -> Array:
        t = np.arange(len(q))
        distance = t[:, None] - t
        seen = (distance < before) & (distance >= -after)
        scores = np.einsum("td,sd->ts", q, k) / (len(q[0]) ** 0.5 if divide else 1)
        return (softmax(hide(scores, ~seen)) if weigh else softmax(scores) * seen) @ v

    def case(name: str, T: int, D: int) -> Case:
        return Case(name, lambda g: (*g.normal(size=(3, T, D)),))

    return Exercise(
        reference=lambda q, k, v: windowed(q, k, v, window),
        cases=(
            case("T = 1", 1, 2),
            case("T = 2", 2, 2),
            case("T = window", window, 3),
            case("T = window + 1", window + 1, 3),
            case("a longer text", 3 * window, 5),
            Case("large scores", lambda g: (*(30 * g.normal(size=(3, 2 * window, 4))),)),
        ),
        mistakes={
            "no_mask": Mistake(
                "there is no mask at all: every position sees the whole text",
                lambda q, k, v: windowed(q, k, v, len(q), len(q)),
            ),
            "no_window": Mistake(
                "there is no window, only the causal mask", lambda q, k, v: windowed(q, k, v, len(q))
            ),
            "future": Mistake(
                "the window is there, but the future is not hidden",
                lambda q, k, v: windowed(q, k, v, window, len(q)),
            ),
            "one_ahead": Mistake(
                "your window reaches one position into the future",
                lambda q, k, v: windowed(q, k, v, window, 1),
            ),
            "too_long": Mistake(
                "your window is one position too long: the position itself is one of them",
                lambda q, k, v: windowed(q, k, v, window + 1),
            ),
            "too_short": Mistake(
                "your window is one position too short", lambda q, k, v: windowed(q, k, v, window - 1)
            ),
            "around": Mistake(
                "your window reaches as far ahead as back",
                lambda q, k, v: windowed(q, k, v, window, window - 1),
            ),
            "after_softmax": Mistake(
                "you take weights away after softmax, so the rest does not sum to one",
                lambda q, k, v: windowed(q, k, v, window, weigh=False),
            ),
            "no_root": Mistake(
                "the scores are not divided by √D", lambda q, k, v: windowed(q, k, v, window, divide=False)
            ),
            "weights_of_values": Mistake(
                "you return the values' plain average over the window; the scores are not used",
                lambda q, k, v: windowed(0 * q, k, v, window),
            ),
        },
    )


# 5. A softmax with temperature, backward


@exercise("04.tempered_backward")
def tempered_backward() -> Exercise:
    def by_differences(d_weights: Array, scores: Array, temperature: float) -> Array:
        moved = np.append(scores, temperature)
        return numerical_gradient(lambda: float(softmax(moved[:-1] / moved[-1]) @ d_weights), moved)

    def attempt(
        d: Array, s: Array, t: float, *, average: float = 1, inner: float = 1, sign: float = -1,
        outer: float = 2, warm: bool = True, swapped: bool = False,
    ) -> Array:  # fmt: skip
        weights = softmax(s / t if warm else s)
        d_z = weights * (d - average * (weights @ d))
        d_temperature = sign * d_z @ s / t**outer
        parts = (d_temperature, d_z / t**inner) if swapped else (d_z / t**inner, d_temperature)
        return np.hstack(parts)

    def without_weights(d: Array, s: Array, t: float) -> Array:
        d_z = d - softmax(s / t) @ d
        return np.append(d_z / t, -d_z @ s / t**2)

    def case(n: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array, float]:
            return (
                g.normal(size=n),
                g.normal(size=n),
                float(g.choice([g.uniform(0.5, 0.8), g.uniform(1.3, 2)])),
            )

        return Case(f"n = {n}", make)

    return Exercise(
        reference=by_differences,
        cases=(
            case(2),
            case(6),
            Case("equal d_weights", lambda g: (np.full(4, g.normal()), g.normal(size=4), 1.5)),
        ),
        mistakes={
            "no_average": Mistake(
                "in softmax's backward the row's average is missing: raising all scores changes nothing",
                lambda d, s, t: attempt(d, s, t, average=0),
            ),
            "no_weights": Mistake("softmax's backward is not multiplied by the weights", without_weights),
            "scores_undivided": Mistake(
                "d_scores is not divided by the temperature",
                lambda d, s, t: attempt(d, s, t, inner=0),
            ),
            "scores_multiplied": Mistake(
                "d_scores is multiplied by the temperature; it should be divided",
                lambda d, s, t: attempt(d, s, t, inner=-1),
            ),
            "sign": Mistake(
                "the gradient of the temperature has the wrong sign: 1/τ falls when τ grows",
                lambda d, s, t: attempt(d, s, t, sign=1),
            ),
            "not_squared": Mistake(
                "the derivative of 1/τ has τ² below; yours has τ",
                lambda d, s, t: attempt(d, s, t, outer=1),
            ),
            "cold": Mistake(
                "your weights are those without a temperature",
                lambda d, s, t: attempt(d, s, t, warm=False),
            ),
            "no_temperature": Mistake(
                "the gradient of the temperature is missing: the answer has n + 1 numbers",
                lambda d, s, t: attempt(d, s, t)[:-1],
            ),
            "swapped": Mistake(
                "the gradient of the temperature should come last, not first",
                lambda d, s, t: attempt(d, s, t, swapped=True),
            ),
        },
        tolerance=1e-5,
    )
