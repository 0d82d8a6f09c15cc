"""What the frameworks are compared on: seeded configurations, with parameters where no mistake can hide.

The draws depend on NumPy's generator alone, so every run sees the same ones. Shapes come from a small pool,
since JAX compiles anew for each new shape; every choice of the architecture varies freely.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import numpy as np

from microgpt_ref.config import GPTConfig
from microgpt_ref.parameters import parameter_shapes

CHOICES: dict[str, tuple[Any, ...]] = {
    **{
        name: get_args(hint)
        for name, hint in get_type_hints(GPTConfig).items()
        if name in ("position", "norm", "norm_position", "activation")
    },
    **{field.name: (False, True) for field in dataclasses.fields(GPTConfig) if field.type == "bool"},
    "norm_bias": (None, False, True),
    "attention_scale": (None, 0.125, 1.0),
    "embedding_scale": (1.0, 3.0),
    "rope_base": (100.0, 10_000.0),
    "norm_eps": (1e-5, 1e-3),
}
"""Every field that is a choice and not a size, with the values that are drawn."""

SHAPES: tuple[dict[str, Any], ...] = (
    {"vocab_size": 7, "context": 5, "d_model": 6, "n_head": 1, "n_kv_head": None, "d_ff": None},
    {"vocab_size": 7, "context": 8, "d_model": 8, "n_head": 2, "n_kv_head": None, "d_ff": 11},
    {"vocab_size": 7, "context": 5, "d_model": 12, "n_head": 3, "n_kv_head": 1, "d_ff": None},
    {"vocab_size": 13, "context": 8, "d_model": 24, "n_head": 6, "n_kv_head": 2, "d_ff": None},
    {"vocab_size": 13, "context": 5, "d_model": 16, "n_head": 2, "n_kv_head": 2, "d_ff": 9},
    {"vocab_size": 13, "context": 8, "d_model": 16, "n_head": 4, "n_kv_head": 2, "d_ff": None},
)


@dataclass(frozen=True)
class Case:
    """One model and one batch. Parameters are float64; tokens and targets are (B, T), some targets −1."""

    config: GPTConfig
    parameters: dict[str, np.ndarray]
    tokens: np.ndarray
    targets: np.ndarray


def random_config(seed: int) -> GPTConfig:
    """The configuration of that number: a shape of the pool, and every choice drawn."""
    rng = np.random.default_rng([3, seed])
    fields: dict[str, Any] = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    if fields["norm"] == "rmsnorm" or not fields["norm_weight"]:
        fields["norm_bias"] = (None, False)[rng.integers(2)]
    if fields["norm_position"] == "post" and fields["ffn_norm"]:
        fields["final_norm"] = False
    n_layer = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    return GPTConfig(**fields, **SHAPES[seed % len(SHAPES)], n_layer=n_layer)


def random_configs(count: int) -> list[GPTConfig]:
    """The first so many of them."""
    return [random_config(seed) for seed in range(count)]


def random_parameters(config: GPTConfig, seed: int) -> dict[str, np.ndarray]:
    """Matrices of a trained model's size; biases and norms away from 0 and 1, where a mistake would hide."""
    rng = np.random.default_rng([4, seed])
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        if len(shape) == 2:
            parameters[name] = rng.normal(0, 1 if "embedding" in name else shape[1] ** -0.5, shape)
        else:
            parameters[name] = float(name.endswith("norm.weight")) + rng.normal(0, 0.3, shape)
    return parameters


def draw_case(config: GPTConfig, seed: int = 0, batch: int = 2) -> Case:
    """Random parameters and tokens; T is the whole context for even seeds, one less for odd ones."""
    rng = np.random.default_rng([5, seed])
    T = max(config.context - seed % 2, 1)
    tokens, targets = rng.integers(0, config.vocab_size, (2, batch, T))
    targets[rng.random(targets.shape) < 0.25] = -1
    targets[0, 0], targets[-1, -1] = 0, -1  # one that counts and one that does not
    return Case(config, random_parameters(config, seed), tokens, targets)
