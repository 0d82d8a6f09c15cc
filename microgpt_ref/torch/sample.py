"""Sampling: one token at a time from the model's distribution, with the usual filters on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from microgpt_ref._arguments import check_sampling
from microgpt_ref.sampling import PAD, Sampling, Stop, Stopping
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.readers import align_left, build_reader, seen_tokens

Logits = Float[Tensor, "B V"]


def keep_top_k(logits: Logits, top_k: int) -> Logits:
    """All but the k largest logits set to −∞; ties with the k-th stay (Fan et al. 2018)."""
    kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]  # (B, 1)
    return logits.masked_fill(logits < kth, float("-inf"))


def keep_top_p(logits: Logits, top_p: float) -> Logits:
    """The nucleus: the fewest likeliest tokens with probability `top_p` together (Holtzman et al. 2020).

    The others are set to −∞. The likeliest always stays; of tokens that are equally likely, those with the
    smaller ids go first.
    """
    ascending = logits.sort(dim=-1, stable=True)
    goes = ascending.values.softmax(-1).cumsum(-1) <= 1 - top_p  # (B, V)
    goes[:, -1] = False
    return logits.masked_fill(goes.scatter(-1, ascending.indices, goes), float("-inf"))


def keep_min_p(logits: Logits, min_p: float) -> Logits:
    """Tokens less likely than `min_p` times the likeliest set to −∞ (Nguyen et al. 2024)."""
    probabilities = logits.softmax(-1)  # (B, V)
    too_small = probabilities < min_p * probabilities.amax(-1, keepdim=True)  # (B, V)
    return logits.masked_fill(too_small, float("-inf"))


def penalise_repetition(logits: Logits, seen: Bool[Tensor, "B V"], penalty: float) -> Logits:
    """Logits of tokens that occurred: positive ones divided, negative multiplied (Keskar et al. 2019)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def process(logits: Logits, sampling: Sampling, seen: Bool[Tensor, "B V"] | None = None) -> Logits:
    """The logits after all that is asked for, in Hugging Face's order; their softmax is what is drawn from.

    Args:
        sampling: the settings; a temperature of 0 is left out, as it changes no order.
        seen: which tokens occurred; only the repetition penalty needs it.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if sampling.repetition_penalty != 1 and seen is not None:
        logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def draw(
    logits: Logits,
    sampling: Sampling,
    generator: torch.Generator | None = None,
    seen: Bool[Tensor, "B V"] | None = None,
) -> Int[Tensor, "B 1"]:
    """One token a row; temperature 0 takes the likeliest."""
    logits = process(logits, sampling, seen)
    if sampling.temperature == 0:
        return logits.argmax(-1, keepdim=True)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)


def choose(
    logits: Logits,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    seen: Bool[Tensor, "B V"] | None = None,
) -> Int[Tensor, "B 1"]:
    """`draw` with the settings one by one."""
    return draw(logits, Sampling(temperature, top_k, top_p, min_p, repetition_penalty), generator, seen)


@torch.inference_mode()
def stream(
    model: GPT,
    tokens: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: Stop = (),
    lengths: Sequence[int] | None = None,
    padding: str = "right",
    cache: bool = True,
    compile: bool = False,
) -> Iterator[Int[Tensor, "B 1"]]:
    """The new tokens, one step at a time.

    Of a prompt longer than the context the model sees the last `context` tokens. What happens when the text
    outgrows the context later depends on `cache` and on the model's positions; see
    `microgpt_ref.torch.readers`.

    Args:
        temperature, top_k, top_p, min_p, repetition_penalty: see `microgpt_ref.sampling.Sampling`. The
            penalty counts the prompt too.
        generator: source of the draws; None: torch's own.
        stop: token ids, or sequences of them, that end a row. They are given out. A row that has stopped
            gives −1 while others go on; when all have stopped, the stream ends.
        lengths: for prompts of different lengths in one batch: how many tokens each has. The rest is padding,
            whose ids do not matter.
        padding: the side of it, "right" or "left".
        cache: whether keys and values are kept, or the whole text is read again for each token.
        compile: whether the step with a cache is compiled first, which takes a while: for long texts.

    Raises:
        ValueError: for an empty prompt, or a setting that cannot be meant.
    """
    sampling = check_sampling(
        tokens.shape[1],
        max_new_tokens,
        temperature,
        top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    if lengths is not None:
        tokens = align_left(tokens, lengths, padding)
    stopping = Stopping(stop, rows=len(tokens))
    seen = seen_tokens(tokens, lengths, model.config.vocab_size) if repetition_penalty != 1 else None
    was_training = model.training
    model.eval()
    try:
        reader = build_reader(model, tokens, lengths, max_new_tokens, cache, compile)
        for _ in range(max_new_tokens):
            chosen = draw(reader.logits(), sampling, generator, seen)  # (B, 1)
            if seen is not None:
                seen.scatter_(1, chosen, True)
            reader.append(chosen)
            if not stopping.sequences:
                yield chosen
                continue
            going = torch.tensor([not stopped for stopped in stopping.stopped], device=chosen.device)
            yield chosen.where(going[:, None], PAD)
            stopping.add(chosen[:, 0].tolist())
            if all(stopping.stopped):
                return
    finally:
        model.train(was_training)


def generate(
    model: GPT,
    tokens: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: Stop = (),
    lengths: Sequence[int] | None = None,
    padding: str = "right",
    cache: bool = True,
    compile: bool = False,
) -> Int[Tensor, "B T_all"]:
    """The prompts as they were given, then the new tokens: T + max_new_tokens ids a row, or fewer.

    See `stream` for the arguments and errors.
    """
    steps = stream(
        model,
        tokens,
        max_new_tokens,
        temperature,
        top_k,
        generator,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=stop,
        lengths=lengths,
        padding=padding,
        cache=cache,
        compile=compile,
    )
    return torch.cat((tokens, *steps), dim=1)
