"""The benchmark of decoding, at a toy size: all codes get the same weights, other tokens are not timed."""

import pytest
import torch

from benchmarks import decoding
from microgpt_ref.torch import GPT
from tests.benchmarks.standins import NANOGPT


@pytest.fixture
def model() -> GPT:
    model = GPT(decoding.TOY).eval()
    model.load_state_dict(decoding.random_weights(decoding.TOY))
    return model


def test_all_give_the_same_tokens(model: GPT) -> None:
    weights = decoding.random_weights(decoding.TOY)
    codes = decoding.with_cache(model, weights) | decoding.without_cache(model, weights, None)
    del codes["ours_compiled"]  # the checks of shapes, which the tests turn on, cannot be compiled
    codes["ours_jax"] = decoding.build_jax(decoding.TOY, weights)
    prompt = decoding.random_tokens(decoding.TOY, 2, 5)
    assert set(decoding.same_tokens(codes, prompt, 20)) == set(codes)
    assert len(codes["ours"](prompt, 20)[0].unique()) > 5


def test_other_tokens_are_not_timed() -> None:
    codes = {"one": lambda tokens, n: tokens, "other": lambda tokens, n: tokens + 1}
    with pytest.raises(AssertionError, match="other gives other tokens than one"):
        decoding.same_tokens(codes, torch.zeros(1, 2), 2)


def test_a_peer_that_has_other_parameters_is_refused(tmp_path, model: GPT) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "model.py").write_text(NANOGPT)
    with pytest.raises(ValueError, match="these weights do not fit: missing"):
        decoding.build_nanogpt(decoding.TOY, decoding.random_weights(decoding.TOY), str(tmp_path))


def test_the_floor_is_bytes_over_bandwidth() -> None:
    found = decoding.floor(decoding.TOY, (8, 64))
    weights, kept = found["weight_bytes"], found["cache_bytes"]["64"]
    assert weights == 4 * sum(p.numel() for p in GPT(decoding.TOY).parameters())
    assert kept == 2 * 4 * decoding.TOY.n_layer * decoding.TOY.d_model * 64
    rate = found["tokens_per_second"]["64"]
    assert rate == pytest.approx(found["read_gb_per_s"] * 1e9 / (weights + kept), rel=0.05)
    assert found["tokens_per_second"]["8"] > rate
