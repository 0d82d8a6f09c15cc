"""The linear map and dropout: their gradients, and what dropout does to the mean."""

import subprocess
import sys

import numpy as np
import pytest
from torch.nn import functional

from microgpt_ref.numpy.basics import dropout, dropout_backward, linear, linear_backward
from tests.numpy.shared import Arrays, assert_gradients, assert_keeps_float32, assert_torch_agrees, draw


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_linear(batch: tuple[int, ...], bias: bool) -> None:
    inputs = {"x": draw(*batch, 5, seed=1), "weight": draw(6, 5, seed=2)}
    if bias:
        inputs["bias"] = draw(6, seed=3)
    saved = linear(**inputs)[1]

    def gradients(d_out: np.ndarray) -> Arrays:
        d_x, d_parameters = linear_backward(d_out, saved)
        return {"x": d_x, **d_parameters}

    assert_gradients(lambda **a: linear(**a)[0], gradients, inputs)
    assert_torch_agrees(
        lambda **a: linear(**a)[0], gradients, lambda x, **a: functional.linear(x, **a), inputs
    )


def test_linear_does_not_change_its_arguments() -> None:
    x, weight, bias = draw(2, 3), draw(4, 3), draw(4)
    copies = [array.copy() for array in (x, weight, bias)]
    out, saved = linear(x, weight, bias)
    linear_backward(np.ones_like(out), saved)
    for array, copy in zip((x, weight, bias), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(probability: float) -> None:
    out, keep = dropout(np.ones((300, 300)), probability, np.random.default_rng(0))
    assert out.mean() == pytest.approx(1, abs=5 * np.sqrt(probability / (1 - probability)) / 300)
    assert (out == 0).mean() == pytest.approx(probability, abs=0.01)
    np.testing.assert_allclose(np.unique(out), [0, 1 / (1 - probability)])
    np.testing.assert_array_equal(dropout_backward(np.ones((300, 300)), keep), out)


def test_dropout_gradient_is_that_of_the_same_draw() -> None:
    inputs = {"x": draw(3, 4)}

    def forward(x: np.ndarray) -> np.ndarray:
        return dropout(x, 0.4, np.random.default_rng(5))[0]

    keep = dropout(inputs["x"], 0.4, np.random.default_rng(5))[1]
    assert_gradients(forward, lambda d_out: {"x": dropout_backward(d_out, keep)}, inputs)


@pytest.mark.parametrize(("probability", "rng"), [(0.0, np.random.default_rng(0)), (0.5, None)])
def test_without_dropout_nothing_changes(probability: float, rng: np.random.Generator | None) -> None:
    x = draw(3, 4)
    out, keep = dropout(x, probability, rng)
    assert out is x
    assert dropout_backward(x, keep) is x


def test_float32_stays_float32() -> None:
    x, weight, bias = (array.astype(np.float32) for array in (draw(2, 3), draw(4, 3), draw(4)))
    out, saved = linear(x, weight, bias)
    assert_keeps_float32((out, saved, linear_backward(out, saved)))
    out, keep = dropout(x, 0.3, np.random.default_rng(0))
    assert_keeps_float32((out, keep, dropout_backward(out, keep)))


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("microgpt_ref.numpy", {"torch", "jax"}),
        pytest.param("microgpt_ref.torch", {"jax"}, marks=pytest.mark.slow),
        pytest.param("microgpt_ref.jax", {"torch"}, marks=pytest.mark.slow),
    ],
)
def test_each_framework_leaves_the_others_alone(module: str, others: set[str]) -> None:
    code = f"import {module}, sys; print(sorted({others!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
