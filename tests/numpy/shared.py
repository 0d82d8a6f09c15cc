"""What the tests of the NumPy package share: every backward pass against differences and against torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microgpt_ref.numpy import numerical_gradient

Arrays = dict[str, np.ndarray]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def assert_gradients(
    forward: Callable[..., np.ndarray], gradients: Callable[[np.ndarray], Arrays], inputs: Arrays
) -> None:
    """`gradients(d_out)` must be the slope of (forward(**inputs) · d_out) in every number of every input.

    `d_out` is random: with ones, a mistake that only moves gradient from one output to another stays hidden.
    """
    d_out = draw(*forward(**inputs).shape, seed=99)
    found = gradients(d_out)
    assert found.keys() == inputs.keys()
    for name, array in inputs.items():
        expected = numerical_gradient(lambda: float((forward(**inputs) * d_out).sum()), array, 1e-5)
        assert found[name].shape == array.shape
        scale = max(np.abs(expected).max(), 1e-3)
        assert np.abs(found[name] - expected).max() / scale < 1e-7, name


def assert_torch_agrees(
    forward: Callable[..., np.ndarray],
    gradients: Callable[[np.ndarray], Arrays],
    in_torch: Callable[..., Tensor],
    inputs: Arrays,
) -> None:
    """The same values and, by autograd, the same gradients, to 1e-12 of the largest."""
    tensors = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in inputs.items()}
    out, expected = forward(**inputs), in_torch(**tensors)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    d_out = draw(*out.shape, seed=99)
    expected.backward(torch.from_numpy(d_out))
    found = gradients(d_out)
    for name, tensor in tensors.items():
        assert tensor.grad is not None
        grad = tensor.grad.numpy()
        assert np.abs(found[name] - grad).max() <= 1e-12 * max(np.abs(grad).max(), 1), name


def assert_keeps_float32(value: Any) -> None:
    """No array in the value, however deep, was turned into float64."""
    if isinstance(value, np.ndarray):
        assert value.dtype != np.float64
    elif isinstance(value, dict):
        for item in value.values():
            assert_keeps_float32(item)
    elif isinstance(value, list | tuple):
        for item in value:
            assert_keeps_float32(item)
