"""The schedules: PyTorch's own as the independent implementation, their shape, and their edges."""

import itertools
import math
import subprocess
import sys

import pytest
import torch
from torch.optim import lr_scheduler

from microgpt_ref.schedules import SCHEDULES, one_cycle, warmup_cosine, warmup_stable_decay


def of_torch(steps, peak, build):
    """The learning rates that a scheduler of PyTorch gives to `steps` updates."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler, rates = build(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def rising(optimizer, warmup_steps):
    return lr_scheduler.LinearLR(optimizer, 1 / warmup_steps, 1.0, warmup_steps - 1)


@pytest.mark.parametrize(("steps", "warmup_steps"), [(100, 10), (7, 3), (50, 2)])
def test_warmup_cosine_is_torchs(steps, warmup_steps):
    def build(optimizer):
        fall = lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup_steps, 0.03)
        parts = [rising(optimizer, warmup_steps), fall]
        return lr_scheduler.SequentialLR(optimizer, parts, [warmup_steps])

    mine = [warmup_cosine(step, steps, warmup_steps, 0.3, 0.03) for step in range(steps)]
    assert mine == pytest.approx(of_torch(steps, 0.3, build), rel=1e-9)


@pytest.mark.parametrize("rise", ["linear", "cosine"])
@pytest.mark.parametrize(("steps", "warmup_steps"), [(100, 30), (10, 2), (40, 20)])
def test_one_cycle_is_torchs_up_and_down(steps, warmup_steps, rise):
    def build(optimizer):
        share, strategy = warmup_steps / steps, {"linear": "linear", "cosine": "cos"}[rise]
        return lr_scheduler.OneCycleLR(
            optimizer, 0.3, total_steps=steps + 1, pct_start=share * steps / (steps + 1),
            anneal_strategy=strategy, cycle_momentum=False, final_div_factor=100.0,
        )  # fmt: skip

    # total_steps + 1: PyTorch refuses the step after its last, which the loop above takes
    final = 0.3 / 25 / 100
    mine = [one_cycle(step, steps + 1, warmup_steps, 0.3, final, rise=rise) for step in range(steps)]
    theirs = of_torch(steps, 0.3, build)
    assert mine[:warmup_steps] == pytest.approx(theirs[:warmup_steps], rel=1e-9)
    if rise == "cosine":  # PyTorch falls as it rises; ours always falls as a cosine
        assert mine == pytest.approx(theirs, rel=1e-9)
    assert one_cycle(steps, steps + 1, warmup_steps, 0.3, final, rise=rise) == final


@pytest.mark.parametrize(("steps", "warmup_steps", "share"), [(100, 10, 0.2), (900, 30, 0.7), (20, 5, 0.75)])
def test_warmup_stable_decay_is_three_of_torchs(steps, warmup_steps, share):
    decay_steps = round(share * steps)

    def build(optimizer):
        fall = lr_scheduler.LinearLR(optimizer, 1.0, 0.1, decay_steps)
        parts = [rising(optimizer, warmup_steps), lr_scheduler.ConstantLR(optimizer, 1.0, 1), fall]
        return lr_scheduler.SequentialLR(optimizer, parts, [warmup_steps, steps - decay_steps])

    mine = [warmup_stable_decay(step, steps, warmup_steps, 0.3, 0.03, share) for step in range(steps)]
    assert mine == pytest.approx(of_torch(steps, 0.3, build), rel=1e-9)
    assert mine.count(0.3) >= steps - warmup_steps - decay_steps


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_rise_to_the_peak_and_fall_to_the_end(name):
    rates = [SCHEDULES[name](step, 100, 10, 1.0, 0.1) for step in range(101)]
    assert max(rates) == pytest.approx(1.0)
    assert 9 <= rates.index(max(rates)) <= 10
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup_steps"), [(1, 0), (1, 1), (2, 1), (5, 0), (5, 2)])
def test_edges(name, steps, warmup_steps):
    rates = [SCHEDULES[name](step, steps, warmup_steps, 1.0, 0.2) for step in range(steps + 2)]
    assert all(math.isfinite(rate) and 0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rise_longer_than_the_run_is_refused(name):
    with pytest.raises(ValueError, match="warmup_steps=6 is more than steps=5; use 5 or fewer"):
        SCHEDULES[name](0, 5, 6, 1.0, 0.0)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"decay_share=1\.5 is outside \[0, 1\]"):
        warmup_stable_decay(0, 10, 0, 1.0, 0.0, 1.5)
    with pytest.raises(ValueError, match="leaves 3 steps, fewer than warmup_steps=4; use warmup_steps=3"):
        warmup_stable_decay(0, 10, 4, 1.0, 0.0, 0.7)
    with pytest.raises(ValueError, match="rise='square' is not known; use linear or cosine"):
        one_cycle(0, 10, 4, 1.0, 0.0, rise="square")


def test_neither_torch_nor_jax_is_imported():
    code = "import microgpt_ref.schedules, sys; print(sorted({'torch', 'jax'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
