"""LayerNorm and RMSNorm: keep the residual stream at one scale."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters


def layer_norm(
    x: Float[Array, "*batch C"],
    weight: Float[Array, " C"] | None = None,
    bias: Float[Array, " C"] | None = None,
    eps: float = 1e-5,
) -> Float[Array, "*batch C"]:
    """LayerNorm (Ba et al. 2016, eq. 4): subtract the mean over channels, divide by √(variance + ε)."""
    centred = x - x.mean(-1, keepdims=True)  # (..., C)
    variance = (centred**2).mean(-1, keepdims=True)  # (..., 1)
    return _scale_and_shift(centred / jnp.sqrt(variance + eps), weight, bias)


def rms_norm(
    x: Float[Array, "*batch C"],
    weight: Float[Array, " C"] | None = None,
    bias: None = None,
    eps: float = 1e-5,
) -> Float[Array, "*batch C"]:
    """RMSNorm (Zhang & Sennrich 2019, eq. 4): divide by √(mean square + ε); the mean stays, no shift."""
    mean_square = (x**2).mean(-1, keepdims=True)  # (..., 1)
    return _scale_and_shift(x / jnp.sqrt(mean_square + eps), weight, bias)


NORMS: dict[str, Callable[..., Array]] = {"layernorm": layer_norm, "rmsnorm": rms_norm}


def norm(x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig) -> Float[Array, "B T C"]:
    """The norm that `config.norm` names, with whichever of `weight` and `bias` the parameters hold."""
    return NORMS[config.norm](x, parameters.get("weight"), parameters.get("bias"), config.norm_eps)


def no_norm(x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig) -> Float[Array, "B T C"]:
    """x as it is, where a configuration leaves a norm out."""
    return x


def _scale_and_shift(normed: Array, weight: Array | None, bias: Array | None) -> Array:
    out = normed if weight is None else normed * weight
    return out if bias is None else out + bias
