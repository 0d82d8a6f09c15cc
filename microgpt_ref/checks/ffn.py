"""What the exercises of chapter 6 call: the feed-forward network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe
from microgpt_ref.numpy.check import numerical_gradient

Array = NDArray[np.float64]

# 1. The width of a gated FFN


@probe("no more weights than the plain FFN")
def no_more_weights(got: object, C: int) -> str | None:
    weights, most = 3 * C * int(np.asarray(got).item()), 8 * C * C
    return f"C = {C} gives {weights:,} weights; the plain FFN has {most:,}" if weights > most else None


@exercise("06.gated_width")
def gated_width(multiple: int = 8) -> Exercise:
    def by_trying(C: int) -> int:
        F = multiple
        while 3 * C * (F + multiple) <= 2 * C * (4 * C):
            F += multiple
        return F

    def floor(F: int) -> int:
        return F // multiple * multiple

    def case(name: str, remainder: int, smallest: int = 1) -> Case:
        return Case(name, lambda g: (multiple * (3 * int(g.integers(smallest, smallest + 30)) + remainder),))

    return Exercise(
        reference=by_trying,
        cases=(
            Case("the smallest C", lambda g: (multiple,)),
            case("8C/3 is a multiple", 0),
            case("8C/3 lies nearer to the multiple above", 1),
            case("8C/3 lies nearer to the multiple below", 2),
            case("a wide model", 1, 100),
            Case("C itself is no multiple", lambda g: (multiple * int(g.integers(2, 30)) + multiple // 2,)),
        ),
        mistakes={
            "as_wide": Mistake(
                "your width is that of the plain FFN, 4C; with three matrices that is half as much again",
                lambda C: 4 * C,
            ),
            "not_multiple": Mistake(
                "the number of weights fits, but the width is not rounded to the multiple",
                lambda C: 8 * C // 3,
            ),
            "third_rounded": Mistake(
                "you take the whole number nearest to 8C/3; a multiple is asked for, and none above 8C/3",
                lambda C: round(8 * C / 3),
            ),
            "nearest": Mistake(
                "you take the nearest multiple; where that lies above, there are too many weights",
                lambda C: round(8 * C / 3 / multiple) * multiple,
            ),
            "rounded_up": Mistake("you round up to a multiple", lambda C: -floor(-8 * C // 3)),
            "strictly_fewer": Mistake(
                "you ask for fewer weights than the plain FFN has; just as many are allowed",
                lambda C: floor((8 * C - 1) // 3),
            ),
            "half": Mistake(
                "you share the width between gate and up; but down becomes narrower too", lambda C: 2 * C
            ),
            "third_of_4C": Mistake(
                "you divide 4C by three; but the plain FFN has two matrices, not one",
                lambda C: floor(4 * C // 3),
            ),
            "how_many": Mistake(
                "you return how many multiples fit, not the width",
                lambda C: 8 * C // 3 // multiple,
            ),
        },
        probes=(no_more_weights,),
    )


# 2. A GELU by the sigmoid, backward


@exercise("06.quick_gelu_backward")
def quick_gelu_backward(factor: float = 1.702) -> Exercise:
    def by_differences(d_out: Array, x: Array) -> Array:
        x = x.copy()
        return numerical_gradient(lambda: float((x * special.expit(factor * x) * d_out).sum()), x)

    def attempt(
        d: Array, x: Array, *, first: float = 1, second: float = 1, inner: float = factor, f: float = factor
    ) -> Array:
        gate = special.expit(f * x)
        return np.asarray(d * (first * gate + second * inner * x * gate * (1 - gate)))

    def bell(x: Array) -> Array:
        gate = special.expit(factor * x)
        return np.asarray(gate * (1 - gate))

    def overflowing(d: Array, x: Array) -> Array:
        gate = np.exp(factor * x) / (1 + np.exp(factor * x))
        return np.asarray(d * (gate + factor * x * gate * (1 - gate)))

    return Exercise(
        reference=by_differences,
        cases=(
            Case("x = 0", lambda g: (g.normal(size=1), np.zeros(1))),
            Case("n = 1", lambda g: (g.normal(size=1), g.uniform(0.5, 2, size=1))),
            Case("n = 8", lambda g: (g.normal(size=8), g.normal(size=8))),
            Case("equal x", lambda g: (g.normal(size=4), np.full(4, g.uniform(-2, -0.5)))),
            Case("x of a thousand", lambda g: (g.normal(size=4), np.array([-1000.0, -3, 3, 1000]))),
        ),
        mistakes={
            "no_inner_slope": Mistake(
                "the inner slope is missing: σ's argument is a multiple of x",
                lambda d, x: attempt(d, x, inner=1),
            ),
            "gate_only": Mistake(
                "the product rule has two terms; the one with σ's own slope is missing",
                lambda d, x: attempt(d, x, second=0),
            ),
            "slope_only": Mistake(
                "the product rule has two terms; the one without σ's slope is missing",
                lambda d, x: attempt(d, x, first=0),
            ),
            "no_d_out": Mistake(
                "this is the slope alone: by the chain rule it is multiplied by d_out",
                lambda d, x: attempt(np.ones_like(d), x),
            ),
            "silu": Mistake(
                "this is the slope of SiLU: the factor in front of x is missing, in σ too",
                lambda d, x: attempt(d, x, inner=1, f=1),
            ),
            "minus": Mistake(
                "the two terms are subtracted; the product rule adds them",
                lambda d, x: attempt(d, x, second=-1),
            ),
            "no_one_minus": Mistake(
                "σ′ = σ (1 − σ); the factor 1 − σ is missing",
                lambda d, x: d * special.expit(factor * x) * (1 + factor * x),
            ),
            "no_x": Mistake(
                "the second term lacks its factor x",
                lambda d, x: d * (special.expit(factor * x) + factor * bell(x)),
            ),
            "slopes_multiplied": Mistake(
                "you multiply the slopes of x and of σ; the product rule is another",
                lambda d, x: d * factor * bell(x),
            ),
            "factor_outside": Mistake(
                "the factor multiplies both terms; it comes from σ's argument, so only σ's slope brings it",
                lambda d, x: factor * attempt(d, x),
            ),
            "factor_before_silu": Mistake(
                "the factor multiplies both terms; it comes from σ's argument, so only σ's slope brings it",
                lambda d, x: factor * attempt(d, x, inner=1),
            ),
            "not_halved": Mistake(
                "σ(z) is ½ (1 + tanh(z / 2)); your σ looks like the one without the half inside",
                lambda d, x: attempt(d, x, f=2 * factor),
            ),
            "value": Mistake(
                "this is out itself; its gradient is asked for",
                lambda d, x: x * special.expit(factor * x),
            ),
            "forward": Mistake(
                "you multiply d_out by the value x σ, not by the slope",
                lambda d, x: d * x * special.expit(factor * x),
            ),
            "overflow": Mistake(
                "exp overflows where x is large, and inf / inf is nan; choose a form of σ that does not",
                overflowing,
            ),
        },
        tolerance=1e-5,
    )


# 3. Dropout between the layers, backward


@exercise("06.dropped_gradients")
def dropped_gradients() -> Exercise:
    def by_differences(d_out: Array, x: Array, up: Array, down: Array, keep: Array) -> tuple[Array, ...]:
        x, up, down = x.copy(), up.copy(), down.copy()

        def loss() -> float:
            hidden = np.maximum(np.einsum("nc,fc->nf", x, up), 0) * keep
            return float((np.einsum("nf,cf->nc", hidden, down) * d_out).sum())

        return tuple(numerical_gradient(loss, array) for array in (x, up, down))

    def attempt(
        d: Array, x: Array, up: Array, down: Array, keep: Array, *,
        back: float = 1, ahead: float = 1, slope: float = 1,
    ) -> tuple[Array, Array, Array]:  # fmt: skip
        """Powers of what is multiplied: 0 leaves a factor out, 2 takes it twice."""
        before = x @ up.T
        d_before = d @ down * keep**back * (before > 0) ** slope
        return d_before @ up, d_before.T @ x, d.T @ (np.maximum(before, 0) * keep**ahead)

    def relu_of_gradient(d: Array, x: Array, up: Array, down: Array, keep: Array) -> tuple[Array, ...]:
        d_before = np.maximum(d @ down * keep, 0)
        return d_before @ up, d_before.T @ x, attempt(d, x, up, down, keep)[2]

    def case(name: str, n: int, C: int, F: int, p: float = 0.3) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, ...]:
            while True:  # away from the kink, where differences are no slope
                x, up = g.normal(size=(n, C)), g.normal(size=(F, C))
                before = x @ up.T
                if np.abs(before).min() > 1e-3 and (before > 0).any() and (before < 0).any():
                    break
            keep = (g.random((n, F)) >= p) / (1 - p) if p < 1 else np.zeros((n, F))
            return g.normal(size=(n, C)), x, up, g.normal(size=(C, F)), keep

        return Case(name, make)

    return Exercise(
        reference=by_differences,
        cases=(
            case("one position, p = 0", 1, 2, 3, p=0.0),
            case("one position", 1, 2, 6),
            case("n = 5", 5, 3, 6),
            case("C = F", 5, 4, 4),
            case("nothing kept", 2, 3, 4, p=1.0),
        ),
        mistakes={
            "no_keep": Mistake("keep is missing everywhere", lambda *case: attempt(*case, back=0, ahead=0)),
            "no_keep_back": Mistake(
                "keep is missing on the way back: a unit that was dropped passes no gradient",
                lambda *case: attempt(*case, back=0),
            ),
            "no_keep_ahead": Mistake(
                "d_down uses the hidden values before dropout; down saw hidden * keep",
                lambda *case: attempt(*case, ahead=0),
            ),
            "unscaled": Mistake(
                "you use keep as yes or no; what is kept is also multiplied by 1 / (1 − p)",
                lambda d, x, up, down, keep: attempt(d, x, up, down, (keep > 0) * 1.0),
            ),
            "unscaled_back": Mistake(
                "on the way back you use keep as yes or no; what is kept is also multiplied by 1 / (1 − p)",
                lambda d, x, up, down, keep: (
                    *attempt(d, x, up, down, (keep > 0) * 1.0)[:2],
                    attempt(d, x, up, down, keep)[2],
                ),
            ),
            "unscaled_ahead": Mistake(
                "d_down uses keep as yes or no; what down saw was also multiplied by 1 / (1 − p)",
                lambda d, x, up, down, keep: (
                    *attempt(d, x, up, down, keep)[:2],
                    attempt(d, x, up, down, (keep > 0) * 1.0)[2],
                ),
            ),
            "keep_twice": Mistake(
                "keep is multiplied twice on the way back", lambda *case: attempt(*case, back=2)
            ),
            "no_slope": Mistake(
                "ReLU's slope is missing: a unit that was off passes no gradient",
                lambda *case: attempt(*case, slope=0),
            ),
            "relu_of_gradient": Mistake(
                "you apply ReLU to the gradient; multiply it by ReLU's slope where `before` stood",
                relu_of_gradient,
            ),
            "no_relu": Mistake(
                "d_down uses the values before ReLU; down saw those after it",
                lambda d, x, up, down, keep: (
                    *attempt(d, x, up, down, keep)[:2],
                    d.T @ (x @ up.T * keep),
                ),
            ),
            "transposed": Mistake(
                "d_up and d_down are transposed: a gradient has the shape of its parameter",
                lambda *case: (attempt(*case)[0], attempt(*case)[1].T, attempt(*case)[2].T),
            ),
            "mean": Mistake(
                "you average over the positions; a weight is used at each, so its gradient is the sum",
                lambda d, x, *rest: (
                    attempt(d, x, *rest)[0],
                    *(a / len(x) for a in attempt(d, x, *rest)[1:]),
                ),
            ),
            "order": Mistake(
                "the gradients come in another order than d_x, d_up, d_down",
                lambda *case: attempt(*case)[::-1],
            ),
        },
        tolerance=1e-5,
    )


# 4. How many units are on?


@probe("exactly one half without a bias")
def exactly_half(got: object, bias: Array, std: float, C: int) -> str | None:
    share = np.asarray(got, dtype=float)
    near = share.shape == (1,) and not bias.any() and 1e-5 < abs(float(share[0]) - 0.5) < 0.05
    return (
        f"without a bias exactly half are on, not {share[0]:.4f}: give the formula, not a count"
        if near
        else None
    )


@exercise("06.share_on")
def share_on() -> Exercise:
    def by_counting(bias: Array, std: float, C: int) -> Array:
        g = np.random.default_rng()
        x = g.normal(size=C)
        x /= np.sqrt((x * x).mean())
        half = g.normal(0, std, size=(30_000, C)) @ x
        products = np.concatenate(
            [half, -half]
        )  # with each key its opposite: without a bias exactly one half
        return np.array([np.mean(products + b > 0) for b in bias])

    def phi(z: Array) -> Array:
        return np.asarray(stats.norm.cdf(z))

    def case(name: str, groups: int, C: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, float, int]:
            std = float(g.uniform(0.08, 0.12))
            spread = std * C**0.5
            return spread * np.linspace(-2, 2, groups) + g.uniform(-0.1, 0.1), std, C

        return Case(name, make)

    return Exercise(
        reference=by_counting,
        rounds=1,
        cases=(
            Case("no bias", lambda g: (np.zeros(1), float(g.uniform(0.08, 0.12)), 16)),
            case("C = 9", 5, 9),
            case("C = 16", 7, 16),
            case("C = 36", 9, 36),
            case("C = 64", 5, 64),
        ),
        mistakes={
            "always_half": Mistake(
                "you answer one half; that is right without a bias only",
                lambda b, std, C: np.full(len(b), 0.5),
            ),
            "no_C": Mistake(
                "C is missing: a product of two vectors is a sum of C terms, and its variance grows with C",
                lambda b, std, C: phi(b / std),
            ),
            "C_not_root": Mistake(
                "you multiply by C; variances add up, so the deviation grows with the root of C",
                lambda b, std, C: phi(b / (std * C)),
            ),
            "bias_alone": Mistake(
                "Φ takes a distance in standard deviations: divide the bias by that of the product",
                lambda b, std, C: phi(b),
            ),
            "C_shrinks": Mistake(
                "a sum of C terms spreads more than one of them; with yours it spreads less",
                lambda b, std, C: phi(b * C**0.5 / std),
            ),
            "erf_alone": Mistake(
                "erf runs from −1 to 1; a share is ½ (1 + erf)",
                lambda b, std, C: special.erf(b / (std * (2 * C) ** 0.5)),
            ),
            "erf_not_halved": Mistake(
                "the ½ of Φ stands before the whole bracket, erf included",
                lambda b, std, C: 0.5 + special.erf(b / (std * (2 * C) ** 0.5)),
            ),
            "no_std": Mistake("the deviation of the keys is missing", lambda b, std, C: phi(b / C**0.5)),
            "variance": Mistake(
                "you divide by the variance; Φ takes a distance in standard deviations",
                lambda b, std, C: phi(b / (std**2 * C)),
            ),
            "multiplied": Mistake(
                "you multiply by the deviation; the wider the products spread, the less a bias matters",
                lambda b, std, C: phi(b * std * C**0.5),
            ),
            "off": Mistake(
                "you give the share that is off: a positive bias turns units on",
                lambda b, std, C: phi(-b / (std * C**0.5)),
            ),
            "no_root_two": Mistake(
                "Φ(z) has erf(z / √2) in it; the √2 is missing",
                lambda b, std, C: phi(2**0.5 * b / (std * C**0.5)),
            ),
            "density": Mistake(
                "you use the bell curve φ; the share below a number is its integral Φ",
                lambda b, std, C: stats.norm.pdf(b / (std * C**0.5)),
            ),
            "sigmoid": Mistake(
                "you use the sigmoid; the products are normally distributed, which asks for Φ",
                lambda b, std, C: special.expit(b / (std * C**0.5)),
            ),
            "step": Mistake(
                "you compare the bias alone with 0; the product of key and input comes on top",
                lambda b, std, C: (b > 0) * 1.0,
            ),
        },
        probes=(exactly_half,),
        tolerance=0.03,
    )


# 5. Find a unit


@exercise("06.find_unit")
def find_unit() -> Exercise:
    def by_loops(hidden: Array, label: NDArray[np.bool_]) -> int:
        contrasts = []
        for unit in hidden.T:
            inside = [value for value, here in zip(unit, label, strict=True) if here]
            outside = [value for value, here in zip(unit, label, strict=True) if not here]
            spread = float(np.sqrt(np.mean([(value - np.mean(unit)) ** 2 for value in unit])))
            contrasts.append((np.mean(inside) - np.mean(outside)) / spread if spread else 0.0)
        return int(np.argmax(contrasts))

    def raw(h: Array, label: NDArray[np.bool_]) -> Array:
        return np.asarray(h[label].mean(0) - h[~label].mean(0))

    def contrast(h: Array, label: NDArray[np.bool_], power: float = 1) -> Array:
        std = h.std(0)
        return np.where(std > 0, raw(h, label) / np.where(std > 0, std, 1) ** power, 0)

    def by_std_of(h: Array, label: NDArray[np.bool_], rows: NDArray[np.bool_]) -> int:
        std = h[rows].std(0)
        return int((raw(h, label) / np.where(std > 0, std, 1)).argmax())

    def by_overlap(h: Array, label: NDArray[np.bool_]) -> int:
        fires, here = h > 0.1 * h.max(0), label[:, None]
        return int(((fires & here).sum(0) / np.maximum((fires | here).sum(0), 1)).argmax())

    def many(g: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """Each kind of unit by which some wrong measure is caught; their places are drawn."""
        label = g.permutation(120) < 40
        kinds = np.array([  # noise inside, noise outside, what the label adds, what stands there anyway
            (1, 1, 0.6, 0), (1, 1, -6, 0), (40, 40, 12, 0), (1, 1, 0, 80), (0, 0, 0, 0),
            (0.1, 0.1, 0.03, 0), (1, 1, 0, 0), (0.01, 4, 0.6, 3), (4, 0.01, 0.6, 3),
        ])  # fmt: skip
        inside, outside, added, base = kinds.T
        noise = (g.random((120, 9)) - 0.5) * np.where(label[:, None], inside, outside)
        h = noise + label[:, None] * added + base + 0.5 * inside
        spiky = label * 1.1  # above a tenth of its maximum just where the label holds
        spiky[np.flatnonzero(label)[:4]] = 10
        return np.column_stack([h, spiky])[:, g.permutation(10)], label

    def falling(g: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        label = g.permutation(12) < 5
        h = g.random((12, 5)) - 3 * label[:, None]
        h[:, 0] = -1.0 * label  # the first falls most, and is not the one that never changes
        h[:, g.integers(1, 5)] = g.integers(1, 5)
        return h, label

    def small(g: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        order = g.permutation(2)
        return np.array([[5.0, 1.0], [5.0, 1.0], [5.0, 0.0]])[:, order], np.array([True, True, False])

    return Exercise(
        reference=by_loops,
        cases=(
            Case("three characters, one unit never changes", small),
            Case("every unit that changes falls", falling),
            Case("ten units", many),
            Case("ten units again", many),
        ),
        mistakes={
            "mean_inside": Mistake(
                "you take the largest mean inside the label; a unit that is always high wins",
                lambda h, label: int(h[label].mean(0).argmax()),
            ),
            "no_std": Mistake(
                "the difference is not divided by each unit's own standard deviation: the loudest unit wins",
                lambda h, label: int(raw(h, label).argmax()),
            ),
            "overlap": Mistake(
                "this is the chapter's overlap, with its threshold; here another measure is asked for",
                by_overlap,
            ),
            "std_inside": Mistake(
                "you divide by the deviation where the label holds; it is that over all characters",
                lambda h, label: by_std_of(h, label, label),
            ),
            "std_outside": Mistake(
                "you divide by the deviation outside the label; it is that over all characters",
                lambda h, label: by_std_of(h, label, ~label),
            ),
            "variance": Mistake(
                "you divide by the variance: the quietest unit wins",
                lambda h, label: int(contrast(h, label, 2).argmax()),
            ),
            "nan": Mistake(
                "a unit that never changes has the deviation 0: 0 / 0 is nan, and argmax takes the first nan",
                lambda h, label: int((raw(h, label) / h.std(0)).argmax()),
            ),
            "left_out": Mistake(
                "here every other contrast is below 0, so the largest is that of the unit that never changes",
                lambda h, label: int(np.nanargmax(np.where(h.std(0) > 0, contrast(h, label), np.nan))),
            ),
            "starts_at_zero": Mistake(
                "no contrast is above 0 here; the largest is that of the unit that never changes",
                lambda h, label: int(contrast(h, label).argmax()) if contrast(h, label).max() > 0 else 0,
            ),
            "absolute": Mistake(
                "you drop the sign; a unit that falls inside the label does not count",
                lambda h, label: int(np.abs(contrast(h, label)).argmax()),
            ),
            "outside_first": Mistake(
                "you subtract inside from outside, or take argmin: the unit found falls inside the label",
                lambda h, label: int(contrast(h, ~label).argmax()),
            ),
            "sums": Mistake(
                "you compare sums; there are more characters outside, so take means",
                lambda h, label: int(
                    ((h[label].sum(0) - h[~label].sum(0)) / np.where(h.std(0) > 0, h.std(0), 1)).argmax()
                ),
            ),
            "how_much": Mistake(
                "you return how large the contrast is; the number of the unit is asked for",
                lambda h, label: float(contrast(h, label).max()),
            ),
            "all_contrasts": Mistake(
                "you return the contrast of every unit; which is the largest?", contrast
            ),
        },
    )
