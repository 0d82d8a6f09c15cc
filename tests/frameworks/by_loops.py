"""A fourth, independent version: one sequence, one position and one pair of positions at a time.

It shares no line with `microgpt_ref`, so it also catches a mistake that all three frameworks share: in the
configuration's defaults, in the tables of positions, in the names of parameters.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np

from microgpt_ref.config import GPTConfig

Vector = np.ndarray
Stream = list[Vector]


def logits_by_loops(parameters: dict[str, np.ndarray], tokens: np.ndarray, config: GPTConfig) -> np.ndarray:
    """Logits (B, T, V) in float64."""
    return np.array([_sequence(parameters, row.tolist(), config) for row in tokens])


def _sequence(parameters: dict[str, np.ndarray], tokens: list[int], config: GPTConfig) -> Stream:
    stream = [_embed(parameters, token, t, config) for t, token in enumerate(tokens)]
    for layer in range(config.n_layer):
        own = {
            name.split(".", 2)[2]: a for name, a in parameters.items() if name.startswith(f"blocks.{layer}.")
        }
        stream = _residual(
            stream, own, "attention_norm", lambda xs, own=own: _attention(xs, own, config), config
        )
        name = "ffn_norm" if config.ffn_norm else ""
        stream = _residual(stream, own, name, lambda xs, own=own: [_ffn(x, own, config) for x in xs], config)
    if config.final_norm:
        stream = [_norm(x, parameters, "final_norm", config) for x in stream]
    table = parameters["embedding.weight"] if config.tied_head else parameters["head.weight"]
    bias = parameters["head.bias"] if config.head_bias else 0
    return [table @ x + bias for x in stream]


def _embed(parameters: dict[str, np.ndarray], token: int, t: int, config: GPTConfig) -> Vector:
    x = config.embedding_scale * parameters["embedding.weight"][token]
    if config.position == "learned":
        return x + parameters["position.weight"][t]
    if config.position == "sinusoidal":
        for channel in range(config.d_model):
            angle = t / 10_000 ** ((channel - channel % 2) / config.d_model)
            x[channel] += math.cos(angle) if channel % 2 else math.sin(angle)
    return x


def _residual(
    stream: Stream,
    own: dict[str, np.ndarray],
    name: str,
    branch: Callable[[Stream], Stream],
    config: GPTConfig,
) -> Stream:
    def norm(xs: Stream) -> Stream:
        return [_norm(x, own, name, config) for x in xs] if name else xs

    if config.norm_position == "pre":
        return [x + y for x, y in zip(stream, branch(norm(stream)), strict=True)]
    return norm([x + y for x, y in zip(stream, branch(stream), strict=True)])


def _norm(x: Vector, parameters: dict[str, np.ndarray], name: str, config: GPTConfig) -> Vector:
    C = len(x)
    mean = sum(x) / C if config.norm == "layernorm" else 0.0
    variance = sum((value - mean) ** 2 for value in x) / C
    out = (x - mean) / math.sqrt(variance + config.norm_eps)
    if config.norm_weight:
        out = out * parameters[f"{name}.weight"]
    shift = config.norm == "layernorm" and config.norm_weight and config.norm_bias is not False
    return out + parameters[f"{name}.bias"] if shift else out


def _linear(x: Vector, own: dict[str, np.ndarray], name: str, bias: bool) -> Vector:
    return own[f"{name}.weight"] @ x + (own[f"{name}.bias"] if bias else 0)


def _attention(xs: Stream, own: dict[str, np.ndarray], config: GPTConfig) -> Stream:
    C, H, D = config.d_model, config.n_head, config.d_model // config.n_head
    sharing = H // (config.n_kv_head or H)  # heads that use the same k and v
    scale = config.attention_scale or D**-0.5
    qkv = [_linear(x, own, "attention.qkv", config.qkv_bias) for x in xs]
    kv_width = C // sharing
    out = []
    for t in range(len(xs)):
        heads = []
        for h in range(H):
            at, shared = h * D, C + h // sharing * D
            q = _place(qkv[t][at : at + D], t, config)
            ks = [_place(qkv[s][shared : shared + D], s, config) for s in range(t + 1)]
            vs = [qkv[s][shared + kv_width : shared + kv_width + D] for s in range(t + 1)]
            scores = [scale * sum(q * k) for k in ks]
            weights = [math.exp(score - max(scores)) for score in scores]
            heads.append(sum(w * v for w, v in zip(weights, vs, strict=True)) / sum(weights))
        out.append(_linear(np.concatenate(heads), own, "attention.out", config.attention_out_bias))
    return out


def _place(z: Vector, t: int, config: GPTConfig) -> Vector:
    """Rotation as a product of complex numbers, then the norm of queries and keys."""
    half = len(z) // 2
    if config.position == "rotary":
        turned = [
            complex(z[i], z[half + i]) * cmath.exp(1j * t / config.rope_base ** (i / half))
            for i in range(half)
        ]
        z = np.array([c.real for c in turned] + [c.imag for c in turned])
    return z / math.sqrt(sum(z**2) / len(z) + config.norm_eps) if config.qk_norm else z


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "swiglu": lambda x: x / (1 + math.exp(-x)),
}


def _ffn(x: Vector, own: dict[str, np.ndarray], config: GPTConfig) -> Vector:
    up = _linear(x, own, "ffn.up", config.ffn_bias)
    if config.activation == "swiglu":
        gate = _linear(x, own, "ffn.gate", config.ffn_bias)
        hidden = [ACTIVATIONS["swiglu"](g) * u for g, u in zip(gate, up, strict=True)]
    else:
        hidden = [ACTIVATIONS[config.activation](u) for u in up]
    return _linear(np.array(hidden), own, "ffn.down", config.ffn_bias)
