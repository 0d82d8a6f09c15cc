"""What changes the weights: AdamW written out, parameter groups, and the optimisers of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import nn

from microgpt_ref.config import GPTConfig
from microgpt_ref.schedules import warmup_cosine
from microgpt_ref.torch.muon import Muon, orthogonalise
from microgpt_ref.torch.precision import has_fast_bf16
from microgpt_ref.torch.recipe import TrainConfig

__all__ = [
    "AdamW",
    "Muon",
    "build_adamw",
    "build_optimizers",
    "muon_groups",
    "orthogonalise",
    "parameter_groups",
    "set_learning_rates",
    "warmup_cosine",
]

Group = dict[str, Any]


class AdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) written out; `torch.optim.AdamW` is the fast version.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: learning rate.
        betas: memory of the gradient and of the squared gradient.
        eps: added to the root, against division by zero.
        weight_decay: each update first multiplies a weight by 1 − lr · weight_decay.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, weight: nn.Parameter, group: Group) -> None:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].mul_(beta1).add_((1 - beta1) * gradient)
        state["square"].mul_(beta2).add_((1 - beta2) * gradient**2)
        # both averages began at zero; without the division they would be too small at first
        mean = state["mean"] / (1 - beta1 ** state["step"])
        square = state["square"] / (1 - beta2 ** state["step"])
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.sub_(group["lr"] * mean / (square.sqrt() + group["eps"]))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[Group]:
    """Matrices of linear layers decay; embeddings, positions, norms and biases do not.

    Decay pulls every weight towards zero at each step. A row of the embedding gets a gradient only when
    its token appears, so decay would wear rare tokens away; a norm's scale has no reason to be small.
    """
    undecayed = _embeddings(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = [p for p in parameters if p.dim() >= 2 and p not in undecayed]
    keep = [p for p in parameters if p.dim() < 2 or p in undecayed]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]


def muon_groups(model: nn.Module) -> list[Group]:
    """The matrices of the blocks: all but embeddings, positions and the head; q, k and v by their rows."""
    config = cast(GPTConfig, model.config)
    kv_width = config.kv_heads * config.head_width
    embeddings = _embeddings(model)
    matrices = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and parameter.dim() == 2
        and parameter not in embeddings
        and not name.startswith("head.")
    }
    fused = [p for name, p in matrices.items() if name.endswith("qkv.weight")]
    others = [p for name, p in matrices.items() if not name.endswith("qkv.weight")]
    groups: list[Group] = [{"params": fused, "rows": (config.d_model, kv_width, kv_width)}]
    return [group for group in [*groups, {"params": others}] if group["params"]]


def build_adamw(
    model: nn.Module, learning_rate: float, beta1: float, beta2: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) in PyTorch's fused version."""
    groups = parameter_groups(model, weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(beta1, beta2), fused=True)


def build_optimizers(model: nn.Module, recipe: TrainConfig) -> list[torch.optim.Optimizer]:
    """The optimisers that `recipe.optimizer` names: AdamW alone, or AdamW and Muon.

    Muon multiplies in bf16 where the hardware is fast at it, else in float32.
    """
    if recipe.optimizer == "adamw":
        return [build_adamw(model, recipe.learning_rate, recipe.beta1, recipe.beta2, recipe.weight_decay)]
    device = next(model.parameters()).device
    matrices = muon_groups(model)
    of_muon = {parameter for group in matrices for parameter in group["params"]}
    rest = [
        {**group, "params": [p for p in group["params"] if p not in of_muon]}
        for group in parameter_groups(model, recipe.weight_decay)
    ]
    adamw = torch.optim.AdamW(
        [group for group in rest if group["params"]],
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        fused=True,
    )
    muon = Muon(
        matrices,
        lr=recipe.muon_learning_rate,
        momentum=recipe.muon_momentum,
        weight_decay=recipe.weight_decay,
        dtype=torch.bfloat16 if has_fast_bf16(device) else torch.float32,
    )
    return [adamw, muon]


def set_learning_rates(optimizers: list[torch.optim.Optimizer], recipe: TrainConfig, step: int) -> None:
    """Give every group the learning rate of that update, times its own "lr_scale" where it has one."""
    for optimizer in optimizers:
        of_muon = isinstance(optimizer, Muon)
        rate = recipe.muon_learning_rate_at(step) if of_muon else recipe.learning_rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)


def _embeddings(model: nn.Module) -> set[nn.Parameter]:
    """The tables of tokens and positions, which a lookup reads row by row."""
    return {
        parameter
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
