"""Sampling: one token at a time from the model's distribution, with temperature and top-k."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from microgpt_ref._arguments import check_sampling
from microgpt_ref.torch.gpt import GPT


def keep_top_k(logits: Float[Tensor, "B V"], top_k: int) -> Float[Tensor, "B V"]:
    """All but the k largest logits set to −∞; ties with the k-th stay (Fan et al. 2018)."""
    kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]  # (B, 1)
    return logits.masked_fill(logits < kth, float("-inf"))


def choose(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B 1"]:
    """One token a row; temperature 0 takes the likeliest."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    logits = logits.float() / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)


@torch.inference_mode()
def stream(
    model: GPT,
    tokens: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Int[Tensor, "B 1"]]:
    """The new tokens, one step at a time; beyond the context the model sees the last T tokens only.

    Raises:
        ValueError: for an empty prompt, a negative temperature or count, or top_k below 1.
    """
    check_sampling(tokens.shape[1], max_new_tokens, temperature, top_k)
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(tokens[:, -model.config.context :])[:, -1]  # (B, V)
            chosen = choose(logits, temperature, top_k, generator)  # (B, 1)
            tokens = torch.cat((tokens, chosen), dim=1)
            yield chosen
    finally:
        model.train(was_training)


def generate(
    model: GPT,
    tokens: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B T_all"]:
    """The prompt and its continuation, T + max_new_tokens ids a row; see `stream` for the errors."""
    steps = stream(model, tokens, max_new_tokens, temperature, top_k, generator)
    return torch.cat((tokens, *steps), dim=1)
