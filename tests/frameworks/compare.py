"""The comparisons that prove the three frameworks right, as plain functions.

Each measures, and raises `Disagreement` with what it saw if that is too much. The tests call them on correct
code; `test_seeded_bugs.py` calls the very same ones on code with a mistake in it, which they must notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from microgpt_ref import numpy as in_numpy
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import attention
from microgpt_ref.parameters import parameter_shapes
from tests.frameworks import runs
from tests.frameworks.by_loops import logits_by_loops
from tests.frameworks.cases import Case, draw_case

FORWARD_TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}
GRADIENT_TOLERANCE = 1e-8
DIFFERENCE_TOLERANCE = 1e-6
SMALL = 1e-3
"""A parameter whose whole gradient is below this share of the model's largest is measured against that share:
some gradients are zero in exact arithmetic, such as that of a shift before a norm."""


class Disagreement(AssertionError):
    """Two ways to the same numbers do not agree."""


def complain(what: str, seen: dict[str, float], tolerance: float) -> None:
    """Raise `Disagreement` with every value that is above the tolerance or not a number."""
    wrong = {name: value for name, value in seen.items() if not value <= tolerance}
    if wrong:
        lines = [f"{name}: {value:.3g}" for name, value in sorted(wrong.items())]
        raise Disagreement(f"{what}, above {tolerance:g}: " + "; ".join(lines))


def relative(a: np.ndarray, b: np.ndarray, scale: float | None = None) -> float:
    """Largest difference, as a share of the largest number in b."""
    if a.shape != b.shape:
        raise Disagreement(f"shapes {a.shape} and {b.shape}")
    return float(np.abs(a - b).max() / (np.abs(b).max() if scale is None else scale))


def forward_differences(
    case: Case, dtype: Any = np.float64, frameworks: Sequence[str] = runs.ALL
) -> dict[str, float]:
    """Logits of each framework against the loops, which run in float64."""
    exact = logits_by_loops(case.parameters, case.tokens, case.config)
    seen = {}
    for name in frameworks:
        logits = runs.LOGITS[name](case, dtype)
        if logits.dtype != dtype:
            raise Disagreement(f"{name} turned {np.dtype(dtype)} into {logits.dtype}")
        seen[name] = relative(logits, exact)
    return seen


def check_forward(
    config: GPTConfig, seed: int = 0, dtype: Any = np.float64, frameworks: Sequence[str] = runs.ALL
) -> None:
    """The same logits from NumPy, PyTorch, JAX and the loops; and every pair of the three agrees."""
    case = draw_case(config.replace(dropout=0.0), seed)
    tolerance = (
        FORWARD_TOLERANCE[np.dtype(dtype)] / 2
    )  # two that are this near the loops are as near each other
    complain("logits against the loops", forward_differences(case, dtype, frameworks), tolerance)


def gradient_scales(gradients: dict[str, np.ndarray]) -> dict[str, float]:
    """What the error of each parameter's gradient is measured against."""
    largest = {name: float(np.abs(gradient).max()) for name, gradient in gradients.items()}
    return {name: max(value, SMALL * max(largest.values())) for name, value in largest.items()}


def gradient_differences(case: Case, one: str, other: str) -> dict[str, float]:
    """Loss and gradient of every parameter in two frameworks, in float64."""
    loss, gradients = runs.GRADIENTS[one](case, np.float64)
    expected_loss, expected = runs.GRADIENTS[other](case, np.float64)
    if gradients.keys() != expected.keys():
        raise Disagreement(f"only one of {one}, {other} has {sorted(gradients.keys() ^ expected.keys())}")
    scales = gradient_scales(expected)
    seen = {name: relative(gradients[name], expected[name], scales[name]) for name in expected}
    return seen | {"loss": abs(loss - expected_loss) / abs(expected_loss)}


def check_gradients(config: GPTConfig, seed: int = 0, frameworks: Sequence[str] = runs.ALL) -> None:
    """The first of the frameworks against each of the others: NumPy by hand against the two autograds."""
    case = draw_case(config.replace(dropout=0.0), seed)
    for other in frameworks[1:]:
        seen = gradient_differences(case, frameworks[0], other)
        complain(f"gradients, {frameworks[0]} against {other}", seen, GRADIENT_TOLERANCE)


