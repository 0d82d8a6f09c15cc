"""The same model with other choices: each function takes a model and gives one with the same logits.

transformers' classes have fewer switches than `GPTConfig`. Many of our choices are only a factor or a
constant that another parameter can carry, so a model is first rewritten in our own terms until it has only
choices that the class knows. What is left is renaming. All of it is exact up to the rounding of float32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from microgpt_ref.config import GPTConfig
from microgpt_ref.hub.errors import ExportError
from microgpt_ref.numpy.gpt import sinusoidal_positions
from microgpt_ref.parameters import parameter_shapes


class Model(NamedTuple):
    """A configuration and its parameters, name → array."""

    config: GPTConfig
    parameters: dict[str, np.ndarray]


def with_norm_parameters(model: Model) -> Model:
    """Norms with every parameter their kind can have: a scale of ones, and a LayerNorm's shift of zeros."""
    return _filled(model, norm_weight=True, norm_bias=model.config.norm == "layernorm")


def with_biases(model: Model, attention: bool, ffn: bool) -> Model:
    """Zeros for the biases that are missing, in both projections of the attention, or all of the FFN."""
    changes = {"qkv_bias": True, "attention_out_bias": True} if attention else {}
    return _filled(model, **changes, **({"ffn_bias": True} if ffn else {}))


def with_learned_positions(model: Model) -> Model:
    """A table for positions that are computed (sinusoidal), and one of zeros where there are none."""
    config, parameters = model
    if config.position == "learned":
        return model
    table = np.zeros((config.context, config.d_model))
    if config.position == "sinusoidal":
        table = sinusoidal_positions(config.context, config.d_model)
    dtype = parameters["embedding.weight"].dtype
    return Model(config.replace(position="learned"), {**parameters, "position.weight": table.astype(dtype)})


def with_all_heads(model: Model) -> Model:
    """As many key and value heads as query heads: each shared one is written once for each query head."""
    config, parameters = model
    groups = config.n_head // config.kv_heads
    if groups == 1:
        return Model(config.replace(n_kv_head=None), parameters)
    C, D = config.d_model, config.head_width
    rewritten = dict(parameters)
    for name in _qkv(parameters):
        q, k, v = np.split(parameters[name], [C, C + config.kv_heads * D])
        k, v = (_repeat_heads(rows, D, groups) for rows in (k, v))
        rewritten[name] = np.concatenate((q, k, v))
    return Model(config.replace(n_kv_head=None), rewritten)


def with_default_score_scale(model: Model) -> Model:
    """Scores scaled by 1/√D: what is left of `attention_scale` goes into the rows that make q."""
    config, parameters = model
    factor = config.score_scale * math.sqrt(config.head_width)
    if config.attention_scale is None or config.qk_norm:  # a norm behind the rows would undo the factor
        return model
    rows = np.ones(config.d_model + 2 * config.kv_heads * config.head_width)
    rows[: config.d_model] = factor
    rewritten = dict(parameters)
    for name in _qkv(parameters):
        array = parameters[name]
        rewritten[name] = (array * rows.reshape(-1, *[1] * (array.ndim - 1))).astype(array.dtype)
    return Model(config.replace(attention_scale=None), rewritten)


def with_plain_embedding(model: Model) -> Model:
    """The factor on the embedding goes into its matrix; a tied head takes it back in the final norm.

    Needs a final norm with its parameters (`with_norm_parameters`).
    """
    config, parameters = model
    scale = config.embedding_scale
    rewritten = dict(parameters)
    rewritten["embedding.weight"] = parameters["embedding.weight"] * np.float32(scale)
    if config.tied_head:
        for name in ("final_norm.weight", "final_norm.bias"):
            if name in parameters:
                rewritten[name] = parameters[name] / np.float32(scale)
    return Model(config.replace(embedding_scale=1.0), rewritten)


def without_head_bias(model: Model) -> Model:
    """The head's bias b moved into the final norm's shift s: W (x + s) = W x + b where W s = b.

    That has a solution when W (V, C) has full row rank, so V ≤ C. Needs a final norm with a shift, and
    the plain embedding.

    Raises:
        ExportError: the head's rows are not independent enough for a solution that float32 can hold.
    """
    config, parameters = model
    if not config.head_bias:
        return model
    rewritten = dict(parameters)
    bias = rewritten.pop("head.bias").astype(np.float64)
    head = parameters["embedding.weight" if config.tied_head else "head.weight"].astype(np.float64)
    shift = np.linalg.lstsq(head, bias, rcond=None)[0].astype(np.float32)
    # float32 keeps the products of a shift to about 1e-7 of their size, whatever cancels in their sum
    wrong = np.abs(head @ shift - bias).max()
    noise = float(np.finfo(np.float32).eps * (np.abs(head) @ np.abs(shift)).max())
    if max(wrong, noise) > 1e-5 * max(1.0, float(np.abs(bias).max())):
        raise ExportError(
            "head_bias=True: the rows of the head depend on one another, so its bias does not fit into the "
            "final norm's shift; train with head_bias=False"
        )
    rewritten["final_norm.bias"] = parameters["final_norm.bias"] + shift
    return Model(config.replace(head_bias=False), rewritten)


def _filled(model: Model, **changes: bool) -> Model:
    """The model with more parameters: new norm scales are ones, everything else that is new is zeros."""
    config, parameters = model
    config = config.replace(**changes)
    dtype = parameters["embedding.weight"].dtype
    filled = {}
    for name, shape in parameter_shapes(config).items():
        new = np.ones if name.endswith("norm.weight") else np.zeros
        filled[name] = parameters[name] if name in parameters else new(shape, dtype)
    return Model(config, filled)


def _qkv(parameters: dict[str, np.ndarray]) -> list[str]:
    return [name for name in parameters if ".attention.qkv." in name]


def _repeat_heads(rows: np.ndarray, head_width: int, groups: int) -> np.ndarray:
    """Rows (heads · D, …), each head's D rows written `groups` times in a row."""
    heads = rows.reshape(-1, head_width, *rows.shape[1:])
    return heads.repeat(groups, axis=0).reshape(-1, *rows.shape[1:])
