"""What the tests of sampling share: random logits with ties, Hugging Face's processors, random models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT
from tests.frameworks.cases import random_config, random_parameters


@dataclass(frozen=True)
class Filter:
    """One filter: the names of our function and of Hugging Face's, and its strength."""

    name: str
    hugging_face: str
    strength: float

    def expected(self, logits: np.ndarray, stable: bool = True) -> np.ndarray:
        """What Hugging Face makes of the logits.

        Args:
            stable: whether its sort leaves equal logits in their order. As it comes it does not: which of two
                equal tokens is in the nucleus depends on the machine.
        """
        from transformers.generation import logits_process

        processor = getattr(logits_process, self.hugging_face)(self.strength)
        before = torch.zeros(len(logits), 1, dtype=torch.int64)
        with stable_sort() if stable else nullcontext():
            return processor(before, torch.from_numpy(logits.copy())).numpy()

    def __str__(self) -> str:
        return f"{self.name} {self.strength}"


@contextmanager
def stable_sort() -> Iterator[None]:
    """`torch.sort` leaves equal numbers in their order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "sort", partial(torch.sort, stable=True, dim=-1))
        yield


FILTERS = [
    *(Filter("keep_top_k", "TopKLogitsWarper", k) for k in (1, 2, 5, 30, 50)),
    *(Filter("keep_top_p", "TopPLogitsWarper", p) for p in (0.01, 0.25, 0.5, 0.9, 0.999)),
    *(Filter("keep_min_p", "MinPLogitsWarper", p) for p in (0.0, 0.02, 0.3, 1.0)),
]


def random_logits(seed: int, rows: int = 200, V: int = 30) -> np.ndarray:
    """Rows from flat to peaked; in half of them the numbers are whole, so that there are ties."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, V)) * np.geomspace(0.01, 20, rows)[:, None]
    logits[::2] = logits[::2].round()
    logits[:2] = 0
    return logits.astype(np.float32)


def on_the_border(logits: np.ndarray, each: Filter) -> np.ndarray:
    """Rows in which a rounding decides, (rows,): a sum of probabilities that is `strength` itself."""
    if each.name != "keep_top_p":
        return np.zeros(len(logits), dtype=bool)
    weights = np.exp(np.sort(logits.astype(np.float64)))
    sums = np.cumsum(weights, -1) / weights.sum(-1, keepdims=True)
    return (np.abs(sums - (1 - each.strength)) < 1e-6).any(-1)


def random_seen(seed: int, rows: int = 200, V: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (rows, 12) with repetitions, and the same as a mask (rows, V)."""
    tokens = np.random.default_rng(seed).integers(0, V, (rows, 12))
    seen = np.zeros((rows, V), dtype=bool)
    np.put_along_axis(seen, tokens, True, axis=1)
    return tokens, seen


def penalised_by_hugging_face(tokens: np.ndarray, logits: np.ndarray, penalty: float) -> np.ndarray:
    """The repetition penalty of `transformers`."""
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    processor = RepetitionPenaltyLogitsProcessor(penalty)
    return processor(torch.from_numpy(tokens), torch.from_numpy(logits.copy())).numpy()


@dataclass(frozen=True)
class Prompt:
    """A model of a random architecture, and a batch of prompts for it."""

    config: GPTConfig
    parameters: dict[str, np.ndarray]
    tokens: np.ndarray

    @property
    def same_beyond(self) -> bool:
        """Whether the text is the same with and without a cache beyond the context too."""
        return self.config.position in ("learned", "sinusoidal") or self.config.n_layer == 1

    def new_tokens(self) -> int:
        """As many as can be compared: up to the end of the context, or far beyond."""
        T = self.tokens.shape[1]
        return 2 * self.config.context if self.same_beyond else self.config.context - T + 1

    def model(self, dtype: torch.dtype = torch.float32) -> GPT:
        """The model in PyTorch."""
        model = GPT(self.config).to(dtype).eval()
        model.load_state_dict({name: torch.from_numpy(a).to(dtype) for name, a in self.parameters.items()})
        return model


def random_prompt(seed: int, rows: int = 2, **changes: Any) -> Prompt:
    """The prompt of that number: 1 to `context` tokens."""
    config = random_config(seed).replace(dropout=0.0, **changes)
    rng = np.random.default_rng([6, seed])
    T = int(rng.integers(1, config.context + 1))
    tokens = rng.integers(0, config.vocab_size, (rows, T))
    return Prompt(config, random_parameters(config, seed), tokens)


def rolling_prompts(count: int) -> list[Prompt]:
    """Models whose positions do not end, with two layers or three, and prompts."""
    deep = [random_prompt(seed, n_layer=2 + seed % 2) for seed in range(10 * count)]
    return [p for p in deep if p.config.position in ("rotary", "none")][:count]


def apply(function: Callable[..., Any], logits: np.ndarray, *arguments: Any) -> np.ndarray:
    """Call one of PyTorch's filters with NumPy's arrays."""
    tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    return function(torch.from_numpy(logits), *tensors).numpy()
