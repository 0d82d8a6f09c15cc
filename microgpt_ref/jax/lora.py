"""LoRA in JAX: the base and the adapter are two dictionaries, and only the second has a gradient.

`jax.grad(loss, argnums=1)` is all that training needs; freezing is not giving a gradient.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, PRNGKeyArray

from microgpt_ref import adapters
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import gpt
from microgpt_ref.jax.basics import Key, Parameters, dropout, split
from microgpt_ref.lora import LoRAConfig, target_layers

NEW_ROWS = "new_rows.weight"


def initialise(
    config: GPTConfig, lora: LoRAConfig, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> Parameters:
    """A uniform within ±1/√in (Kaiming with a = √5, as PEFT), B zero: the model begins as it is.

    Raises:
        ValueError: if a target matches no linear layer.
    """
    layers = target_layers(config, lora.targets)
    adapter: Parameters = {}
    for (name, (outputs, inputs)), own in zip(
        layers.items(), jax.random.split(key, len(layers)), strict=True
    ):
        bound = inputs**-0.5
        adapter[f"{name}.A"] = jax.random.uniform(own, (lora.rank, inputs), dtype, -bound, bound)
        adapter[f"{name}.B"] = jnp.zeros((outputs, lora.rank), dtype)
    return adapter


def new_rows(parameters: Parameters, new_tokens: int) -> Parameters:
    """Rows for new tokens, to be joined to the adapter; each is the mean of the old ones (Hewitt 2021)."""
    rows: Parameters = {}
    for table in ("embedding", "head"):
        if f"{table}.weight" in parameters:
            mean = parameters[f"{table}.weight"].mean(0)  # (C,)
            rows[f"{table}.{NEW_ROWS}"] = jnp.tile(mean, (new_tokens, 1))  # (n, C)
    if "head.bias" in parameters:
        rows["head.new_bias"] = jnp.tile(parameters["head.bias"].mean(), new_tokens)  # (n,)
    return rows


def with_lora(parameters: Parameters, adapter: Parameters, lora: LoRAConfig) -> Parameters:
    """The parameters of the adapted model: W + scale · B A, and new rows below the old ones.

    They are those of a plain model of the configuration `extended(config, adapter)`: for `forward`,
    `generate`, or a checkpoint.
    """
    adapted = with_new_rows(parameters, adapter)
    for name in adapted_layers(adapter):
        change = lora.scale * adapter[f"{name}.B"] @ adapter[f"{name}.A"]  # (outputs, inputs)
        adapted[f"{name}.weight"] = parameters[f"{name}.weight"] + change
    return adapted


def with_new_rows(parameters: Parameters, adapter: Parameters) -> Parameters:
    """The parameters with the adapter's rows for new tokens below those of the old."""
    adapted = dict(parameters)
    for new, old in (
        (f"embedding.{NEW_ROWS}", "embedding.weight"),
        (f"head.{NEW_ROWS}", "head.weight"),
        ("head.new_bias", "head.bias"),
    ):
        if new in adapter:
            adapted[old] = jnp.concatenate((parameters[old], adapter[new]))
    return adapted


def with_dropout(
    parameters: Parameters,
    adapter: Parameters,
    lora: LoRAConfig,
    batch: tuple[int, int],
    key: PRNGKeyArray,
) -> Parameters:
    """As `with_lora`, for training with dropout: A and B stand beside the weight, with a mask for the input.

    Args:
        batch: B and T, the shape of the tokens; each of them has a mask of its own.
    """
    adapted, layers = with_new_rows(parameters, adapter), adapted_layers(adapter)
    for name, own in zip(layers, jax.random.split(key, len(layers)), strict=True):
        A = adapter[f"{name}.A"]  # (rank, inputs)
        adapted[f"{name}.A"], adapted[f"{name}.B"] = A, lora.scale * adapter[f"{name}.B"]
        ones = jnp.ones((*batch, A.shape[1]), A.dtype)  # (B, T, inputs)
        adapted[f"{name}.mask"] = dropout(ones, lora.dropout, own)  # (B, T, inputs)
    return adapted


def adapted_layers(adapter: Parameters) -> list[str]:
    """The names of the linear layers that have an A and a B."""
    return [name.removesuffix(".A") for name in adapter if name.endswith(".A")]


def extended(config: GPTConfig, adapter: Parameters) -> GPTConfig:
    """The configuration with the vocabulary that the adapter's new rows make."""
    rows = adapter.get(f"embedding.{NEW_ROWS}")
    return config if rows is None else config.replace(vocab_size=config.vocab_size + len(rows))


def loss(
    parameters: Parameters,
    adapter: Parameters,
    tokens: Int[Array, "B T"],
    targets: Int[Array, "B T"],
    config: GPTConfig,
    lora: LoRAConfig,
    key: Key = None,
) -> Float[Array, ""]:
    """Mean cross-entropy of the adapted model; `jax.grad(loss, argnums=1)` is the gradient of the adapter.

    Args:
        parameters: of the base; they stay as they are.
        adapter: from `initialise`, and `new_rows` if there are new tokens.
        config: of the base, without the new tokens.
        lora: as at `initialise`.
        key: source of the model's dropout and of LoRA's; None outside training.
    """
    model_key, lora_key = split(key, 2)
    if lora_key is None or lora.dropout == 0:
        adapted = with_lora(parameters, adapter, lora)
    else:
        B, T = tokens.shape
        adapted = with_dropout(parameters, adapter, lora, (B, T), lora_key)
    return gpt.loss(adapted, tokens, targets, extended(config, adapter), model_key)


def save_adapter(
    adapter: Parameters, config: GPTConfig, lora: LoRAConfig, folder: str | os.PathLike[str], base: str = ""
) -> Path:
    """Write the adapter as `torch.lora.save_adapter` does; PEFT and the PyTorch model read it.

    Args:
        config: of the base, without the new tokens.
        base: the name of the model underneath, for people.
    """
    arrays = {name: np.asarray(array) for name, array in adapter.items()}
    tokens = tuple(range(config.vocab_size, extended(config, adapter).vocab_size))
    return adapters.save(folder, adapters.Adapter(lora, arrays, config, tokens, base))


def load_adapter(folder: str | os.PathLike[str], config: GPTConfig) -> tuple[Parameters, LoRAConfig]:
    """Read an adapter for the base of that configuration, as arrays on the default device, and its settings.

    Raises:
        AdapterError: if the folder is damaged or belongs to another model.
    """
    saved = adapters.load(folder)
    adapters.check(saved, config)
    return {name: jnp.asarray(array) for name, array in saved.arrays.items()}, saved.config
