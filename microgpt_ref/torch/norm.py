"""LayerNorm and RMSNorm: keep the residual stream at one scale."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from microgpt_ref.config import GPTConfig


def layer_norm(
    x: Float[Tensor, "*batch C"],
    weight: Float[Tensor, " C"] | None = None,
    bias: Float[Tensor, " C"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "*batch C"]:
    """LayerNorm (Ba et al. 2016, eq. 4): subtract the mean over channels, divide by √(variance + ε)."""
    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(
    x: Float[Tensor, "*batch C"],
    weight: Float[Tensor, " C"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "*batch C"]:
    """RMSNorm (Zhang & Sennrich 2019, eq. 4): divide by √(mean square + ε); the mean stays."""
    return nn.functional.rms_norm(x, x.shape[-1:], weight, eps)


class LayerNorm(nn.Module):
    """LayerNorm over the last axis, with the parameters that the configuration asks for."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        C = config.d_model
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(C)) if config.norm_weight else None
        self.bias = nn.Parameter(torch.zeros(C)) if config.has_norm_bias else None

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Each position on its own: mean 0 and variance 1 over its C channels, then scale and shift."""
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """RMSNorm over the last axis, with or without a learned scale."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.d_model)) if config.norm_weight else None

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Each position on its own: mean square 1 over its C channels, then scale."""
        return rms_norm(x, self.weight, self.eps)


NORMS: dict[str, type[LayerNorm] | type[RMSNorm]] = {"layernorm": LayerNorm, "rmsnorm": RMSNorm}
