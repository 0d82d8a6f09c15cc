"""LoRA in PyTorch, held to Hugging Face's PEFT and to what must not change."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn

from microgpt_ref.config import GPTConfig, count_parameters
from microgpt_ref.lora import ALL_LINEAR, LoRAConfig, linear_layers, lora_parameters
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.presets import PRESETS
from microgpt_ref.torch import GPT
from microgpt_ref.torch.lora import (
    LoRALinear,
    add_lora,
    extend_vocabulary,
    lora_layers,
    merge,
    new_tokens,
    remove_lora,
    trainable_parameters,
    unmerge,
)
from microgpt_ref.torch.muon import Muon
from microgpt_ref.torch.optim import muon_groups, parameter_groups
from tests.frameworks.cases import draw_case, random_config

SMALL = GPTConfig(vocab_size=11, context=6, d_model=8, n_layer=2, n_head=2)
UNTIED = SMALL.replace(tied_head=False, head_bias=True)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def build(config: GPTConfig, seed: int = 0) -> GPT:
    """A model with random weights everywhere, biases and norms too."""
    model = GPT(config)
    arrays = draw_case(config, seed).parameters
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model


def shake(model: GPT, seed: int = 0) -> GPT:
    """B away from zero, as after training, and A with it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.A.normal_(0, 0.5, generator=generator)
            layer.B.normal_(0, 0.5, generator=generator)
    return model


def batch(config: GPTConfig, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    tokens, targets = rng.integers(0, config.vocab_size, (2, 3, config.context))
    return torch.from_numpy(tokens), torch.from_numpy(targets)


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: p.detach().numpy().tobytes() for name, p in model.named_parameters()}


def random_lora(config: GPTConfig, seed: int) -> LoRAConfig:
    """Rank, alpha and one to all of the layers' kinds; dropout apart, where two programs differ by chance."""
    rng = np.random.default_rng(seed)
    kinds = list(dict.fromkeys(name.split(".", 2)[2] for name in linear_layers(config)))
    targets = rng.choice(kinds, size=rng.integers(1, len(kinds) + 1), replace=False)
    return LoRAConfig(int(rng.integers(1, 6)), float(rng.choice([1, 5, 16])), 0.0, tuple(map(str, targets)))


def peft_model(model: GPT, config: LoRAConfig, **more: Any) -> Any:
    settings = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=list(config.targets), **more
    )
    return peft.get_peft_model(copy.deepcopy(model), settings)


def copy_to_peft(model: GPT, theirs: Any) -> None:
    """Our A, B and new rows into PEFT's model."""
    with torch.no_grad():
        for name, layer in lora_layers(model).items():
            other = theirs.get_submodule(f"base_model.model.{name}")
            other.lora_A["default"].weight.copy_(layer.A)
            other.lora_B["default"].weight.copy_(layer.B)
        if new_tokens(model):
            adapter = theirs.base_model.model.embedding.token_adapter
            adapter.trainable_tokens_delta["default"].copy_(model.embedding.new_rows.weight)


@pytest.mark.parametrize("seed", range(12))
def test_outputs_and_gradients_are_those_of_peft(seed: int, dtype: torch.dtype) -> None:
    config = random_config(seed)
    lora, model = random_lora(config, seed), build(config, seed).eval()
    theirs = peft_model(model, lora).eval()
    add_lora(model, lora)
    shake(model, seed)
    copy_to_peft(model, theirs)
    case = draw_case(config, seed)
    tokens, targets = torch.from_numpy(case.tokens), torch.from_numpy(case.targets)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-10

    def same(mine: torch.Tensor, other: torch.Tensor) -> None:
        size = other.detach().abs().max()
        torch.testing.assert_close(mine / size, other / size, rtol=0, atol=tolerance)

    same(model(tokens), theirs(tokens))
    model.loss(tokens, targets).backward()
    theirs.loss(tokens, targets).backward()
    for name, layer in lora_layers(model).items():
        other = theirs.get_submodule(f"base_model.model.{name}")
        assert layer.A.grad is not None
        assert layer.B.grad is not None
        same(layer.A.grad, other.lora_A["default"].weight.grad)
        same(layer.B.grad, other.lora_B["default"].weight.grad)
    same(merge(model)(tokens), theirs.merge_and_unload()(tokens))
    unmerge(model)
    same(remove_lora(model)(tokens), theirs.base_model.model(tokens))


