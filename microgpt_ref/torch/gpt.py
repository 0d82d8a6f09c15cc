"""The whole model: embedding, N blocks, head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref._arguments import check_length
from microgpt_ref.config import GPTConfig
from microgpt_ref.parameters import initial_std
from microgpt_ref.torch.attention import Attention
from microgpt_ref.torch.ffn import build_ffn
from microgpt_ref.torch.norm import NORMS

Stream = Float[Tensor, "B T C"]
Layer = Callable[[Stream], Stream]


def sinusoidal_positions(context: int, d_model: int) -> Float[Tensor, "T C"]:
    """sin and cos of t / 10000^(2i/C) in turn (Vaswani et al. 2017, section 3.5)."""
    frequencies = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)  # (C/2,)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)  # (T, C/2)
    both = torch.stack((angles.sin(), angles.cos()), dim=-1)  # (T, C/2, 2)
    return both.flatten(1).to(torch.get_default_dtype())  # (T, C)


def pre_norm(x: Stream, branch: Layer, norm: Layer) -> Stream:
    """x + f(norm(x)): the residual stream itself is never normed."""
    return x + branch(norm(x))


def post_norm(x: Stream, branch: Layer, norm: Layer) -> Stream:
    """norm(x + f(x)), as in Vaswani et al. (2017)."""
    return norm(x + branch(x))


RESIDUALS = {"pre": pre_norm, "post": post_norm}


class Block(nn.Module):
    """Attention mixes positions, the FFN mixes channels; each adds its result to the residual stream."""

    def __init__(self, config: GPTConfig, attention: str) -> None:
        super().__init__()
        self.residual = RESIDUALS[config.norm_position]
        self.attention_norm = NORMS[config.norm](config)
        self.attention = Attention(config, attention)
        self.ffn_norm = NORMS[config.norm](config) if config.ffn_norm else nn.Identity()
        self.ffn = build_ffn(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """One step along the residual stream."""
        x = self.residual(x, lambda y: self.dropout(self.attention(y)), self.attention_norm)
        return self.residual(x, lambda y: self.dropout(self.ffn(y)), self.ffn_norm)


class GPT(nn.Module):
    """A decoder-only transformer: token ids (B, T) in, logits (B, T, V) out.

    Args:
        config: the architecture.
        attention: "sdpa" (fused, the default) or "plain" (the formula); the same numbers either way.
    """

    positions: Tensor

    def __init__(self, config: GPTConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.position == "learned":
            self.position = nn.Embedding(config.context, config.d_model)
        if config.position == "sinusoidal":
            positions = sinusoidal_positions(config.context, config.d_model)
            self.register_buffer("positions", positions, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, attention) for _ in range(config.n_layer))
        self.final_norm = NORMS[config.norm](config) if config.final_norm else nn.Identity()
        self.head = Head(config)
        self.initialise()

    def initialise(self) -> None:
        """Normal(0, 0.02); projections that write to the residual stream smaller by √(2N) (GPT-2)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue  # norms start at 1 and 0 already
            nn.init.normal_(parameter, std=initial_std(name, self.config))
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position.

        Raises:
            ValueError: if there are more tokens than `config.context`.
        """
        x = self.embed(tokens)  # (B, T, C)
        for block in self.blocks:
            x = block(x)
        x = self.final_norm(x)
        return self.head(x, self.embedding.weight)  # (B, T, V)

    def embed(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Token vectors with their positions added (rotary positions come later, in the attention)."""
        T = tokens.shape[1]
        check_length(T, self.config)
        x = self.embedding(tokens) * self.config.embedding_scale  # (B, T, C)
        if self.config.position == "learned":
            x = x + self.position.weight[:T]
        if self.config.position == "sinusoidal":
            x = x + self.positions[:T]
        return self.dropout(x)

    def loss(self, tokens: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats a token; a target of −1 is left out."""
        logits = self(tokens)  # (B, T, V)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-1)


class Head(nn.Module):
    """The projection to the logits, with the embedding's matrix when the head is tied."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        V, C = config.vocab_size, config.d_model
        self.weight = None if config.tied_head else nn.Parameter(torch.empty(V, C))
        self.bias = nn.Parameter(torch.zeros(V)) if config.head_bias else None

    def forward(self, x: Float[Tensor, "B T C"], embedding: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
        """x Wᵀ + b."""
        return functional.linear(x, embedding if self.weight is None else self.weight, self.bias)