def coordinates(
    gradients: dict[str, np.ndarray], rng: np.random.Generator, count: int | None
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Places of every parameter: that of its largest gradient and `count` others by lot, or all for None."""
    for name, gradient in gradients.items():
        size = gradient.size
        if count is None:
            chosen = np.arange(size)
        else:
            chosen = np.append(rng.integers(size, size=count), np.abs(gradient).argmax())
        for flat in np.unique(chosen):
            yield name, tuple(int(i) for i in np.unravel_index(flat, gradient.shape))


def finite_differences(
    case: Case, seed: int, count: int | None = 1, dropout_seed: int | None = None, step: float = 1e-5
) -> tuple[dict[str, float], int, int]:
    """NumPy's gradients against central differences of NumPy's loss.

    Returns the error of each parameter, how many places were checked, and how many of them lie on a kink: the
    second difference does not halve with the step, as it does where the loss is smooth.
    """
    parameters = {name: array.copy() for name, array in case.parameters.items()}

    def dropout() -> np.random.Generator | None:
        return None if dropout_seed is None else np.random.default_rng(dropout_seed)

    def loss(array: np.ndarray, place: tuple[int, ...], change: float) -> float:
        before = array[place]
        array[place] = before + change
        logits, _ = in_numpy.forward(parameters, case.tokens, case.config, dropout())
        array[place] = before
        return in_numpy.cross_entropy(logits, case.targets)[0]

    _, gradients = in_numpy.loss_and_gradients(parameters, case.tokens, case.targets, case.config, dropout())
    scales = gradient_scales(gradients)
    errors, checked, kinks = dict.fromkeys(gradients, 0.0), 0, 0
    for name, place in coordinates(gradients, np.random.default_rng(seed), count):
        array, scale = parameters[name], scales[name]
        above, below = loss(array, place, step), loss(array, place, -step)
        error = abs((above - below) / (2 * step) - gradients[name][place]) / scale
        checked += 1
        if error > DIFFERENCE_TOLERANCE:
            middle = loss(array, place, 0.0)
            halves = loss(array, place, step / 2) + loss(array, place, -step / 2)
            bend = (above + below - 2 * middle) / step - 2 * (halves - 2 * middle) / (step / 2)
            if abs(bend) / scale > DIFFERENCE_TOLERANCE / 2:
                kinks += 1
                continue
        errors[name] = max(errors[name], error)
    return errors, checked, kinks


def check_finite_differences(
    config: GPTConfig, seed: int = 0, count: int | None = 1, dropout_seed: int | None = None
) -> tuple[int, int]:
    """Every parameter's gradient against differences of the loss; returns places checked and left out."""
    if dropout_seed is None:
        config = config.replace(dropout=0.0)
    errors, checked, kinks = finite_differences(draw_case(config, seed), seed, count, dropout_seed)
    complain("gradients against finite differences", errors, DIFFERENCE_TOLERANCE)
    if kinks > 0.05 * checked:
        raise Disagreement(f"{kinks} of {checked} places lie on a kink; so many cannot be chance")
    return checked, kinks


def check_causality(config: GPTConfig, seed: int = 0, frameworks: Sequence[str] = runs.ALL) -> None:
    """A changed token changes nothing before it, and something from it on."""
    case = draw_case(config.replace(dropout=0.0), seed)
    for name in frameworks:
        before = runs.LOGITS[name](case, np.float64)
        for t in range(1, case.tokens.shape[1]):
            tokens = case.tokens.copy()
            tokens[:, t] = (tokens[:, t] + 1) % config.vocab_size
            changed = Case(case.config, case.parameters, tokens, case.targets)
            change = np.abs(runs.LOGITS[name](changed, np.float64) - before).max((0, 2))
            complain(f"{name}: token {t} changed", {"logits before it": change[:t].max()}, 1e-12)
            if not change[t:].max() > 1e-6:
                raise Disagreement(f"{name}: token {t} changed and nothing from there on did")


def check_attention_rows(config: GPTConfig, seed: int = 0) -> None:
    """Each position's attention weights sum to 1, over itself and what came before."""
    case = draw_case(config.replace(dropout=0.0), seed)
    maps = in_numpy.attention_maps(case.parameters, case.tokens, case.config)
    seen = {
        "sum over a row − 1": float(np.abs(maps.sum(-1) - 1).max()),
        "weight of a later position": float(np.abs(np.triu(maps, k=1)).max()),
    }
    complain("attention weights", seen, 1e-12)


def check_dropout_mean(probability: float = 0.3) -> None:
    """Dropout changes single weights but not their mean."""
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 1, 2, 8, 4))
    ones = np.ones_like(q)
    outs = np.array([attention(q, k, ones, 0.5, probability, rng)[0] for _ in range(2000)])
    if not outs.std(0).min() > 0.05:
        raise Disagreement("dropout changed nothing")
    complain("mean with dropout", {"distance from 1": float(np.abs(outs.mean(0) - 1).max())}, 0.08)


def check_parameter_names(config: GPTConfig) -> None:
    """PyTorch's parameters are those of `parameter_shapes`: names, shapes and order."""
    built = {name: tuple(p.shape) for name, p in runs.GPT(config).named_parameters()}
    said = parameter_shapes(config)
    if built != said:
        raise Disagreement(f"parameters differ: {sorted(set(built.items()) ^ set(said.items()))}")


def check_training_targets(draw: Callable[[], tuple[np.ndarray, np.ndarray]], ids: Sequence[int]) -> None:
    """Each target is the token that follows its input in the text."""
    inputs, targets = draw()
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(ids), inputs.shape[1] + 1)
    for row, answer in zip(np.asarray(inputs), np.asarray(targets), strict=True):
        pair = np.append(row, answer[-1])
        if not np.array_equal(answer[:-1], row[1:]) or not (windows == pair).all(-1).any():
            raise Disagreement(f"inputs {row.tolist()} with targets {answer.tolist()} do not follow the text")
