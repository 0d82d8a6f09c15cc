"""What the exercises of chapter 9 call: training as pure functions, in JAX.

References and mistakes are written in NumPy: JAX would compile each of them, and a check would be slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Array = NDArray[Any]
WORKS, LOOP, BOOL, FLOAT, NUMPY = (
    "works",
    "a Python loop",
    "TracerBoolConversionError",
    "ConcretizationTypeError",
    "TracerArrayConversionError",
)


@dataclass(frozen=True)
class Plain:
    """A function in NumPy, and what is found out about it in place of tracing it."""

    function: Callable[..., Any]
    traced: Any = WORKS

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def trace(function: Callable[..., Any], *arguments: Any) -> str:
    """Whether JAX can trace a function: "works", or the name of the error."""
    try:
        jax.eval_shape(function, *arguments)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        return type(error).__name__
    return WORKS


def compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value from one compiled program, or operation by operation if it cannot be traced."""
    try:
        return jax.jit(function)(*arguments)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
        return function(*arguments)


PYTHON_IF = (
    "under jit, a Python `if`, `min` or `max` asks for a value that a tracer does not have yet; stay inside"
    " JAX: jnp.where, jnp.minimum"
)
PYTHON_FLOAT = "under jit, float(…) or .item() asks for a value that a tracer does not have yet"
IN_NUMPY = "a function of NumPy gets a tracer under jit; take that of jax.numpy"


def tracing(function: Callable[..., Any]) -> dict[str, Mistake]:
    """The mistakes that show only while JAX traces; apart from that, the function is right."""
    return {
        "python_if": Mistake(PYTHON_IF, Plain(function, BOOL)),
        "python_float": Mistake(PYTHON_FLOAT, Plain(function, FLOAT)),
        "numpy": Mistake(IN_NUMPY, Plain(function, NUMPY)),
    }


# 1. How often is it traced?

Call = dict[str, Any]


