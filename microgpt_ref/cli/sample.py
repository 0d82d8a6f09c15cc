"""`microgpt sample`: continue a prompt with a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import tyro

from microgpt_ref.sampling import PAD, Sampling, decode_stream, stop_text

if TYPE_CHECKING:
    from microgpt_ref.tokenizers import Tokenizer
    from microgpt_ref.torch import GPT


@dataclass(frozen=True)
class Sample:
    """Continue a prompt with a trained model."""

    checkpoint: Path | None = None
    """A .safetensors file or the folder of a run. None: the small model that comes with the package."""
    prompt: str = "\n"
    """Text to continue; a newline begins a new story."""
    tokens: int = 400
    """How many new tokens at most."""
    stop: tuple[str, ...] = ()
    """Texts, or names of special tokens, that end the sample; they are not printed."""
    seed: int = 0
    """The same seed gives the same text."""
    sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(
        default_factory=lambda: Sampling(temperature=0.8)
    )


def sample(command: Sample) -> int:
    """`microgpt sample`."""
    from microgpt_ref import checkpoint

    model, tokenizer = checkpoint.load_model(command.checkpoint)
    prompt = tokenizer.encode(command.prompt)
    generator = torch.Generator().manual_seed(command.seed)
    print(command.prompt.lstrip("\n"), end="")
    for piece in pieces(model, tokenizer, prompt, command.tokens, command.sampling, command.stop, generator):
        print(piece, end="", flush=True)
    print()
    return 0


def pieces(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: list[int],
    tokens: int,
    sampling: Sampling,
    stop: tuple[str, ...] = (),
    generator: torch.Generator | None = None,
) -> Iterator[str]:
    """The continuation of a prompt's ids as text, as it grows, without what ended it.

    Args:
        tokens: how many new ones at most.
        stop: texts or names of special tokens.
        generator: source of the draws.
    """
    from microgpt_ref.torch.sample import stream

    names = [each for each in stop if each in tokenizer.special_tokens]
    ends = [tokenizer.special(name) for name in names]
    start = torch.tensor([prompt], dtype=torch.int64, device=next(model.parameters()).device)  # (1, T)
    steps = stream(
        model,
        start,
        tokens,
        sampling.temperature,
        sampling.top_k,
        generator,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        stop=ends,
    )
    ids = (token for token in (int(step) for step in steps) if token not in (*ends, PAD))
    return stop_text(decode_stream(tokenizer, ids), [each for each in stop if each not in names])
