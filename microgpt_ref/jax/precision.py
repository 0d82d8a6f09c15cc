"""Matrix products in bfloat16, everything that adds up in float32."""

from __future__ import annotations

import jax.numpy as jnp

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.basics import Parameters

# Tables that start the residual stream, which must stay in float32: each block adds a little to it, and
# bfloat16 has 8 bits for the sum.
KEPT = ("embedding.weight", "position.weight")


def to_bfloat16(parameters: Parameters, config: GPTConfig) -> tuple[Parameters, GPTConfig]:
    """The linear layers in bfloat16, the embeddings and norms as they are, for one forward pass.

    `linear` brings its input to the format of its weight, so products run in bfloat16; the residual stream,
    the norms, the softmax and the loss stay in float32. Call it inside the loss: the gradients then pass
    through the rounding and arrive in float32.

    A tied head becomes a head of its own, a rounded copy of the embedding, so the configuration changes too.
    """
    if config.tied_head:
        parameters = parameters | {"head.weight": parameters["embedding.weight"]}
    rounded = {
        name: array if name in KEPT or "norm" in name else array.astype(jnp.bfloat16)
        for name, array in parameters.items()
    }
    return rounded, config.replace(tied_head=False)


def as_it_is(parameters: Parameters, config: GPTConfig) -> tuple[Parameters, GPTConfig]:
    """The parameters in the format they have."""
    return parameters, config


# What becomes of the parameters, and how exact a product must be: left alone, a TPU rounds float32 numbers to
# bfloat16 before it multiplies them, and a GPU may round them to TF32.
PRECISIONS = {"fp32": (as_it_is, "highest"), "bf16": (to_bfloat16, "default")}