@exercise("09.count_traces")
def count_traces(static: str = "power") -> Exercise:
    other = {"power": "scale", "scale": "power"}[static]

    def experiment(calls: Sequence[Call]) -> int:
        traced = 0

        def f(x: jax.Array, power: Any, scale: Any) -> Any:  # tracers, where they are not static
            nonlocal traced
            traced += 1
            return scale * x**power

        jitted = jax.jit(f, static_argnames=static)
        for call in calls:
            x = np.full(call["shape"], call["value"], call["dtype"])
            jitted.eval_shape(x, power=call["power"], scale=call["scale"])
        return traced

    def different(*names: str) -> Callable[[Sequence[Call]], int]:
        return lambda calls: len({tuple(call[name] for name in names) for call in calls})

    def calls_of(g: np.random.Generator, **given: Sequence[Any]) -> tuple[list[Call]]:
        """Calls that differ in what is given alone."""
        usual = {
            "shape": (2, 3),
            "dtype": "float32",
            "power": 2,
            "scale": 0.5,
            "value": int(g.integers(1, 99)),
        }
        return (
            [{**usual, **dict(zip(given, row, strict=True))} for row in zip(*given.values(), strict=True)],
        )

    def drawn(g: np.random.Generator, n: int, *choices: Any) -> list[Any]:
        """n of the choices, the first two of them among these."""
        return [*choices[:2], *(choices[int(i)] for i in g.integers(len(choices), size=n - 2))]

    def many(g: np.random.Generator, n: int) -> tuple[list[Call]]:
        choices: dict[str, list[Any]] = {
            "shape": [(2, 3), (6,), (4,)],
            "dtype": ["float32", "int32"],
            "power": [2, 3],
            "scale": [0.5, 2.0],
            "value": [1, 7],
        }
        return calls_of(g, **{k: [c[int(i)] for i in g.integers(len(c), size=n)] for k, c in choices.items()})

    key = ("shape", "dtype", static)
    return Exercise(
        reference=experiment,
        cases=(
            Case("the same call again", lambda g: calls_of(g, power=[2] * int(g.integers(2, 5)))),
            Case(
                "other values", lambda g: calls_of(g, value=g.permutation(100)[: g.integers(2, 5)].tolist())
            ),
            Case(
                "two types or more", lambda g: calls_of(g, dtype=drawn(g, 3, "float32", "int32", "float16"))
            ),
            Case("powers that come back", lambda g: calls_of(g, power=drawn(g, 5, 2, 3, 4, 5, 6, 7))),
            Case("scales", lambda g: calls_of(g, scale=drawn(g, 3, 0.5, 1.0, 2.0))),
            Case(
                "shapes of the same size",
                lambda g: calls_of(g, shape=drawn(g, 4, (2, 3), (6,), (3, 2), (1, 6))),
            ),
            Case("six calls", lambda g: many(g, 6)),
            Case("ten calls", lambda g: many(g, 10)),
        ),
        mistakes={
            "every_call": Mistake(
                "you count every call; a program is kept, and a later call that fits it is not traced", len
            ),
            "values": Mistake(
                "you count other values in the array as new; a trace sees shape and type, not values",
                different("value", *key),
            ),
            "last_only": Mistake(
                "you compare each call with the one before it; JAX keeps all programs, not only the last",
                lambda calls: sum(1 for _ in groupby(calls, key=lambda call: [call[name] for name in key])),
            ),
            "no_dtype": Mistake(
                "the type of the array is missing: integers need a program of their own",
                different("shape", static),
            ),
            "no_shape": Mistake(
                "the shape is missing: each shape needs a program of its own", different("dtype", static)
            ),
            "no_static": Mistake(
                "the static argument is missing: each of its values needs a program of its own",
                different("shape", "dtype"),
            ),
            "other_argument": Mistake(
                f"you count values of `{other}`, which is an ordinary argument; `{static}` is static",
                different("shape", "dtype", other),
            ),
            "both_arguments": Mistake(
                f"`{other}` is an ordinary argument: its values are passed to the program, like the array's",
                different("shape", "dtype", "power", "scale"),
            ),
            "shapes_alone": Mistake(
                "you count the shapes alone; two other things can need a program of their own",
                different("shape"),
            ),
            "everything": Mistake(
                "you count calls that differ in anything; values in the array and values of an ordinary"
                " argument are passed to the program, and need no new one",
                different("shape", "dtype", "value", "power", "scale"),
            ),
            "sizes": Mistake(
                "you compare how many numbers an array has; (2, 3) and (6,) are two shapes",
                lambda calls: len({(np.prod(c["shape"]), c["dtype"], c[static]) for c in calls}),
            ),
            "product": Mistake(
                "you multiply the numbers of shapes, types and static values; count the groups that occur",
                lambda calls: int(np.prod([different(name)(calls) for name in key])),
            ),
            "sum": Mistake(
                "you add the numbers of shapes, types and static values; count different groups of the three",
                lambda calls: sum(different(name)(calls) for name in key),
            ),
        },
    )


# 2. Clipping a pytree


@probe("at most the limit")
def within_the_limit(got: Any, gradients: Any, limit: float) -> str | None:
    norm = tree_norm(got["gradients"])
    return f"the norm afterwards is {norm:.3g}, the limit {limit:.3g}" if norm > limit * 1.001 else None


def tree_norm(tree: Any) -> float:
    return float(np.sqrt(sum(np.sum(np.asarray(leaf, float) ** 2) for leaf in jax.tree.leaves(tree))))


