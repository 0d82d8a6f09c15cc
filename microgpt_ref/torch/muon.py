"""Muon: momentum whose update, one matrix at a time, is made orthogonal (Jordan et al. 2024).

https://kellerjordan.github.io/posts/muon/. A gradient of a linear layer is dominated by a few directions;
the update U Vᵀ that has the same singular vectors and all singular values 1 lets the rare directions learn
as fast as the common ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = Float[Tensor, "*batch rows columns"]

# a x + b x³ + c x⁵ with the steepest rise at 0 that still maps (0, 1] to about 1 ± 0.3 after five rounds
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Matrices, rounds: int = 5, dtype: torch.dtype = torch.bfloat16) -> Matrices:
    """About U Vᵀ for each matrix U S Vᵀ: the nearest matrix with orthonormal rows (or columns).

    The Newton–Schulz iteration X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X acts on each singular value alone, and
    needs matrix products only. It does not converge: singular values end between about 0.7 and 1.2, which
    trains as well and allows bf16. Those below about 0.001 of the matrix's norm stay small.

    Args:
        matrices: any number of one shape, multiplied as one batch.
        rounds: how often the polynomial is applied.
        dtype: format of the products; torch.float32 where the hardware has no fast bf16.

    Returns:
        the same shape and the same format as `matrices`.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices  # then X Xᵀ is the smaller of the two products
    norm = wide.norm(dim=(-2, -1), keepdim=True)  # an upper bound of the largest singular value
    x = (wide / (norm + 1e-7)).to(dtype)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


def orthogonalise_all(
    matrices: Sequence[Float[Tensor, "_ _"]], rounds: int = 5, dtype: torch.dtype = torch.bfloat16
) -> list[Float[Tensor, "_ _"]]:
    """`orthogonalise` of each, but those of one shape (or of its transpose) in one batched product."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault(tuple(sorted(matrix.shape)), []).append(index)
    results = list(matrices)
    for shape, indices in by_shape.items():
        wide = [matrices[i] if matrices[i].shape == shape else matrices[i].mT for i in indices]
        for i, result in zip(indices, orthogonalise(torch.stack(wide), rounds, dtype).unbind(), strict=True):
            results[i] = result if matrices[i].shape == shape else result.mT
    return results


def spectral_scale(rows: int, columns: int) -> float:
    """√max(1, rows / columns), of the write-up: a unit change of the learning rate moves outputs alike.

    An orthogonal update maps an input of root mean square 1 to an output of √(columns / rows) where the
    matrix is tall; the factor makes it 1, so one learning rate serves matrices of every shape.
    """
    return math.sqrt(max(1.0, rows / columns))


def adamw_scale(rows: int, columns: int) -> float:
    """0.2 √max(rows, columns) (Liu et al. 2025, arXiv:2502.16982, eq. 4): updates as large as AdamW's.

    The entries of U Vᵀ have root mean square 1/√max(rows, columns), those of AdamW's update 0.2 to 0.4; with
    this factor AdamW's learning rate and weight decay can be kept.
    """
    return 0.2 * math.sqrt(max(rows, columns))


SCALES: dict[str, Callable[[int, int], float]] = {"spectral": spectral_scale, "adamw": adamw_scale}


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal; for the matrices of hidden layers only.

    Embeddings, the head, norms and biases belong to AdamW: a row of an embedding is a vector of its own.
    Weight decay is AdamW's, w ← (1 − learning rate · decay) w, as Liu et al. (2025) add it.

    Args:
        params: matrices, or groups of them. A group may set "rows": the sizes into which its matrices are
            cut along the rows, each piece made orthogonal alone. A fused q, k, v projection has rows
            (C, kv_width, kv_width): as one matrix its three parts would share one set of directions.
        lr: learning rate; with the "spectral" scale it is the size of the update's singular values, so it
            does not depend on the width. 0.02 to 0.04 suit this course's models.
        momentum: share of the old direction that stays.
        weight_decay: strength of the decay.
        scale: "spectral" or "adamw", what the update is multiplied by for its shape (`SCALES`).
        dtype: format of the Newton–Schulz products.

    Raises:
        ValueError: for a parameter that is no matrix, rows that do not add up, or a setting out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.03,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        scale: str = "spectral",
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            if value < 0:
                raise ValueError(f"{name}={value} is negative; use 0 or more")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum} is outside [0, 1); use a value such as 0.95")
        if scale not in SCALES:
            raise ValueError(f"scale={scale!r} is not known; use one of {', '.join(SCALES)}")
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "rows": None}
        self.scale, self.dtype = SCALES[scale], dtype
        super().__init__(params, settings)
        for group in self.param_groups:
            for parameter in group["params"]:
                _check_matrix(parameter, group["rows"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        targets: list[Tensor] = []
        directions: list[Tensor] = []
        factors: list[float] = []
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            pieces = _cut(parameters, group["rows"])
            torch._foreach_mul_(pieces, 1 - group["lr"] * group["weight_decay"])
            targets += pieces
            directions += _cut(self._momentum(parameters, group["momentum"]), group["rows"])
            factors += [-group["lr"] * self.scale(*piece.shape) for piece in pieces]
        if targets:
            updates = orthogonalise_all(directions, dtype=self.dtype)
            torch._foreach_add_(targets, torch._foreach_mul(updates, factors))
        return loss

    def _momentum(self, parameters: list[Tensor], momentum: float) -> list[Tensor]:
        """The gradient's running mean, looked at one step ahead (Nesterov)."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        means = [self.state[parameter]["momentum"] for parameter in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, means, momentum))


def _cut(matrices: list[Tensor], rows: Sequence[int] | None) -> list[Tensor]:
    """Each matrix cut along its rows, as views."""
    if rows is None:
        return matrices
    return [piece for matrix in matrices for piece in matrix.split(list(rows))]


def _check_matrix(parameter: Tensor, rows: Sequence[int] | None) -> None:
    shape = tuple(parameter.shape)
    if len(shape) != 2:
        raise ValueError(f"Muon takes matrices, but a parameter has shape {shape}; give it to AdamW")
    if rows is not None and sum(rows) != shape[0]:
        raise ValueError(f"rows={tuple(rows)} add up to {sum(rows)}, but a matrix has {shape[0]} rows")
