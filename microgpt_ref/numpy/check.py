"""Central finite differences: a slow, independent way to a gradient, which every backward pass must match."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float


def numerical_gradient(
    loss: Callable[[], float], array: Float[np.ndarray, "*shape"], step: float = 1e-6
) -> Float[np.ndarray, "*shape"]:
    """(loss(a + step) − loss(a − step)) / (2 step), one number of the array at a time.

    Args:
        loss: computes the loss from `array` as it stands; called twice for each number in it.
        array: float64; changed in place and put back.
        step: the error grows as step² where it is large and as 1e-16 / step where it is small.

    Raises:
        ValueError: if the array is not float64, in which the difference would be mostly rounding.
    """
    if array.dtype != np.float64:
        raise ValueError(f"array has dtype={array.dtype}; differences this small need float64")
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + step
        above = loss()
        array[index] = before - step
        gradient[index] = (above - loss()) / (2 * step)
        array[index] = before
    return gradient
