"""New tokens for a trained PyTorch model: rows of their own beside the frozen tables."""

from __future__ import annotations

from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from microgpt_ref.torch.gpt import GPT, Head

Initial = Literal["mean", "normal"]


class ExtendedEmbedding(nn.Embedding):
    """The frozen table `weight` (V, C), and `new_rows` for the ids from V on. Neither is copied."""

    def __init__(self, old: nn.Embedding, new_rows: nn.Embedding) -> None:
        super().__init__(old.num_embeddings, old.embedding_dim, _weight=old.weight.detach(), _freeze=True)
        self.new_rows = new_rows
        self.train(old.training)

    def forward(self, tokens: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch C"]:
        """Look every id up in both tables and take the one that has it; shapes depend on no id's value."""
        V = self.num_embeddings
        old = functional.embedding(tokens.clamp(max=V - 1), self.weight)  # (..., C)
        new = self.new_rows((tokens - V).clamp(min=0))  # (..., C)
        return torch.where((tokens >= V).unsqueeze(-1), new, old)


class ExtendedHead(Head):
    """Two products side by side: the logits of the old tokens, then those of the new ones.

    With a tied head `new_rows` is the embedding's own module, as the table is the embedding's own.
    """

    def __init__(self, old: Head, new_rows: nn.Embedding, new_bias: nn.Parameter | None) -> None:
        nn.Module.__init__(self)
        self.weight, self.bias = old.weight, old.bias
        self.requires_grad_(False)
        self.new_rows, self.new_bias = new_rows, new_bias
        self.train(old.training)

    def forward(
        self, x: Float[Tensor, "B T C"], embedding: Float[Tensor, "V C"]
    ) -> Float[Tensor, "B T V_all"]:
        """x Wᵀ + b for V old and n new tokens."""
        old = super().forward(x, embedding)  # (B, T, V)
        new = functional.linear(x, self.new_rows.weight, self.new_bias)  # (B, T, n)
        return torch.cat((old, new), dim=-1)


@torch.no_grad()
def extend_vocabulary(
    model: GPT, new_tokens: int, initial: Initial = "mean", generator: torch.Generator | None = None
) -> GPT:
    """Add rows for new tokens, in place, as parameters of their own; the old rows are frozen.

    `model.config.vocab_size` grows. Follow with `add_lora`, or with `remove_lora` for a plain, larger model.

    Args:
        model: a plain GPT, or one with LoRA.
        new_tokens: how many; their ids follow the old ones.
        initial: "mean": each new row is the mean of the old ones, so that no new token is likelier than an
            average old one (Hewitt 2021); "normal": around the mean, with the old rows' spread a channel.
        generator: source of "normal"; None: torch's own.

    Raises:
        ValueError: if `new_tokens` or `initial` is no such value, or the model is extended already.
    """
    if isinstance(new_tokens, bool) or not isinstance(new_tokens, int) or new_tokens < 1:
        raise ValueError(f"new_tokens={new_tokens!r} is not a positive whole number; use 1 or more")
    if initial not in ("mean", "normal"):
        raise ValueError(f"initial={initial!r} is not known; use 'mean' or 'normal'")
    if isinstance(model.embedding, ExtendedEmbedding):
        raise ValueError("the vocabulary is extended already; call remove_lora(model), which joins its rows")

    def rows(old: Tensor) -> nn.Embedding:
        centre = old.mean(0, keepdim=True)  # (1, C)
        drawn = centre.repeat(new_tokens, 1)  # (n, C)
        if initial == "normal":
            noise = torch.empty_like(drawn).normal_(generator=generator)  # (n, C)
            drawn = drawn + noise * old.std(0, unbiased=False)  # (n, C)
        return nn.Embedding(new_tokens, drawn.shape[1], _weight=drawn)

    embedding, head = model.embedding, model.head
    of_embedding = rows(embedding.weight)
    of_head = of_embedding if head.weight is None else rows(head.weight)
    bias = None if head.bias is None else nn.Parameter(head.bias.mean().repeat(new_tokens))
    model.embedding = ExtendedEmbedding(embedding, of_embedding)
    model.head = ExtendedHead(head, of_head, bias)
    model.config = model.config.replace(vocab_size=model.config.vocab_size + new_tokens)
    return model


@torch.no_grad()
def join_vocabulary(model: GPT) -> GPT:
    """Join the new rows to the old tables, in place; the model is plain again, and larger."""
    embedding, head = cast(ExtendedEmbedding, model.embedding), cast(ExtendedHead, model.head)
    table = torch.cat((embedding.weight, embedding.new_rows.weight))  # (V, C)
    head_table = None if head.weight is None else torch.cat((head.weight, head.new_rows.weight))
    bias = None if head.bias is None else torch.cat((head.bias, cast(Tensor, head.new_bias)))
    _set_tables(model, table, head_table, bias)
    return model


@torch.no_grad()
def cut_vocabulary(model: GPT, tokens: int) -> GPT:
    """Take the last so many tokens off a plain model, in place."""
    head = model.head
    table = model.embedding.weight[:-tokens].clone()  # (V, C)
    head_table = None if head.weight is None else head.weight[:-tokens].clone()
    _set_tables(model, table, head_table, None if head.bias is None else head.bias[:-tokens].clone())
    return model


def new_tokens(model: GPT) -> int:
    """By how many tokens `extend_vocabulary` has extended the model; 0 for a plain one."""
    embedding = model.embedding
    return embedding.new_rows.num_embeddings if isinstance(embedding, ExtendedEmbedding) else 0


def new_parameters(model: GPT) -> list[nn.Parameter]:
    """The rows of new tokens, and the head's bias for them."""
    return [parameter for name, parameter in model.named_parameters() if ".new_" in name]


def _set_tables(model: GPT, table: Tensor, head_table: Tensor | None, bias: Tensor | None) -> None:
    """Give the model plain tables of tokens, of whatever number of rows."""
    embedding = nn.Embedding(len(table), table.shape[1], _weight=table).train(model.embedding.training)
    head = Head.__new__(Head)
    nn.Module.__init__(head)
    head.weight = None if head_table is None else nn.Parameter(head_table)
    head.bias = None if bias is None else nn.Parameter(bias)
    model.embedding, model.head = embedding, head.train(model.head.training)
    model.config = model.config.replace(vocab_size=len(table))
