"""The published models, and one file, in all three frameworks: the same logits."""

from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from microgpt_ref import checkpoint
from microgpt_ref import jax as in_jax
from microgpt_ref import numpy as in_numpy
from microgpt_ref.config import GPTConfig, count_parameters
from microgpt_ref.parameters import initial_parameters
from microgpt_ref.presets import PUBLISHED, preset
from microgpt_ref.torch import GPT
from tests.frameworks.cases import draw_case, random_config

COUNTS = {
    "tejas-10m": 10_788_929,
    "kandarpa-17m": 17_205_248,
    "zain-124m": 123_637_248,
    "minigpt-124m": 124_439_808,
    # not published: V·C twice, T·C, V, six layers of 12 C² + 6 C + F, a last norm; worked out by hand
    "microgpt-tiktoken": 2 * 50_257 * 512 + 512 * 512 + 50_257 + 6 * (12 * 512**2 + 10 * 512) + 2 * 512,
}


def three_logits(
    arrays: dict[str, np.ndarray], model: GPT, tokens: np.ndarray, config: GPTConfig
) -> dict[str, np.ndarray]:
    """Logits in float32, of the same arrays."""
    with torch.inference_mode():
        logits = {"torch": model(torch.from_numpy(tokens)).numpy()}
    logits["numpy"] = in_numpy.forward(arrays, tokens, config)[0]
    on_device = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    logits["jax"] = np.asarray(in_jax.forward(on_device, jax.numpy.asarray(tokens), config))
    return logits


def assert_same(logits: dict[str, np.ndarray], tolerance: float = 1e-5) -> None:
    for one, other in [("numpy", "torch"), ("jax", "torch"), ("numpy", "jax")]:
        assert logits[one].dtype == np.float32
        difference = np.abs(logits[one] - logits[other]).max() / np.abs(logits[other]).max()
        assert difference < tolerance, (one, other, difference)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(name: str) -> None:
    config = preset(name)
    rng = np.random.default_rng(0)
    arrays = {}
    for parameter, array in initial_parameters(config).items():
        # biases and norms start at 0 and 1, where a mistake in them would not show
        moved = array if array.ndim > 1 else array + rng.normal(0, 0.1, array.shape)
        arrays[parameter] = moved.astype(np.float32)
    assert sum(array.size for array in arrays.values()) == count_parameters(config) == COUNTS[name]
    model = GPT(config).eval()
    model.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()}, assign=True)
    tokens = rng.integers(0, config.vocab_size, (1, 6))
    assert_same(three_logits(arrays, model, tokens, config))


@pytest.mark.parametrize("seed", [0, pytest.param(6, marks=pytest.mark.slow)])
def test_one_file_in_three_frameworks(seed: int, tmp_path: Path) -> None:
    case = draw_case(random_config(seed), seed)
    arrays = {name: array.astype(np.float32) for name, array in case.parameters.items()}
    path = checkpoint.save(tmp_path / "model.safetensors", checkpoint.Checkpoint(case.config, arrays))
    loaded = checkpoint.load(path)
    for name, array in loaded.build_jax().items():
        np.testing.assert_array_equal(array, arrays[name])
    logits = three_logits(loaded.build_numpy(), loaded.build_torch(), case.tokens, case.config)
    assert_same(logits)
    np.testing.assert_array_equal(in_numpy.forward(arrays, case.tokens, case.config)[0], logits["numpy"])


def test_the_shipped_file_in_three_frameworks() -> None:
    shipped = checkpoint.load(checkpoint.shipped())
    text = checkpoint.history()["samples"][-1]["text"][:60]
    tokens = np.array([shipped.build_tokenizer().encode(text)])
    logits = three_logits(shipped.build_numpy(), shipped.build_torch(), tokens, shipped.config)
    assert_same(logits)
    logits["jax"] = np.asarray(in_jax.forward(shipped.build_jax(), jax.numpy.asarray(tokens), shipped.config))
    assert_same(logits)
