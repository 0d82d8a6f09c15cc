"""How the text is read while it grows: anew for each token, or with a KV cache.

Up to the context both give the same logits. Beyond it:

- `WindowReader`, without a cache, reads the last `context` tokens again for each new one. The oldest token
  drops out and every position moves down by one. A token costs as much as reading a whole context.
- `CacheReader` with rotary positions or none lets the oldest key and value drop out and goes on counting
  positions. A token costs the same as before, and every layer is attention with a sliding window of `context`
  tokens. In a model of one layer that is the same as reading the window again. In deeper layers it is not:
  the keys that are kept were made when older tokens were still in sight, so the last layer hears indirectly
  of tokens up to N · (context − 1) back.
- `CacheReader` with learned or sinusoidal positions cannot go on counting, as there are no further positions:
  it reads the window again from there on, at the price above.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from microgpt_ref.sampling import check_prompt_lengths
from microgpt_ref.torch.cache import KVCache, read
from microgpt_ref.torch.compiled import CompiledReader
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.rows import for_few_rows


class WindowReader:
    """Reads the last `context` tokens of each row anew for each token."""

    def __init__(self, model: GPT, tokens: Int[Tensor, "B T"], lengths: Sequence[int] | None) -> None:
        B, T = tokens.shape
        self.model, self.tokens = model, tokens
        self.lengths = [T] * B if lengths is None else list(lengths)

    def append(self, chosen: Int[Tensor, "B 1"]) -> None:
        """Behind the last token of each row."""
        if max(self.lengths) == self.tokens.shape[1]:
            self.tokens = torch.cat((self.tokens, torch.zeros_like(chosen)), dim=1)
        self.tokens[range(len(chosen)), self.lengths] = chosen[:, 0]
        self.lengths = [length + 1 for length in self.lengths]

    def windows(self) -> tuple[Int[Tensor, "B T"], list[int]]:
        """The last `context` tokens of each row, padded on the right, and how many each has."""
        context = self.model.config.context
        starts = [max(length - context, 0) for length in self.lengths]
        width = max(length - start for length, start in zip(self.lengths, starts, strict=True))
        padded = torch.nn.functional.pad(self.tokens, (0, width))
        windows = [row[start : start + width] for row, start in zip(padded, starts, strict=True)]
        return torch.stack(windows), [min(length, context) for length in self.lengths]

    def logits(self) -> Float[Tensor, "B V"]:
        """At the last token of each row. The padding behind it is the future, which it cannot see."""
        windows, lengths = self.windows()
        return self.model(windows)[range(len(lengths)), [length - 1 for length in lengths]]


class CacheReader(WindowReader):
    """Keeps keys and values; only what was appended since the last logits is read."""

    def __init__(
        self,
        model: GPT,
        tokens: Int[Tensor, "B T"],
        lengths: Sequence[int] | None,
        max_new_tokens: int,
        compile: bool = False,
    ) -> None:
        super().__init__(model, tokens, lengths)
        self.later: list[Tensor] = []
        self.positions_end = model.config.position in ("learned", "sinusoidal")
        self.cache = KVCache(model, len(tokens), tokens.shape[1] + max_new_tokens)
        prompts, counts = self.windows()
        self.unread, self.counts = prompts, None if lengths is None else counts
        self.quick = for_few_rows(model) if tokens.device.type == "cpu" else model
        self.compiled = CompiledReader(model, self.cache) if compile else None

    def append(self, chosen: Int[Tensor, "B 1"]) -> None:
        """To be read with the next logits; kept for the window only where that will be read again."""
        if self.positions_end:
            self.later.append(chosen)
        self.unread, self.counts = chosen, None

    def logits(self) -> Float[Tensor, "B V"]:
        """By way of the cache, or by reading the window again where positions have come to their end."""
        if self.positions_end and max(self.lengths) + len(self.later) > self.model.config.context:
            for chosen in self.later:
                super().append(chosen)
            self.later = []
            return super().logits()
        if self.compiled is not None and max(self.cache.lengths) > 0:
            return self.compiled.read(self.unread)
        return read(self.quick, self.unread, self.cache, self.counts)


def build_reader(
    model: GPT,
    tokens: Int[Tensor, "B T"],
    lengths: Sequence[int] | None,
    max_new_tokens: int,
    cache: bool,
    compile: bool = False,
) -> WindowReader:
    """The one with a cache, unless it is not wanted or the model reads in a way of its own."""
    own_way = type(model).embed is not GPT.embed or type(model).forward is not GPT.forward
    if own_way or not cache:
        return WindowReader(model, tokens, lengths)
    return CacheReader(model, tokens, lengths, max_new_tokens, compile)


def align_left(tokens: Int[Tensor, "B T"], lengths: Sequence[int], padding: str) -> Int[Tensor, "B longest"]:
    """Prompts that begin in the first column, padded on the right with 0.

    Raises:
        ValueError: for lengths that do not fit `tokens`.
    """
    check_prompt_lengths(lengths, tokens.shape[0], tokens.shape[1], padding)
    aligned = torch.zeros_like(tokens)  # (B, T)
    for row, length in enumerate(lengths):
        aligned[row, :length] = tokens[row, :length] if padding == "right" else tokens[row, -length:]
    return aligned[:, : max(lengths)]


def seen_tokens(
    tokens: Int[Tensor, "B T"], lengths: Sequence[int] | None, vocab_size: int
) -> Bool[Tensor, "B V"]:
    """Which token ids each prompt holds."""
    seen = torch.zeros(len(tokens), vocab_size, dtype=torch.bool, device=tokens.device)  # (B, V)
    for row, prompt in enumerate(tokens):
        seen[row, prompt if lengths is None else prompt[: lengths[row]]] = True
    return seen
