"""One list of names and shapes: PyTorch's own, and what the initial numbers look like."""

import math

import numpy as np
import pytest

from microgpt_ref.config import GPTConfig, count_parameters
from microgpt_ref.parameters import initial_parameters, named, parameter_shapes, part
from microgpt_ref.presets import PRESETS, PUBLISHED
from microgpt_ref.torch import GPT
from tests.frameworks.cases import random_config

CONFIGS = [random_config(seed) for seed in range(100)]


def assert_is_torch_s(config: GPTConfig) -> None:
    """Names, shapes and their order, so that two listings can be read side by side."""
    shapes = parameter_shapes(config)
    built = [(name, tuple(p.shape)) for name, p in GPT(config).named_parameters()]
    assert list(shapes.items()) == built
    assert sum(math.prod(shape) for shape in shapes.values()) == count_parameters(config)


def test_names_and_shapes_of_a_hundred_configurations() -> None:
    for config in CONFIGS:
        assert_is_torch_s(config)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in PUBLISHED else ()) for name in PRESETS]
)
def test_names_and_shapes_of_the_presets(name: str) -> None:
    assert_is_torch_s(PRESETS[name])


def test_by_hand() -> None:
    config = GPTConfig(
        vocab_size=5, context=3, d_model=4, n_layer=1, n_head=2, n_kv_head=1, d_ff=6, activation="swiglu",
        norm="rmsnorm", tied_head=False, head_bias=True, attention_out_bias=False,
    )  # fmt: skip
    assert parameter_shapes(config) == {
        "embedding.weight": (5, 4),
        "position.weight": (3, 4),
        "blocks.0.attention_norm.weight": (4,),
        "blocks.0.attention.qkv.weight": (8, 4),
        "blocks.0.attention.qkv.bias": (8,),
        "blocks.0.attention.out.weight": (4, 4),
        "blocks.0.ffn_norm.weight": (4,),
        "blocks.0.ffn.gate.weight": (6, 4),
        "blocks.0.ffn.gate.bias": (6,),
        "blocks.0.ffn.up.weight": (6, 4),
        "blocks.0.ffn.up.bias": (6,),
        "blocks.0.ffn.down.weight": (4, 6),
        "blocks.0.ffn.down.bias": (4,),
        "final_norm.weight": (4,),
        "head.weight": (5, 4),
        "head.bias": (5,),
    }


def test_initial_statistics() -> None:
    config = GPTConfig(vocab_size=300, d_model=128, n_layer=8, head_bias=True, tied_head=False)
    for name, array in initial_parameters(config).items():
        if array.ndim == 1:
            expected = 1.0 if name.endswith("norm.weight") else 0.0
            assert (array == expected).all(), name
            continue
        writes = name.endswith(("attention.out.weight", "ffn.down.weight"))
        std = 0.02 / 4 if writes else 0.02  # √(2 · 8) = 4
        error = 5 * std / math.sqrt(array.size)
        assert array.mean() == pytest.approx(0, abs=error), name
        assert array.std() == pytest.approx(std, abs=error), name
        assert np.abs(array).max() > 3 * std, name


def test_initial_numbers_are_as_wide_as_torch_s() -> None:
    config = GPTConfig(n_layer=2)
    ours = initial_parameters(config)
    for name, parameter in GPT(config).named_parameters():
        theirs = parameter.detach().numpy()
        assert ours[name].shape == theirs.shape
        assert ours[name].std() == pytest.approx(theirs.std(), rel=0.1, abs=1e-9), name


def test_initial_numbers_follow_the_seed() -> None:
    config = GPTConfig(n_layer=1)
    one, again, other = (initial_parameters(config, seed) for seed in (1, 1, 2))
    for name, array in one.items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, again[name])
        assert array.ndim == 1 or not np.array_equal(array, other[name])


def test_part_and_named_are_inverse() -> None:
    parameters = {"up.weight": 1, "up.bias": 2}
    assert part(named("ffn", parameters), "ffn") == parameters
    assert part({"blocks.1.a": 1, "blocks.10.a": 2, "blocks.1": 3}, "blocks.1") == {"a": 1}
