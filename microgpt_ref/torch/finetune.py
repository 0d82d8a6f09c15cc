"""Fine-tuning: from a model that goes on with text to one that answers, with LoRA or with all its weights.

The loss is taken on the assistant's tokens alone. Some rows of every batch can be ordinary text of the kind
that the model was trained on: without them it forgets how to tell a story while it learns to answer.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int

from microgpt_ref import chat, checkpoint
from microgpt_ref.chat import Conversation
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.evaluate import losses_of_sequences
from microgpt_ref.lora import LoRAConfig
from microgpt_ref.shards import random_batch
from microgpt_ref.torch import resuming
from microgpt_ref.torch.batches import Batches, Pair
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.lora import add_lora, extend_vocabulary, remove_lora, save_adapter
from microgpt_ref.torch.recipe import TrainConfig
from microgpt_ref.torch.train import Trainer


@dataclass(frozen=True)
class FinetuneConfig(TrainConfig):
    """The recipe of a fine-tuning run: `TrainConfig` with other defaults, and what only fine-tuning has.

    Raises:
        ValueError: for a value out of range.
    """

    method: Literal["lora", "full"] = "lora"
    """lora: a low-rank change of every linear layer, and new tokens; full: all weights."""
    replay: float = 0.125
    """Share of each batch that is text of the kind the model was trained on, where such text is given."""
    steps: int = 600
    """Updates in the whole run."""
    batch_size: int = 8
    """Sequences a micro-batch."""
    learning_rate: float = 5e-3
    """Peak learning rate of AdamW, for LoRA on the small models that come with the package; full fine-tuning
    and larger models want less (Hu et al. 2021 take 2e-4 for LoRA on GPT-2)."""
    warmup_steps: int = 30
    """Updates over which the learning rate rises."""
    weight_decay: float = 0.0
    """Decay of the weights, on the matrices of linear layers only."""
    evaluate_every: int = 300
    """Updates between two evaluations on the validation conversations; the last is always evaluated."""
    save_every: int = 200
    """Updates between two checkpoints to resume from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in ("lora", "full"):
            raise ValueError(f"method={self.method!r} is not known; use lora or full")
        if not 0 <= self.replay < 1:
            raise ValueError(f"replay={self.replay} is outside [0, 1); use 0 for conversations alone")


