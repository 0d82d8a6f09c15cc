"""The whole model in NumPy: embedding, N blocks, head, loss, and the way back through all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from microgpt_ref._arguments import check_tokens
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import attention_layer, attention_layer_backward, softmax
from microgpt_ref.numpy.basics import (
    Parameters,
    Saved,
    dropout,
    dropout_backward,
    linear,
    linear_backward,
)
from microgpt_ref.numpy.ffn import ffn, ffn_backward
from microgpt_ref.numpy.norm import no_norm, no_norm_backward, norm, norm_backward
from microgpt_ref.parameters import initial_parameters, named, part

Stream = Float[np.ndarray, "B T C"]
Layer = Callable[..., tuple[Stream, Saved]]
Backward = Callable[[Stream, Saved], tuple[Stream, Parameters]]


def initialise(config: GPTConfig, seed: int = 0, dtype: Any = np.float32) -> Parameters:
    """Normal(0, 0.02); projections that write to the residual stream smaller by √(2N) (GPT-2)."""
    return {name: array.astype(dtype) for name, array in initial_parameters(config, seed).items()}


def sinusoidal_positions(context: int, d_model: int) -> Float[np.ndarray, "T C"]:
    """sin and cos of t / 10000^(2i/C) in turn (Vaswani et al. 2017, section 3.5), float64."""
    frequencies = 10_000.0 ** (-np.arange(0, d_model, 2) / d_model)  # (C/2,)
    angles = np.outer(np.arange(context), frequencies)  # (T, C/2)
    return np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(context, d_model)


def embed(
    tokens: Int[np.ndarray, "B T"],
    parameters: Parameters,
    config: GPTConfig,
    rng: np.random.Generator | None = None,
) -> tuple[Stream, Saved]:
    """Token vectors with their positions added (rotary positions come later, in the attention)."""
    table, T = parameters["embedding.weight"], tokens.shape[1]
    x = table[tokens] * config.embedding_scale  # (B, T, C)
    if config.position == "learned":
        x += parameters["position.weight"][:T]
    if config.position == "sinusoidal":
        x += sinusoidal_positions(T, config.d_model).astype(x.dtype)
    x, keep = dropout(x, config.dropout, rng)
    return x, (tokens, parameters, config, keep)


def embed_backward(d_x: Stream, saved: Saved) -> Parameters:
    """A row of the table gathers the gradients of every place its token stood at."""
    tokens, parameters, config, keep = saved
    d_x = dropout_backward(d_x, keep)
    d_table = np.zeros_like(parameters["embedding.weight"])  # (V, C)
    np.add.at(d_table, tokens, d_x * config.embedding_scale)  # += would keep one of several equal tokens
    gradients = {"embedding.weight": d_table}
    if config.position == "learned":
        d_position = np.zeros_like(parameters["position.weight"])  # (context, C)
        d_position[: tokens.shape[1]] = d_x.sum(0)
        gradients["position.weight"] = d_position
    return gradients


def pre_norm(x: Stream, branch: Layer, norm: Layer) -> tuple[Stream, Saved]:
    """x + f(norm(x)): the residual stream itself is never normed."""
    normed, saved_norm = norm(x)
    change, saved_branch = branch(normed)
    return x + change, (saved_branch, saved_norm)


def pre_norm_backward(
    d_out: Stream, saved: Saved, branch_backward: Backward, norm_backward: Backward
) -> tuple[Stream, Parameters, Parameters]:
    """The sum hands d_out to both of its terms: past the branch unchanged, and through it."""
    saved_branch, saved_norm = saved
    d_normed, branch_gradients = branch_backward(d_out, saved_branch)  # (B, T, C)
    d_x, norm_gradients = norm_backward(d_normed, saved_norm)
    return d_out + d_x, branch_gradients, norm_gradients


def post_norm(x: Stream, branch: Layer, norm: Layer) -> tuple[Stream, Saved]:
    """norm(x + f(x)), as in Vaswani et al. (2017)."""
    change, saved_branch = branch(x)
    out, saved_norm = norm(x + change)
    return out, (saved_branch, saved_norm)


def post_norm_backward(
    d_out: Stream, saved: Saved, branch_backward: Backward, norm_backward: Backward
) -> tuple[Stream, Parameters, Parameters]:
    """Here even the way past the branch goes through the norm."""
    saved_branch, saved_norm = saved
    d_sum, norm_gradients = norm_backward(d_out, saved_norm)
    d_x, branch_gradients = branch_backward(d_sum, saved_branch)
    return d_sum + d_x, branch_gradients, norm_gradients


RESIDUALS = {"pre": (pre_norm, pre_norm_backward), "post": (post_norm, post_norm_backward)}


def norm_pair(present: bool) -> tuple[Layer, Backward]:
    """The norm and its backward, or for a norm that the configuration leaves out, the identity's."""
    return (norm, norm_backward) if present else (no_norm, no_norm_backward)


