"""The feed-forward network: two thirds of the parameters, applied to every position on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erf, expit
from jaxtyping import Float

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters, linear
from microgpt_ref.parameters import part


def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(0, x), with slope 0 at 0 itself."""
    return jnp.where(x > 0, x, 0)


def relu_squared(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(0, x)² (So et al. 2021, Primer)."""
    return relu(x) ** 2


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x Φ(x), with Φ(x) = (1 + erf(x / √2)) / 2 (Hendrycks & Gimpel 2016, eq. 1)."""
    return x * 0.5 * (1 + erf(x * math.sqrt(0.5)))


def gelu_tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """GELU by GPT-2's approximation with tanh (Hendrycks & Gimpel 2016, section 2)."""
    return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x σ(x), with σ(x) = 1 / (1 + exp(−x))."""
    return x * expit(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "relu2": relu_squared,
}


def plain_ffn(x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig) -> Float[Array, "B T C"]:
    """down(activation(up(x))): C → F → C (Vaswani et al. 2017, eq. 2)."""
    hidden = ACTIVATIONS[config.activation](linear(x, **part(parameters, "up")))  # (B, T, F)
    return linear(hidden, **part(parameters, "down"))  # (B, T, C)


def swiglu(x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig) -> Float[Array, "B T C"]:
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, eq. 6): one projection gates another."""
    gate = silu(linear(x, **part(parameters, "gate")))  # (B, T, F)
    hidden = gate * linear(x, **part(parameters, "up"))  # (B, T, F)
    return linear(hidden, **part(parameters, "down"))  # (B, T, C)


FFNS = {**dict.fromkeys(ACTIVATIONS, plain_ffn), "swiglu": swiglu}


def ffn(x: Float[Array, "B T C"], parameters: Parameters, config: GPTConfig) -> Float[Array, "B T C"]:
    """The FFN that `config.activation` names, at each position on its own."""
    return FFNS[config.activation](x, parameters, config)
