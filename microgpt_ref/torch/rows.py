"""Linear layers for a few rows on a CPU, where time goes into reading the weights.

For one row PyTorch's matrix product reads a weight slower than memory could give it; see
`benchmarks/results/decoding.json`. The
same product as a batch of smaller ones is spread over the cores and reads it once, in order. The numbers are
the same up to rounding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref.torch.gpt import GPT, Head

MOST_ROWS = 16
"""With more rows the ordinary product is as fast."""


def rows_linear(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*batch outputs"]:
    """x Wᵀ + b, with the weight's rows in 4 to 32 pieces that are multiplied side by side."""
    outputs, inputs = weight.shape
    rows, pieces = x.numel() // inputs, count_pieces(outputs)
    if pieces == 1 or rows > MOST_ROWS:
        return functional.linear(x, weight, bias)
    columns = x.reshape(rows, inputs).t().expand(pieces, inputs, rows)
    parts = weight.view(pieces, -1, inputs)
    if bias is None:
        out = torch.bmm(parts, columns)
    else:
        out = torch.baddbmm(bias.view(pieces, -1, 1), parts, columns)
    return out.view(outputs, rows).t().reshape(*x.shape[:-1], outputs)


def count_pieces(outputs: int) -> int:
    """The smallest number from 4 to 32 that divides the outputs; 1 if none does."""
    return next((n for n in range(4, 33) if outputs % n == 0), 1)


class RowsLinear(nn.Linear):
    """`nn.Linear` by `rows_linear`, with as little around the product as can be for a single row."""

    parts: Tensor
    bias_parts: Tensor

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """x Wᵀ + b."""
        if x.numel() != self.in_features:
            return rows_linear(x, self.weight, self.bias)
        # transposed, not reshaped to a column: by its strides the product chooses a faster kernel
        column = x.reshape(1, -1).t().expand(len(self.parts), -1, -1)
        return torch.baddbmm(self.bias_parts, self.parts, column).view(*x.shape[:-1], -1)

    def split(self) -> None:
        """Views of the parameters in pieces, once for all steps."""
        pieces = count_pieces(self.out_features)
        self.parts = self.weight.detach().view(pieces, -1, self.in_features)
        no_bias = self.weight.detach().new_zeros(())
        self.bias_parts = no_bias if self.bias is None else self.bias.detach().view(pieces, -1, 1)


class RowsHead(Head):
    """The head by `rows_linear`."""

    def forward(self, x: Float[Tensor, "B T C"], embedding: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
        """x Wᵀ + b."""
        return rows_linear(x, embedding if self.weight is None else self.weight, self.bias)


def for_few_rows(model: GPT) -> GPT:
    """The same model with the same parameters, its linear layers replaced; the model itself is left alone."""
    twin = replace_layers(model, {nn.Linear: RowsLinear, Head: RowsHead})
    for module in twin.modules():
        if isinstance(module, RowsLinear):
            module.split()
    return twin


def replace_layers(model: GPT, classes: dict[type[nn.Module], type[nn.Module]]) -> GPT:
    """A copy that shares all parameters, in which layers of some classes have become others."""

    def twin(module: nn.Module) -> Any:
        copied = copy.copy(module)
        copied._modules = {name: child and twin(child) for name, child in module._modules.items()}
        copied.__class__ = classes.get(type(module), type(module))
        return copied

    return twin(model)
