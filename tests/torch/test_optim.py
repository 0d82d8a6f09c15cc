"""Parameter groups, AdamW, and which optimiser gets what."""

import copy

import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS
from microgpt_ref.torch import GPT
from microgpt_ref.torch.optim import (
    AdamW,
    Muon,
    build_adamw,
    build_optimizers,
    muon_groups,
    parameter_groups,
    set_learning_rates,
)
from microgpt_ref.torch.recipe import TrainConfig


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


def test_adamw_written_out_is_torchs() -> None:
    """100 steps on a GPT, with groups of their own decay and a schedule, in float64."""
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=11, context=8, d_model=16, n_layer=2, n_head=2)
    mine = GPT(config).double()
    theirs = copy.deepcopy(mine)
    settings = {"lr": 3e-3, "betas": (0.9, 0.99), "eps": 1e-8}
    pairs = [
        (mine, AdamW(parameter_groups(mine, 0.1), **settings)),  # type: ignore[arg-type]
        (theirs, torch.optim.AdamW(parameter_groups(theirs, 0.1), **settings)),  # type: ignore[arg-type]
    ]
    for step in range(100):
        tokens = torch.randint(0, 11, (2, 4, 8))
        for model, optimizer in pairs:
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1 - step / 100)
            optimizer.zero_grad()
            model.loss(tokens[0], tokens[1]).backward()
            optimizer.step()
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7, msg=name)


@pytest.mark.parametrize("name", PRESETS)
def test_muon_gets_the_blocks_matrices_and_adamw_the_rest(name: str) -> None:
    with torch.device("meta"):
        model = GPT(PRESETS[name])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = muon_groups(model)
    of_muon = {names[id(p)] for group in groups for p in group["params"]}
    matrices = ("qkv.weight", "attention.out.weight", "up.weight", "gate.weight", "down.weight")
    assert of_muon == {n for n in names.values() if n.endswith(matrices)}
    assert not any(n.startswith(("embedding", "position", "head")) for n in of_muon)
    for group in groups:
        fused = [names[id(p)].endswith("qkv.weight") for p in group["params"]]
        assert all(fused) if "rows" in group else not any(fused)
    C = PRESETS[name].d_model
    assert groups[0]["rows"] == (C, C, C)
    decay, keep = parameter_groups(model, 0.1)
    assert {names[id(p)] for p in decay["params"]} - of_muon <= {"head.weight"}
    assert all("weight" not in names[id(p)] or p.dim() == 1 or "bed" in names[id(p)]
               or "position" in names[id(p)] for p in keep["params"])  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"tied_head": False}, {"n_kv_head": 1}, {"norm_weight": False}])
def test_every_parameter_belongs_to_one_optimiser(changes: dict[str, object]) -> None:
    config = GPTConfig(vocab_size=11, d_model=16, n_layer=2, n_head=2).replace(**changes)
    model = GPT(config)
    adamw, muon = build_optimizers(model, TrainConfig(optimizer="muon", weight_decay=0.3))
    assert isinstance(muon, Muon)
    groups = [*adamw.param_groups, *muon.param_groups]
    owned = [id(p) for group in groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    assert all(group["weight_decay"] in (0.0, 0.3) for group in groups)
    kv = config.kv_heads * config.head_width
    assert muon.param_groups[0]["rows"] == (16, kv, kv)
    (alone,) = build_optimizers(model, TrainConfig())
    assert isinstance(alone, torch.optim.AdamW)


def test_both_follow_the_schedule_each_from_its_peak() -> None:
    recipe = TrainConfig(
        optimizer="muon", steps=100, warmup_steps=10, schedule="wsd", decay_share=0.5, learning_rate=1e-2,
        muon_learning_rate=4e-2, final_learning_rate=1e-3,
    )  # fmt: skip
    optimizers = build_optimizers(GPT(GPTConfig(n_layer=1)), recipe)
    for step, share in [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (75, 0.55)]:
        set_learning_rates(optimizers, recipe, step)
        rates = [{group["lr"] for group in optimizer.param_groups} for optimizer in optimizers]
        assert [len(of_one) for of_one in rates] == [1, 1]
        assert rates[0].pop() == pytest.approx(1e-2 * share)
        assert rates[1].pop() == pytest.approx(4e-2 * share)
