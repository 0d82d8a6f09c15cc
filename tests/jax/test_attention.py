"""Attention in JAX: its properties, and NumPy's values."""

import jax
import numpy as np
import pytest

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.attention import (
    attention,
    attention_layer,
    merge_heads,
    place,
    rotate,
    softmax,
    split_heads,
)
from microgpt_ref.numpy import attention as in_numpy
from tests.numpy.shared import draw


def heads(*shape: int) -> list[jax.Array]:
    return [jax.numpy.asarray(draw(*shape, seed=seed)) for seed in range(3)]


def test_softmax() -> None:
    scores = jax.numpy.asarray(10 * draw(2, 3, 7), "float32")
    np.testing.assert_allclose(softmax(scores).sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(softmax(scores), jax.nn.softmax(scores), rtol=1e-5)
    assert np.isfinite(softmax(1e4 * scores)).all()
    gradient = jax.grad(lambda s: (softmax(s) ** 2).sum())(scores)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-6)


@pytest.mark.usefixtures("double")
def test_attention_is_numpy_s() -> None:
    q, k, v = heads(2, 3, 5, 4)
    expected, _ = in_numpy.attention(*map(np.asarray, (q, k, v)), scale=0.7)
    np.testing.assert_allclose(attention(q, k, v, 0.7), expected, rtol=1e-12)
    compiled = jax.jit(attention, static_argnames=("scale", "dropout_probability"))
    np.testing.assert_allclose(compiled(q, k, v, scale=0.7), expected, rtol=1e-12)


@pytest.mark.usefixtures("double")
def test_what_comes_later_gets_no_gradient() -> None:
    q, k, v = heads(1, 1, 5, 4)
    gradients = jax.grad(lambda *qkv: attention(*qkv, 0.5)[:, :, 2].sum(), (0, 1, 2))(q, k, v)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient[:, :, 3:]).max() == 0


@pytest.mark.slow
def test_dropout_follows_its_key_and_keeps_the_mean() -> None:
    q, k, _ = (x.astype("float32") for x in heads(1, 2, 8, 4))
    ones = jax.numpy.ones((1, 2, 8, 4), "float32")
    run = jax.jit(lambda key: attention(q, k, ones, 0.5, 0.5, key))
    one, again, other = (run(jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    outs = jax.vmap(run)(jax.random.split(jax.random.key(0), 2000))
    assert outs.std(0).min() > 0.05
    assert float(outs.mean()) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(attention(q, k, ones, 0.5, 0.5, None), 1, rtol=1e-6)


@pytest.mark.usefixtures("double")
def test_rotations_turn_back() -> None:
    x, angles = jax.numpy.asarray(draw(2, 3, 5, 8)), in_numpy.rotary_angles(5, 8, 100.0)
    turned = rotate(x, angles)
    np.testing.assert_allclose(turned, in_numpy.rotate(np.asarray(x), angles), rtol=1e-12)
    np.testing.assert_allclose(rotate(turned, -angles), x, rtol=1e-12)


def test_rotations_far_away_are_as_exact_as_near() -> None:
    """Angles made in float32 would be wrong in the third digit here."""
    x = jax.numpy.asarray(draw(1, 1, 100_000, 4), "float32")
    exact = in_numpy.rotate(np.asarray(x, np.float64), in_numpy.rotary_angles(100_000, 4, 10_000.0))
    assert np.abs(rotate(x, in_numpy.rotary_angles(100_000, 4, 10_000.0)) - exact).max() < 1e-5


def test_splitting_heads_and_merging_them() -> None:
    x = jax.numpy.asarray(draw(2, 5, 12), "float32")
    split = split_heads(x, 3)
    np.testing.assert_array_equal(split[1, 2, 3], x[1, 3, 8:12])
    np.testing.assert_array_equal(merge_heads(split), x)


@pytest.mark.parametrize("x64", [False, True])
def test_float32_stays_float32(x64: bool) -> None:
    config = GPTConfig(d_model=8, n_head=4, n_kv_head=2, position="rotary", qk_norm=True, dropout=0.2)
    shapes = {"qkv.weight": (16, 8), "out.weight": (8, 8), "qkv.bias": (16,), "out.bias": (8,)}
    with jax.enable_x64(x64):
        parameters = {name: jax.numpy.asarray(draw(*shape), "float32") for name, shape in shapes.items()}
        x = jax.numpy.asarray(draw(2, 4, 8), "float32")
        key = jax.random.key(0)
        out = jax.eval_shape(lambda p: attention_layer(x, p, config, key), parameters)
        assert out.dtype == np.float32
        heads = x.reshape(2, 2, 4, 4)
        q, k = jax.eval_shape(lambda z: place(z[..., :2], z[:, :1, :, 2:], config), heads)
        assert q.dtype == k.dtype == np.float32
        assert k.shape == (2, 1, 4, 2)