def test_a_starts_as_peft_starts_it_and_b_at_zero() -> None:
    config = SMALL.replace(d_model=64, n_head=4, n_layer=6)
    model = add_lora(GPT(config), LoRAConfig(rank=16), torch.Generator().manual_seed(0))
    theirs = peft_model(GPT(config), LoRAConfig(rank=16))
    for name, layer in lora_layers(model).items():
        other = theirs.get_submodule(f"base_model.model.{name}").lora_A["default"].weight
        bound = layer.A.shape[1] ** -0.5
        assert layer.A.shape == other.shape
        assert 0.97 * bound < float(layer.A.detach().abs().max()) <= bound
        assert 0.97 * bound < float(other.detach().abs().max()) <= bound
        assert float(layer.A.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.06)
        assert not layer.B.detach().any()


def test_it_begins_as_the_model_that_it_wraps() -> None:
    model, (tokens, _) = build(SMALL), batch(SMALL)
    before = model(tokens)
    after = add_lora(model, LoRAConfig(dropout=0.5))(tokens)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_a() -> None:
    a, b = (add_lora(build(SMALL), LoRAConfig(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert bits(a) == bits(b)


def test_only_a_and_b_are_trained() -> None:
    lora = LoRAConfig(rank=3, targets=("attention.qkv", "blocks.1.ffn.down"))
    model = add_lora(build(SMALL), lora)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    layers = ("blocks.0.attention.qkv", "blocks.1.attention.qkv", "blocks.1.ffn.down")
    assert trained == {f"{name}.{matrix}" for name in layers for matrix in "AB"}
    before = bits(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):  # B is zero at first, and A then has no gradient
        optimizer.zero_grad()
        model.loss(*batch(SMALL)).backward()
        optimizer.step()
    changed = {name for name, value in bits(model).items() if value != before[name]}
    assert changed == trained


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("tokens", [0, 4])
def test_the_formula_counts_what_is_trained(name: str, tokens: int) -> None:
    config, lora = PRESETS[name], LoRAConfig(rank=16, alpha=16.0)
    with torch.device("meta"):
        model = GPT(config)
        if tokens:
            extend_vocabulary(model, tokens)
        add_lora(model, lora)
    assert trainable_parameters(model) == lora_parameters(config, lora, tokens)
    remove_lora(model)
    assert trainable_parameters(model) == count_parameters(
        config.replace(vocab_size=config.vocab_size + tokens)
    )


def test_dropout_acts_in_training_only_and_on_the_input_of_a() -> None:
    linear = nn.Linear(500, 4).eval()
    layer = LoRALinear(linear, LoRAConfig(rank=500, alpha=500.0, dropout=0.25))
    with torch.no_grad():
        layer.A.copy_(torch.eye(500))
        layer.B.fill_(0).select(0, 0).fill_(1)
    x = torch.ones(2000, 500)
    assert not layer.training  # it takes over the mode of what it wraps
    torch.testing.assert_close(layer(x), linear(x) + torch.tensor([500.0, 0, 0, 0]))
    layer.train()
    kept = (layer(x) - linear(x)).detach()[:, 0] * 0.75  # how many of the 500 ones are left
    assert float(kept.mean()) == pytest.approx(375, abs=1)
    assert float(kept.std()) == pytest.approx((500 * 0.25 * 0.75) ** 0.5, rel=0.1)


def test_dropout_is_that_of_peft() -> None:
    lora = LoRAConfig(rank=3, dropout=0.4, targets=("ffn.up",))
    model = build(SMALL)
    theirs = peft_model(model, lora, lora_dropout=0.4)
    shake(add_lora(model, lora))
    copy_to_peft(model, theirs)
    tokens, _ = batch(SMALL)
    outputs = []
    for way in (model.train(), theirs.train()):
        torch.manual_seed(5)
        outputs.append(way(tokens))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)


def test_merging_there_and_back() -> None:
    model, (tokens, _) = shake(add_lora(build(SMALL), LoRAConfig(rank=2))), batch(SMALL)
    before, outputs = bits(model), model(tokens)
    merge(model)
    changed = {name for name, value in bits(model).items() if value != before[name]}
    assert changed == {f"{name}.base.weight" for name in lora_layers(model)}
    torch.testing.assert_close(model(tokens), outputs, rtol=1e-4, atol=1e-4)
    unmerge(model)
    assert bits(model) == before
    torch.testing.assert_close(model(tokens), outputs, rtol=0, atol=0)


def test_merging_twice_is_an_error_and_changes_nothing() -> None:
    model = shake(add_lora(build(SMALL), LoRAConfig()))
    with pytest.raises(ValueError, match=r"the model is not merged; call merge\(model\) first"):
        unmerge(model)
    before = bits(merge(model))
    with pytest.raises(ValueError, match=r"the model is merged already; call unmerge\(model\) first"):
        merge(model)
    assert bits(model) == before
    for way in (merge, unmerge):
        with pytest.raises(ValueError, match=r"the model has no LoRA; call add_lora"):
            way(build(SMALL))


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_a_plain_model_comes_out(config: GPTConfig, merged: bool) -> None:
    model = build(config).eval()
    extend_vocabulary(model, 2, "normal")
    shake(add_lora(model, LoRAConfig()))
    tokens, _ = batch(model.config)
    before = model(tokens)
    if merged:
        merge(model)
    assert remove_lora(model) is model
    assert not model.training
    assert model.config == config.replace(vocab_size=config.vocab_size + 2)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == parameter_shapes(model.config)
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(model(tokens), before, rtol=1e-4, atol=1e-4)
    again = GPT(model.config).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(tokens), model(tokens), rtol=0, atol=0)
    add_lora(extend_vocabulary(model, 1), LoRAConfig())  # and it can be adapted once more


def test_wrong_targets() -> None:
    swiglu = SMALL.replace(activation="swiglu")
    assert add_lora(build(swiglu), LoRAConfig()).blocks[0].ffn.gate.A.requires_grad
    add_lora(build(SMALL), LoRAConfig(targets=ALL_LINEAR))  # no gate, but the rest
    layers = r"there are blocks\.\*\.attention\.qkv, .*blocks\.\*\.ffn\.down, with \* from 0 to 1"
    for targets in [("qkv", "query"), ("query",), ("kv",), ("ffn",), ("blocks.2.ffn.up",), ("head",)]:
        wrong = targets[-1]
        with pytest.raises(
            ValueError, match=rf"targets: '{wrong}' is no linear layer of this model; {layers}"
        ):
            add_lora(build(SMALL), LoRAConfig(targets=targets))
    with pytest.raises(ValueError, match=r"targets: 'ffn\.gate' is no linear layer"):
        add_lora(build(SMALL), LoRAConfig(targets=("ffn.gate",)))
    with pytest.raises(ValueError, match=r"the model has LoRA already; call remove_lora\(model\)"):
        add_lora(add_lora(build(SMALL), LoRAConfig()), LoRAConfig())


# new tokens


@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_two_tables_are_the_joined_one(config: GPTConfig) -> None:
    """Same outputs, and the new rows' gradients are those rows of the joined table's."""
    model = extend_vocabulary(build(config).double(), 3, "normal", torch.Generator().manual_seed(0))
    joined = remove_lora(copy.deepcopy(model))
    tokens, targets = batch(model.config)
    assert (tokens >= config.vocab_size).any()
    assert (targets >= config.vocab_size).any()
    torch.testing.assert_close(model(tokens), joined(tokens), rtol=1e-12, atol=1e-12)
    for one in (model, joined):
        one.loss(tokens, targets).backward()
    pairs = [(model.embedding.new_rows.weight, joined.embedding.weight)]
    if not config.tied_head:
        pairs += [(model.head.new_rows.weight, joined.head.weight), (model.head.new_bias, joined.head.bias)]
    for mine, all_rows in pairs:
        torch.testing.assert_close(mine.grad, all_rows.grad[-3:], rtol=0, atol=1e-7)
        assert mine.grad.abs().sum() > 0


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_those_of_peft(tied: bool) -> None:
    """PEFT trains rows of the embedding (and with it of a tied head) by `trainable_token_indices`."""
    lora, count = LoRAConfig(rank=2, targets=("qkv", "down")), 2
    model = extend_vocabulary(build(SMALL.replace(tied_head=tied)).double(), count, "normal")
    indices = {"embedding": [SMALL.vocab_size, SMALL.vocab_size + 1]}
    theirs = peft_model(remove_lora(copy.deepcopy(model)), lora, trainable_token_indices=indices)
    shake(add_lora(model, lora))
    with torch.no_grad():
        model.embedding.new_rows.weight.add_(1)
        if not tied:
            model.head.new_rows.weight.requires_grad_(False)
    copy_to_peft(model, theirs)
    tokens, targets = batch(model.config)
    torch.testing.assert_close(model(tokens), theirs(tokens), rtol=1e-10, atol=1e-10)
    model.loss(tokens, targets).backward()
    theirs.loss(tokens, targets).backward()
    adapter = theirs.base_model.model.embedding.token_adapter
    mine = model.embedding.new_rows.weight.grad
    # the loss itself is taken in float32
    torch.testing.assert_close(mine, adapter.trainable_tokens_delta["default"].grad, rtol=1e-6, atol=1e-6)
    assert trainable_parameters(model) == trainable_parameters(theirs)


def test_new_rows_start_at_the_mean() -> None:
    model = build(UNTIED)
    means = [table.detach().mean(0) for table in (model.embedding.weight, model.head.weight, model.head.bias)]
    tokens, _ = batch(UNTIED)
    old = model(tokens)
    extend_vocabulary(model, 2)
    rows = [model.embedding.new_rows.weight, model.head.new_rows.weight, model.head.new_bias]
    for row, mean in zip(rows, means, strict=True):
        torch.testing.assert_close(row.detach(), torch.stack((mean, mean)))
    logits = model(tokens)
    torch.testing.assert_close(logits[..., :-2], old, rtol=0, atol=0)
    average = old.logsumexp(-1) - np.log(UNTIED.vocab_size)
    assert (logits[..., -1] <= average + 1e-5).all()
    spread = build(SMALL.replace(vocab_size=500))
    extend_vocabulary(spread, 400, "normal", torch.Generator().manual_seed(0))
    new, table = spread.embedding.new_rows.weight.detach(), spread.embedding.weight
    torch.testing.assert_close(new.std(0), table.std(0), rtol=0.15, atol=0)
    assert ((new.mean(0) - table.mean(0)).abs() < 5 * table.std(0) / 20).all()


def optimizers(model: GPT, which: str) -> list[torch.optim.Optimizer]:
    if which == "sgd on everything":
        return [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5)]
    if which == "adamw on everything":
        return [torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)]
    if which == "muon":
        of_muon = Muon(muon_groups(model), lr=0.1, momentum=0.9, weight_decay=0.5, dtype=torch.float32)
        return [of_muon, torch.optim.AdamW(parameter_groups(model, 0.5), lr=0.1)]
    return [torch.optim.AdamW(parameter_groups(model, 0.5), lr=0.1)]


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("which", ["course", "muon", "sgd on everything", "adamw on everything"])
@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_old_rows_stay_bit_for_bit(config: GPTConfig, which: str, lora: bool) -> None:
    model = extend_vocabulary(build(config), 2)
    if lora:
        add_lora(model, LoRAConfig(rank=2))
    old = ("embedding.weight", "head.weight", "head.bias")
    before, steps = bits(model), optimizers(model, which)
    for seed in range(3):
        model.zero_grad()
        model.loss(*batch(model.config, seed)).backward()
        for optimizer in steps:
            optimizer.step()
    after = bits(model)
    for name in before:
        frozen = name in old or (lora and not name.endswith((".A", ".B")) and "new" not in name)
        assert (after[name] == before[name]) == frozen, name
    remove_lora(model)
    for name in set(old) & set(before):
        rows = dict(model.named_parameters())[name].detach()[: config.vocab_size]
        assert rows.numpy().tobytes() == before[name]


