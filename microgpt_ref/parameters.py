"""Every parameter of a GPT by name and shape: the same list for NumPy, PyTorch and JAX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgpt_ref.config import GPTConfig


def parameter_shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Name → shape, in PyTorch's layout: a linear layer's weight is (out, in)."""
    V, C = config.vocab_size, config.d_model
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (V, C)}
    if config.position == "learned":
        shapes["position.weight"] = (config.context, C)
    for layer in range(config.n_layer):
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in _block_shapes(config).items()}
    if config.final_norm:
        shapes |= _norm_shapes("final_norm", config)
    if not config.tied_head:
        shapes["head.weight"] = (V, C)
    if config.head_bias:
        shapes["head.bias"] = (V,)
    return shapes


def initial_std(name: str, config: GPTConfig) -> float:
    """0.02, for matrices that write to the residual stream over √(2N) (GPT-2, Radford et al. 2019)."""
    writes_to_residual = name.endswith(("attention.out.weight", "ffn.down.weight"))
    return 0.02 / math.sqrt(2 * config.n_layer) if writes_to_residual else 0.02


def initial_parameters(config: GPTConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal(0, 0.02), projections that write to the residual stream smaller by √(2N), as in GPT-2.

    Norms start at scale 1 and shift 0, biases at 0. float64; the numbers depend on the seed alone.
    """
    rng = np.random.default_rng(seed)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        if len(shape) == 2:
            parameters[name] = rng.normal(0.0, initial_std(name, config), shape)
        else:
            parameters[name] = np.ones(shape) if name.endswith("norm.weight") else np.zeros(shape)
    return parameters


def part(parameters: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The parameters whose names begin with `prefix.`, without it: one layer's own."""
    start = prefix + "."
    return {name[len(start) :]: array for name, array in parameters.items() if name.startswith(start)}


def named(prefix: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `part`: put `prefix.` before every name."""
    return {f"{prefix}.{name}": array for name, array in parameters.items()}


def _linear_shapes(name: str, outputs: int, inputs: int, bias: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs)}
    return {**shapes, f"{name}.bias": (outputs,)} if bias else shapes


def _norm_shapes(name: str, config: GPTConfig) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if config.norm_weight:
        shapes[f"{name}.weight"] = (config.d_model,)
    if config.has_norm_bias:
        shapes[f"{name}.bias"] = (config.d_model,)
    return shapes


def _block_shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    C, F = config.d_model, config.ffn_width
    qkv_width = C + 2 * config.kv_heads * config.head_width
    into_hidden = ("gate", "up") if config.activation == "swiglu" else ("up",)
    shapes = _norm_shapes("attention_norm", config)
    shapes |= _linear_shapes("attention.qkv", qkv_width, C, config.qkv_bias)
    shapes |= _linear_shapes("attention.out", C, C, config.attention_out_bias)
    if config.ffn_norm:
        shapes |= _norm_shapes("ffn_norm", config)
    for name in into_hidden:
        shapes |= _linear_shapes(f"ffn.{name}", F, C, config.ffn_bias)
    return shapes | _linear_shapes("ffn.down", C, F, config.ffn_bias)
