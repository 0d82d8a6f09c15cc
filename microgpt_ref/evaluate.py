"""How good a model is: loss, perplexity, bits per character and byte, and the loss by category.

The unit of a loss is the nat a token. Two models with different tokenizers are compared in bits per
character or byte, which do not depend on how the text was cut.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor

    from microgpt_ref.datasets import Dataset
    from microgpt_ref.tokenizers import Tokenizer
    from microgpt_ref.torch import GPT

STORY_CONTEXT = 512  # no story is longer


@runtime_checkable
class Result(Protocol):
    """What a training run asks of an evaluation: a loss to compare, and numbers to write down."""

    @property
    def loss(self) -> float: ...
    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class CategoryLoss:
    """Mean loss over the characters of one category, beside what the ideal reader cannot avoid."""

    characters: int
    loss: float
    floor: float


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation. Losses and floors are in nats: a token, and in categories a character."""

    tokens: int
    characters: int
    bytes: int
    loss: float
    floor: float | None = None
    categories: dict[str, CategoryLoss] = field(default_factory=dict)

    @property
    def perplexity(self) -> float:
        """e^loss: as unsure as a choice among this many equally likely tokens."""
        return math.exp(self.loss)

    @property
    def bits_per_character(self) -> float:
        """All the nats, in bits, divided by the characters they predict."""
        return self.loss * self.tokens / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """The same for UTF-8 bytes."""
        return self.loss * self.tokens / math.log(2) / self.bytes

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON-ready values."""
        derived = ("perplexity", "bits_per_character", "bits_per_byte")
        return asdict(self) | {name: getattr(self, name) for name in derived}


def evaluate(
    model: GPT, tokenizer: Tokenizer, text: str, *, stories: bool = False, batch_size: int = 32
) -> Evaluation:
    """Score `text`: every token but the first is predicted exactly once.

    Args:
        stories: whether the text is whole stories of `microgpt_ref.stories`. Each is then read on its own
            from its first character, and the result has a floor and, for a character tokenizer, categories.
        batch_size: windows at a time.

    Raises:
        ValueError: for a text of fewer than two tokens.
    """
    if stories:
        return evaluate_stories(model, tokenizer, text, batch_size)
    ids = np.asarray(tokenizer.encode(text))
    losses = token_losses(model, ids, batch_size)
    # what the first token says is given, not predicted
    predicted = tokenizer.decode([int(token) for token in ids[1:]])
    return Evaluation(len(losses), len(predicted), len(predicted.encode()), float(losses.mean()))


def evaluate_split(
    model: GPT, tokenizer: Tokenizer, dataset: Dataset, split: str = "validation"
) -> Evaluation:
    """Score one split of a dataset.

    Stories are read one by one, beside their floor, if the context holds the longest; else in windows.
    """
    text = dataset.train if split == "train" else dataset.validation
    whole_stories = dataset.name == "stories" and model.config.context >= STORY_CONTEXT
    return evaluate(model, tokenizer, text, stories=whole_stories)


def token_losses(model: GPT, ids: Int[np.ndarray, " n"], batch_size: int = 32) -> Float[np.ndarray, " n_1"]:
    """The loss of ids[1], …, ids[n−1] in nats, read in windows of the model's context that do not overlap.

    Raises:
        ValueError: if there are fewer than two tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"ids has {len(ids)} tokens; predicting needs at least 2, so give a longer text")
    T = model.config.context
    starts = range(0, len(ids) - 1, T)
    windows = [ids[start : start + T + 1] for start in starts]
    return np.concatenate(losses_of_sequences(model, windows, batch_size))


def losses_of_sequences(
    model: GPT, sequences: list[Int[np.ndarray, " _"]], batch_size: int = 32
) -> list[Float[np.ndarray, " _"]]:
    """The losses of each sequence's tokens after its first, each sequence read on its own, in nats.

    Sequences of similar length share a batch; padding is masked out of the loss and, by causality, cannot
    be seen by what comes before it.
    """
    import torch
    from torch.nn import functional

    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    device = next(model.parameters()).device
    losses: list[np.ndarray] = [np.empty(0)] * len(sequences)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            tokens = pad([sequences[i] for i in rows]).to(device)  # (B, T + 1)
            logits = model(tokens[:, :-1]).float()  # (B, T, V)
            loss = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")  # (B, T)
            for i, row in zip(rows, loss.double().cpu().numpy(), strict=True):
                losses[i] = row[: len(sequences[i]) - 1]
    model.train(was_training)
    return losses


def pad(sequences: list[Int[np.ndarray, " _"]]) -> Int[Tensor, "B T"]:
    """A (B, T) int64 tensor with zeros after the shorter sequences."""
    import torch

    rows = [torch.from_numpy(np.asarray(sequence, dtype=np.int64)) for sequence in sequences]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def evaluate_stories(model: GPT, tokenizer: Tokenizer, text: str, batch_size: int = 32) -> Evaluation:
    """Score whole stories, each read alone after the newline that ends the one before it."""
    from microgpt_ref import stories

    lines = text.splitlines(keepends=True)
    tokens = [np.asarray(tokenizer.encode("\n" + line)) for line in lines]
    longest = max(len(sequence) for sequence in tokens) - 1
    if longest > model.config.context:
        raise ValueError(
            f"a story has {longest} tokens but the model's context is {model.config.context}; "
            f"score it with stories=False, which reads windows"
        )
    losses = np.concatenate(losses_of_sequences(model, tokens, batch_size))
    floor = -stories.character_log_probabilities(text)  # nats a character
    characters_are_tokens = len(losses) == len(text)
    return Evaluation(
        tokens=len(losses),
        characters=len(text),
        bytes=len(text.encode()),
        loss=float(losses.mean()),
        floor=float(floor.sum() / len(losses)),
        categories=by_category(losses, floor, stories.categories(text)) if characters_are_tokens else {},
    )


def by_category(
    losses: Float[np.ndarray, " n"], floor: Float[np.ndarray, " n"], categories: Int[np.ndarray, " n"]
) -> dict[str, CategoryLoss]:
    """Mean loss and mean floor of each category's characters; a category without characters is left out."""
    from microgpt_ref.stories import CATEGORIES

    result = {}
    for index, name in enumerate(CATEGORIES):
        chosen = categories == index
        if chosen.any():
            result[name] = CategoryLoss(
                int(chosen.sum()), float(losses[chosen].mean()), float(floor[chosen].mean())
            )
    return result
