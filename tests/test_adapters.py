"""Adapters on the disk: PEFT reads ours, we read PEFT's, and a bad folder gives one sentence."""

import copy
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.numpy import load_file, save_file

from microgpt_ref import adapters
from microgpt_ref.adapters import AdapterError
from microgpt_ref.config import GPTConfig
from microgpt_ref.lora import LoRAConfig
from microgpt_ref.torch import GPT
from microgpt_ref.torch.lora import (
    add_lora,
    extend_vocabulary,
    load_adapter,
    lora_layers,
    merge,
    new_tokens,
    remove_lora,
    save_adapter,
)

SMALL = GPTConfig(vocab_size=11, context=6, d_model=8, n_layer=2, n_head=2)
UNTIED = SMALL.replace(tied_head=False, head_bias=True)
LORA = LoRAConfig(rank=3, alpha=5.0, dropout=0.1, targets=("attention.qkv", "ffn.up"))
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def build(config: GPTConfig = SMALL, seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def trained(model: GPT, tokens: int = 0, config: LoRAConfig = LORA) -> GPT:
    """As training would leave it: nothing at its first value."""
    model = copy.deepcopy(model)
    if tokens:
        extend_vocabulary(model, tokens)
    add_lora(model, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def outputs(model: Any, vocab_size: int) -> torch.Tensor:
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, vocab_size, (3, 6)))
    with torch.no_grad():
        return model(tokens)


