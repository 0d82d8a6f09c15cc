"""The whole model in JAX: compiled or not the same, keys and errors, and trained as NumPy trains it."""

import jax
import numpy as np
import pytest

from microgpt_ref import numpy as in_numpy
from microgpt_ref import stories
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import forward, initialise, loss
from microgpt_ref.jax.basics import dropout, split
from microgpt_ref.jax.gpt import cross_entropy
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.shards import random_batch
from microgpt_ref.tokenizers import CharacterTokenizer
from tests.strategies import BAD_TOKENS, SMALL

TOKENS = jax.numpy.asarray([[3, 1, 4, 1, 5], [2, 6, 5, 3, 5]])
TARGETS = jax.numpy.asarray([[1, 4, -1, 5, 0], [-1, 5, 3, 5, 6]])
compiled = jax.jit(forward, static_argnames="config")
compiled_loss = jax.jit(loss, static_argnames="config")


def test_parameters_are_numpy_s() -> None:
    arrays = initialise(SMALL, seed=3)
    assert {name: array.shape for name, array in arrays.items()} == parameter_shapes(SMALL)
    for name, array in in_numpy.initialise(SMALL, seed=3).items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == np.float32


@pytest.mark.slow
def test_compiled_is_the_same() -> None:
    parameters = initialise(SMALL)
    np.testing.assert_allclose(
        compiled(parameters, TOKENS, SMALL), forward(parameters, TOKENS, SMALL), rtol=1e-4, atol=1e-6
    )
    expected, _ = in_numpy.forward(in_numpy.initialise(SMALL), np.asarray(TOKENS), SMALL)
    np.testing.assert_allclose(compiled(parameters, TOKENS, SMALL), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rotary"])
def test_float32_stays_float32(position: str, x64: bool) -> None:
    config = SMALL.replace(position=position, n_layer=1, embedding_scale=8**0.5, dropout=0.1)
    with jax.enable_x64(x64):
        parameters = initialise(config)
        traced = jax.eval_shape(lambda p, key: forward(p, TOKENS, config, key), parameters, jax.random.key(0))
        assert traced.dtype == np.float32
        gradients = jax.eval_shape(jax.grad(lambda p: loss(p, TOKENS, TARGETS, config)), parameters)
        assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(np.float32)}


@pytest.mark.slow
def test_dropout_follows_its_key() -> None:
    config, parameters = SMALL.replace(dropout=0.5), initialise(SMALL)
    plain = compiled(parameters, TOKENS, config)
    np.testing.assert_array_equal(plain, compiled(parameters, TOKENS, config))
    np.testing.assert_allclose(plain, compiled(parameters, TOKENS, SMALL), rtol=1e-6)
    one, again, other = (compiled(parameters, TOKENS, config, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert not np.allclose(one, plain)


def test_dropout_keeps_the_mean() -> None:
    out = dropout(jax.numpy.ones((300, 300)), 0.3, jax.random.key(0))
    assert float(out.mean()) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(np.unique(out), [0, 1 / 0.7], rtol=1e-6)
    x = jax.numpy.ones(3)
    assert dropout(x, 0.3, None) is x
    assert dropout(x, 0.0, jax.random.key(0)) is x


def test_keys_are_all_different() -> None:
    assert split(None, 3) == [None, None, None]
    keys = split(jax.random.key(0), 4)
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 4


@pytest.mark.usefixtures("double")
def test_cross_entropy_is_numpy_s() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 7))
    expected, saved = in_numpy.cross_entropy(logits, np.asarray(TARGETS))
    value, gradient = jax.value_and_grad(cross_entropy)(jax.numpy.asarray(logits), TARGETS)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, in_numpy.cross_entropy_backward(saved), rtol=1e-10, atol=1e-14)
    assert np.isfinite(cross_entropy(1e4 * jax.numpy.asarray(logits), TARGETS))


@pytest.mark.parametrize(("tokens", "sentence"), BAD_TOKENS)
def test_bad_tokens_say_so(tokens: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        forward(initialise(SMALL), jax.numpy.asarray(tokens), SMALL)


def test_too_long_says_so_compiled_too() -> None:
    with pytest.raises(ValueError, match="T=7 positions but the model's context is 6"):
        compiled(initialise(SMALL), jax.numpy.zeros((1, 7), int), SMALL)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
def test_compiled_steps_train_as_numpy_does() -> None:
    """Ten steps of gradient descent on stories: the same losses, one compilation."""
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    ids = np.array(tokenizer.encode("".join(stories.generate(5, seed=0))))
    config = GPTConfig(vocab_size=tokenizer.vocab_size, context=16, d_model=16, n_layer=1, n_head=2)
    by_hand = in_numpy.initialise(config, dtype=np.float64)
    traces = []

    @jax.jit
    def step(
        parameters: dict[str, jax.Array], tokens: jax.Array, targets: jax.Array
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        traces.append(1)
        value, gradients = jax.value_and_grad(loss)(parameters, tokens, targets, config)
        return jax.tree.map(lambda p, g: p - 0.5 * g, parameters, gradients), value

    parameters, rng, losses = initialise(config, dtype=np.float64), np.random.default_rng(0), []
    for _ in range(10):
        tokens, targets = random_batch(ids, 4, config.context, rng)
        parameters, value = step(parameters, jax.numpy.asarray(tokens), jax.numpy.asarray(targets))
        expected, gradients = in_numpy.loss_and_gradients(by_hand, tokens, targets, config)
        assert float(value) == pytest.approx(expected, rel=1e-10)
        for name, gradient in gradients.items():
            by_hand[name] -= 0.5 * gradient
        losses.append(expected)
    assert losses[-1] < losses[0] - 0.5
    assert len(traces) == 1