@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_new_rows_do_not_decay_and_are_not_muons(config: GPTConfig) -> None:
    model = add_lora(extend_vocabulary(build(config), 2), LoRAConfig(rank=2))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decay, keep = ([names[p] for p in group["params"]] for group in parameter_groups(model, 0.1))
    assert all(name.endswith((".A", ".B")) for name in decay)
    rows = ["embedding.new_rows.weight"]
    assert keep == rows if config.tied_head else [*rows, "head.new_bias", "head.new_rows.weight"]
    of_muon = [names[p] for group in muon_groups(model) for p in group["params"]]
    assert sorted(of_muon) == sorted(decay)
    assert lora_parameters(config, LoRAConfig(rank=2), 2) == trainable_parameters(model)


def test_extending_wrongly() -> None:
    for count in (0, -1, 1.5, True):
        with pytest.raises(Exception, match="new_tokens"):
            extend_vocabulary(build(SMALL), count)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="initial"):
        extend_vocabulary(build(SMALL), 1, "zeros")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the vocabulary is extended already; call remove_lora\(model\)"):
        extend_vocabulary(extend_vocabulary(build(SMALL), 1), 1)
    with pytest.raises(IndexError):
        extend_vocabulary(build(SMALL), 1)(torch.tensor([[SMALL.vocab_size + 1]]))


