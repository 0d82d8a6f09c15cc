"""The FFN's nonlinearities against their definitions, by scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy import special

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.ffn import ACTIVATIONS, SwiGLU, build_ffn

X = np.linspace(-6, 6, 241)
DEFINITIONS = {
    "relu": np.maximum(X, 0),
    "gelu": X * special.ndtr(X),
    "gelu_tanh": 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
    "relu2": np.maximum(X, 0) ** 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_its_definition(name: str) -> None:
    seen = ACTIVATIONS[name](torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(seen, DEFINITIONS[name], atol=1e-12)


def test_exact_and_approximate_gelu_differ_a_little() -> None:
    difference = np.abs(DEFINITIONS["gelu"] - DEFINITIONS["gelu_tanh"]).max()
    assert 1e-4 < difference < 1e-3


def test_swiglu_is_its_equation() -> None:
    ffn = build_ffn(GPTConfig(d_model=8, n_head=1, d_ff=12, activation="swiglu"))
    assert isinstance(ffn, SwiGLU)
    x = torch.randn(2, 3, 8)
    gate = x @ ffn.gate.weight.T + ffn.gate.bias
    expected = (gate * torch.sigmoid(gate) * (x @ ffn.up.weight.T + ffn.up.bias)) @ ffn.down.weight.T
    torch.testing.assert_close(ffn(x), expected + ffn.down.bias)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "relu2", "swiglu"])
def test_each_position_on_its_own(activation: str) -> None:
    ffn = build_ffn(GPTConfig(d_model=8, n_head=1, activation=activation))  # type: ignore[arg-type]
    x = torch.randn(1, 5, 8)
    torch.testing.assert_close(ffn(x)[:, 2:3], ffn(x[:, 2:3]))


def test_bias_follows_the_configuration() -> None:
    ffn = build_ffn(GPTConfig(ffn_bias=False))
    assert {name for name, _ in ffn.named_parameters()} == {"up.weight", "down.weight"}
