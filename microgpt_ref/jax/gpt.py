"""The whole model: embedding, N blocks, head, loss, as functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from microgpt_ref._arguments import check_length, check_tokens
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.attention import attention_layer
from microgpt_ref.jax.basics import Key, Parameters, at_least_float32, dropout, linear, split
from microgpt_ref.jax.ffn import ffn
from microgpt_ref.jax.norm import no_norm, norm
from microgpt_ref.numpy.gpt import sinusoidal_positions
from microgpt_ref.parameters import initial_parameters, part

Stream = Float[Array, "B T C"]
Layer = Callable[[Stream], Stream]


def initialise(config: GPTConfig, seed: int = 0, dtype: Any = jnp.float32) -> Parameters:
    """Normal(0, 0.02); projections that write to the residual stream smaller by √(2N) (GPT-2)."""
    return {name: jnp.asarray(array, dtype) for name, array in initial_parameters(config, seed).items()}


def embed(tokens: Int[Array, "B T"], parameters: Parameters, config: GPTConfig, key: Key = None) -> Stream:
    """Token vectors with their positions added (rotary positions come later, in the attention)."""
    T = tokens.shape[1]
    x = parameters["embedding.weight"][tokens] * config.embedding_scale  # (B, T, C)
    if config.position == "learned":
        x = x + parameters["position.weight"][:T]
    if config.position == "sinusoidal":
        x = x + jnp.asarray(sinusoidal_positions(T, config.d_model), x.dtype)
    return dropout(x, config.dropout, key)


def pre_norm(x: Stream, branch: Layer, norm: Layer) -> Stream:
    """x + f(norm(x)): the residual stream itself is never normed."""
    return x + branch(norm(x))


def post_norm(x: Stream, branch: Layer, norm: Layer) -> Stream:
    """norm(x + f(x)), as in Vaswani et al. (2017)."""
    return norm(x + branch(x))


RESIDUALS = {"pre": pre_norm, "post": post_norm}


def block(x: Stream, parameters: Parameters, config: GPTConfig, key: Key = None) -> Stream:
    """Attention mixes positions, the FFN mixes channels; each adds its result to the residual stream."""
    weights_key, attention_key, ffn_key = split(key, 3)

    def attention_branch(y: Stream) -> Stream:
        out = attention_layer(y, part(parameters, "attention"), config, weights_key)  # (B, T, C)
        return dropout(out, config.dropout, attention_key)

    def ffn_branch(y: Stream) -> Stream:
        return dropout(ffn(y, part(parameters, "ffn"), config), config.dropout, ffn_key)

    residual = RESIDUALS[config.norm_position]
    ffn_norm = norm if config.ffn_norm else no_norm
    x = residual(x, attention_branch, lambda y: norm(y, part(parameters, "attention_norm"), config))
    return residual(x, ffn_branch, lambda y: ffn_norm(y, part(parameters, "ffn_norm"), config))


def head(x: Stream, parameters: Parameters, config: GPTConfig) -> Float[Array, "B T V"]:
    """The last norm and the projection to the logits, with the embedding's matrix when the head is tied."""
    final_norm = norm if config.final_norm else no_norm
    x = final_norm(x, part(parameters, "final_norm"), config)
    weight = parameters["embedding.weight" if config.tied_head else "head.weight"]  # (V, C)
    return linear(x, weight, parameters.get("head.bias"))  # (B, T, V)


def check_input(tokens: Int[Array, "B T"], config: GPTConfig) -> None:
    """Refuse too many tokens; outside `jit`, where values are known, also ids that are not in the vocabulary.

    Raises:
        ValueError: naming the length or the id.
    """
    if isinstance(tokens, jax.core.Tracer):
        check_length(tokens.shape[1], config)
    else:  # by NumPy: where these are constants of a compiled function, JAX would trace the check, too
        check_tokens(np.asarray(tokens), config)


def forward(
    parameters: Parameters, tokens: Int[Array, "B T"], config: GPTConfig, key: Key = None
) -> Float[Array, "B T V"]:
    """Logits of the token after each position.

    Args:
        parameters: name → array, as `initialise` or `Checkpoint.build_jax` gives them.
        tokens: ids below V.
        key: source of dropout; None outside training.

    Raises:
        ValueError: if there are more tokens than `config.context`, or (outside `jit`, where values are
            known) an id that is not in the vocabulary.
    """
    check_input(tokens, config)
    embed_key, *block_keys = split(key, 1 + config.n_layer)
    x = embed(tokens, parameters, config, embed_key)  # (B, T, C)
    for layer, block_key in enumerate(block_keys):
        x = block(x, part(parameters, f"blocks.{layer}"), config, block_key)
    return head(x, parameters, config)  # (B, T, V)


def cross_entropy(logits: Float[Array, "B T V"], targets: Int[Array, "B T"]) -> Float[Array, ""]:
    """Mean of −ln p(target) in nats a token; a target of −1 is left out."""
    logits = at_least_float32(logits)  # (B, T, V)
    counted = targets >= 0  # (B, T)
    shifted = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))  # (B, T, V)
    log_sum = jnp.log(jnp.exp(shifted).sum(-1))  # (B, T)
    chosen = jnp.take_along_axis(shifted, jnp.maximum(targets, 0)[..., None], -1)[..., 0]  # (B, T)
    return ((log_sum - chosen) * counted).sum() / counted.sum()


def loss(
    parameters: Parameters,
    tokens: Int[Array, "B T"],
    targets: Int[Array, "B T"],
    config: GPTConfig,
    key: Key = None,
) -> Float[Array, ""]:
    """Mean cross-entropy in nats a token; `jax.grad(loss)` gives the gradient of every parameter."""
    return cross_entropy(forward(parameters, tokens, config, key), targets)
