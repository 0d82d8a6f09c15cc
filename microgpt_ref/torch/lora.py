"""LoRA in PyTorch: a low-rank change beside each frozen weight, and new tokens beside the frozen ones."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref import adapters
from microgpt_ref.lora import LoRAConfig, adapter_shapes, target_layers
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.vocabulary import (
    cut_vocabulary,
    extend_vocabulary,
    join_vocabulary,
    new_parameters,
    new_tokens,
)

__all__ = [
    "LoRALinear",
    "add_lora",
    "extend_vocabulary",
    "load_adapter",
    "lora_layers",
    "merge",
    "new_tokens",
    "remove_lora",
    "save_adapter",
    "trainable_parameters",
    "unmerge",
]


class LoRALinear(nn.Module):
    """base(x) + scale · B A x, with `base` frozen (Hu et al. 2021, eq. 3).

    B starts at zero, so the layer begins as the one it wraps.

    Attributes:
        base: the trained linear layer, (out, in).
        A: (rank, in), Kaiming-uniform with a = √5, that is uniform within ±1/√in, as PEFT starts it.
        B: (out, rank), zero.
        scale: alpha / rank.
        merged: whether `base.weight` holds the change at the moment.
    """

    def __init__(self, base: nn.Linear, config: LoRAConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(base.weight.new_empty(config.rank, base.in_features))  # (rank, inputs)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, config.rank))  # (outputs, rank)
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5), generator=generator)
        self.dropout = nn.Dropout(config.dropout)
        self.config, self.scale = config, config.scale
        self.original: Tensor | None = None
        self.train(base.training)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The frozen layer and, unless the weight holds it already, the change."""
        out = self.base(x)  # (..., outputs)
        if self.merged:
            return out
        low = functional.linear(self.dropout(x), self.A)  # (..., rank)
        return out + self.scale * functional.linear(low, self.B)

    @property
    def merged(self) -> bool:
        """Whether `base.weight` holds the change at the moment."""
        return self.original is not None

    def change(self) -> Float[Tensor, "outputs inputs"]:
        """What is added to the weight: scale · B A."""
        return self.scale * (self.B @ self.A)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to the weight, and keep a copy of the old one: (W + c) − c is not W in floats."""
        self.original = self.base.weight.detach().clone()
        self.base.weight.add_(self.change())

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the old weight back, bit for bit."""
        assert self.original is not None
        self.base.weight.copy_(self.original)
        self.original = None


