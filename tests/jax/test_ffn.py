"""Activations and FFNs in JAX: NumPy's values and slopes, one type throughout."""

import jax
import numpy as np
import pytest

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.ffn import ACTIVATIONS, FFNS, ffn, silu
from microgpt_ref.numpy import ffn as in_numpy

FUNCTIONS = ACTIVATIONS | {"silu": silu}
NUMPY_PAIRS = in_numpy.ACTIVATIONS | {"silu": (in_numpy.silu, in_numpy.silu_backward)}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation(name: str) -> None:
    forward, backward = NUMPY_PAIRS[name]
    x = np.linspace(-7, 7, 141)  # with 0, where the slope of ReLU is a matter of agreement
    expected, saved = forward(x)
    out, pull_back = jax.vjp(jax.jit(FUNCTIONS[name]), jax.numpy.asarray(x))
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    slope = pull_back(jax.numpy.ones(141))[0]
    np.testing.assert_allclose(slope, backward(np.ones(141), saved), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_far_out_nothing_overflows(name: str) -> None:
    x = jax.numpy.asarray([100.0, -100.0, 1e4, -1e4])
    assert np.isfinite(FUNCTIONS[name](x)).all()
    assert np.isfinite(jax.grad(lambda x: FUNCTIONS[name](x).sum())(x)).all()


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("activation", FFNS)
def test_ffn(activation: str, x64: bool) -> None:
    """With x64 allowed, float32 must stay float32 all the same: a factor from NumPy would change it."""
    config = GPTConfig(d_model=6, n_head=1, d_ff=9, activation=activation)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    shapes = {"up": (9, 6), "down": (6, 9)} | ({"gate": (9, 6)} if activation == "swiglu" else {})
    parameters = {f"{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    parameters |= {f"{name}.bias": rng.normal(size=shape[0]) for name, shape in shapes.items()}
    parameters = {name: array.astype(np.float32) for name, array in parameters.items()}
    x = rng.normal(size=(2, 3, 6)).astype(np.float32)
    with jax.enable_x64(x64):
        arrays = {name: jax.numpy.asarray(array) for name, array in parameters.items()}
        out = jax.jit(ffn, static_argnames="config")(jax.numpy.asarray(x), arrays, config)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, in_numpy.ffn(x, parameters, config)[0], rtol=1e-4, atol=1e-5)
