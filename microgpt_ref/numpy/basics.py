"""What every layer uses: the linear map and dropout, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

Parameters = dict[str, Float[np.ndarray, "..."]]  # `parameter_shapes` says which
Saved = Any


def linear(
    x: Float[np.ndarray, "*batch inputs"],
    weight: Float[np.ndarray, "outputs inputs"],
    bias: Float[np.ndarray, " outputs"] | None = None,
) -> tuple[Float[np.ndarray, "*batch outputs"], Saved]:
    """x Wᵀ + b, with the weight in PyTorch's layout, (out, in)."""
    # one large matrix product is faster than one for each sequence of the batch
    rows = x.reshape(-1, x.shape[-1]) @ weight.T
    if bias is not None:
        rows += bias
    return rows.reshape(*x.shape[:-1], len(weight)), (x, weight, bias)


def linear_backward(
    d_out: Float[np.ndarray, "*batch outputs"], saved: Saved
) -> tuple[Float[np.ndarray, "*batch inputs"], Parameters]:
    """d_x = d_out W; d_W = d_outᵀ x and d_b = d_out, both summed over every position of the batch."""
    x, weight, bias = saved
    d_rows = d_out.reshape(-1, d_out.shape[-1])
    gradients = {"weight": d_rows.T @ x.reshape(-1, x.shape[-1])}
    if bias is not None:
        gradients["bias"] = d_rows.sum(0)
    return (d_rows @ weight).reshape(x.shape), gradients


def dropout(
    x: Float[np.ndarray, "*shape"], probability: float, rng: np.random.Generator | None
) -> tuple[Float[np.ndarray, "*shape"], Saved]:
    """Zero each number with this probability, divide the rest by 1 − probability (Srivastava et al. 2014).

    Without a generator, as outside training, nothing changes.
    """
    if rng is None or probability == 0:
        return x, None
    # zero, or what keeps the mean where it was
    keep = (rng.random(x.shape, dtype=np.float32) >= probability) * x.dtype.type(1 / (1 - probability))
    return x * keep, keep


def dropout_backward(d_out: Float[np.ndarray, "*shape"], keep: Saved) -> Float[np.ndarray, "*shape"]:
    """What was zeroed gets no gradient; the rest is scaled as it was forward."""
    return d_out if keep is None else d_out * keep
