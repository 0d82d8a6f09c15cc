"""Parameter groups, AdamW and the schedule."""

import itertools
import math

import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT
from microgpt_ref.torch.optim import build_adamw, parameter_groups, warmup_cosine


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("position", ["learned", "rotary"])
def test_matrices_decay_and_nothing_else(tied: bool, position: str) -> None:
    model = GPT(GPTConfig(tied_head=tied, position=position, head_bias=True))  # type: ignore[arg-type]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decay, keep = parameter_groups(model, 0.1)
    assert decay["weight_decay"] == 0.1
    assert keep["weight_decay"] == 0.0
    decayed = {names[id(p)] for p in decay["params"]}
    kept = {names[id(p)] for p in keep["params"]}
    assert decayed.isdisjoint(kept)
    assert decayed | kept == set(names.values())
    matrices = ("qkv.weight", "out.weight", "up.weight", "down.weight", "head.weight")
    assert decayed == {name for name in names.values() if name.endswith(matrices)}


def test_frozen_parameters_are_left_out() -> None:
    model = GPT(GPTConfig())
    model.embedding.weight.requires_grad_(False)
    assert all(p is not model.embedding.weight for g in parameter_groups(model, 0.1) for p in g["params"])


def test_adamw_is_its_algorithm() -> None:
    """Algorithm 2 of Loshchilov & Hutter, written out, over 20 steps."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2, bias=False).double()
    mine = model.weight.detach().clone()
    optimizer = build_adamw(model, 0.01, 0.9, 0.99, 0.1)
    m, v = torch.zeros_like(mine), torch.zeros_like(mine)
    for step in range(1, 21):
        gradient = torch.randn_like(mine)
        model.weight.grad = gradient.clone()
        optimizer.step()
        m = 0.9 * m + 0.1 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        update = m / (1 - 0.9**step) / ((v / (1 - 0.99**step)).sqrt() + 1e-8)
        mine = mine - 0.01 * (update + 0.1 * mine)
        torch.testing.assert_close(model.weight.detach(), mine, rtol=1e-10, atol=1e-12)


def test_schedule_rises_straight_and_falls_as_a_cosine() -> None:
    rates = [warmup_cosine(step, 100, 10, 1.0, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    expected = 0.1 + 0.9 * (1 + math.cos(math.pi * 0.3)) / 2
    assert rates[37] == pytest.approx(expected)


def test_schedule_at_its_edges() -> None:
    assert warmup_cosine(0, 1, 0, 1.0, 0.0) == 1.0
    assert warmup_cosine(5, 5, 5, 1.0, 0.2) == 0.2
    with pytest.raises(ValueError, match="warmup_steps=6 is more than steps=5; use 5 or fewer"):
        warmup_cosine(0, 5, 6, 1.0, 0.0)