class Rows:
    """Conversations in epochs, each row once an epoch in a new order; and rows of plain text among them.

    Like every source of batches it depends on (seed, step, micro_batch) alone.

    Args:
        inputs, targets: (n, T) as `chat.pack` gives them; a target of −1 is left out of the loss.
        replay_ids: the tokens of the plain text; empty for none.
        replay: the share of a batch that it gets, rounded to whole rows.
    """

    def __init__(
        self,
        inputs: Int[np.ndarray, "n T"],
        targets: Int[np.ndarray, "n T"],
        config: FinetuneConfig,
        device: torch.device,
        replay_ids: Int[np.ndarray, " m"],
    ) -> None:
        self.inputs, self.targets, self.config, self.device = inputs, targets, config, device
        self.replay_ids = replay_ids
        self.plain = round(config.replay * config.batch_size) if len(replay_ids) else 0
        if self.plain == config.batch_size:
            raise ValueError(
                f"replay={config.replay} leaves no conversation in a batch of {config.batch_size}; use a "
                f"larger batch_size, or a replay below {1 - 0.5 / config.batch_size:.2f}"
            )

    def __call__(self, step: int, micro_batch: int) -> Pair:
        """Inputs and targets (B, T) on the device."""
        config, n = self.config, len(self.inputs)
        talks = config.batch_size - self.plain
        first = (step * config.accumulate + micro_batch) * talks
        numbers = np.arange(first, first + talks)
        epochs = np.unique(numbers // n)
        chosen = np.concatenate([self.order(epoch)[numbers[numbers // n == epoch] % n] for epoch in epochs])
        inputs, targets = self.inputs[chosen], self.targets[chosen]
        if self.plain:
            dice = np.random.default_rng([config.seed, step, micro_batch])
            text = random_batch(self.replay_ids, self.plain, inputs.shape[1], dice)
            inputs, targets = (np.concatenate(both) for both in zip((inputs, targets), text, strict=True))
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)

    def order(self, epoch: np.integer[Any]) -> Int[np.ndarray, " n"]:
        """The order of the rows in that epoch."""
        return np.random.default_rng([self.config.seed, 1, int(epoch)]).permutation(len(self.inputs))


@dataclass(frozen=True)
class ChatEvaluation:
    """The loss on the assistant's tokens of the validation conversations, in nats a token."""

    tokens: int
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return asdict(self)


class Finetuner(Trainer):
    """A run that begins with a trained model: batches, checkpoints and resuming are those of `Trainer`.

    `best.safetensors` is an ordinary checkpoint, LoRA merged, its tokenizer with the chat tokens; with LoRA
    the folder `adapter` beside it holds what was learned alone.

    Args:
        base: the trained model.
        config: the recipe.
        lora: which layers get LoRA and how; without effect with method="full".
        dialogues: conversations to train on and to validate.
        replay: plain text of the kind that `base` was trained on; "" for none.
        out: folder for checkpoints and the log; None keeps everything in memory.

    Raises:
        ValueError: if there is nothing to train on or to validate, or a target of LoRA matches no layer.
    """

    config: FinetuneConfig

    def __init__(
        self,
        base: Checkpoint,
        config: FinetuneConfig,
        lora: LoRAConfig,
        dialogues: chat.Dialogues,
        replay: str = "",
        out: str | os.PathLike[str] | None = None,
    ) -> None:
        self.base, self.lora, self.dialogues, self.replay = base, lora, dialogues, replay
        self.refused = dialogues.refused.copy()
        tokenizer = chat.with_chat_tokens(base.build_tokenizer())
        self.new_tokens = tokenizer.vocab_size - base.config.vocab_size
        text = Dataset("conversations", as_text(dialogues.train), as_text(dialogues.validation) + replay)
        model_config = base.config.replace(vocab_size=tokenizer.vocab_size)
        super().__init__(model_config, config, text, tokenizer, out, build_model=self.build_adapted)
        self.validation = self.encoded(dialogues.validation, model_config.context)

    def settings(self) -> dict[str, Any]:
        """The recipe, and what else decides where the run goes: LoRA's settings and the base model."""
        lora = self.lora.to_dict() if self.config.method == "lora" else None
        return {**super().settings(), "lora": lora, "base_sha256": checkpoint.digest(self.base.parameters)}

    def build_adapted(self, model_config: GPTConfig) -> GPT:
        """The base model with rows for the chat tokens and, for LoRA, everything else frozen."""
        blocks = self.config.compile and self.device.type == "cpu"
        model = self.base.build_torch("blockwise" if blocks else "sdpa")
        if self.new_tokens:
            extend_vocabulary(model, self.new_tokens)
        if self.config.method == "lora":
            return add_lora(model, self.lora)
        return remove_lora(model)  # joins the new rows to their tables: there is nothing to freeze

    def build_batches(self, context: int) -> Batches:
        """Packed conversations, and windows of the plain text."""
        inputs, targets = chat.pack(self.encoded(self.dialogues.train, context), context)
        ids = np.asarray(self.tokenizer.encode(self.replay), dtype=np.int64)
        return Rows(inputs, targets, self.config, self.device, ids)

    def encoded(self, conversations: Sequence[Conversation], context: int) -> list[chat.Encoded]:
        """Those that fit; why others do not is counted in `refused`."""
        encoded, refused = chat.encode_all(conversations, self.tokenizer, context)
        self.refused += refused
        if not encoded:
            reasons = ", ".join(f"{count} × {reason}" for reason, count in refused.items())
            raise ValueError(
                f"no conversation is left to train on or to validate ({reasons or 'there is none'}); give "
                f"ten or more, of which a tenth is kept to validate, or a longer context"
            )
        return encoded

    def evaluate(self) -> ChatEvaluation:
        """The loss on every answer of the validation conversations, each read alone, in float32."""
        losses = losses_of_sequences(self.model, [each.ids for each in self.validation])
        pairs = zip(losses, self.validation, strict=True)
        counted = np.concatenate([loss[each.answers[1:]] for loss, each in pairs])
        return ChatEvaluation(len(counted), float(counted.mean()))

    def result(self) -> Checkpoint:
        """The model as it is now as an ordinary checkpoint: LoRA merged, new rows joined."""
        plain = remove_lora(copy.deepcopy(self.model))
        parameters = {name: p.detach().cpu().numpy() for name, p in plain.named_parameters()}
        snapshot = resuming.snapshot(self)
        training = {**snapshot.training, "base": self.base.training}
        return Checkpoint(plain.config, parameters, snapshot.tokenizer, self.step, {}, training)

    def save_best(self, path: Path, metrics: dict[str, Any]) -> None:
        """Write the model for use and, with LoRA, the adapter alone."""
        result = self.result()
        checkpoint.save(path, Checkpoint(**{**vars(result), "metrics": metrics}))
        if self.config.method == "lora":
            save_adapter(self.model, path.parent / "adapter")


def as_text(conversations: Sequence[Conversation]) -> str:
    """All of them, by which a run that is resumed knows its data again."""
    return "\n".join(map(chat.render, conversations))
