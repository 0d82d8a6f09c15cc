"""Attention: weights, masks, rotations and heads, and the gradient through each of them."""

import numpy as np
import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import (
    attention,
    attention_backward,
    attention_layer,
    attention_layer_backward,
    merge_heads,
    place,
    place_backward,
    rotary_angles,
    rotate,
    rotate_backward,
    softmax,
    softmax_backward,
    split_heads,
)
from microgpt_ref.torch.attention import Attention, plain_attention
from microgpt_ref.torch.attention import rotary_angles as torch_angles
from microgpt_ref.torch.attention import rotate as torch_rotate
from tests.numpy.shared import Arrays, assert_gradients, assert_keeps_float32, assert_torch_agrees, draw


@pytest.fixture
def double() -> None:
    """torch builds its layers in float64, for one test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def heads(seed: int = 0, shape: tuple[int, ...] = (2, 3, 5, 4)) -> Arrays:
    return {name: draw(*shape, seed=seed + i) for i, name in enumerate("qkv")}


def test_softmax_rows_sum_to_one_and_shifts_do_not_matter() -> None:
    scores = 10 * draw(2, 3, 7)
    weights = softmax(scores)
    np.testing.assert_allclose(weights.sum(-1), 1)
    np.testing.assert_allclose(softmax(scores + 1e3), weights, rtol=1e-9)
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(softmax(1e4 * scores)).all()


def test_softmax_backward() -> None:
    inputs = {"scores": draw(2, 3, 7)}

    def gradients(d_out: np.ndarray) -> Arrays:
        return {"scores": softmax_backward(d_out, softmax(inputs["scores"]))}

    assert_gradients(softmax, gradients, inputs)
    assert_torch_agrees(softmax, gradients, lambda scores: scores.softmax(-1), inputs)
    # a shift of all scores changes nothing, so the slopes along it sum to zero
    np.testing.assert_allclose(gradients(draw(2, 3, 7, seed=1))["scores"].sum(-1), 0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 2)])
def test_attention(scale: float, shape: tuple[int, ...]) -> None:
    inputs = heads(shape=shape)

    def forward(**arrays: np.ndarray) -> np.ndarray:
        return attention(**arrays, scale=scale)[0]

    def gradients(d_out: np.ndarray) -> Arrays:
        found = attention_backward(d_out, attention(**inputs, scale=scale)[1])
        return dict(zip("qkv", found, strict=True))

    assert_gradients(forward, gradients, inputs)
    assert_torch_agrees(forward, gradients, lambda q, k, v: plain_attention(q, k, v, scale), inputs)


def test_attention_with_dropout() -> None:
    inputs = heads()

    def run(**arrays: np.ndarray) -> tuple[np.ndarray, object]:
        return attention(**arrays, scale=0.5, dropout_probability=0.4, rng=np.random.default_rng(1))

    def gradients(d_out: np.ndarray) -> Arrays:
        return dict(zip("qkv", attention_backward(d_out, run(**inputs)[1]), strict=True))

    assert_gradients(lambda **arrays: run(**arrays)[0], gradients, inputs)
    assert not np.allclose(run(**inputs)[0], attention(**inputs, scale=0.5)[0])


def test_dropout_of_weights_keeps_the_mean() -> None:
    inputs = heads() | {"v": np.ones((2, 3, 5, 4))}
    rng = np.random.default_rng(0)
    outs = [attention(**inputs, scale=0.5, dropout_probability=0.5, rng=rng)[0] for _ in range(400)]
    assert np.std(outs, axis=0).min() > 0.05
    assert np.mean(outs) == pytest.approx(1, abs=0.02)


def test_what_comes_later_gets_no_weight_and_no_gradient() -> None:
    inputs = heads()
    out, saved = attention(**inputs, scale=0.5)
    assert np.abs(np.triu(saved.weights, k=1)).max() == 0
    np.testing.assert_allclose(saved.weights.sum(-1), 1)
    d_out = np.zeros_like(out)
    d_out[:, :, 2] = 1
    for gradient in attention_backward(d_out, saved):
        assert np.abs(gradient[:, :, 3:]).max() == 0


def test_rotations_turn_back_and_keep_lengths() -> None:
    x, angles = draw(2, 3, 5, 8), rotary_angles(5, 8, 100.0)
    turned = rotate(x, angles)
    np.testing.assert_allclose(rotate(turned, -angles), x)
    np.testing.assert_allclose(rotate_backward(turned, angles), x)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1))
    np.testing.assert_array_equal(turned[:, :, 0], x[:, :, 0])


def test_rotation() -> None:
    inputs, angles = {"x": draw(2, 3, 5, 8)}, rotary_angles(5, 8, 100.0)
    np.testing.assert_allclose(angles, torch_angles(5, 8, 100.0).numpy())
    cos, sin = torch.from_numpy(np.cos(angles)), torch.from_numpy(np.sin(angles))

    def gradients(d_out: np.ndarray) -> Arrays:
        return {"x": rotate_backward(d_out, angles)}

    assert_gradients(lambda x: rotate(x, angles), gradients, inputs)
    assert_torch_agrees(lambda x: rotate(x, angles), gradients, lambda x: torch_rotate(x, cos, sin), inputs)


def test_a_rotary_score_depends_on_the_distance_only() -> None:
    q, k = np.broadcast_to(draw(2, 1, 1, 1, 8), (2, 1, 1, 64, 8))
    angles = rotary_angles(64, 8, 10_000.0)
    scores = (rotate(q, angles) @ rotate(k, angles).swapaxes(-1, -2))[0, 0]
    for distance in (0, 1, 5, 40):
        diagonal = np.diagonal(scores, -distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-10)


def test_splitting_heads_and_merging_them() -> None:
    x = draw(2, 5, 12)
    split = split_heads(x, 3)
    assert split.shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(split[1, 2, 3], x[1, 3, 8:12])
    np.testing.assert_array_equal(merge_heads(split), x)


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("position", ["rotary", "none"])
def test_place(qk_norm: bool, position: str) -> None:
    config = GPTConfig(d_model=16, n_head=4, n_kv_head=2, qk_norm=qk_norm, position=position)  # type: ignore[arg-type]
    inputs = {"q": draw(1, 4, 3, 4), "k": draw(1, 2, 3, 4, seed=1)}

    def forward(q: np.ndarray, k: np.ndarray) -> np.ndarray:
        return np.concatenate(place(q, k, config)[:2], axis=1)

    def gradients(d_out: np.ndarray) -> Arrays:
        d_q, d_k = place_backward(d_out[:, :4], d_out[:, 4:], place(**inputs, config=config)[2])
        return {"q": d_q, "k": d_k}

    assert_gradients(forward, gradients, inputs)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kv_heads", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
@pytest.mark.parametrize("position", ["rotary", "none"])
@pytest.mark.parametrize("bias", [True, False])
def test_layer(kv_heads: int, position: str, bias: bool) -> None:
    config = GPTConfig(
        d_model=8, n_head=4, n_kv_head=kv_heads, context=4, position=position,  # type: ignore[arg-type]
        qk_norm=bias, qkv_bias=bias, attention_out_bias=bias,
    )  # fmt: skip
    width = 8 + 2 * kv_heads * 2
    parameters = {"qkv.weight": draw(width, 8, seed=1), "out.weight": draw(8, 8, seed=2)}
    if bias:
        parameters |= {"qkv.bias": draw(width, seed=3), "out.bias": draw(8, seed=4)}
    inputs = {"x": draw(2, 4, 8), **parameters}

    def forward(x: np.ndarray, **arrays: np.ndarray) -> np.ndarray:
        return attention_layer(x, arrays, config)[0]

    def gradients(d_out: np.ndarray) -> Arrays:
        saved = attention_layer(inputs["x"], parameters, config)[1]
        d_x, d_parameters = attention_layer_backward(d_out, saved)
        return {"x": d_x, **d_parameters}

    def in_torch(x: torch.Tensor, **tensors: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(Attention(config).eval(), tensors, (x,))

    assert_gradients(forward, gradients, inputs)
    assert_torch_agrees(forward, gradients, in_torch, inputs)


def test_float32_stays_float32() -> None:
    config = GPTConfig(d_model=8, n_head=4, n_kv_head=2, position="rotary", qk_norm=True, dropout=0.2)
    parameters = {
        "qkv.weight": draw(16, 8),
        "out.weight": draw(8, 8),
        "qkv.bias": draw(16),
        "out.bias": draw(8),
    }
    small = {name: array.astype(np.float32) for name, array in parameters.items()}
    out, saved = attention_layer(draw(2, 4, 8).astype(np.float32), small, config, np.random.default_rng(0))
    angles, *rest = saved.place
    assert angles.dtype == np.float64  # angles need it; what comes of them does not
    assert_keeps_float32((out, saved.qkv, rest, tuple(saved.heads), saved.out))
    assert_keeps_float32(attention_layer_backward(out, saved))