@exercise("09.clip_tree")
def clip_tree() -> Exercise:
    Measure = Callable[[list[Array]], float]

    def scaled(tree: Any, factor: float) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(factor), tree)

    def clipped(tree: Any, limit: float, measure: Measure = tree_norm) -> Any:
        norm = measure(jax.tree.leaves(tree))
        return scaled(tree, limit / norm if norm > limit else 1.0)

    def divided(tree: Any, limit: float) -> Any:
        if not tree_norm(tree):
            raise ZeroDivisionError
        return clipped(tree, limit)

    def with_norm(measure: Measure) -> Plain:
        return Plain(lambda tree, limit: clipped(tree, limit, measure))

    def drive(answer: Callable[..., Any], gradients: Any, limit: float) -> Any:
        if isinstance(answer, Plain):
            return {"gradients": answer(gradients, limit), "under jit": answer.traced}
        value, traced = compiled(answer, gradients, limit), trace(answer, gradients, limit)
        if value is None:
            return None
        return {"gradients": value, "under jit": traced}

    def case(name: str, like: Any, low: float, high: float) -> Case:
        """Gradients whose norm lies between low and high times the limit; the numbers of `like` are sizes."""

        def make(g: np.random.Generator) -> tuple[Any, float]:
            raw = jax.tree.map(lambda n: g.uniform(0.5, 1, n) * g.choice([-1, 1], n), like)
            limit = float(g.uniform(0.3, 3))
            factor = limit * float(g.uniform(low, high)) / tree_norm(raw)
            return jax.tree.map(lambda leaf: jnp.asarray(leaf * factor, jnp.float32), raw), limit

        return Case(name, make)

    pair = {"a": 2, "b": 3}
    return Exercise(
        reference=Plain(clipped),
        drive=drive,
        cases=(
            case("one leaf", {"a": 1}, 2, 4),
            case("two leaves", pair, 3, 5),
            case("short gradients", pair, 0.2, 0.8),
            case("a nest", {"a": 2, "b": [3, {"c": 3}]}, 1.1, 1.4),
            case("all gradients are zero", pair, 0, 0),
        ),
        mistakes={
            **tracing(clipped),
            "python_float_divided": Mistake(PYTHON_FLOAT, Plain(divided, FLOAT)),
            "norm_of_one": Mistake(
                "long gradients come out with the norm 1, whatever the limit is",
                Plain(lambda tree, limit: scaled(tree, 1 / max(tree_norm(tree), limit))),
            ),
            "lengthens_and_divides": Mistake(
                "you bring every gradient to the limit; a short one should stay as it is (and zero becomes"
                " nan, as 0/0)",
                Plain(lambda tree, limit: scaled(tree, limit / (tree_norm(tree) or float("nan")))),
            ),
            "lengthens": Mistake(
                "you bring every gradient to the limit; a short one should stay as it is",
                Plain(lambda tree, limit: scaled(tree, limit / (tree_norm(tree) or 1))),
            ),
            "divides_by_zero": Mistake(
                "gradients of zero become nan, as 0/0; divide so that zero stays zero",
                Plain(
                    lambda tree, limit: (
                        clipped(tree, limit) if tree_norm(tree) else scaled(tree, float("nan"))
                    )
                ),
            ),
            "each_leaf": Mistake(
                "you clip each leaf by its own norm, which turns the gradient; take one norm over all leaves",
                Plain(lambda tree, limit: jax.tree.map(lambda leaf: clipped(leaf, limit), tree)),
            ),
            "each_number": Mistake(
                "you cut off each number at the limit; shorten all by one factor, to keep the direction",
                Plain(lambda tree, limit: jax.tree.map(lambda leaf: np.clip(leaf, -limit, limit), tree)),
            ),
            "no_root": Mistake(
                "your norm is the sum of the squares; its root is missing",
                with_norm(lambda leaves: tree_norm(leaves) ** 2),
            ),
            "sum_of_norms": Mistake(
                "you add up the norms of the leaves; add up their squares, then take the root",
                with_norm(lambda leaves: sum(tree_norm(leaf) for leaf in leaves)),
            ),
            "mean": Mistake(
                "your norm uses the mean of the squares; it should be their sum",
                with_norm(lambda leaves: tree_norm(leaves) / sum(np.size(leaf) for leaf in leaves) ** 0.5),
            ),
            "leaves": Mistake(
                "you return a list of leaves; jax.tree.map keeps the nest as it was",
                Plain(lambda tree, limit: jax.tree.leaves(clipped(tree, limit))),
            ),
        },
        probes=(within_the_limit,),
        tolerance=1e-5,
    )


# 3. A schedule without `if`