def block(
    x: Stream, parameters: Parameters, config: GPTConfig, rng: np.random.Generator | None = None
) -> tuple[Stream, Saved]:
    """Attention mixes positions, the FFN mixes channels; each adds its result to the residual stream."""

    def attention_branch(y: Stream) -> tuple[Stream, Saved]:
        out, saved = attention_layer(y, part(parameters, "attention"), config, rng)
        out, keep = dropout(out, config.dropout, rng)
        return out, (saved, keep)

    def ffn_branch(y: Stream) -> tuple[Stream, Saved]:
        out, saved = ffn(y, part(parameters, "ffn"), config)
        out, keep = dropout(out, config.dropout, rng)
        return out, (saved, keep)

    residual, _ = RESIDUALS[config.norm_position]
    ffn_norm, _ = norm_pair(config.ffn_norm)
    x, saved_attention = residual(
        x, attention_branch, lambda y: norm(y, part(parameters, "attention_norm"), config)
    )
    x, saved_ffn = residual(x, ffn_branch, lambda y: ffn_norm(y, part(parameters, "ffn_norm"), config))
    return x, (saved_attention, saved_ffn, config)


def block_backward(d_out: Stream, saved: Saved) -> tuple[Stream, Parameters]:
    """The FFN's branch first, then the attention's: the reverse of the way forward."""
    saved_attention, saved_ffn, config = saved

    def attention_branch_backward(d: Stream, saved: Saved) -> tuple[Stream, Parameters]:
        return attention_layer_backward(dropout_backward(d, saved[1]), saved[0])

    def ffn_branch_backward(d: Stream, saved: Saved) -> tuple[Stream, Parameters]:
        return ffn_backward(dropout_backward(d, saved[1]), saved[0])

    _, backward = RESIDUALS[config.norm_position]
    _, ffn_norm_backward = norm_pair(config.ffn_norm)
    d_x, d_ffn, d_ffn_norm = backward(d_out, saved_ffn, ffn_branch_backward, ffn_norm_backward)
    d_x, d_attention, d_attention_norm = backward(
        d_x, saved_attention, attention_branch_backward, norm_backward
    )
    gradients = named("attention", d_attention) | named("attention_norm", d_attention_norm)
    return d_x, gradients | named("ffn", d_ffn) | named("ffn_norm", d_ffn_norm)