def test_parameters_can_be_put_back_by_name() -> None:
    """What resuming needs: every parameter has one name, and a model built the same way takes them all."""
    models = [
        shake(add_lora(extend_vocabulary(build(SMALL), 2, "normal"), LoRAConfig()), seed) for seed in (0, 1)
    ]
    saved = {name: parameter.detach().clone() for name, parameter in models[0].named_parameters()}
    assert sum(value.numel() for value in saved.values()) == sum(p.numel() for p in models[0].parameters())
    with torch.no_grad():
        for name, parameter in models[1].named_parameters():
            parameter.copy_(saved[name])
    tokens, _ = batch(models[0].config)
    torch.testing.assert_close(models[1](tokens), models[0](tokens), rtol=0, atol=0)


def test_a_copy_is_independent() -> None:
    model = shake(add_lora(extend_vocabulary(build(SMALL), 2), LoRAConfig()))
    twin = copy.deepcopy(merge(model))
    before = bits(twin)
    unmerge(model)
    assert bits(twin) == before
    with torch.no_grad():
        twin.embedding.new_rows.weight.add_(1)
    assert twin.head.new_rows.weight is twin.embedding.new_rows.weight
    unmerge(twin)


def test_it_learns() -> None:
    """A batch that the frozen model does not know is learned by A, B and new rows alone."""
    torch.manual_seed(0)
    model = add_lora(extend_vocabulary(build(SMALL), 2), LoRAConfig(rank=4))
    tokens, targets = batch(model.config)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.0), lr=0.05)
    before = float(model.loss(tokens, targets))
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(tokens, targets).backward()
        optimizer.step()
    assert float(model.loss(tokens, targets)) < 0.5 * before


def test_bfloat16_keeps_its_format() -> None:
    model = build(SMALL).to(torch.bfloat16)
    add_lora(extend_vocabulary(model, 2), LoRAConfig())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    tokens, targets = batch(model.config)
    model.loss(tokens, targets).backward()
    assert remove_lora(model)(tokens).dtype == torch.bfloat16