@exercise("09.trapezoid")
def trapezoid(final: float = 0.1) -> Exercise:
    def by_corners(step: Array, steps: int, warmup: int, decay: int, peak: float) -> Array:
        return np.interp(step, [-1, warmup - 1, steps - decay, steps], [0, peak, peak, final * peak])

    def unbounded(step: Array, steps: int, warmup: int, decay: int, peak: float) -> Array:
        fall = 1 - (1 - final) * (step - (steps - decay)) / decay
        return peak * np.where(step < warmup, (step + 1) / warmup, fall)

    def attempt(
        *, first: int = 1, early: int = 0, end: Callable[[float], float] = lambda peak: final * peak,
        bend: Callable[[Array], Array] = lambda x: x, flat: bool = True, floor: bool = False,
    ) -> Plain:  # fmt: skip
        def answer(step: Array, steps: int, warmup: int, decay: int, peak: float) -> Array:
            if not flat:
                decay = steps - warmup
            rise = np.minimum((step + first) / warmup, 1) if first < 2 else np.ones(len(step))
            fallen = np.clip((step + early - (steps - decay)) / decay, 0, 1)
            if floor:
                return np.where(
                    fallen > 0, np.maximum(peak * (1 - fallen), final * peak), peak * rise
                )  # fmt: skip
            return np.asarray(peak * rise + (end(peak) - peak) * bend(fallen))

        return Plain(answer)

    def drive(answer: Callable[..., Any], step: Array, *settings: Any) -> Any:
        if isinstance(answer, Plain):
            return {"rates": answer(step, *settings), "under jit": answer.traced}
        traced = trace(lambda i: answer(i, *settings), jnp.asarray(0))
        if traced == WORKS:
            rates: Any = jax.jit(jax.vmap(lambda i: answer(i, *settings)))(jnp.asarray(step))
        else:
            rates = np.array([float(answer(jnp.asarray(i), *settings)) for i in step])
        return None if rates is None else {"rates": rates, "under jit": traced}

    def case(name: str, warmup: int, flat: int, decay: int) -> Case:
        steps = warmup + flat + decay
        return Case(name, lambda g: (np.arange(steps), steps, warmup, decay, float(10 ** g.uniform(-3, 1))))

    settings = {
        "to_zero": Mistake(
            "your rate falls to zero; the setting asks for a share of the peak", attempt(end=lambda peak: 0)
        ),
        "not_a_share": Mistake(
            "your rate falls to the setting itself; it is a share of the peak",
            attempt(end=lambda peak: final),
        ),
        "floor": Mistake(
            "your line falls towards zero and is then held up; it should fall straight to the last rate",
            attempt(floor=True),
        ),
    }
    return Exercise(
        reference=Plain(by_corners),
        drive=drive,
        cases=(
            case("a short run", 1, 1, 2),
            case("no flat part", 3, 0, 5),
            case("a long fall", 2, 2, 30),
            case("a usual run", 4, 7, 5),
        ),
        rounds=1,
        mistakes={
            **tracing(by_corners),
            **(settings if final else {}),
            "starts_at_zero": Mistake(
                "your rise begins at zero, so step 0 changes nothing; it should begin at peak / warmup_steps",
                attempt(first=0),
            ),
            "no_warmup": Mistake("there is no rise: the first steps have the peak", attempt(first=2)),
            "no_fall": Mistake(
                "there is no fall: the last steps still have the peak", attempt(end=lambda peak: peak)
            ),
            "above_the_peak": Mistake(
                "between rise and fall your rate is above the peak: the line of the fall is used too early",
                Plain(unbounded),
            ),
            "ends_early": Mistake(
                "your fall reaches FINAL at the last step; it should get there one step after the run, so"
                " each of its decay_steps is a little shorter",
                Plain(
                    lambda step, steps, warmup, decay, peak: by_corners(
                        step, steps - 1, warmup, decay - 1, peak
                    )
                ),
            ),
            "no_peak": Mistake(
                "your rates are shares of the peak; the peak itself is missing",
                Plain(lambda step, steps, warmup, decay, peak: by_corners(step, steps, warmup, decay, 1.0)),
            ),
            "no_flat_part": Mistake(
                "your fall begins right after the rise; it should take the last decay_steps only",
                attempt(flat=False),
            ),
            "falls_early": Mistake(
                "your fall begins one step early: its first step should still have the peak", attempt(early=1)
            ),
            "falls_late": Mistake("your fall begins one step late", attempt(early=-1)),
            "cosine": Mistake(
                "your fall is a cosine; a straight line was asked for",
                attempt(bend=lambda x: 0.5 - 0.5 * np.cos(np.pi * x)),
            ),
        },
        tolerance=1e-5,
    )


