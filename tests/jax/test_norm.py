"""The norms in JAX: NumPy's values and gradients, one type throughout, and compiled the same."""

import jax
import numpy as np
import pytest

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.norm import NORMS, no_norm, norm
from microgpt_ref.numpy.norm import NORMS as NUMPY_NORMS

KINDS = [("layernorm", ()), ("layernorm", ("weight", "bias")), ("rmsnorm", ()), ("rmsnorm", ("weight",))]


def inputs(learned: tuple[str, ...], dtype: type = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(0.5, 2, (2, 3, 8))} | {name: rng.normal(size=8) for name in learned}
    return {name: array.astype(dtype) for name, array in arrays.items()}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("name", "learned"), KINDS)
def test_values_and_gradients_are_numpy_s(name: str, learned: tuple[str, ...]) -> None:
    arrays = inputs(learned)
    forward, backward = NUMPY_NORMS[name]
    expected, saved = forward(**arrays, eps=1e-3)
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    out = jax.jit(NORMS[name], static_argnames="eps")(**arrays, eps=1e-3)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    found = jax.grad(lambda arrays: (NORMS[name](**arrays, eps=1e-3) * weights).sum())(
        {key: jax.numpy.asarray(array) for key, array in arrays.items()}
    )
    d_x, d_parameters = backward(weights, saved)
    for key, gradient in {"x": d_x, **d_parameters}.items():
        np.testing.assert_allclose(found[key], gradient, rtol=1e-10, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize(("name", "learned"), KINDS)
def test_float32_stays_float32(name: str, learned: tuple[str, ...], x64: bool) -> None:
    with jax.enable_x64(x64):
        arrays = {key: jax.numpy.asarray(a) for key, a in inputs(learned, np.float32).items()}
        assert NORMS[name](**arrays).dtype == np.float32


def test_the_configuration_chooses() -> None:
    x = jax.numpy.asarray(inputs((), np.float32)["x"])
    for name, function in NORMS.items():
        config = GPTConfig(norm=name, norm_eps=0.1, norm_weight=False)  # type: ignore[arg-type]
        np.testing.assert_array_equal(norm(x, {}, config), function(x, eps=0.1))
        assert no_norm(x, {}, config) is x


def test_zeros_stay_finite() -> None:
    for function in NORMS.values():
        gradient = jax.grad(lambda x, function=function: function(x).sum())(jax.numpy.zeros((2, 4)))
        assert np.isfinite(gradient).all()
