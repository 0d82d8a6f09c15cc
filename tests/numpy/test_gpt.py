"""The whole model in NumPy: its loss, its parts, what it refuses, and that it can be trained by itself."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from microgpt_ref import stories
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy import attention_maps, backward, forward, initialise, loss_and_gradients
from microgpt_ref.numpy.gpt import (
    RESIDUALS,
    cross_entropy,
    cross_entropy_backward,
    embed,
    embed_backward,
    sinusoidal_positions,
)
from microgpt_ref.numpy.norm import layer_norm, layer_norm_backward
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.shards import random_batch
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch.gpt import sinusoidal_positions as torch_positions
from tests.numpy.shared import Arrays, assert_gradients, assert_keeps_float32, assert_torch_agrees, draw
from tests.strategies import BAD_TOKENS, SMALL

TOKENS = np.array([[3, 1, 4, 1, 5], [2, 6, 5, 3, 5]])
TARGETS = np.array([[1, 4, -1, 5, 0], [-1, 5, 3, 5, 6]])


def test_cross_entropy() -> None:
    inputs = {"logits": draw(2, 5, 7)}

    def run(logits: np.ndarray) -> np.ndarray:
        return np.array(cross_entropy(logits, TARGETS)[0])

    def gradients(d_out: np.ndarray) -> Arrays:
        return {"logits": d_out * cross_entropy_backward(cross_entropy(inputs["logits"], TARGETS)[1])}

    def in_torch(logits: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(TARGETS.ravel()), ignore_index=-1
        )

    assert_gradients(run, gradients, inputs)
    assert_torch_agrees(run, gradients, in_torch, inputs)


def test_cross_entropy_of_a_uniform_guess_is_ln_v() -> None:
    assert cross_entropy(np.zeros((2, 5, 7)), TARGETS)[0] == pytest.approx(math.log(7))


def test_cross_entropy_does_not_overflow() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, saved = cross_entropy(1e4 * draw(2, 5, 7), TARGETS)
        assert np.isfinite(loss)
        assert np.isfinite(cross_entropy_backward(saved)).all()


def test_left_out_targets_get_no_gradient_and_rows_sum_to_zero() -> None:
    d_logits = cross_entropy_backward(cross_entropy(draw(2, 5, 7), TARGETS)[1])
    np.testing.assert_array_equal(d_logits[TARGETS < 0], 0)
    np.testing.assert_allclose(d_logits.sum(-1), 0, atol=1e-12)
    assert (np.abs(d_logits[TARGETS >= 0]).max(-1) > 0).all()


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "none"])
def test_embedding(position: str) -> None:
    config = SMALL.replace(position=position, embedding_scale=3.0)
    inputs = {"embedding.weight": draw(7, 8)} | (
        {"position.weight": draw(6, 8)} if position == "learned" else {}
    )

    def run(**arrays: np.ndarray) -> np.ndarray:
        return embed(TOKENS, arrays, config)[0]

    assert_gradients(run, lambda d_out: embed_backward(d_out, embed(TOKENS, inputs, config)[1]), inputs)


def test_a_token_that_stands_twice_gathers_twice() -> None:
    config = SMALL.replace(position="none")
    _, saved = embed(np.array([[2, 2, 3]]), {"embedding.weight": draw(7, 8)}, config)
    gradient = embed_backward(np.ones((1, 3, 8)), saved)["embedding.weight"]
    np.testing.assert_array_equal(gradient[:, 0], [0, 0, 2, 1, 0, 0, 0])


def test_sinusoidal_positions_are_torch_s() -> None:
    found = sinusoidal_positions(20, 6)
    np.testing.assert_allclose(found, torch_positions(20, 6).numpy(), atol=1e-6)
    assert found[7, 2] == pytest.approx(math.sin(7 / 10_000 ** (2 / 6)))
    assert found[7, 3] == pytest.approx(math.cos(7 / 10_000 ** (2 / 6)))


@pytest.mark.parametrize("name", RESIDUALS)
def test_residuals(name: str) -> None:
    residual, residual_backward = RESIDUALS[name]
    inputs = {"x": draw(1, 3, 8), "factor": draw(8, seed=1), "weight": draw(8, seed=2)}

    def run(x: np.ndarray, factor: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, object]:
        return residual(x, lambda y: (np.sin(factor * y), (factor, y)), lambda y: layer_norm(y, weight))

    def branch_backward(d: np.ndarray, saved: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, Arrays]:
        factor, y = saved
        slope = d * np.cos(factor * y)
        return slope * factor, {"factor": (slope * y).sum((0, 1))}

    def gradients(d_out: np.ndarray) -> Arrays:
        saved = run(**inputs)[1]
        d_x, branch, norm = residual_backward(d_out, saved, branch_backward, layer_norm_backward)
        return {"x": d_x, **branch, **norm}

    assert_gradients(lambda **arrays: run(**arrays)[0], gradients, inputs)


def test_every_parameter_has_a_gradient_of_its_shape_and_type() -> None:
    config = SMALL.replace(position="rotary", activation="swiglu", head_bias=True, qk_norm=True, dropout=0.2)
    parameters = initialise(config)
    loss, gradients = loss_and_gradients(parameters, TOKENS, TARGETS, config, np.random.default_rng(0))
    assert isinstance(loss, float)
    assert {name: array.shape for name, array in gradients.items()} == parameter_shapes(config)
    assert {array.dtype for array in gradients.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "relu2", "swiglu"])
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rotary", "none"])
def test_float32_stays_float32(activation: str, position: str) -> None:
    config = SMALL.replace(
        activation=activation, position=position, embedding_scale=math.sqrt(8), dropout=0.1
    )
    parameters = initialise(config)
    logits, saved = forward(parameters, TOKENS, config, np.random.default_rng(0))
    d_logits = cross_entropy_backward(cross_entropy(logits, TARGETS)[1])
    assert_keeps_float32((logits, d_logits, backward(d_logits, saved)))


def test_parameters_are_not_changed() -> None:
    parameters = initialise(SMALL)
    before = {name: array.copy() for name, array in parameters.items()}
    loss_and_gradients(parameters, TOKENS, TARGETS, SMALL)
    for name, array in parameters.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_without_a_generator_nothing_is_random() -> None:
    config, parameters = SMALL.replace(dropout=0.5), initialise(SMALL)
    plain = forward(parameters, TOKENS, SMALL)[0]
    np.testing.assert_array_equal(forward(parameters, TOKENS, config)[0], plain)
    one, again, other = (
        forward(parameters, TOKENS, config, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert not np.allclose(one, plain)


def test_attention_maps() -> None:
    maps = attention_maps(initialise(SMALL), TOKENS, SMALL)
    assert maps.shape == (2, 2, 2, 5, 5)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-6)
    assert np.abs(np.triu(maps, k=1)).max() == 0


def test_initial_loss_is_ln_v() -> None:
    config = SMALL.replace(vocab_size=50)
    logits, _ = forward(initialise(config), TOKENS, config)
    assert cross_entropy(logits, TARGETS)[0] == pytest.approx(math.log(50), rel=0.03)


@pytest.mark.parametrize(("tokens", "sentence"), BAD_TOKENS)
def test_bad_tokens_say_so(tokens: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        forward(initialise(SMALL), tokens, SMALL)


@pytest.mark.slow
def test_it_can_be_trained_by_itself() -> None:
    """Adam (Kingma & Ba 2015) in a few lines; soon it beats every model that ignores what came before."""
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    ids = np.array(tokenizer.encode("".join(stories.generate(40, seed=0))))
    config = GPTConfig(vocab_size=tokenizer.vocab_size, context=32, d_model=32, n_layer=1, n_head=2)
    parameters, rng = initialise(config), np.random.default_rng(0)
    mean, square = ({name: np.zeros_like(a) for name, a in parameters.items()} for _ in range(2))
    losses = []
    for step in range(1, 121):
        tokens, targets = random_batch(ids, 8, config.context, rng)
        loss, gradients = loss_and_gradients(parameters, tokens, targets, config)
        losses.append(loss)
        for name, gradient in gradients.items():
            mean[name] += 0.1 * (gradient - mean[name])
            square[name] += 0.01 * (gradient**2 - square[name])
            corrected = mean[name] / (1 - 0.9**step), square[name] / (1 - 0.99**step)
            parameters[name] -= 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    frequencies = np.bincount(ids) / len(ids)
    unigram = -sum(p * math.log(p) for p in frequencies if p > 0)
    assert losses[0] == pytest.approx(math.log(tokenizer.vocab_size), rel=0.05)
    assert np.mean(losses[-20:]) < unigram - 0.2, (losses[-1], unigram)
    assert {array.dtype for array in parameters.values()} == {np.dtype(np.float32)}
