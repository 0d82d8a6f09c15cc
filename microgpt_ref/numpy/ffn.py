"""The feed-forward network and its activations, forward and backward."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import erf, expit

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.basics import Parameters, Saved, linear, linear_backward
from microgpt_ref.parameters import named, part

Array = Float[np.ndarray, "*shape"]


def relu(x: Array) -> tuple[Array, Saved]:
    """max(0, x)."""
    return np.maximum(x, 0), x


def relu_backward(d_out: Array, x: Saved) -> Array:
    """The slope is 1 where x > 0, else 0 (at 0 itself too, by agreement)."""
    return d_out * (x > 0)


def relu_squared(x: Array) -> tuple[Array, Saved]:
    """max(0, x)² (So et al. 2021, Primer)."""
    positive = np.maximum(x, 0)
    return positive * positive, positive


def relu_squared_backward(d_out: Array, positive: Saved) -> Array:
    """The slope is 2 max(0, x)."""
    return d_out * (2 * positive)


def gelu(x: Array) -> tuple[Array, Saved]:
    """x Φ(x), with Φ(x) = (1 + erf(x / √2)) / 2 (Hendrycks & Gimpel 2016, eq. 1)."""
    cdf = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    return x * cdf, (x, cdf)


def gelu_backward(d_out: Array, saved: Saved) -> Array:
    """The slope is Φ(x) + x φ(x), with φ(x) = exp(−x² / 2) / √(2π), the slope of Φ."""
    x, cdf = saved
    density = np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return d_out * (cdf + x * density)


def gelu_tanh(x: Array) -> tuple[Array, Saved]:
    """x (1 + tanh(u)) / 2 with u = √(2/π) (x + 0.044715 x³) (Hendrycks & Gimpel 2016, section 2)."""
    tanh = np.tanh(math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))
    return 0.5 * x * (1 + tanh), (x, tanh)


def gelu_tanh_backward(d_out: Array, saved: Saved) -> Array:
    """The slope is (1 + tanh(u)) / 2 + x (1 − tanh(u)²) u′ / 2 with u′ = √(2/π) (1 + 3 · 0.044715 x²)."""
    x, tanh = saved
    d_u = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return d_out * (0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * d_u)


def silu(x: Array) -> tuple[Array, Saved]:
    """x σ(x), with σ(x) = 1 / (1 + exp(−x))."""
    sigmoid = expit(x)
    return x * sigmoid, (x, sigmoid)


def silu_backward(d_out: Array, saved: Saved) -> Array:
    """The slope is σ(x) (1 + x (1 − σ(x)))."""
    x, sigmoid = saved
    return d_out * (sigmoid * (1 + x * (1 - sigmoid)))


ACTIVATIONS = {
    "relu": (relu, relu_backward),
    "gelu": (gelu, gelu_backward),
    "gelu_tanh": (gelu_tanh, gelu_tanh_backward),
    "relu2": (relu_squared, relu_squared_backward),
}


def plain_ffn(
    x: Float[np.ndarray, "B T C"], parameters: Parameters, config: GPTConfig
) -> tuple[Float[np.ndarray, "B T C"], Saved]:
    """down(activation(up(x))): C → F → C (Vaswani et al. 2017, eq. 2)."""
    activation, _ = ACTIVATIONS[config.activation]
    before, saved_up = linear(x, **part(parameters, "up"))  # (B, T, F)
    hidden, saved_activation = activation(before)  # (B, T, F)
    out, saved_down = linear(hidden, **part(parameters, "down"))  # (B, T, C)
    return out, (saved_up, saved_activation, saved_down, config)


def plain_ffn_backward(
    d_out: Float[np.ndarray, "B T C"], saved: Saved
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """The same three steps, last first."""
    saved_up, saved_activation, saved_down, config = saved
    _, activation_backward = ACTIVATIONS[config.activation]
    d_hidden, down = linear_backward(d_out, saved_down)  # (B, T, F)
    d_before = activation_backward(d_hidden, saved_activation)  # (B, T, F)
    d_x, up = linear_backward(d_before, saved_up)  # (B, T, C)
    return d_x, named("up", up) | named("down", down)


def swiglu(
    x: Float[np.ndarray, "B T C"], parameters: Parameters, config: GPTConfig
) -> tuple[Float[np.ndarray, "B T C"], Saved]:
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, eq. 6): one projection gates another."""
    before, saved_gate = linear(x, **part(parameters, "gate"))  # (B, T, F)
    gate, saved_silu = silu(before)  # (B, T, F)
    up, saved_up = linear(x, **part(parameters, "up"))  # (B, T, F)
    out, saved_down = linear(gate * up, **part(parameters, "down"))  # (B, T, C)
    return out, (saved_gate, saved_silu, gate, saved_up, up, saved_down)


def swiglu_backward(
    d_out: Float[np.ndarray, "B T C"], saved: Saved
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """Each factor of the product gets the gradient times the other; x gets what comes back on both ways."""
    saved_gate, saved_silu, gate, saved_up, up, saved_down = saved
    d_hidden, d_down = linear_backward(d_out, saved_down)  # (B, T, F)
    d_x_up, d_up = linear_backward(d_hidden * gate, saved_up)  # (B, T, C)
    d_before = silu_backward(d_hidden * up, saved_silu)  # (B, T, F)
    d_x_gate, d_gate = linear_backward(d_before, saved_gate)  # (B, T, C)
    return d_x_up + d_x_gate, named("gate", d_gate) | named("up", d_up) | named("down", d_down)


FFNS = {**dict.fromkeys(ACTIVATIONS, (plain_ffn, plain_ffn_backward)), "swiglu": (swiglu, swiglu_backward)}


def ffn(
    x: Float[np.ndarray, "B T C"], parameters: Parameters, config: GPTConfig
) -> tuple[Float[np.ndarray, "B T C"], Saved]:
    """The FFN that `config.activation` names, at each position on its own."""
    forward, _ = FFNS[config.activation]
    out, saved = forward(x, parameters, config)
    return out, (config.activation, saved)


def ffn_backward(
    d_out: Float[np.ndarray, "B T C"], saved: Saved
) -> tuple[Float[np.ndarray, "B T C"], Parameters]:
    """Gradients of x and of the FFN's parameters."""
    name, saved = saved
    _, backward = FFNS[name]
    return backward(d_out, saved)
