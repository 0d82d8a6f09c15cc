"""The gradient of every parameter: by hand, by torch's autograd, by jax.grad, and by finite differences."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings

from microgpt_ref import numpy as in_numpy
from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import gpt as in_jax
from tests.frameworks import compare, runs
from tests.frameworks.cases import SHAPES, draw_case, random_config
from tests.strategies import configs

SEEDS = [
    seed if seed % len(SHAPES) == 0 and seed < 60 else pytest.param(seed, marks=pytest.mark.slow)
    for seed in range(100)
]


@pytest.mark.parametrize("seed", SEEDS)
def test_three_ways(seed: int) -> None:
    compare.check_gradients(random_config(seed), seed)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(configs())
def test_any_shape_in_numpy_and_torch(config: GPTConfig) -> None:
    compare.check_gradients(config, 1, ("numpy", "torch"))


@pytest.mark.slow
def test_finite_differences() -> None:
    """Two places of every parameter, in all the hundred; kinks of ReLU may be hit, but hardly ever."""
    seen = [compare.check_finite_differences(random_config(seed), seed) for seed in range(100)]
    checked, kinks = (sum(column) for column in zip(*seen, strict=True))
    assert checked > 2500
    assert kinks <= 0.002 * checked


@pytest.mark.parametrize("seed", range(10))
def test_finite_differences_of_ten(seed: int) -> None:
    compare.check_finite_differences(random_config(seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "gelu"},
        {"activation": "swiglu", "position": "rotary", "norm": "rmsnorm", "qk_norm": True, "n_kv_head": 1},
        {"activation": "relu", "position": "sinusoidal", "embedding_scale": 2.0, "ffn_norm": False},
        {"activation": "relu2", "norm_position": "post", "final_norm": False, "position": "none"},
        {"activation": "gelu_tanh", "tied_head": False, "head_bias": True, "norm_bias": False},
    ],
)
def test_every_single_number(changes: dict[str, object]) -> None:
    fields = {"vocab_size": 5, "context": 4, "d_model": 8, "n_head": 2, "n_layer": 1, "d_ff": 6, **changes}
    config = GPTConfig(**fields)  # type: ignore[arg-type]
    checked, _ = compare.check_finite_differences(config, count=None)
    assert checked == sum(array.size for array in draw_case(config).parameters.values())


@pytest.mark.parametrize("seed", range(12))
def test_dropout_has_the_gradient_of_the_same_draw(seed: int) -> None:
    config = random_config(seed).replace(dropout=0.3)
    compare.check_finite_differences(config, seed, dropout_seed=seed)
    case = draw_case(config, seed)
    losses = [
        in_numpy.loss_and_gradients(
            case.parameters, case.tokens, case.targets, config, np.random.default_rng(draw)
        )[0]
        for draw in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_dropout_in_jax_follows_its_key() -> None:
    case = draw_case(random_config(0).replace(dropout=0.3))
    with runs.precision(np.float64):
        parameters = {name: jax.numpy.asarray(array) for name, array in case.parameters.items()}
        tokens, targets = jax.numpy.asarray(case.tokens), jax.numpy.asarray(case.targets)
        one, again, other = (
            jax.grad(in_jax.loss)(parameters, tokens, targets, case.config, jax.random.key(seed))
            for seed in (1, 1, 2)
        )
    for name in parameters:
        assert np.isfinite(one[name]).all(), name
        np.testing.assert_array_equal(one[name], again[name])
    assert any(not np.array_equal(one[name], other[name]) for name in parameters)


def test_gradients_of_a_batch_are_the_mean_of_its_targets() -> None:
    """Targets of −1 count nowhere: the gradient is the weighted mean of that of each row alone."""
    case = draw_case(random_config(3).replace(dropout=0.0))
    _, both = runs.numpy_gradients(case, np.float64)
    counts = (case.targets >= 0).sum(1)
    rows = [
        runs.numpy_gradients(
            compare.Case(case.config, case.parameters, case.tokens[b : b + 1], case.targets[b : b + 1]),
            np.float64,
        )[1]
        for b in range(2)
    ]
    for name, gradient in both.items():
        mean = sum(n * row[name] for n, row in zip(counts, rows, strict=True)) / counts.sum()
        np.testing.assert_allclose(gradient, mean, rtol=1e-9, atol=1e-12, err_msg=name)
