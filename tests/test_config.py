"""GPTConfig: what can be built is counted right, and what cannot says so in one sentence."""

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings

from microgpt_ref.config import ConfigError, GPTConfig, count_parameters
from microgpt_ref.presets import PRESETS, PUBLISHED, preset
from microgpt_ref.torch import GPT
from tests.strategies import configs


def built_parameters(config: GPTConfig) -> int:
    return sum(parameter.numel() for parameter in GPT(config).parameters())


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(configs())
def test_formula_counts_what_the_model_has(config: GPTConfig) -> None:
    assert count_parameters(config) == built_parameters(config)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_formula_counts_what_the_preset_has(name: str) -> None:
    assert count_parameters(PRESETS[name]) == built_parameters(PRESETS[name])


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("tejas-10m", 10_788_929),
        ("kandarpa-17m", 17_205_248),
        ("zain-124m", 123_637_248),
        ("minigpt-124m", 124_439_808),
    ],
)
def test_published_counts(name: str, published: int) -> None:
    assert count_parameters(preset(name)) == published


def test_five_models_are_published() -> None:
    assert len(PUBLISHED) == 5


@settings(max_examples=50, deadline=None, derandomize=True)
@given(configs())
def test_dictionary_round_trip(config: GPTConfig) -> None:
    assert GPTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"d_model": 100, "n_head": 6}, "d_model=100 is not divisible by n_head=6; use 96 or 102"),
    ({"d_model": 2, "n_head": 6}, "d_model=2 is not divisible by n_head=6; use 6"),
    ({"n_head": 4, "n_kv_head": 3}, "n_kv_head=3 does not divide n_head=4; use one of 1, 2, 4"),
    ({"position": "rotary", "d_model": 12, "n_head": 4}, "D=3"),
    ({"position": "sinusoidal", "d_model": 5, "n_head": 1}, "d_model=5 is odd; use 6"),
    ({"position": "absolute"}, "position='absolute' is not known; use one of learned, sinusoidal"),
    ({"norm": "batchnorm"}, "norm='batchnorm' is not known"),
    ({"activation": "tanh"}, "activation='tanh' is not known"),
    ({"norm": "rmsnorm", "norm_bias": True}, "norm='rmsnorm' has no shift"),
    ({"norm_weight": False, "norm_bias": True}, "norm_bias=True needs norm_weight=True"),
    ({"norm_position": "post"}, "set final_norm=False"),
    ({"vocab_size": 0}, "vocab_size=0 is not a positive whole number"),
    ({"n_layer": 1.5}, "n_layer=1.5 is not a positive whole number"),
    ({"context": True}, "context=True is not a positive whole number"),
    ({"dropout": 1.0}, "dropout=1.0 is outside [0, 1)"),
    ({"norm_eps": 0.0}, "norm_eps=0.0 is not a positive finite number"),
    ({"attention_scale": float("nan")}, "attention_scale=nan is not a positive finite number"),
]


def test_what_cannot_be_built_says_so() -> None:
    """In a process of its own: here, the test run's type checks would answer for some of them first."""
    code = (
        "import json, sys\n"
        "from microgpt_ref.config import ConfigError, GPTConfig\n"
        "for changes in json.load(sys.stdin):\n"
        "    try:\n"
        "        GPTConfig(**changes)\n"
        "        print('built')\n"
        "    except ConfigError as error:\n"
        "        print(error)\n"
    )
    cases = json.dumps([changes for changes, _ in IMPOSSIBLE])
    result = subprocess.run(
        [sys.executable, "-c", code], input=cases, capture_output=True, text=True, check=True
    )
    for line, (changes, sentence) in zip(result.stdout.splitlines(), IMPOSSIBLE, strict=True):
        assert sentence in line, changes


def test_suggested_widths_can_be_built() -> None:
    for d_model in (96, 102):
        assert GPTConfig(d_model=d_model, n_head=6).head_width * 6 == d_model


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ConfigError, match="unknown field 'width'"):
        GPTConfig.from_dict({"width": 3})
    with pytest.raises(ConfigError, match=r"preset='gpt-5' is not known; use one of tejas-10m"):
        preset("gpt-5")


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GPTConfig().d_model = 3  # type: ignore[misc]


def test_every_field_is_documented() -> None:
    source = __import__("inspect").getsource(GPTConfig)
    for field in dataclasses.fields(GPTConfig):
        after = source.split(f"    {field.name}: ", 1)[1].splitlines()[1]
        assert after.strip().startswith('"""'), field.name


def test_import_needs_neither_torch_nor_jax() -> None:
    code = "import microgpt_ref, sys; print(sorted({'torch', 'jax'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_torch_folder_does_not_need_jax() -> None:
    code = "import microgpt_ref.torch.train, sys; print('jax' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
