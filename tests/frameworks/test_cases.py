"""The hundred configurations are what the comparisons claim: valid, the same each time, and covering."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import torch

from microgpt_ref.config import GPTConfig
from tests.frameworks import runs
from tests.frameworks.cases import CHOICES, SHAPES, draw_case, random_config, random_configs

COUNT = 100
ARCHITECTURE = (
    "position",
    "norm",
    "norm_position",
    "activation",
    "tied_head",
    "qk_norm",
    "ffn_norm",
    "final_norm",
)


def test_every_value_of_every_choice_is_drawn() -> None:
    configs = random_configs(COUNT)
    for name, values in CHOICES.items():
        assert {getattr(config, name) for config in configs} == set(values), name
    sizes = {name for shape in SHAPES for name in shape} | {"n_layer", "dropout"}
    assert {field.name for field in dataclasses.fields(GPTConfig)} == set(CHOICES) | sizes
    assert {config.n_layer for config in configs} == {1, 2, 3}
    assert {config.n_head // config.kv_heads for config in configs} == {1, 2, 3}


def test_every_two_choices_meet() -> None:
    """A mistake may need two choices together: rotary positions with normed queries, say."""
    configs = random_configs(COUNT)
    for one, other in itertools.combinations(ARCHITECTURE, 2):
        seen = {(getattr(config, one), getattr(config, other)) for config in configs}
        assert seen == set(itertools.product(CHOICES[one], CHOICES[other])), (one, other)


def test_positions_meet_grouped_queries() -> None:
    seen = {(c.position, c.qk_norm) for c in random_configs(COUNT) if c.kv_heads < c.n_head}
    assert seen == set(itertools.product(CHOICES["position"], CHOICES["qk_norm"]))


def test_the_same_draws_every_time() -> None:
    assert random_config(7) == random_config(7)
    assert len(set(random_configs(COUNT))) == COUNT
    one, again, other = (draw_case(random_config(3), seed) for seed in (1, 1, 2))
    for name, array in one.parameters.items():
        np.testing.assert_array_equal(array, again.parameters[name])
        assert not np.array_equal(array, other.parameters[name])


@pytest.mark.parametrize("seed", range(10))
def test_nothing_stands_at_zero_or_one(seed: int) -> None:
    case = draw_case(random_config(seed), seed)
    for name, array in case.parameters.items():
        assert np.abs(array - float(name.endswith("norm.weight"))).max() > 0.05, name
    assert -1 in case.targets
    assert (case.targets >= 0).any()


def test_precision_is_put_back() -> None:
    before = torch.get_default_dtype(), jax.numpy.asarray(1.0).dtype
    for dtype in (np.float64, np.float32):
        with runs.precision(dtype):
            assert jax.numpy.asarray(np.ones(1)).dtype == dtype
            assert torch.ones(1).numpy().dtype == dtype
    with pytest.raises(ZeroDivisionError), runs.precision(np.float64):
        _ = 1 / 0
    assert (torch.get_default_dtype(), jax.numpy.asarray(1.0).dtype) == before
