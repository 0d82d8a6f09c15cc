"""How the text is read while it grows: anew for each token, or with a KV cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from microgpt_ref._arguments import check_tokens
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.basics import Parameters
from microgpt_ref.numpy.cache import KVCache, read
from microgpt_ref.numpy.gpt import forward
from microgpt_ref.sampling import prompt_windows


class Text:
    """A batch of texts while they grow.

    Up to the context reading with and without a cache gives the same logits. Beyond it, a cache with rotary
    positions or none lets the oldest key and value drop out and goes on counting positions. With learned or
    sinusoidal positions, which end at the context, and without a cache the last `context` tokens are read
    again for each new one: every position moves down by one.

    Args:
        tokens: the prompts.
        config: of the model.
        lengths: how many tokens each prompt has; None: all.
        padding: the side of the rest.

    Raises:
        ValueError: for lengths that do not fit, and an id that is not in the vocabulary.
    """

    def __init__(
        self,
        tokens: Int[np.ndarray, "B T"],
        config: GPTConfig,
        lengths: Sequence[int] | None = None,
        padding: str = "right",
    ) -> None:
        B, T = tokens.shape
        columns, self.lengths = prompt_windows(T, lengths, B, padding, config.context)
        self.window = np.take_along_axis(tokens, columns, axis=1)
        check_tokens(self.window, config)
        self.unread, self.config = self.window, config
        columns, whole = prompt_windows(T, lengths, B, padding, T)
        self.seen = np.zeros((B, config.vocab_size), bool)  # (B, V)
        for row, length in enumerate(whole):
            self.seen[row, tokens[row, columns[row, :length]]] = True

    def append(self, chosen: Int[np.ndarray, " B"]) -> None:
        """One more token a row; the oldest of a full window drops out."""
        rows, context = np.arange(len(chosen)), self.config.context
        self.window = np.pad(self.window, ((0, 0), (0, 1)))
        for row in np.flatnonzero(self.lengths >= context):
            self.window[row] = np.roll(self.window[row], -1)
        self.window[rows, np.minimum(self.lengths, context - 1)] = chosen
        self.window = self.window[:, :context]
        self.lengths = self.lengths + 1  # (B,)
        self.seen[rows, chosen] = True
        self.unread = chosen[:, None]

    def logits(self, parameters: Parameters, cache: KVCache | None) -> Float[np.ndarray, "B V"]:
        """Of the next token of each row."""
        config = self.config
        ended = config.position in ("learned", "sinusoidal") and max(self.lengths) > config.context
        if cache is None or ended:
            last = np.minimum(self.lengths, config.context) - 1  # (B,)
            return forward(parameters, self.window, config)[0][np.arange(len(last)), last]
        first = not cache.lengths.any()
        return read(parameters, self.unread, cache, config, self.lengths.tolist() if first else None)
