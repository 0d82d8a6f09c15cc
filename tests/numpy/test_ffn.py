"""Activations and FFNs: values by their definitions, slopes by differences and by torch."""

import numpy as np
import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.ffn import ACTIVATIONS, FFNS, ffn, ffn_backward, silu, silu_backward
from microgpt_ref.torch.ffn import ACTIVATIONS as TORCH_ACTIVATIONS
from microgpt_ref.torch.ffn import build_ffn
from tests.numpy.shared import Arrays, assert_gradients, assert_keeps_float32, assert_torch_agrees, draw

PAIRS = ACTIVATIONS | {"silu": (silu, silu_backward)}
IN_TORCH = TORCH_ACTIVATIONS | {"silu": torch.nn.functional.silu}


@pytest.mark.parametrize("name", PAIRS)
def test_activation(name: str) -> None:
    forward, backward = PAIRS[name]
    inputs = {"x": np.linspace(-7, 7, 142)}  # 0, where ReLU has no slope, is not among them

    def gradients(d_out: np.ndarray) -> Arrays:
        return {"x": backward(d_out, forward(inputs["x"])[1])}

    assert_gradients(lambda x: forward(x)[0], gradients, inputs)
    assert_torch_agrees(lambda x: forward(x)[0], gradients, lambda x: IN_TORCH[name](x), inputs)


@pytest.mark.parametrize("name", PAIRS)
def test_at_zero_and_far_out(name: str) -> None:
    """At the kink torch's agreement holds, slope 0; far out nothing overflows."""
    forward, backward = PAIRS[name]
    x = np.array([0.0, -0.0, 100.0, -100.0, 1e4, -1e4])
    with np.errstate(over="raise", invalid="raise"):
        out, saved = forward(x)
        slope = backward(np.ones_like(x), saved)
    tensor = torch.from_numpy(x).requires_grad_()
    expected = IN_TORCH[name](tensor)
    expected.sum().backward()
    np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), atol=1e-12)


def random_ffn(activation: str, bias: bool) -> tuple[GPTConfig, Arrays]:
    config = GPTConfig(d_model=6, n_head=1, d_ff=9, activation=activation, ffn_bias=bias)  # type: ignore[arg-type]
    names = {"up": (9, 6), "down": (6, 9)} | ({"gate": (9, 6)} if activation == "swiglu" else {})
    parameters = {f"{name}.weight": draw(*shape, seed=len(name)) for name, shape in names.items()}
    if bias:
        parameters |= {f"{name}.bias": draw(shape[0], seed=9) for name, shape in names.items()}
    return config, parameters


@pytest.mark.parametrize("activation", FFNS)
@pytest.mark.parametrize("bias", [True, False])
def test_ffn(activation: str, bias: bool) -> None:
    config, parameters = random_ffn(activation, bias)
    inputs = {"x": draw(2, 3, 6), **parameters}

    def forward(x: np.ndarray, **arrays: np.ndarray) -> np.ndarray:
        return ffn(x, arrays, config)[0]

    def gradients(d_out: np.ndarray) -> Arrays:
        d_x, d_parameters = ffn_backward(d_out, ffn(inputs["x"], parameters, config)[1])
        return {"x": d_x, **d_parameters}

    def in_torch(x: torch.Tensor, **tensors: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(build_ffn(config), tensors, (x,))

    assert_gradients(forward, gradients, inputs)
    assert_torch_agrees(forward, gradients, in_torch, inputs)


@pytest.mark.parametrize("activation", FFNS)
def test_each_position_on_its_own(activation: str) -> None:
    config, parameters = random_ffn(activation, True)
    x = draw(1, 5, 6)
    out = ffn(x, parameters, config)[0]
    np.testing.assert_allclose(ffn(x[:, 2:3], parameters, config)[0], out[:, 2:3])


@pytest.mark.parametrize("activation", FFNS)
def test_float32_stays_float32(activation: str) -> None:
    config, parameters = random_ffn(activation, True)
    small = {name: array.astype(np.float32) for name, array in parameters.items()}
    out, saved = ffn(draw(2, 3, 6).astype(np.float32), small, config)
    assert_keeps_float32((out, saved, ffn_backward(out, saved)))
