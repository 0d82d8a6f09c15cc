"""One frozen dataclass that describes a GPT; every architectural choice is a field.

Shapes use the course's letters: B batch, T context, C d_model, H heads, D = C / H, F FFN width,
V vocabulary, N layers.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

Position = Literal["learned", "sinusoidal", "rotary", "none"]
Norm = Literal["layernorm", "rmsnorm"]
NormPosition = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "gelu_tanh", "relu2", "swiglu"]


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the field, its value and the way out."""


@dataclass(frozen=True)
class GPTConfig:
    """A decoder-only transformer. The defaults are GPT-2's choices (Radford et al. 2019) at a small size.

    Raises:
        ConfigError: for a value out of range or two choices that exclude each other.
    """

    vocab_size: int = 65
    """V: how many different tokens there are (training takes it from the tokenizer)."""
    context: int = 256
    """T: how many positions the model can look at."""
    d_model: int = 128
    """C: the width of the residual stream."""
    n_layer: int = 4
    """N: how many blocks are stacked."""
    n_head: int = 4
    """H: query heads in each attention layer."""
    n_kv_head: int | None = None
    """Key and value heads; fewer than n_head: grouped queries (Ainslie et al. 2023). None: n_head."""
    d_ff: int | None = None
    """F: hidden width of the FFN. None: 4 C."""
    position: Position = "learned"
    """How order enters: learned or sinusoidal vectors added to the embedding, rotary in q and k, or none."""
    rope_base: float = 10_000.0
    """Base of the rotary angles (Su et al. 2021); used only with position=rotary."""
    norm: Norm = "layernorm"
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang & Sennrich 2019)."""
    norm_weight: bool = True
    """Whether the norms have a learned scale."""
    norm_bias: bool | None = None
    """Whether the norms have a learned shift. None: yes for a LayerNorm with a scale, otherwise no."""
    norm_eps: float = 1e-5
    """ε, added to the variance (or mean square) inside the square root."""
    norm_position: NormPosition = "pre"
    """pre: x + f(norm(x)); post: norm(x + f(x)), as in Vaswani et al. (2017)."""
    ffn_norm: bool = True
    """Whether the FFN has a norm of its own, as the attention always has."""
    final_norm: bool = True
    """Whether a last norm stands before the head."""
    activation: Activation = "gelu"
    """The FFN's nonlinearity. gelu is exact, gelu_tanh GPT-2's approximation, relu2 is max(0, x)²."""
    qkv_bias: bool = True
    """Bias in the projection to queries, keys and values."""
    attention_out_bias: bool = True
    """Bias in the attention's output projection."""
    ffn_bias: bool = True
    """Bias in the FFN's projections."""
    head_bias: bool = False
    """Bias in the head, the projection to the logits."""
    qk_norm: bool = False
    """RMS-normalise each head's q and k, without parameters (Henry et al. 2020)."""
    attention_scale: float | None = None
    """Factor on the scores q·k. None: 1/√D."""
    tied_head: bool = True
    """Whether the head uses the embedding's matrix (Press & Wolf 2017)."""
    embedding_scale: float = 1.0
    """Factor on the token embedding; Vaswani et al. (2017) use √C."""
    dropout: float = 0.0
    """Probability of zeroing, on the embedding, the attention weights and both residual branches."""

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_sizes(self)
        _check_combinations(self)

    @property
    def head_width(self) -> int:
        """D = C / H."""
        return self.d_model // self.n_head

    @property
    def kv_heads(self) -> int:
        """Key and value heads, with the default filled in."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head

    @property
    def ffn_width(self) -> int:
        """F, with the default filled in."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff

    @property
    def score_scale(self) -> float:
        """Factor on the attention scores, with the default 1/√D filled in."""
        return 1 / math.sqrt(self.head_width) if self.attention_scale is None else self.attention_scale

    @property
    def has_norm_bias(self) -> bool:
        """Whether the norms have a shift, with the default filled in."""
        return (self.norm == "layernorm" and self.norm_weight) if self.norm_bias is None else self.norm_bias

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GPTConfig:
        """The inverse of `to_dict`; an unknown field is an error, a missing one takes its default."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise ConfigError(f"unknown field {unknown[0]!r}; the fields are {', '.join(sorted(known))}")
        return cls(**fields)

    def replace(self, **changes: Any) -> GPTConfig:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def _check_choices(config: GPTConfig) -> None:
    hints = get_type_hints(GPTConfig)
    for name in ("position", "norm", "norm_position", "activation"):
        value, allowed = getattr(config, name), get_args(hints[name])
        if value not in allowed:
            raise ConfigError(f"{name}={value!r} is not known; use one of {', '.join(allowed)}")


def _check_sizes(config: GPTConfig) -> None:
    for name in ("vocab_size", "context", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff"):
        value = getattr(config, name)
        if value is None and name in ("n_kv_head", "d_ff"):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name}={value!r} is not a positive whole number; use 1 or more")
    for name in ("rope_base", "norm_eps", "embedding_scale", "attention_scale"):
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name}={value!r} is not a positive finite number; use one above 0")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"dropout={config.dropout!r} is outside [0, 1); use 0 to switch it off")


def _check_combinations(config: GPTConfig) -> None:
    if config.d_model % config.n_head:
        lower = config.d_model // config.n_head * config.n_head
        choices = f"{lower} or {lower + config.n_head}" if lower else f"{config.n_head}"
        raise ConfigError(
            f"d_model={config.d_model} is not divisible by n_head={config.n_head}; use {choices}"
        )
    if config.n_head % config.kv_heads:
        divisors = [str(n) for n in range(1, config.n_head + 1) if config.n_head % n == 0]
        raise ConfigError(
            f"n_kv_head={config.n_kv_head} does not divide n_head={config.n_head}; "
            f"use one of {', '.join(divisors)}"
        )
    if config.position == "rotary" and config.head_width % 2:
        raise ConfigError(
            f"position='rotary' turns pairs of channels, but a head has D={config.head_width} of them, "
            f"an odd number; choose d_model and n_head so that d_model / n_head is even"
        )
    if config.position == "sinusoidal" and config.d_model % 2:
        raise ConfigError(
            f"position='sinusoidal' needs pairs of channels, but d_model={config.d_model} is odd; "
            f"use {config.d_model + 1}"
        )
    if config.norm == "rmsnorm" and config.norm_bias:
        raise ConfigError("norm='rmsnorm' has no shift, but norm_bias=True; set norm_bias=False or None")
    if config.norm_bias and not config.norm_weight:
        raise ConfigError(
            "norm_bias=True needs norm_weight=True; a norm has both, the scale alone, or neither"
        )
    if config.norm_position == "post" and config.ffn_norm and config.final_norm:
        raise ConfigError(
            "norm_position='post' already ends each block in a norm, so final_norm=True would norm twice; "
            "set final_norm=False"
        )


def count_parameters(config: GPTConfig) -> int:
    """How many numbers a model of this shape learns, by formula, without building it."""
    C, N, V = config.d_model, config.n_layer, config.vocab_size
    norm = C * (int(config.norm_weight) + int(config.has_norm_bias))
    block = attention_parameters(config) + ffn_parameters(config) + norm * (1 + int(config.ffn_norm))
    head = (0 if config.tied_head else V * C) + (V if config.head_bias else 0)
    position = config.context * C if config.position == "learned" else 0
    return V * C + position + N * block + norm * int(config.final_norm) + head


def attention_parameters(config: GPTConfig) -> int:
    """One attention layer: the fused q, k, v projection and the output projection."""
    C = config.d_model
    qkv_width = C + 2 * config.kv_heads * config.head_width
    qkv = C * qkv_width + (qkv_width if config.qkv_bias else 0)
    return qkv + C * C + (C if config.attention_out_bias else 0)


def ffn_parameters(config: GPTConfig) -> int:
    """One FFN: up and down, and for SwiGLU a gate as large as up."""
    C, F = config.d_model, config.ffn_width
    into_hidden = 2 if config.activation == "swiglu" else 1
    weights = (into_hidden + 1) * C * F
    return weights + (into_hidden * F + C if config.ffn_bias else 0)
