"""LoRA's settings and arithmetic: which layers, how many numbers, and what they are called.

LoRA (Hu et al. 2021) leaves a trained matrix W as it is and learns a change of low rank beside it:
W + (alpha / rank) · B A, with A (rank, in) and B (out, rank). Everything here is the same for all frameworks.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from microgpt_ref.config import GPTConfig
from microgpt_ref.parameters import parameter_shapes

ALL_LINEAR = ("attention.qkv", "attention.out", "ffn.gate", "ffn.up", "ffn.down")
"""The linear layers of a block. Only SwiGLU has a gate; where there is none, its name is passed over."""


@dataclass(frozen=True)
class LoRAConfig:
    """How a model is adapted (Hu et al. 2021, section 4.1).

    Raises:
        ValueError: for a value out of range.
    """

    rank: int = 8
    """Rows of A and columns of B: the rank of the change of each weight."""
    alpha: float = 16.0
    """The change is B A times alpha / rank, so that another rank needs no other learning rate."""
    dropout: float = 0.0
    """Probability of zeroing, in training, each number that goes into A."""
    targets: tuple[str, ...] = ALL_LINEAR
    """Which linear layers: names, or the ends of names, such as attention.qkv or blocks.0.ffn.up."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(
                f"rank={self.rank!r} is not a positive whole number; use 1 or more, often 8 or 16"
            )
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha={self.alpha!r} is not a positive finite number; use rank or twice rank")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r} is outside [0, 1); use 0 to switch it off")
        if not self.targets or not all(isinstance(target, str) and target for target in self.targets):
            raise ValueError(
                f"targets={self.targets!r} names no layer; use some of {', '.join(map(repr, ALL_LINEAR))}"
            )

    @property
    def scale(self) -> float:
        """The factor on B A: alpha / rank."""
        return self.alpha / self.rank

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return {**dataclasses.asdict(self), "targets": list(self.targets)}


def linear_layers(config: GPTConfig) -> dict[str, tuple[int, int]]:
    """Name → (out, in) of every linear layer in the blocks, the ones that LoRA can adapt.

    The embeddings and the head are tables with one row a token; new rows of theirs are trained as they are.
    """
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in parameter_shapes(config).items()
        if name.startswith("blocks.") and len(shape) == 2
    }


def target_layers(config: GPTConfig, targets: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Name → (out, in) of the linear layers whose name is a target or ends in "." and a target.

    Raises:
        ValueError: if a target matches no layer; the message lists the linear layers there are.
    """
    layers, targets = linear_layers(config), tuple(targets)
    found = {name: [target for target in targets if f".{name}".endswith(f".{target}")] for name in layers}
    matched = {target for of_layer in found.values() for target in of_layer}
    unknown = [target for target in targets if target not in matched]
    # what another architecture has may be missing here, as long as something is adapted
    if unknown and (not matched or not set(unknown) <= set(ALL_LINEAR)):
        wrong = next((target for target in unknown if target not in ALL_LINEAR), unknown[0])
        kinds = dict.fromkeys(re.sub(r"\d+", "*", name, count=1) for name in layers)
        raise ValueError(
            f"targets: {wrong!r} is no linear layer of this model; there are {', '.join(kinds)}, "
            f"with * from 0 to {config.n_layer - 1}"
        )
    return {name: shape for name, shape in layers.items() if found[name]}


def adapter_shapes(config: GPTConfig, lora: LoRAConfig, new_tokens: int = 0) -> dict[str, tuple[int, ...]]:
    """Name → shape of all that is trained: A and B of each target, and the rows of new tokens.

    Args:
        config: the model without the new tokens, or with them; only its other sizes matter.
        lora: the adaptation.
        new_tokens: how many rows the vocabulary is extended by.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in target_layers(config, lora.targets).items():
        shapes[f"{name}.A"] = (lora.rank, inputs)
        shapes[f"{name}.B"] = (outputs, lora.rank)
    if new_tokens:
        shapes["embedding.new_rows.weight"] = (new_tokens, config.d_model)
        if not config.tied_head:
            shapes["head.new_rows.weight"] = (new_tokens, config.d_model)
        if config.head_bias:
            shapes["head.new_bias"] = (new_tokens,)
    return shapes


def lora_parameters(config: GPTConfig, lora: LoRAConfig, new_tokens: int = 0) -> int:
    """How many numbers are trained, by formula: rank · (in + out) a target, and C (or 2 C) a new token."""
    layers = target_layers(config, lora.targets).values()
    rows = config.d_model * (1 if config.tied_head else 2) + int(config.head_bias)
    return lora.rank * sum(outputs + inputs for outputs, inputs in layers) + new_tokens * rows
