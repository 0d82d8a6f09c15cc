"""Llama's class in transformers, and Qwen3's, which is Llama's with normed queries and keys.

Both turn channel i of a head together with channel i + D/2, as our rotary positions do, so rows keep their
order. Both gate the FFN: down(act(gate(x)) · up(x)). An FFN without a gate is the same formula where `up` is
the constant 1 (a matrix of zeros and a bias of ones), and max(0, z)² is relu(z) · z, where up equals gate.
Queries and keys are normed there before they are turned and here after; a turn keeps their length, so it is
the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgpt_ref.config import GPTConfig
from microgpt_ref.hub.errors import HubError
from microgpt_ref.hub.rewrite import (
    Model,
    with_biases,
    with_default_score_scale,
    with_norm_parameters,
    with_plain_embedding,
)

TITLE = "Llama"

# ours → theirs; relu2 is made of relu and a gate
ACTIVATIONS = {
    "swiglu": "silu",
    "relu": "relu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu2": "relu",
}
NEEDS_CONSTANT = ("relu", "gelu", "gelu_tanh")  # `up` is the constant 1, which needs a bias

LAYERS = {  # inside a block: theirs → ours
    "self_attn.o_proj": "attention.out",
    "mlp.gate_proj": "ffn.gate",
    "mlp.up_proj": "ffn.up",
    "mlp.down_proj": "ffn.down",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


def obstacles(config: GPTConfig) -> list[str]:
    """The choices of `config` that neither class has a way to express; empty: it can be exported."""
    no_bias = "with qk_norm=True the class is Qwen3's, whose FFN has no biases"
    checks = {
        "position": (config.position != "rotary", "its positions are rotary"),
        "norm": (config.norm == "layernorm", "it has RMSNorm"),
        "norm_position": (config.norm_position == "post", "its norms stand before the layers"),
        "ffn_norm": (not config.ffn_norm, "its FFN has a norm"),
        "final_norm": (not config.final_norm, "it has a final norm"),
        "activation": (config.qk_norm and config.activation in NEEDS_CONSTANT, no_bias),
        "ffn_bias": (config.qk_norm and config.ffn_bias, no_bias),
        "head_bias": (config.head_bias, "neither its head nor its final norm has one"),
    }
    return [f"{name}={getattr(config, name)!r} ({why})" for name, (wrong, why) in checks.items() if wrong]


def rewritten(model: Model) -> Model:
    """The same model with the choices that the classes have, but for the gate."""
    config = model.config
    attention = config.qkv_bias or config.attention_out_bias  # the class has all four biases or none
    ffn = config.activation in NEEDS_CONSTANT
    model = with_biases(with_norm_parameters(model), attention, ffn)
    return with_plain_embedding(with_default_score_scale(model))


def config_out(config: GPTConfig) -> dict[str, Any]:
    """config.json for a configuration without obstacles."""
    llama = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    qwen3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "sliding_window": None}
    return {
        **(qwen3 if config.qk_norm else llama),
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "hidden_size": config.d_model,
        "intermediate_size": config.ffn_width,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": ACTIVATIONS[config.activation],
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "attention_bias": config.qkv_bias or config.attention_out_bias,
        "mlp_bias": config.ffn_bias or config.activation in NEEDS_CONSTANT,
        "attention_dropout": config.dropout,
        "tie_word_embeddings": config.tied_head,
    }


def weights_out(model: Model) -> dict[str, np.ndarray]:
    """Our parameters under the names of the class."""
    config, parameters = rewritten(model)
    C, kv = config.d_model, config.kv_heads * config.head_width
    weights = {
        "model.embed_tokens.weight": parameters["embedding.weight"],
        "model.norm.weight": parameters["final_norm.weight"],
    }
    if not config.tied_head:
        weights["lm_head.weight"] = parameters["head.weight"]
    for layer in range(config.n_layer):
        start = f"blocks.{layer}."
        block = {name[len(start) :]: array for name, array in parameters.items() if name.startswith(start)}
        block |= _gated(block, config.activation)
        theirs = {}
        for kind in ("weight", "bias"):
            if f"attention.qkv.{kind}" in block:
                parts = np.split(block[f"attention.qkv.{kind}"], [C, C + kv])
                for name, rows in zip("qkv", parts, strict=True):
                    theirs[f"self_attn.{name}_proj.{kind}"] = rows
            for their_name, our_name in LAYERS.items():
                if f"{our_name}.{kind}" in block:
                    theirs[f"{their_name}.{kind}"] = block[f"{our_name}.{kind}"]
        if config.qk_norm:  # the norm's scale carries what is left of the scores' factor
            factor = config.score_scale * math.sqrt(config.head_width)
            theirs["self_attn.q_norm.weight"] = np.full(config.head_width, factor, np.float32)
            theirs["self_attn.k_norm.weight"] = np.ones(config.head_width, np.float32)
        weights |= {f"model.layers.{layer}.{name}": array for name, array in theirs.items()}
    return weights


def _gated(block: dict[str, np.ndarray], activation: str) -> dict[str, np.ndarray]:
    """The two projections into the hidden layer that make a gated FFN of one without a gate."""
    if activation == "swiglu":
        return {}
    up = {kind: block[f"ffn.up.{kind}"] for kind in ("weight", "bias") if f"ffn.up.{kind}" in block}
    gated = {f"ffn.gate.{kind}": array.copy() for kind, array in up.items()}  # safetensors shares none
    if activation in NEEDS_CONSTANT:
        gated["ffn.up.weight"] = np.zeros_like(up["weight"])
        gated["ffn.up.bias"] = np.ones_like(up["bias"])
    return gated


def config_in(fields: dict[str, Any]) -> GPTConfig:
    """Our configuration of a Llama's config.json.

    Raises:
        HubError: for a choice that `GPTConfig` has no field for.
    """
    C, H = fields["hidden_size"], fields["num_attention_heads"]
    rope_field = "rope_parameters" if fields.get("rope_parameters") else "rope_scaling"  # new or old name
    rope = fields.get(rope_field) or {}
    checks = {
        "hidden_act": fields.get("hidden_act", "silu") not in ("silu", "swish"),
        "head_dim": fields.get("head_dim") not in (None, C // H),
        rope_field: rope.get("rope_type", rope.get("type", "default")) != "default",
    }
    for name, wrong in checks.items():
        if wrong:
            raise HubError(
                f"config.json has {name}={fields.get(name)!r}, which GPTConfig cannot express; "
                f"use a model without it"
            )
    return GPTConfig(
        vocab_size=fields["vocab_size"],
        context=fields["max_position_embeddings"],
        d_model=C,
        n_layer=fields["num_hidden_layers"],
        n_head=H,
        n_kv_head=fields.get("num_key_value_heads"),
        d_ff=fields["intermediate_size"],
        position="rotary",
        rope_base=float(rope.get("rope_theta") or fields.get("rope_theta") or 10_000.0),
        norm="rmsnorm",
        norm_eps=fields.get("rms_norm_eps", 1e-6),
        activation="swiglu",
        qkv_bias=fields.get("attention_bias", False),
        attention_out_bias=fields.get("attention_bias", False),
        ffn_bias=fields.get("mlp_bias", False),
        tied_head=fields.get("tie_word_embeddings", False),
        dropout=fields.get("attention_dropout", 0.0),
    )


def weights_in(weights: dict[str, np.ndarray], config: GPTConfig) -> dict[str, np.ndarray]:
    """The class's weights under our names; q, k and v joined in one matrix."""
    names = {"model.embed_tokens": "embedding", "model.norm": "final_norm", "lm_head": "head"}
    for layer in range(config.n_layer):
        for theirs, ours in LAYERS.items():
            names[f"model.layers.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
    parameters = {}
    rest = dict(weights)
    for layer in range(config.n_layer):
        for kind in ("weight", "bias") if config.qkv_bias else ("weight",):
            rows = [rest.pop(f"model.layers.{layer}.self_attn.{part}_proj.{kind}", None) for part in "qkv"]
            present = [array for array in rows if array is not None]
            if len(present) == 3:
                parameters[f"blocks.{layer}.attention.qkv.{kind}"] = np.concatenate(present)
    for name, array in rest.items():
        module, _, kind = name.rpartition(".")
        if module.endswith("rotary_emb") or (module == "lm_head" and config.tied_head):
            continue
        parameters[f"{names.get(module, module)}.{kind}"] = array
    return parameters
