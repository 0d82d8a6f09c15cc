"""The feed-forward network: two thirds of the parameters, applied to every position on its own."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref.config import GPTConfig


def relu_squared(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """max(0, x)² (So et al. 2021, Primer)."""
    return functional.relu(x).square()


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """GELU by GPT-2's approximation with tanh (Hendrycks & Gimpel 2016, section 2)."""
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": gelu_tanh,
    "relu2": relu_squared,
}


class FFN(nn.Module):
    """down(activation(up(x))): C → F → C (Vaswani et al. 2017, eq. 2)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        C, F = config.d_model, config.ffn_width
        self.activation = ACTIVATIONS[config.activation]
        self.up = nn.Linear(C, F, bias=config.ffn_bias)
        self.down = nn.Linear(F, C, bias=config.ffn_bias)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """The same function at each position."""
        hidden = self.activation(self.up(x))  # (B, T, F)
        return self.down(hidden)  # (B, T, C)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, eq. 6): one projection gates another."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        C, F = config.d_model, config.ffn_width
        self.gate = nn.Linear(C, F, bias=config.ffn_bias)
        self.up = nn.Linear(C, F, bias=config.ffn_bias)
        self.down = nn.Linear(F, C, bias=config.ffn_bias)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """The same function at each position."""
        hidden = functional.silu(self.gate(x)) * self.up(x)  # (B, T, F)
        return self.down(hidden)  # (B, T, C)


def build_ffn(config: GPTConfig) -> FFN | SwiGLU:
    """The FFN that `config.activation` names."""
    return SwiGLU(config) if config.activation == "swiglu" else FFN(config)