def same(mine: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tokens", [0, 2])
@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_round_trip(config: GPTConfig, tokens: int, tmp_path: Path) -> None:
    base = build(config)
    model = trained(base, tokens)
    folder = save_adapter(model, tmp_path / "deep" / "adapter", base="stories")
    again = load_adapter(copy.deepcopy(base), folder)
    assert not again.training
    assert again.config == model.config
    assert new_tokens(again) == tokens
    for (name, mine), (other, theirs) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert mine.requires_grad == theirs.requires_grad
        assert mine.detach().numpy().tobytes() == theirs.detach().numpy().tobytes()
    torch.testing.assert_close(
        outputs(again, again.config.vocab_size), outputs(model, model.config.vocab_size), rtol=0, atol=0
    )
    assert next(iter(lora_layers(again).values())).config == LORA
    assert adapters.load(folder).base == "stories"
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_it_holds_the_adapter_alone_merged_or_not(tmp_path: Path) -> None:
    model = trained(build())
    save_adapter(model, tmp_path / "a")
    save_adapter(merge(model), tmp_path / "b")
    for name in (CONFIG, WEIGHTS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    numbers = sum(array.size for array in load_file(tmp_path / "a" / WEIGHTS).values())
    assert numbers == 2 * 3 * ((8 + 24) + (8 + 32))


@pytest.mark.parametrize("tokens", [0, 2])
@pytest.mark.parametrize("tied", [True, False])
def test_peft_reads_ours(tied: bool, tokens: int, tmp_path: Path) -> None:
    """With new tokens PEFT needs a model that has rows for them, of whatever value."""
    base = build(SMALL.replace(tied_head=tied))
    model = trained(base, tokens)
    save_adapter(model, tmp_path, base="stories")
    larger = copy.deepcopy(base)
    if tokens:
        remove_lora(extend_vocabulary(larger, tokens, "normal"))
    if not tied and tokens:  # what PEFT cannot express: new rows of a head of its own
        with torch.no_grad():
            larger.head.weight[-tokens:] = model.head.new_rows.weight
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = peft.PeftModel.from_pretrained(larger, str(tmp_path)).eval()
    same(outputs(theirs, model.config.vocab_size), outputs(model, model.config.vocab_size))


@pytest.mark.parametrize("targets", [["attention.qkv", "ffn.up"], r".*(qkv|up)", "all-linear"], ids=str)
@pytest.mark.parametrize("tokens", [0, 2])
@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_we_read_pefts(config: GPTConfig, tokens: int, targets: Any, tmp_path: Path) -> None:
    base = build(config.replace(vocab_size=SMALL.vocab_size + tokens))
    rows = {"embedding": list(range(SMALL.vocab_size, base.config.vocab_size))} if tokens else None
    settings = peft.LoraConfig(r=3, lora_alpha=5, target_modules=targets, trainable_token_indices=rows)
    theirs = peft.get_peft_model(copy.deepcopy(base), settings).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    theirs.save_pretrained(str(tmp_path))
    model = load_adapter(copy.deepcopy(base), tmp_path)
    assert new_tokens(model) == tokens
    assert model.config == base.config
    V = base.config.vocab_size
    same(outputs(model, V), outputs(theirs, V))
    if tokens and config == SMALL:  # also onto a model without the rows: the adapter has them
        with torch.no_grad():
            small = build(SMALL)
            small.load_state_dict(
                {
                    name: tensor[: SMALL.vocab_size] if "embedding" in name else tensor
                    for name, tensor in base.state_dict().items()
                }
            )
        same(outputs(load_adapter(small, tmp_path), V), outputs(theirs, V))


def test_other_formats(tmp_path: Path) -> None:
    model = trained(build()).to(torch.bfloat16)
    save_adapter(model, tmp_path)
    assert {array.dtype for array in load_file(tmp_path / WEIGHTS).values()} == {np.dtype(np.float32)}
    again = load_adapter(build().to(torch.bfloat16), tmp_path)
    for name, layer in lora_layers(again).items():
        assert torch.equal(layer.A, lora_layers(model)[name].A)


def test_a_failed_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_adapter(trained(build()), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_adapter(trained(build(), 2), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def edit(folder: Path, **fields: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def rewrite(folder: Path, change: Any) -> None:
    """Change the tensors as another program would, without our header."""
    arrays = load_file(folder / WEIGHTS)
    change(arrays)
    save_file(arrays, folder / WEIGHTS)


QKV = "base_model.model.blocks.0.attention.qkv.lora_A.weight"
BREAKAGES: dict[str, tuple[Any, str]] = {
    "no folder": (shutil.rmtree, r"adapter_config\.json cannot be read .*; give the folder that"),
    "no tensors": (lambda f: (f / WEIGHTS).unlink(), r"safetensors cannot be read as safetensors"),
    "truncated": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-5]),
        r"cannot be read as safetensors .*; it may be truncated: copy it again",
    ),
    "a flipped bit": (
        lambda f: (f / WEIGHTS).write_bytes(
            (f / WEIGHTS).read_bytes()[:-1] + bytes([(f / WEIGHTS).read_bytes()[-1] ^ 1])
        ),
        r"is damaged: its tensors do not match its sha256; copy it again",
    ),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), r"adapter_config\.json cannot be read"),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), r"does not describe a LoRA adapter"),
    "another method": (lambda f: edit(f, peft_type="LOHA"), r"does not describe a LoRA adapter"),
    "another formula": (lambda f: edit(f, use_rslora=True), r"has use_rslora=True, which cannot be loaded"),
    "biases": (lambda f: edit(f, bias="all"), r"has bias='all', which cannot be loaded here; train without"),
    "files of two saves": (lambda f: edit(f, r=4), r"the two files in .* are not of one save"),
    "no alpha": (lambda f: edit(f, lora_alpha=None), r"adapter_config\.json cannot be used"),
    "rows of another table": (
        lambda f: edit(f, trainable_token_indices={"position": [1]}),
        r"trains rows of \['position'\]; only those of 'embedding'",
    ),
    "old rows": (
        lambda f: edit(f, trainable_token_indices=[2, 3]),
        r"has rows for the tokens \(2, 3\), but the model's next free ids begin at 11",
    ),
    "a missing tensor": (
        lambda f: rewrite(f, lambda arrays: arrays.pop(QKV)),
        r"the adapter has no tensor 'blocks\.0\.attention\.qkv\.A'; save it again",
    ),
    "a misshapen tensor": (
        lambda f: rewrite(f, lambda arrays: arrays.update({QKV: arrays[QKV].T.copy()})),
        r"'blocks\.0\.attention\.qkv\.A' has shape \(8, 3\), but rank 3 and this model need \(3, 8\)",
    ),
    "a superfluous tensor": (
        lambda f: rewrite(f, lambda arrays: arrays.update(other=np.zeros(3, np.float32))),
        r"the adapter's tensor 'other' has no place in this model",
    ),
    "another rank, as PEFT writes it": (
        lambda f: (rewrite(f, lambda arrays: None), edit(f, r=4)),
        r"'blocks\.0\.attention\.qkv\.A' has shape \(3, 8\), but rank 4 and this model need \(4, 8\)",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_bad_folder(name: str, tmp_path: Path) -> None:
    damage, message = BREAKAGES[name]
    save_adapter(trained(build()), tmp_path / "adapter")
    damage(tmp_path / "adapter")
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(AdapterError, match=message):
        load_adapter(model, tmp_path / "adapter")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.state_dict().keys() == before.keys()


def test_an_adapter_of_another_model(tmp_path: Path) -> None:
    save_adapter(trained(build(), 2), tmp_path, base="stories")
    for field, value, said in [("d_model", 16, "8"), ("n_layer", 3, "2"), ("activation", "relu", "'gelu'")]:
        message = (
            rf"made for a model with {field}={said}, this one has {value!r}; load it onto the model it was "
            r"trained on, stories"
        )
        with pytest.raises(AdapterError, match=message):
            load_adapter(build(SMALL.replace(**{field: value})), tmp_path)
    with pytest.raises(AdapterError, match=r"vocab_size=11, this one has 12"):
        load_adapter(build(SMALL.replace(vocab_size=12)), tmp_path)
    load_adapter(build(SMALL.replace(dropout=0.2)), tmp_path)
    rewrite(tmp_path, lambda arrays: None)  # without our header the shapes must say it
    with pytest.raises(AdapterError, match=r"has no tensor 'blocks\.2|has shape"):
        load_adapter(build(SMALL.replace(n_layer=3)), tmp_path)


def test_a_missing_target_of_peft(tmp_path: Path) -> None:
    save_adapter(trained(build()), tmp_path)
    rewrite(tmp_path, lambda arrays: None)
    edit(tmp_path, target_modules=["attention.qkv", "ffn.up", "c_attn"])
    with pytest.raises(AdapterError, match=r"does not fit the model: targets: 'c_attn' is no linear layer"):
        load_adapter(build(), tmp_path)


def test_models_that_have_or_lack_lora(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the model has no LoRA, so there is no adapter; call add_lora"):
        save_adapter(build(), tmp_path)
    save_adapter(trained(build()), tmp_path)
    for model in (trained(build()), extend_vocabulary(build(), 2)):
        with pytest.raises(ValueError, match=r"is extended or has LoRA already; call remove_lora"):
            load_adapter(model, tmp_path)
