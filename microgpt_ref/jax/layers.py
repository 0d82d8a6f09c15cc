"""One block for all layers: the blocks' parameters stacked, and `lax.scan` over them instead of a loop.

A Python loop over N layers gives the compiler N copies of the block to read; a scan gives it one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Key, Parameters
from microgpt_ref.jax.gpt import Stream, block, check_input, cross_entropy, embed, head
from microgpt_ref.parameters import named, part

PREFIX = "blocks."


def stack_layers(parameters: Parameters, config: GPTConfig) -> Parameters:
    """`blocks.0.NAME`, `blocks.1.NAME`, … become one array `blocks.NAME` with a first axis of N layers."""
    outside = {name: array for name, array in parameters.items() if not name.startswith(PREFIX)}
    layers = [part(parameters, f"blocks.{layer}") for layer in range(config.n_layer)]
    return outside | {PREFIX + name: jnp.stack([layer[name] for layer in layers]) for name in layers[0]}


def unstack_layers(stacked: Parameters, config: GPTConfig) -> Parameters:
    """The inverse of `stack_layers`."""
    parameters = {name: array for name, array in stacked.items() if not name.startswith(PREFIX)}
    for layer in range(config.n_layer):
        own = {name: array[layer] for name, array in part(stacked, "blocks").items()}
        parameters |= named(f"blocks.{layer}", own)
    return parameters


def scanned_forward(
    parameters: Parameters, tokens: Int[Array, "B T"], config: GPTConfig, key: Key = None
) -> Float[Array, "B T V"]:
    """The logits of `forward`, from what `stack_layers` gave; the same key gives the same dropout."""
    check_input(tokens, config)
    keys = None if key is None else jax.random.split(key, 1 + config.n_layer)
    embed_key, block_keys = (None, None) if keys is None else (keys[0], keys[1:])

    def layer(x: Stream, own: tuple[Parameters, Key]) -> tuple[Stream, None]:
        return block(x, own[0], config, own[1]), None

    x = embed(tokens, parameters, config, embed_key)  # (B, T, C)
    x, _ = lax.scan(layer, x, (part(parameters, "blocks"), block_keys))
    return head(x, parameters, config)


def scanned_loss(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    targets: Int[Array, "B T"],
    config: GPTConfig,
    key: Key = None,
) -> Float[Array, ""]:
    """`loss` by a scan; the parameters come under their usual names and are stacked here."""
    return cross_entropy(scanned_forward(stack_layers(parameters, config), tokens, config, key), targets)
