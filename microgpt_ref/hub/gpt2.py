"""GPT-2's class in transformers, `GPT2LMHeadModel`: its configuration and its weights, in and out.

Its layers are `Conv1D`, whose matrix is (in, out): the transpose of ours. The rest is other names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from microgpt_ref.config import GPTConfig
from microgpt_ref.hub.errors import HubError
from microgpt_ref.hub.rewrite import (
    Model,
    with_all_heads,
    with_biases,
    with_default_score_scale,
    with_learned_positions,
    with_norm_parameters,
    with_plain_embedding,
    without_head_bias,
)

TITLE = "GPT-2"
ARCHITECTURE = "GPT2LMHeadModel"

# theirs → ours; the first of each kind is what we write
ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu2",
}

LINEAR = {  # inside a block: theirs → ours
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "ffn.up",
    "mlp.c_proj": "ffn.down",
}
NORMS = {"ln_1": "attention_norm", "ln_2": "ffn_norm"}


def obstacles(config: GPTConfig) -> list[str]:
    """The choices of `config` that the class has no way to express; empty: it can be exported."""
    V, C = config.vocab_size, config.d_model
    checks = {
        "position": (config.position == "rotary", "it adds a vector for each position"),
        "norm": (config.norm == "rmsnorm", "it has LayerNorm"),
        "norm_position": (config.norm_position == "post", "its norms stand before the layers"),
        "ffn_norm": (not config.ffn_norm, "its FFN has a norm"),
        "final_norm": (not config.final_norm, "it has a final norm"),
        "activation": (config.activation == "swiglu", "its FFN has no gate"),
        "qk_norm": (config.qk_norm, "it does not normalise queries and keys"),
        "head_bias": (
            config.head_bias and V > C,
            f"its head has none, and one for {V:,} tokens does not fit into the shift of {C:,} channels",
        ),
    }
    return [f"{name}={getattr(config, name)!r} ({why})" for name, (wrong, why) in checks.items() if wrong]


def rewritten(model: Model) -> Model:
    """The same model with the choices that the class has."""
    model = with_all_heads(with_biases(with_norm_parameters(model), attention=True, ffn=True))
    model = with_default_score_scale(with_learned_positions(model))
    return without_head_bias(with_plain_embedding(model))


def config_out(config: GPTConfig) -> dict[str, Any]:
    """config.json for a configuration without obstacles."""
    activation = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation)
    return {
        "model_type": "gpt2",
        "architectures": [ARCHITECTURE],
        "vocab_size": config.vocab_size,
        "n_positions": config.context,
        "n_ctx": config.context,
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.ffn_width,
        "activation_function": activation,
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "scale_attn_weights": True,
        "tie_word_embeddings": config.tied_head,
    }


def weights_out(model: Model) -> dict[str, np.ndarray]:
    """Our parameters under the names and in the layout of the class."""
    config, parameters = rewritten(model)
    weights = {
        "transformer.wte.weight": parameters["embedding.weight"],
        "transformer.wpe.weight": parameters["position.weight"],
    }
    for layer in range(config.n_layer):
        for theirs, ours in LINEAR.items():
            weights[f"transformer.h.{layer}.{theirs}.weight"] = parameters[f"blocks.{layer}.{ours}.weight"].T
            weights[f"transformer.h.{layer}.{theirs}.bias"] = parameters[f"blocks.{layer}.{ours}.bias"]
        for theirs, ours in NORMS.items():
            for kind in ("weight", "bias"):
                weights[f"transformer.h.{layer}.{theirs}.{kind}"] = parameters[
                    f"blocks.{layer}.{ours}.{kind}"
                ]
    for kind in ("weight", "bias"):
        weights[f"transformer.ln_f.{kind}"] = parameters[f"final_norm.{kind}"]
    if not config.tied_head:
        weights["lm_head.weight"] = parameters["head.weight"]
    return weights


def config_in(fields: dict[str, Any]) -> GPTConfig:
    """Our configuration of a config.json. The dropout is that of the residual branches.

    Raises:
        HubError: for a choice that `GPTConfig` has no field for.
    """
    refused = {
        "activation_function": lambda value: value not in ACTIVATIONS,
        "scale_attn_by_inverse_layer_idx": bool,
        "add_cross_attention": bool,
    }
    activation = fields.setdefault("activation_function", "gelu_new")
    for name, wrong in refused.items():
        if wrong(fields.get(name, False)):
            raise HubError(
                f"config.json has {name}={fields[name]!r}, which GPTConfig cannot express; "
                "use a model without it"
            )
    return GPTConfig(
        vocab_size=fields["vocab_size"],
        context=fields["n_positions"],
        d_model=fields["n_embd"],
        n_layer=fields["n_layer"],
        n_head=fields["n_head"],
        d_ff=fields.get("n_inner"),
        activation=ACTIVATIONS[activation],  # type: ignore[arg-type]
        norm_eps=fields.get("layer_norm_epsilon", 1e-5),
        attention_scale=None if fields.get("scale_attn_weights", True) else 1.0,
        tied_head=fields.get("tie_word_embeddings", True),
        dropout=fields.get("resid_pdrop", 0.1),
    )


def weights_in(weights: dict[str, np.ndarray], config: GPTConfig) -> dict[str, np.ndarray]:
    """The class's weights under our names; the published files have no prefix, and masks besides."""
    names = {"wte": "embedding", "wpe": "position", "ln_f": "final_norm", "lm_head": "head"}
    for layer in range(config.n_layer):
        for theirs, ours in (LINEAR | NORMS).items():
            names[f"h.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
    parameters = {}
    for name, array in weights.items():
        module, _, kind = name.removeprefix("transformer.").rpartition(".")
        is_mask = kind in ("bias", "masked_bias") and module.endswith(".attn")
        if is_mask or (module == "lm_head" and config.tied_head):
            continue
        transposed = module.endswith(tuple(LINEAR)) and kind == "weight"
        parameters[f"{names.get(module, name)}.{kind}"] = (
            np.ascontiguousarray(array.T) if transposed else array
        )
    return parameters


def published(d_model: int, n_layer: int, n_head: int) -> GPTConfig:
    """One of the four sizes that OpenAI published (Radford et al. 2019, table 2)."""
    return GPTConfig(
        vocab_size=50_257,
        context=1024,
        d_model=d_model,
        n_layer=n_layer,
        n_head=n_head,
        activation="gelu_tanh",
        dropout=0.1,
    )


SIZES: dict[str, GPTConfig] = {
    "gpt2": published(768, 12, 12),
    "gpt2-medium": published(1024, 24, 16),
    "gpt2-large": published(1280, 36, 20),
    "gpt2-xl": published(1600, 48, 25),
}
REPOSITORY = "openai-community/{name}"
