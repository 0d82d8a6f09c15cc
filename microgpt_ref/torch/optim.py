"""What changes the weights: parameter groups, AdamW, and the learning rate over time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of linear layers decay; embeddings, positions, norms and biases do not.

    Decay pulls every weight towards zero at each step. A row of the embedding gets a gradient only when
    its token appears, so decay would wear rare tokens away; a norm's scale has no reason to be small.
    """
    undecayed = {
        parameter
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = [p for p in parameters if p.dim() >= 2 and p not in undecayed]
    keep = [p for p in parameters if p.dim() < 2 or p in undecayed]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]


def build_adamw(
    model: nn.Module, learning_rate: float, beta1: float, beta2: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) in PyTorch's fused version."""
    groups = parameter_groups(model, weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(beta1, beta2), fused=True)


def warmup_cosine(step: int, steps: int, warmup_steps: int, peak: float, final: float) -> float:
    """The learning rate of one step: a straight line up to `peak`, then half a cosine down to `final`.

    Args:
        step: 0 for the first update.
        steps: how many updates the whole run has.
        warmup_steps: how many updates the rise takes; the first already has peak / warmup_steps.

    Raises:
        ValueError: if warmup_steps is more than steps.
    """
    if warmup_steps > steps:
        raise ValueError(f"warmup_steps={warmup_steps} is more than steps={steps}; use {steps} or fewer")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= steps:
        return final
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)  # 0 … 1
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))
