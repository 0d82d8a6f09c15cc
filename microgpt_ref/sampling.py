"""What sampling needs in every framework: settings, stop sequences, and text that comes piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

if TYPE_CHECKING:
    from microgpt_ref.tokenizers import Tokenizer

PAD = -1
"""What a row gives after it has stopped, while others of its batch go on. No token has this id."""

Stop = Sequence[int | Sequence[int]]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The settings apply in this order: penalty, temperature, then the filters.

    Raises:
        ValueError: for a value that cannot be meant.
    """

    temperature: float = 1.0
    """Divides the logits: below 1 bolder, above 1 wilder, 0 always takes the likeliest token."""
    top_k: int | None = None
    """Keep the k likeliest tokens (Fan et al. 2018). None: all."""
    top_p: float | None = None
    """Keep the fewest tokens with this probability together (Holtzman et al. 2020). None: all."""
    min_p: float | None = None
    """Keep tokens with this share of the likeliest one's probability (Nguyen et al. 2024). None: all."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens that occurred, multiplies negative ones (Keskar et al. 2019)."""

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(
                f"temperature={self.temperature} is negative; use 0 for the likeliest token, or more"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k} keeps nothing; use 1 or more, or None for all tokens")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} is outside (0, 1]; use 0.9, say, or None for all tokens")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p={self.min_p} is outside [0, 1]; use 0.05, say, or None for all tokens")
        if not self.repetition_penalty > 0:
            raise ValueError(
                f"repetition_penalty={self.repetition_penalty} is not positive; use 1 for none, or 1.1, say"
            )


class Stopping:
    """Which rows have stopped: those whose new tokens end in one of the stop sequences.

    Only new tokens count; a sequence that begins in the prompt does not stop a row.

    Args:
        stop: token ids, or sequences of token ids.
        rows: how many rows there are.

    Raises:
        ValueError: for an empty sequence.
    """

    def __init__(self, stop: Stop, rows: int) -> None:
        self.sequences = [(s,) if isinstance(s, int) else tuple(int(t) for t in s) for s in stop]
        if () in self.sequences:
            raise ValueError("stop holds an empty sequence, which would stop at once; leave it out")
        self.longest = max(map(len, self.sequences), default=0)
        self.recent: list[tuple[int, ...]] = [()] * rows
        self.stopped = [False] * rows

    def add(self, tokens: Sequence[int]) -> None:
        """One new token a row; those of rows that have stopped do not count."""
        for row, token in enumerate(tokens):
            if not self.stopped[row]:
                self.recent[row] = (*self.recent[row], token)[-self.longest :]
                self.stopped[row] = any(self.recent[row][-len(s) :] == s for s in self.sequences)


def check_prompt_lengths(lengths: Sequence[int], rows: int, width: int, padding: str) -> None:
    """Refuse lengths that do not describe the batch of prompts.

    Raises:
        ValueError: if there is not one length a row, one is not from 1 to `width`, or `padding` is unknown.
    """
    if padding not in ("right", "left"):
        raise ValueError(f"padding={padding!r} is not known; use right or left")
    if len(lengths) != rows:
        raise ValueError(f"lengths has {len(lengths)} numbers for {rows} rows; give one a row")
    for length in lengths:
        if not 1 <= length <= width:
            raise ValueError(
                f"lengths holds {length}, but each prompt has at least one token and tokens is {width} wide"
            )


def prompt_windows(
    T: int, lengths: Sequence[int] | None, rows: int, padding: str, context: int
) -> tuple[Int[np.ndarray, "rows width"], Int[np.ndarray, " rows"]]:
    """Which columns of a batch of padded prompts hold the last `context` tokens of each row, and how many.

    The window of each row begins at its left; behind its last token the columns do not matter.

    Raises:
        ValueError: for lengths that do not fit, or an unknown side of the padding.
    """
    check_prompt_lengths([T] * rows if lengths is None else lengths, rows, T, padding)
    whole = np.full(rows, T) if lengths is None else np.asarray(lengths)  # (rows,)
    held = np.minimum(whole, context)  # (rows,)
    first = (T - held) if padding == "left" or lengths is None else whole - held  # (rows,)
    columns = first[:, None] + np.arange(held.max())
    return np.minimum(columns, T - 1), held


def decode_stream(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text as it grows; a character that several tokens make up waits until it is whole."""
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        if not text.endswith("\ufffd"):
            yield text
            waiting = []
    if waiting:
        yield tokenizer.decode(waiting)


def stop_text(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """The text before the stop string that is whole first, wherever the pieces are cut.

    What could be the beginning of a stop string waits until the next piece decides.

    Raises:
        ValueError: for an empty stop string.
    """
    if "" in stop:
        raise ValueError("stop holds an empty string, which would stop at once; leave it out")
    waiting = ""
    for piece in pieces:
        waiting += piece
        found = [(place + len(s), place) for s in stop if (place := waiting.find(s)) >= 0]
        if found:
            _, place = min(found)
            if place > 0:
                yield waiting[:place]
            return
        safe = len(waiting) - _longest_beginning(waiting, stop)
        if safe > 0:
            yield waiting[:safe]
        waiting = waiting[safe:]
    if waiting:
        yield waiting


def _longest_beginning(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of the text could be the beginning of a stop string."""
    longest = min(len(text), max(map(len, stop), default=1) - 1)
    return next((n for n in range(longest, 0, -1) if any(s.startswith(text[-n:]) for s in stop)), 0)
