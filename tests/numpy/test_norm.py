"""The norms and their backward passes, against their equations, differences and torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch.nn import functional

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy import norm as norms
from microgpt_ref.numpy.norm import (
    NORMS,
    layer_norm,
    no_norm,
    no_norm_backward,
    norm,
    norm_backward,
    rms_norm,
    rms_norm_backward,
)
from tests.numpy.shared import Arrays, assert_gradients, assert_keeps_float32, assert_torch_agrees, draw

KINDS = [("layernorm", ()), ("layernorm", ("weight",)), ("layernorm", ("weight", "bias"))]
KINDS += [("rmsnorm", ()), ("rmsnorm", ("weight",))]
EPS = 1e-2


def in_torch(name: str) -> Callable[..., Any]:
    def layernorm(x: Any, weight: Any = None, bias: Any = None) -> Any:
        return functional.layer_norm(x, x.shape[-1:], weight, bias, EPS)

    def rmsnorm(x: Any, weight: Any = None) -> Any:
        return functional.rms_norm(x, x.shape[-1:], weight, EPS)

    return {"layernorm": layernorm, "rmsnorm": rmsnorm}[name]


@pytest.mark.parametrize(("name", "learned"), KINDS)
@pytest.mark.parametrize("batch", [(), (2, 3), (2, 3, 2)])
def test_backward(name: str, learned: tuple[str, ...], batch: tuple[int, ...]) -> None:
    forward, backward = NORMS[name]
    inputs = {"x": draw(*batch, 7) + 0.5} | {which: draw(7, seed=len(which)) for which in learned}

    def run(**arrays: np.ndarray) -> np.ndarray:
        return forward(**arrays, eps=EPS)[0]

    def gradients(d_out: np.ndarray) -> Arrays:
        d_x, d_parameters = backward(d_out, forward(**inputs, eps=EPS)[1])
        return {"x": d_x, **d_parameters}

    assert_gradients(run, gradients, inputs)
    assert_torch_agrees(run, gradients, in_torch(name), inputs)


def test_layer_norm_has_mean_0_and_variance_1() -> None:
    out, _ = layer_norm(5 + 3 * draw(4, 6, 64))
    np.testing.assert_allclose(out.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(-1), 1, atol=1e-4)


def test_epsilon_stands_inside_the_root() -> None:
    x = np.array([[0.001, -0.001]])
    np.testing.assert_allclose(layer_norm(x, eps=1e-6)[0], x / np.sqrt(1e-6 + 1e-6))
    np.testing.assert_allclose(rms_norm(x, eps=3e-6)[0], x / np.sqrt(1e-6 + 3e-6))


def test_rms_norm_keeps_the_mean_in() -> None:
    out, _ = rms_norm(5 + draw(4, 64))
    np.testing.assert_allclose((out**2).mean(-1), 1, atol=1e-5)
    assert out.mean() > 0.9


def test_zeros_stay_finite() -> None:
    for forward, backward in NORMS.values():
        out, saved = forward(np.zeros((2, 4)))
        np.testing.assert_array_equal(out, 0)
        assert np.isfinite(backward(np.ones((2, 4)), saved)[0]).all()


def test_the_configuration_chooses() -> None:
    x = draw(1, 2, 8)
    for name, (forward, _) in NORMS.items():
        config = GPTConfig(norm=name, norm_eps=0.1)  # type: ignore[arg-type]
        out, saved = norm(x, {"weight": np.full(8, 2.0)}, config)
        np.testing.assert_array_equal(out, forward(x, np.full(8, 2.0), None, 0.1)[0])
        d_x, gradients = norm_backward(np.ones_like(x), saved)
        assert d_x.shape == x.shape
        assert set(gradients) == {"weight"}


def test_no_norm_is_nothing() -> None:
    x = draw(1, 2, 8)
    out, saved = no_norm(x, {}, GPTConfig())
    assert out is x
    assert no_norm_backward(x, saved) == (x, {})


@pytest.mark.parametrize(("name", "learned"), KINDS)
def test_float32_stays_float32(name: str, learned: tuple[str, ...]) -> None:
    forward, backward = NORMS[name]
    out, saved = forward(draw(2, 3, 8).astype(np.float32), **{n: np.ones(8, np.float32) for n in learned})
    assert_keeps_float32((out, saved, backward(out, saved)))


def test_arguments_are_not_changed() -> None:
    x, d_out = draw(2, 3, 8), draw(2, 3, 8, seed=1)
    before = x.copy(), d_out.copy()
    for forward, backward in NORMS.values():
        backward(d_out, forward(x)[1])
    rms_norm_backward(d_out, rms_norm(x)[1])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(d_out, before[1])
    assert norms.NORMS.keys() == {"layernorm", "rmsnorm"}
