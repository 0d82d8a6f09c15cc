"""The numerical gradient: right where the slope is known, and it leaves the array as it was."""

import numpy as np
import pytest

from microgpt_ref.numpy import numerical_gradient


def test_known_slopes() -> None:
    x = np.array([[0.5, -2.0], [1.5, 3.0]])
    found = numerical_gradient(lambda: float((x**3).sum() + np.sin(x).sum()), x)
    np.testing.assert_allclose(found, 3 * x**2 + np.cos(x), rtol=1e-8)


def test_the_array_comes_back_bit_for_bit() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    before = x.copy()
    numerical_gradient(lambda: float(np.exp(x).sum()), x)
    np.testing.assert_array_equal(x, before)


def test_only_its_own_number_moves() -> None:
    x, calls = np.zeros(3), []
    numerical_gradient(lambda: calls.append(x.copy()) or 0.0, x, step=0.5)
    np.testing.assert_array_equal(calls, np.concatenate([[row, -row] for row in 0.5 * np.eye(3)]))


def test_a_single_number() -> None:
    x = np.array(2.0)
    assert float(numerical_gradient(lambda: float(x * x), x)) == pytest.approx(4)


def test_float32_is_refused() -> None:
    with pytest.raises(ValueError, match=r"array has dtype=float32; .* need float64"):
        numerical_gradient(lambda: 0.0, np.zeros(2, np.float32))
