"""LayerNorm and RMSNorm, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.basics import Parameters, Saved


def layer_norm(
    x: Float[np.ndarray, "*batch C"],
    weight: Float[np.ndarray, " C"] | None = None,
    bias: Float[np.ndarray, " C"] | None = None,
    eps: float = 1e-5,
) -> tuple[Float[np.ndarray, "*batch C"], Saved]:
    """LayerNorm (Ba et al. 2016, eq. 4): subtract the mean over channels, divide by √(variance + ε)."""
    centred = x - x.mean(-1, keepdims=True)  # (..., C)
    variance = _mean_of_product(centred, centred)  # (..., 1)
    inverse_std = 1 / np.sqrt(variance + eps)  # (..., 1)
    normed = centred * inverse_std  # (..., C)
    return _scale_and_shift(normed, weight, bias), (normed, inverse_std, weight, bias)


def layer_norm_backward(
    d_out: Float[np.ndarray, "*batch C"], saved: Saved
) -> tuple[Float[np.ndarray, "*batch C"], Parameters]:
    """d_x = (d_n − mean(d_n) − n · mean(d_n · n)) / √(variance + ε), where n is the normed x.

    The two means are what x also does by moving the mean and the variance of its own row.
    """
    normed, inverse_std, weight, bias = saved
    d_normed, gradients = _scale_and_shift_backward(d_out, normed, weight, bias)
    d_x = d_normed - d_normed.mean(-1, keepdims=True)  # (..., C)
    d_x -= normed * _mean_of_product(d_normed, normed)
    d_x *= inverse_std
    return d_x, gradients


def rms_norm(
    x: Float[np.ndarray, "*batch C"],
    weight: Float[np.ndarray, " C"] | None = None,
    bias: None = None,
    eps: float = 1e-5,
) -> tuple[Float[np.ndarray, "*batch C"], Saved]:
    """RMSNorm (Zhang & Sennrich 2019, eq. 4): divide by √(mean square + ε); the mean stays, no shift."""
    inverse_rms = 1 / np.sqrt(_mean_of_product(x, x) + eps)  # (..., 1)
    normed = x * inverse_rms  # (..., C)
    return _scale_and_shift(normed, weight, bias), (normed, inverse_rms, weight, bias)


def rms_norm_backward(
    d_out: Float[np.ndarray, "*batch C"], saved: Saved
) -> tuple[Float[np.ndarray, "*batch C"], Parameters]:
    """d_x = (d_n − n · mean(d_n · n)) / √(mean square + ε), where n is the normed x."""
    normed, inverse_rms, weight, bias = saved
    d_normed, gradients = _scale_and_shift_backward(d_out, normed, weight, bias)
    d_x = d_normed - normed * _mean_of_product(d_normed, normed)  # (..., C)
    d_x *= inverse_rms
    return d_x, gradients


NORMS: dict[
    str, tuple[Callable[..., tuple[np.ndarray, Saved]], Callable[..., tuple[np.ndarray, Parameters]]]
] = {"layernorm": (layer_norm, layer_norm_backward), "rmsnorm": (rms_norm, rms_norm_backward)}


def norm(
    x: Float[np.ndarray, "B T C"], parameters: Parameters, config: GPTConfig
) -> tuple[Float[np.ndarray, "B T C"], Saved]:
    """The norm that `config.norm` names, with whichever of `weight` and `bias` the parameters hold."""
    forward, _ = NORMS[config.norm]
    out, saved = forward(x, parameters.get("weight"), parameters.get("bias"), config.norm_eps)
    return out, (config.norm, saved)


def norm_backward(
    d_out: Float[np.ndarray, "B T C"], saved: Saved
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """Gradients of x and of the norm's own parameters."""
    name, saved = saved
    _, backward = NORMS[name]
    return backward(d_out, saved)


def no_norm(
    x: Float[np.ndarray, "B T C"], parameters: Parameters, config: GPTConfig
) -> tuple[Float[np.ndarray, "B T C"], Saved]:
    """x as it is, where a configuration leaves a norm out."""
    return x, None


def no_norm_backward(
    d_out: Float[np.ndarray, "B T C"], saved: Saved
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """The gradient as it is; no parameters."""
    return d_out, {}


def _mean_of_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """mean(a · b) over the last axis, which stays as 1; einsum needs no array for the product itself."""
    return np.einsum("...c,...c->...", a, b)[..., None] / a.shape[-1]


def _scale_and_shift(normed: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None) -> np.ndarray:
    out = normed if weight is None else normed * weight
    return out if bias is None else out + bias


def _scale_and_shift_backward(
    d_out: np.ndarray, normed: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None
) -> tuple[np.ndarray, Parameters]:
    """d_normed, and the gradients of weight and bias, summed over every position of the batch."""
    C = d_out.shape[-1]
    gradients = {}
    if weight is not None:
        gradients["weight"] = np.einsum("nc,nc->c", d_out.reshape(-1, C), normed.reshape(-1, C))
    if bias is not None:
        gradients["bias"] = d_out.reshape(-1, C).sum(0)
    return d_out if weight is None else d_out * weight, gradients
