"""LoRA's settings, the layers they name, and what they cost."""

import math
import subprocess
import sys

import pytest

from microgpt_ref.config import GPTConfig
from microgpt_ref.lora import ALL_LINEAR, LoRAConfig, adapter_shapes, lora_parameters, target_layers
from microgpt_ref.presets import preset
from tests.frameworks.cases import random_configs

SMALL = GPTConfig(vocab_size=11, context=6, d_model=8, n_layer=2, n_head=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rank": 0}, r"rank=0 is not a positive whole number; use 1 or more"),
        ({"rank": True}, r"rank=True is not a positive whole number"),
        ({"alpha": 0.0}, r"alpha=0\.0 is not a positive finite number; use rank or twice rank"),
        ({"alpha": math.inf}, r"alpha=inf is not a positive finite number"),
        ({"dropout": 1.0}, r"dropout=1\.0 is outside \[0, 1\); use 0"),
        ({"targets": ()}, r"targets=\(\) names no layer; use some of 'attention\.qkv'"),
        ({"targets": ("",)}, r"targets=\(''|\('',\) names no layer"),
    ],
)
def test_wrong_settings(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRAConfig(**fields)  # type: ignore[arg-type]


def test_scale_is_alpha_over_rank() -> None:
    assert LoRAConfig(rank=8, alpha=16.0).scale == 2.0
    assert LoRAConfig(rank=16, alpha=8.0).scale == 0.5


def test_targets_are_ends_of_names() -> None:
    def names(*targets: str) -> list[str]:
        return list(target_layers(SMALL, targets))

    assert names("attention.qkv") == names("qkv") == ["blocks.0.attention.qkv", "blocks.1.attention.qkv"]
    assert names("blocks.1.ffn.down", "out") == [
        "blocks.0.attention.out",
        "blocks.1.attention.out",
        "blocks.1.ffn.down",
    ]
    assert len(names(*ALL_LINEAR)) == 4 * SMALL.n_layer
    assert len(target_layers(SMALL.replace(activation="swiglu"), ALL_LINEAR)) == 5 * SMALL.n_layer
    grouped = target_layers(SMALL.replace(n_kv_head=1, d_ff=9), ALL_LINEAR)
    assert grouped["blocks.0.attention.qkv"] == (16, 8)
    assert grouped["blocks.0.ffn.down"] == (8, 9)


def test_the_formula_is_the_sum_of_the_shapes() -> None:
    for seed, config in enumerate(random_configs(40)):
        lora, new = LoRAConfig(rank=1 + seed % 5), seed % 3
        shapes = adapter_shapes(config, lora, new)
        assert lora_parameters(config, lora, new) == sum(math.prod(shape) for shape in shapes.values())


def test_zain_at_rank_16() -> None:
    """By hand: a layer's four matrices have in + out = (768 + 2304) + (768 + 768) + 2 · (768 + 3072)."""
    assert lora_parameters(preset("zain-124m"), LoRAConfig(rank=16, alpha=16.0)) == 12 * 16 * 12_288


def test_it_needs_no_framework() -> None:
    code = "import sys, microgpt_ref.lora, microgpt_ref.adapters; print({'torch', 'jax'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