def add_lora(model: GPT, config: LoRAConfig, generator: torch.Generator | None = None) -> GPT:
    """Wrap every target in place and freeze all else but the rows of new tokens; returns the model.

    Build the optimizer afterwards: it then gets A and B alone.

    Args:
        model: a plain GPT, or one with an extended vocabulary.
        config: which layers, and how.
        generator: source of A; None: torch's own.

    Raises:
        ValueError: if a target matches no linear layer, or the model has LoRA already.
    """
    if lora_layers(model):
        raise ValueError("the model has LoRA already; call remove_lora(model), which keeps what was learned")
    names = target_layers(model.config, config.targets)
    rows = new_parameters(model)
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is row for row in rows))
    for name in names:
        base = model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        _replace(model, name, LoRALinear(base, config, generator))
    return model


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """Name → layer of all that `add_lora` wrapped; empty for a plain model."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def merge(model: GPT) -> GPT:
    """Add every change to its weight, in place: the same outputs at the speed of the plain model.

    For use, not for training: A and B get no gradient. Until `unmerge`, a copy of each old weight is kept.

    Raises:
        ValueError: if the model is merged already or has no LoRA.
    """
    for layer in _layers_that_are(model, merged=False):
        layer.merge()
    return model


def unmerge(model: GPT) -> GPT:
    """Undo `merge`: the old weights come back bit for bit.

    Raises:
        ValueError: if the model is not merged or has no LoRA.
    """
    for layer in _layers_that_are(model, merged=True):
        layer.unmerge()
    return model


@torch.no_grad()
def remove_lora(model: GPT) -> GPT:
    """A plain GPT again, in place: changes merged, new rows joined to their tables, everything trainable.

    Its `state_dict()` has the names and shapes of `parameter_shapes(model.config)`.
    """
    for name, layer in lora_layers(model).items():
        if not layer.merged:
            layer.merge()
        _replace(model, name, layer.base)
    if new_tokens(model):
        join_vocabulary(model)
    model.requires_grad_(True)
    return model


def save_adapter(model: GPT, folder: str | os.PathLike[str], base: str = "") -> Path:
    """Write A, B and the rows of new tokens alone, as PEFT writes and reads them.

    With a tied head PEFT gets the new tokens, too, on a GPT whose tables have rows for them. It cannot
    express new rows of an untied head, and passes over those.

    Args:
        model: after `add_lora`, merged or not.
        folder: gets `adapter_config.json` and `adapter_model.safetensors`.
        base: the name of the model underneath, for people.

    Raises:
        ValueError: if the model has no LoRA.
    """
    layers, count = lora_layers(model), new_tokens(model)
    if not layers:
        raise ValueError("the model has no LoRA, so there is no adapter; call add_lora(model, config) first")
    config = next(iter(layers.values())).config
    plain = model.config.replace(vocab_size=model.config.vocab_size - count)
    parameters = dict(model.named_parameters())
    arrays = {name: _to_numpy(parameters[name]) for name in adapter_shapes(plain, config, count)}
    tokens = tuple(range(plain.vocab_size, model.config.vocab_size))
    return adapters.save(folder, adapters.Adapter(config, arrays, plain, tokens, base))


@torch.no_grad()
def load_adapter(model: GPT, folder: str | os.PathLike[str]) -> GPT:
    """Put a saved adapter, by `save_adapter` or by PEFT, onto a plain model in place; returns the model.

    Rows of new tokens come beside the model's tables, or take the place of its last rows if the adapter was
    trained on a model that had them already, as PEFT does it.

    Raises:
        AdapterError: if the folder is damaged or belongs to another model; the model is left as it was.
        ValueError: if the model has LoRA already.
    """
    adapter = adapters.load(folder)
    if lora_layers(model) or new_tokens(model):
        raise ValueError("the model is extended or has LoRA already; call remove_lora(model) first")
    count, arrays = len(adapter.tokens), dict(adapter.arrays)
    has_rows = bool(count) and adapter.tokens[-1] == model.config.vocab_size - 1
    plain = model.config.replace(vocab_size=model.config.vocab_size - count) if has_rows else model.config
    if has_rows and model.head.weight is not None:
        arrays.setdefault("head.new_rows.weight", _to_numpy(model.head.weight[-count:]))
    if has_rows and model.head.bias is not None:
        arrays.setdefault("head.new_bias", _to_numpy(model.head.bias[-count:]))
    adapter = dataclasses.replace(adapter, arrays=arrays)
    adapters.check(adapter, plain)
    if has_rows:
        cut_vocabulary(model, count)
    if count:
        extend_vocabulary(model, count)
    add_lora(model, adapter.config)
    parameters = dict(model.named_parameters())
    for name, array in arrays.items():
        parameters[name].copy_(torch.from_numpy(array))
    return model


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers an optimizer would change: those that require a gradient, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _layers_that_are(model: GPT, merged: bool) -> list[LoRALinear]:
    layers = list(lora_layers(model).values())
    if not layers:
        raise ValueError("the model has no LoRA; call add_lora(model, config) first")
    if any(layer.merged != merged for layer in layers):
        state, other = ("not merged", "merge") if merged else ("merged already", "unmerge")
        raise ValueError(f"the model is {state}; call {other}(model) first, or leave it as it is")
    return layers


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put another module in the place of that name."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def _to_numpy(parameter: Tensor) -> np.ndarray:
    """The numbers on the CPU; bfloat16, which NumPy does not have, as float32."""
    wide = parameter.float() if parameter.dtype == torch.bfloat16 else parameter
    return wide.detach().cpu().numpy()
