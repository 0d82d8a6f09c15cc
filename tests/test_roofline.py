"""FLOPs against torch's own counter, bytes against arrays, and the two limits of a machine."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from microgpt_ref import roofline
from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS
from microgpt_ref.roofline import Roofline
from microgpt_ref.torch import GPT

GROUPED = GPTConfig(d_model=48, n_head=6, n_kv_head=2, activation="swiglu", d_ff=40, context=12)


def counted(config: GPTConfig, B: int, T: int, backward: bool) -> int:
    """What FlopCounterMode sees on the meta device, where shapes are computed and numbers are not."""
    with torch.device("meta"):
        model = GPT(config.replace(dropout=0.0), "plain")
        tokens = torch.zeros(B, T, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        loss = model.loss(tokens, tokens)
        if backward:
            loss.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("config", [*PRESETS.values(), GROUPED], ids=[*PRESETS, "grouped"])
@pytest.mark.parametrize("B", [1, 3])
def test_forward_and_training_are_what_torch_counts(config, B):
    T = config.context - 3
    assert sum(roofline.forward_flops(config, T, B, masked=True).values()) == counted(config, B, T, False)
    trained = roofline.training_flops_per_token(config, T, masked=True) * B * T
    assert trained == counted(config, B, T, True)


def test_backward_has_the_products_that_autograd_runs():
    product = roofline.Product("out", 1, 1, 5, 7, 3)
    left, right = torch.randn(5, 7), torch.randn(7, 3)
    d_left, d_right = product.backward()
    assert (d_left.m, d_left.k, d_left.n) == (5, 3, 7)  # (5, 3) @ (3, 7) has the shape of left
    assert (d_right.m, d_right.k, d_right.n) == (7, 5, 3)
    assert product.numbers == left.numel() + right.numel() + (left @ right).numel()
    assert d_left.flops == d_right.flops == product.flops


@pytest.mark.parametrize("T", [1, 2, 7, 256])
def test_a_causal_kernel_counts_each_pair_of_places_once(T):
    config = GPTConfig(d_model=24, n_layer=3, n_head=4)
    pairs = sum(1 for query in range(T) for key in range(T) if key <= query)
    flops = roofline.forward_flops(config, T, B=2)
    assert flops["scores"] == flops["mix"] == 2 * 2 * pairs * 24 * 3
    whole = roofline.forward_flops(config, T, B=2, masked=True)
    assert {part for part in flops if whole[part] != flops[part]} == ({"scores", "mix"} if T > 1 else set())


@pytest.mark.parametrize("name", PRESETS)
def test_the_rule_of_six_is_near_where_tables_and_attention_are_small(name):
    config = PRESETS[name]
    tables = config.vocab_size * (not config.tied_head) + config.context * (config.position == "learned")
    rest = 6 * tables * config.d_model
    assert roofline.training_flops_per_token(config, 1) == pytest.approx(
        roofline.rule_of_six(config) - rest, rel=0.02
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_blocks_products_sum_to_the_forward_pass(name):
    config, B, T = PRESETS[name], 2, 32
    for fused in (True, False):
        work = roofline.block_work(config, B, T, fused=fused)
        flops = roofline.forward_flops(config, T, B, masked=not fused)
        names = [part for part in ("qkv", "attention", "scores", "mix", "out", "ffn") if part in work]
        by_block = sum(work[part].flops for part in names)
        assert by_block * config.n_layer == sum(flops.values()) - flops["head"]


def test_bytes_are_those_of_the_arrays():
    config, B, T = GROUPED.replace(position="rotary", qk_norm=True), 2, 12
    x, q, k = torch.zeros(B, T, 48), torch.zeros(B, 6, T, 8), torch.zeros(B, 2, T, 8)
    scores, hidden, half = torch.zeros(B, 6, T, T), torch.zeros(B, T, 40), torch.bfloat16
    weights = {"qkv": torch.zeros(48, 80), "out": torch.zeros(48, 48), "ffn": torch.zeros(3, 48, 40)}
    work = roofline.block_work(config, B, T, "bfloat16", fused=False)
    arrays = {
        "norm": (x, x),
        "rotary": (q, k, q, k),
        "q, k norm": (q, k, q, k),
        "softmax": (scores, scores),
        "scores": (q, q, scores),  # keys are repeated for their group
        "qkv": (x, weights["qkv"], q, k, k),
        "out": (x, weights["out"], x),
        "ffn": (x, hidden, x, hidden, hidden, x, weights["ffn"]),
        "activation": (hidden, hidden, hidden),
        "residual": (x, x, x),
    }
    for part, moved in arrays.items():
        assert work[part].bytes == sum(array.to(half).nbytes for array in moved), part
    fused = roofline.block_work(config, B, T, "bfloat16")
    assert fused["attention"].bytes == sum(array.to(half).nbytes for array in (q, k, k, q))


def test_intensity_rises_with_the_batch_and_with_smaller_numbers():
    config = PRESETS["tejas-10m"]
    small, large = (roofline.block_work(config, B)["ffn"].intensity for B in (1, 64))
    assert small < large
    assert roofline.block_work(config, 1, dtype="bfloat16")["ffn"].intensity == 2 * small
    fused, plain = (roofline.block_work(config, 64, fused=fused) for fused in (True, False))
    assert fused["attention"].intensity > max(plain["scores"].intensity, plain["softmax"].intensity)


def test_two_limits_meet_at_the_ridge():
    machine = Roofline(peak=200.0, bandwidth=20.0)
    assert machine.ridge == 10
    assert [machine.attainable(x) for x in (0.5, 5, 10, 1000)] == [10, 100, 200, 200]
    assert machine.predicted_seconds(flops=400, bytes=20) == 2
    assert machine.predicted_seconds(flops=400, bytes=200) == 10
    flops, moved = 6400, 160
    assert flops / machine.attainable(flops / moved) == machine.predicted_seconds(flops, moved)


def test_utilisation_of_a_model_that_uses_all_is_one():
    config = PRESETS["laptop"]
    speed = 1e12 / roofline.training_flops_per_token(config, 64)
    assert roofline.utilisation(speed, config, peak=1e12, context=64) == pytest.approx(1)


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match=r"peak=0 is not above 0"):
        Roofline(0, 1.0)
    with pytest.raises(ValueError, match=r"dtype='fp8' is not known; use one of float32"):
        roofline.measured_peak(dtype="fp8")
    with pytest.raises(ValueError, match=r"dtype='int8' is not known"):
        roofline.block_work(GROUPED, 1, dtype="int8")


def test_what_is_measured_is_plausible_and_measured_once(monkeypatch):
    peak = roofline.measured_peak(shape=(256, 256, 256))
    assert 1e8 < peak < 1e15
    assert 1e8 < roofline.measured_peak(dtype="bfloat16", shape=(64, 64, 64), batch=4) < 1e15
    assert 1e8 < roofline.measured_bandwidth(size=2**24) < 1e13
    monkeypatch.setattr(roofline, "_fastest", lambda *_: pytest.fail("measured twice"))
    assert roofline.measured_peak(shape=(256, 256, 256)) == peak


def test_the_rate_is_work_over_time(monkeypatch):
    monkeypatch.setattr(roofline, "_fastest", lambda run, device: run() is None or 0.5)
    assert roofline.measured_peak(shape=(3, 5, 7), batch=2) == 2 * 2 * 3 * 5 * 7 / 0.5
    assert roofline.measured_bandwidth(size=1000) == 2 * 1000 / 0.5


def test_importing_it_loads_no_framework():
    code = "import sys, microgpt_ref.roofline; sys.exit(bool({'torch', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