# 4. A running mean of the weights


@exercise("09.running_mean")
def running_mean() -> Exercise:
    def means(
        weights: Array, beta: float, *, zero: bool = False, lag: bool = False, corrected: bool = False
    ) -> Array:
        mean, out = np.zeros_like(weights[0]) if zero else weights[0], []
        for t, w in enumerate(weights, start=1):
            before, mean = mean, beta * mean + (1 - beta) * w
            out.append(before if lag else mean / (1 - beta**t) if corrected else mean)
        return np.stack(out)

    def from_a_number(weights: Array, beta: float) -> Array:
        if weights.ndim > 1:
            raise TypeError("the carry changes its shape")
        return means(weights, beta, zero=True)

    def drive(answer: Callable[..., Any], weights: jax.Array, beta: float) -> Any:
        if isinstance(answer, Plain):
            return {
                "means": answer(np.asarray(weights), beta),
                "a scan in the program": answer.traced == WORKS,
            }
        value = compiled(lambda w: answer(w, beta), weights)
        if value is None:
            return None
        try:
            program = str(jax.make_jaxpr(lambda w: answer(w, beta))(weights))
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
            program = ""
        return {"means": value, "a scan in the program": "scan[" in program}

    def case(name: str, *shape: int) -> Case:
        return Case(
            name,
            lambda g: (jnp.asarray(g.normal(size=shape), jnp.float32), float(g.uniform(0.6, 0.9))),
        )

    return Exercise(
        reference=Plain(means),
        drive=drive,
        cases=(
            case("n = 1", 1),
            case("n = 3", 3),
            case("rows of two", 7, 2),
            Case("β = 0", lambda g: (jnp.asarray(g.normal(size=3), jnp.float32), 0.0)),
        ),
        rounds=1,
        mistakes={
            "loop": Mistake(
                "the means are right, but there is no scan in the program (a Python loop is unrolled into"
                " it); use jax.lax.scan",
                Plain(means, "no scan"),
            ),
            "starts_at_zero": Mistake(
                "your mean starts at zero; it should start at the first weights",
                Plain(lambda w, beta: means(w, beta, zero=True)),
            ),
            "starts_at_a_number": Mistake(
                "your mean starts at the number 0; it should start at the first weights, in their shape",
                Plain(from_a_number),
            ),
            "keeps_the_weights": Mistake(
                "you hand out each step's weights; what the scan keeps of a step should be the mean",
                Plain(lambda w, beta: w),
            ),
            "corrected": Mistake(
                "you start at zero and divide by 1 − βᵗ as Adam does; here the mean starts at the first"
                " weights",
                Plain(lambda w, beta: means(w, beta, zero=True, corrected=True)),
            ),
            "exchanged": Mistake(
                "β and 1 − β are exchanged: β is the share of the old mean",
                Plain(lambda w, beta: means(w, 1 - beta)),
            ),
            "one_late": Mistake(
                "you hand out the mean from before each step; the new one belongs there",
                Plain(lambda w, beta: means(w, beta, lag=True)),
            ),
            "last_only": Mistake(
                "you return the last mean; scan stacks what the function gives as its second result",
                Plain(lambda w, beta: means(w, beta)[-1]),
            ),
            "both": Mistake(
                "you return both results of scan, (last carry, stacked outputs); the second was asked for",
                Plain(lambda w, beta: (means(w, beta)[-1], means(w, beta))),
            ),
            "skips_the_first": Mistake(
                "your means begin with the second step; there should be one for each of the n",
                Plain(lambda w, beta: means(w, beta)[1:]),
            ),
            "plain_mean": Mistake(
                "you take the mean of all weights so far, in which all count alike; β is not used",
                Plain(
                    lambda w, beta: (
                        np.cumsum(w, 0) / np.arange(1, len(w) + 1).reshape(-1, *[1] * (w.ndim - 1))
                    )
                ),
            ),
            "not_weighted": Mistake(
                "the new weights are added whole; their share is 1 − β",
                Plain(
                    lambda w, beta: np.stack(
                        [
                            beta ** (t + 1) * w[0] + sum(beta ** (t - i) * w[i] for i in range(t + 1))
                            for t in range(len(w))
                        ]
                    )
                ),
            ),
        },
        tolerance=1e-5,
    )