def forward(
    parameters: Parameters,
    tokens: Int[np.ndarray, "B T"],
    config: GPTConfig,
    rng: np.random.Generator | None = None,
) -> tuple[Float[np.ndarray, "B T V"], Saved]:
    """Logits of the token after each position, and what `backward` needs.

    Args:
        parameters: name → array, as `initialise` or `Checkpoint.build_numpy` gives them.
        tokens: ids below V.
        rng: source of dropout; None outside training.

    Raises:
        ValueError: if there are more tokens than `config.context`, or an id that is not in the vocabulary.
    """
    check_tokens(tokens, config)
    x, saved_embed = embed(tokens, parameters, config, rng)  # (B, T, C)
    saved_blocks = []
    for layer in range(config.n_layer):
        x, saved_block = block(x, part(parameters, f"blocks.{layer}"), config, rng)
        saved_blocks.append(saved_block)
    final_norm, _ = norm_pair(config.final_norm)
    x, saved_norm = final_norm(x, part(parameters, "final_norm"), config)
    weight = parameters["embedding.weight" if config.tied_head else "head.weight"]  # (V, C)
    logits, saved_head = linear(x, weight, parameters.get("head.bias"))  # (B, T, V)
    return logits, (saved_embed, saved_blocks, saved_norm, saved_head, config)


def attention_maps(
    parameters: Parameters, tokens: Int[np.ndarray, "B T"], config: GPTConfig
) -> Float[np.ndarray, "N B H T T"]:
    """Who looks at whom: the attention weights of every layer and head; each row sums to 1.

    Raises:
        ValueError: as `forward`.
    """
    _, (_, saved_blocks, *_) = forward(parameters, tokens, config)
    layers = [saved_attention[0][0] for saved_attention, _, _ in saved_blocks]  # one SavedLayer a block
    return np.stack([layer.heads.weights for layer in layers])  # (N, B, H, T, T)


def backward(d_logits: Float[np.ndarray, "B T V"], saved: Saved) -> Parameters:
    """The gradient of every parameter, under the parameter's name."""
    saved_embed, saved_blocks, saved_norm, saved_head, config = saved
    d_x, d_head = linear_backward(d_logits, saved_head)  # (B, T, C)
    _, final_norm_backward = norm_pair(config.final_norm)
    d_x, d_final_norm = final_norm_backward(d_x, saved_norm)
    gradients = named("head", d_head) | named("final_norm", d_final_norm)
    for layer in reversed(range(config.n_layer)):
        d_x, d_block = block_backward(d_x, saved_blocks[layer])
        gradients |= named(f"blocks.{layer}", d_block)
    gradients |= embed_backward(d_x, saved_embed)
    if config.tied_head:  # one matrix used twice: its gradients add
        gradients["embedding.weight"] += gradients.pop("head.weight")
    return gradients


def cross_entropy(logits: Float[np.ndarray, "B T V"], targets: Int[np.ndarray, "B T"]) -> tuple[float, Saved]:
    """Mean of −ln p(target) in nats a token; a target of −1 is left out."""
    counted = targets >= 0  # (B, T)
    probabilities = softmax(logits)  # (B, T, V)
    shifted = logits - logits.max(-1, keepdims=True)  # (B, T, V)
    log_sum = np.log(np.exp(shifted).sum(-1))  # (B, T)
    chosen = np.take_along_axis(shifted, np.maximum(targets, 0)[..., None], -1)[..., 0]  # (B, T)
    loss = float(((log_sum - chosen) * counted).sum() / counted.sum())
    return loss, (probabilities, targets, counted)


def cross_entropy_backward(saved: Saved) -> Float[np.ndarray, "B T V"]:
    """d_logits = (p − one-hot(target)) / number of targets: what was said minus what was so."""
    probabilities, targets, counted = saved
    d_logits = probabilities.copy()  # (B, T, V)
    b, t = np.nonzero(counted)
    d_logits[b, t, targets[b, t]] -= 1
    return d_logits * (counted[..., None] / counted.sum()).astype(d_logits.dtype)


def loss_and_gradients(
    parameters: Parameters,
    tokens: Int[np.ndarray, "B T"],
    targets: Int[np.ndarray, "B T"],
    config: GPTConfig,
    rng: np.random.Generator | None = None,
) -> tuple[float, Parameters]:
    """The mean cross-entropy in nats a token, and its gradient with respect to every parameter."""
    logits, saved = forward(parameters, tokens, config, rng)
    loss, saved_loss = cross_entropy(logits, targets)
    return loss, backward(cross_entropy_backward(saved_loss), saved)