# 5. A gradient that one bad row cannot pull


@dataclass(frozen=True)
class Loss:
    """A loss of one row: of the error w·x − y, its half square or the logarithm of its cosh."""

    name: str

    def __call__(self, w: jax.Array, x: jax.Array, y: jax.Array | float) -> jax.Array:
        error = jnp.dot(w, x) - y
        return error**2 / 2 if self.name == "half square" else jnp.log(jnp.cosh(error))

    def gradients(self, w: Array, inputs: Array, targets: Array) -> Array:
        """Row by row, (B, n), worked out by hand."""
        error = inputs @ w - targets
        return np.asarray((error if self.name == "half square" else np.tanh(error))[:, None] * inputs)


@probe("no row moves the mean by more than limit / B")
def bounded(got: dict[str, Any], loss: Loss, w: Any, inputs: Any, targets: Any, limit: float) -> str | None:
    norm = float(np.linalg.norm(got["gradient"]))
    if norm <= limit * 1.001:
        return None
    return f"the norm of your answer is {norm:.3g}, and that of a mean of clipped rows is {limit:.3g} at most"


@exercise("09.robust_gradient")
def robust_gradient() -> Exercise:
    # JAX starts and compiles each operation at its first use; an answer's time should not count that
    jax.grad(Loss("log cosh"))(jnp.zeros(3), jnp.zeros(3), 0.0)

    Rows = Callable[[Array, float], Array]

    def clipped(rows: Array, limit: float) -> Array:
        norms = np.linalg.norm(rows, axis=-1, keepdims=True)
        return np.asarray(rows * np.minimum(1, limit / np.maximum(norms, 1e-30)))

    def of_rows(combine: Rows, traced: str = WORKS) -> Plain:
        def answer(loss: Loss, w: Any, inputs: Any, targets: Any, limit: float) -> Any:
            return combine(loss.gradients(*map(np.asarray, (w, inputs, targets))), limit)

        return Plain(answer, traced)

    def one_norm(rows: Array, limit: float) -> Array:
        return np.asarray(rows * min(1, limit / max(float(np.linalg.norm(rows)), 1e-30))).mean(0)

    def drive(answer: Callable[..., Any], *arguments: Any) -> Any:
        loss, w, inputs, targets, limit = arguments
        B, calls = len(inputs), 0
        if isinstance(answer, Plain):
            if answer.traced == LOOP:
                return {"inside vmap": LOOP if B > 1 else WORKS, "gradient": answer(*arguments)}
            works = answer.traced == WORKS
            return {"inside vmap": answer.traced, "gradient": answer(*arguments) if works else None}

        def counted(*row: Any) -> jax.Array:
            nonlocal calls
            calls += 1
            return loss(*row)

        def whole(*rows: Any) -> Any:
            nonlocal calls
            calls = 0
            return answer(counted, *rows, limit)

        try:
            value = compiled(whole, w, inputs, targets)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
            return {"inside vmap": type(error).__name__, "gradient": None}
        # vmap and scan call the function once or twice, a Python loop once a row
        return (
            None if value is None else {"inside vmap": LOOP if calls >= B > 1 else WORKS, "gradient": value}
        )

    def case(name: str, B: int, damaged: float = 1, silent: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Any, ...]:
            w, inputs = g.normal(size=3), g.normal(size=(B, 3))
            if silent:
                inputs[0] = 0  # its gradient is zero
            targets = inputs @ w + g.choice([-1, 1], B) * g.uniform(1.5, 3, B)
            targets[-1] += damaged - 1
            loss = Loss(str(g.choice(["half square", "log cosh"])) if damaged == 1 else "half square")
            norms = np.sort(np.linalg.norm(loss.gradients(w, inputs, targets), axis=-1))
            limit = (
                norms[0] * 0.6 if B == 1 else (norms[B // 2 - 1] + norms[B // 2]) / 2
            )  # clips half of them
            return loss, *(jnp.asarray(a, jnp.float32) for a in (w, inputs, targets)), float(limit)

        return Case(name, make)

    return Exercise(
        reference=of_rows(lambda rows, limit: clipped(rows, limit).mean(0)),
        drive=drive,
        cases=(
            case("one row", 1),
            case("four rows", 4),
            case("a damaged row", 4, damaged=1000),
            case("a row without a gradient", 4, silent=True),
        ),
        rounds=1,
        mistakes={
            "python_if": Mistake(
                "inside vmap a Python `if`, `min` or `max` asks for one value, and there are many; use"
                " jnp.where or jnp.minimum",
                of_rows(lambda rows, limit: rows, BOOL),
            ),
            "numpy": Mistake(
                "a function of NumPy gets a tracer inside vmap; take that of jax.numpy",
                of_rows(lambda rows, limit: rows, NUMPY),
            ),
            "loop": Mistake(
                "the gradient is right, but a Python loop takes the rows one by one; write the function of"
                " one row, and let JAX make of it one for all",
                of_rows(lambda rows, limit: clipped(rows, limit).mean(0), LOOP),
            ),
            "lengthens_and_divides": Mistake(
                "you bring every row to the limit; a short one should stay as it is (and a row of zeros"
                " becomes nan, as 0/0)",
                of_rows(
                    lambda rows, limit: (rows * (limit / np.linalg.norm(rows, axis=-1, keepdims=True))).mean(
                        0
                    )
                ),
            ),
            "limit_of_a_share": Mistake(
                "you clip each row to limit / B; clip it to limit, and the mean divides by B",
                of_rows(lambda rows, limit: clipped(rows, limit / len(rows)).mean(0)),
            ),
            "dropped": Mistake(
                "you throw a long row away; it should be shortened to the limit",
                of_rows(
                    lambda rows, limit: (rows * (np.linalg.norm(rows, axis=-1, keepdims=True) <= limit)).mean(
                        0
                    )
                ),
            ),
            "not_clipped": Mistake("nothing is clipped", of_rows(lambda rows, limit: rows.mean(0))),
            "mean_first": Mistake(
                "you take the mean first and clip it; the damaged row has then already pulled it",
                of_rows(lambda rows, limit: clipped(rows.mean(0), limit)),
            ),
            "one_norm": Mistake(
                "you take one norm over all rows; each row should be clipped by its own", of_rows(one_norm)
            ),
            "not_averaged": Mistake(
                "you return the rows; their mean was asked for",
                of_rows(lambda rows, limit: clipped(rows, limit)),
            ),
            "sum": Mistake(
                "you add the rows up; their mean was asked for",
                of_rows(lambda rows, limit: clipped(rows, limit).sum(0)),
            ),
            "lengthens": Mistake(
                "you bring every row to the limit; a short one should stay as it is",
                of_rows(
                    lambda rows, limit: (
                        rows * (limit / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-30))
                    ).mean(0)
                ),
            ),
            "each_number": Mistake(
                "you cut off each number at the limit; shorten a row as a whole, to keep its direction",
                of_rows(lambda rows, limit: np.clip(rows, -limit, limit).mean(0)),
            ),
            "columns": Mistake(
                "your norms run along the batch; each row's norm is over its own numbers",
                of_rows(lambda rows, limit: clipped(rows.T, limit).T.mean(0)),
            ),
            "no_root": Mistake(
                "your norm is the sum of the squares; its root is missing",
                of_rows(
                    lambda rows, limit: (
                        rows * np.minimum(1, limit / np.maximum((rows**2).sum(-1, keepdims=True), 1e-30))
                    ).mean(0)
                ),
            ),
            "divides_by_zero": Mistake(
                "a row whose gradient is zero becomes nan, as 0/0; divide so that zero stays zero",
                of_rows(
                    lambda rows, limit: (
                        clipped(rows, limit).mean(0) if rows.any(-1).all() else np.full(3, np.nan)
                    )
                ),
            ),
        },
        probes=(bounded,),
        tolerance=1e-4,
    )


# 6. A deep model in a short program


@exercise("09.scan_layers")
def scan_layers() -> Exercise:
    Layers = dict[str, Any]

    def loop(
        layers: Layers, x: Any, *, residual: bool = True, transposed: bool = True, order: int = 1,
        bias: bool = True, root: bool = True, before: bool = False, inside: bool = False,
        size: Callable[[Array], Any] | None = None,
    ) -> tuple[Array, Array]:  # fmt: skip
        weights, biases = np.asarray(layers["weight"])[::order], np.asarray(layers["bias"])[::order]
        x, sizes = np.asarray(x), []
        for weight, b in zip(weights, biases, strict=True):
            start = x
            branch = np.tanh(x @ (weight.T if transposed else weight) + (b if bias else 0))
            x = x + branch if residual else branch
            if size:
                sizes.append(size(x))
                continue
            square = ((start if before else branch if inside else x) ** 2).mean()
            sizes.append(np.sqrt(square) if root else square)
        return x, np.array(sizes)

    def variant(**changes: Any) -> Plain:
        return Plain(lambda layers, x: loop(layers, x, **changes))

    def drive(answer: Callable[..., Any], layers: Layers, x: Any) -> Any:
        if isinstance(answer, Plain):
            return {"answer": answer(layers, x), "a scan in the program": answer.traced == WORKS}
        value = compiled(answer, layers, x)
        if value is None:
            return None
        try:
            program = str(jax.make_jaxpr(answer)(layers, x))
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
            program = ""
        return {"answer": value, "a scan in the program": "scan[" in program}

    def case(name: str, N: int, T: int, C: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Any, ...]:
            layers = {"weight": g.normal(size=(N, C, C)) / C**0.5, "bias": g.normal(size=(N, C))}
            return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (layers, g.normal(size=(T, C))))

        return Case(name, make)

    return Exercise(
        reference=Plain(loop),
        drive=drive,
        cases=(
            case("one layer", 1, 1, 2),
            case("two layers", 2, 3, 2),
            case("five layers", 5, 2, 2),
        ),
        rounds=1,
        mistakes={
            "loop": Mistake(
                "the numbers are right, but there is no scan in the program (a Python loop is unrolled into"
                " it); use jax.lax.scan",
                Plain(loop, "no scan"),
            ),
            "no_residual": Mistake(
                "the branch is not added to what came in: x + tanh(…)", variant(residual=False)
            ),
            "not_transposed": Mistake(
                "your product takes the weights as (in, out); they are (out, in), so x @ weight.T",
                variant(transposed=False),
            ),
            "no_bias": Mistake("the bias is missing", variant(bias=False)),
            "same_layer": Mistake(
                "the first layer acts every time; scan gives your function one layer after the other",
                Plain(lambda layers, x: loop({k: a[:1].repeat(len(a), 0) for k, a in layers.items()}, x)),
            ),
            "backwards": Mistake("your layers run from the last to the first", variant(order=-1)),
            "exchanged": Mistake(
                "the two results are exchanged: scan gives the carry first, and it is the output",
                Plain(lambda layers, x: loop(layers, x)[::-1]),
            ),
            "size_before": Mistake(
                "your sizes are those of what goes into each layer; measure what comes out",
                variant(before=True),
            ),
            "size_of_branch": Mistake(
                "your sizes are those of the branch; measure the sum, after it was added",
                variant(inside=True),
            ),
            "no_root": Mistake("your sizes are mean squares; their root is missing", variant(root=False)),
            "deviation": Mistake(
                "your sizes are standard deviations, which leave the mean out; take the root mean square",
                variant(size=np.std),
            ),
            "norm": Mistake(
                "your sizes are norms: the root of a sum; take the root of the mean",
                variant(size=np.linalg.norm),
            ),
        },
        tolerance=1e-4,
    )
