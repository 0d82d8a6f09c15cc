"""The speedrun: the lowest loss on tiny Shakespeare in the least time, on a laptop's processor.

Three things make it fast: a small modern model with n-gram tables, so that the blocks need not learn what
follows "th"; Muon; and a step that keeps the matrix units busy. Chapter 10 takes them one at a time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import Tokenizer
from microgpt_ref.torch.batches import Epochs
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.norm import rms_norm
from microgpt_ref.torch.recipe import TrainConfig
from microgpt_ref.torch.train import Trainer

PRIME, MULTIPLIER = 4_294_967_291, 2_654_435_761  # below 2³², and 2³² over the golden ratio (Knuth)


class NgramTables(nn.Module):
    """A learned vector for the last n tokens, looked up by a hash, for several n at once.

    An embedding knows one token, and the blocks must combine several by attention; a table of n-grams knows
    the combination at the cost of a lookup (hash n-gram embeddings: Pagnoni et al. 2024, Byte Latent
    Transformer, section 3.2.1). Before the window's first token stands token 0.

    Args:
        vocab_size: V.
        d_model: C.
        rows: n → rows of its table. V ** n rows give every n-gram its own; with fewer, some share one.

    Raises:
        ValueError: for n below 2, or so large that the hash would overflow.
    """

    def __init__(self, vocab_size: int, d_model: int, rows: dict[int, int]) -> None:
        super().__init__()
        for n in rows:
            if n < 2 or vocab_size**n * MULTIPLIER >= 2**63:
                raise ValueError(
                    f"ngrams has n={n}, for which the hash of vocab_size={vocab_size} does not fit in 64 "
                    f"bits; use n from 2 to 5 for characters"
                )
        self.vocab_size, self.rows = vocab_size, rows
        self.tables = nn.ModuleDict({str(n): nn.Embedding(count, d_model) for n, count in rows.items()})

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """The sum of the vectors of the 2-gram, 3-gram, … that end at each position."""
        vectors = [self.tables[str(n)](self.row(tokens, n, count)) for n, count in self.rows.items()]
        return torch.stack(vectors).sum(0)  # (B, T, C)

    def row(self, tokens: Int[Tensor, "B T"], n: int, count: int) -> Int[Tensor, "B T"]:
        """Where the n-gram that ends at each position stands: its number in base V, hashed if too large."""
        T = tokens.shape[1]
        padded = nn.functional.pad(tokens, (n - 1, 0))  # (B, T + n - 1)
        number = torch.zeros_like(tokens)  # (B, T)
        for back in range(n):
            number = number * self.vocab_size + padded[:, n - 1 - back : n - 1 - back + T]
        if self.vocab_size**n <= count:
            return number
        return number * MULTIPLIER % PRIME % count


class SpeedrunGPT(GPT):
    """A GPT that reads n-grams besides tokens, and whose blocks and head begin as the identity and zero.

    Args:
        config: the architecture.
        ngrams: n → rows of the table; empty: none.
        zero_init: whether the projections into the residual stream and the head start at zero (Zhang et al.
            2019, Fixup, and others): each block is the identity at first. Otherwise GPT-2's start.
        attention: which version of the attention; see `ATTENTIONS`.
    """

    def __init__(
        self,
        config: GPTConfig,
        ngrams: dict[int, int] | None = None,
        zero_init: bool = True,
        attention: str = "blockwise",
    ) -> None:
        self.zero_init = zero_init
        super().__init__(config, attention)
        self.ngrams: NgramTables | None = None
        if ngrams:
            self.ngrams = NgramTables(config.vocab_size, config.d_model, ngrams)
            for table in self.ngrams.parameters():
                nn.init.zeros_(table)

    def initialise(self) -> None:
        """Vectors of size 1 for the tokens, and everything that is added to them zero."""
        super().initialise()
        if not self.zero_init:
            return
        nn.init.normal_(self.embedding.weight)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.out.weight", "ffn.down.weight")) or name == "head.weight":
                nn.init.zeros_(parameter)
            elif name.startswith("blocks.") and parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.5 * self.config.d_model**-0.5)

    def embed(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Token vectors and n-gram vectors, added and brought to size 1."""
        x = super().embed(tokens)  # (B, T, C)
        if self.ngrams is None:
            return x
        return rms_norm(x + self.ngrams(tokens), eps=self.config.norm_eps)  # (B, T, C)


@dataclass(frozen=True)
class Recipe:
    """One entry of the speedrun: the model and how it is trained.

    Args:
        table_scale: learning rate of the n-gram tables, as a multiple of AdamW's.
        table_decay: weight decay of the n-gram tables. A row that few texts use is pulled back to zero;
            without it the tables learn the training text by heart.
        epochs: whether the text is dealt window by window, each once an epoch, or from random places.
    """

    model: GPTConfig
    training: TrainConfig
    ngrams: dict[int, int] = field(default_factory=dict)
    table_scale: float = 5.0
    table_decay: float = 1.5
    zero_init: bool = True
    attention: str = "blockwise"
    epochs: bool = True

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some fields changed; fields of `training` and `model` by their own names."""
        parts: dict[str, Any] = {}
        for name in ("model", "training"):
            fields = {f.name for f in dataclasses.fields(getattr(self, name))}
            inside = {key: changes.pop(key) for key in list(changes) if key in fields}
            parts[name] = dataclasses.replace(getattr(self, name), **inside)
        return dataclasses.replace(self, **parts, **changes)

    def build_model(self, config: GPTConfig) -> SpeedrunGPT:
        """The model, for the configuration with the right vocabulary."""
        return SpeedrunGPT(config, self.ngrams, self.zero_init, self.attention)


TWO_MINUTES = Recipe(
    model=preset("laptop"),
    training=TrainConfig(
        steps=450,
        batch_size=16,
        optimizer="muon",
        muon_learning_rate=0.04,
        learning_rate=4e-3,
        beta2=0.95,
        schedule="wsd",
        decay_share=0.7,
        warmup_steps=30,
        clip=0.0,
        compile=True,
        device="cpu",
        evaluate_every=1_000_000,
        log_every=50,
    ),
    ngrams={2: 65**2, 3: 20_000, 4: 50_000, 5: 100_000},
)
"""For validation loss 1.4815, which tejas-10m published. 23 million parameters, of which the blocks have 0.8:
the rest are tables, of which a token reads four rows."""

FIFTEEN_MINUTES = TWO_MINUTES.replace(
    d_model=192, n_head=3, steps=1200, muon_learning_rate=0.03, weight_decay=0.3, table_decay=3.0
)
"""For the lowest loss within fifteen minutes: larger, longer, with more decay against learning by heart."""


class SpeedrunTrainer(Trainer):
    """The course's trainer, with the tables in an AdamW group of their own, and compilation kept apart."""

    model: SpeedrunGPT

    def __init__(self, recipe: Recipe, dataset: Dataset, tokenizer: Tokenizer) -> None:
        config = recipe.model.replace(vocab_size=tokenizer.vocab_size)
        super().__init__(config, recipe.training, dataset, tokenizer, build_model=recipe.build_model)
        if recipe.epochs:
            settings = (recipe.training.batch_size, config.context, recipe.training.seed, self.device)
            self.batches = Epochs(self.train_ids, *settings)
        tables = self.model.ngrams
        if tables is not None:
            _own_group(self.optimizer, list(tables.parameters()), recipe)

    def compile(self) -> float:
        """Compile forward and backward, change nothing, and return the seconds that it took."""
        start = time.perf_counter()
        with self.format.autocast():
            loss = self.loss(*self.batch(0))
        loss.backward()
        self.model.zero_grad()
        return time.perf_counter() - start


@dataclass(frozen=True)
class Result:
    """What one run came to. Seconds are those of training; compilation and evaluation are apart."""

    seed: int
    steps: int
    validation: float
    train: float
    seconds: float
    compile_seconds: float
    tokens_per_second: float
    parameters: int


def run(
    recipe: Recipe,
    dataset: Dataset,
    tokenizer: Tokenizer,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[Result, SpeedrunTrainer]:
    """Train once, and score the whole validation split in windows that do not overlap, in float32.

    Args:
        progress: called with each line of the log.
    """
    trainer = SpeedrunTrainer(recipe.replace(seed=seed), dataset, tokenizer)
    compile_seconds = trainer.compile() if recipe.training.compile else 0.0
    steps, every = recipe.training.steps, recipe.training.log_every
    for stop in [*range(every, steps, every), steps]:
        trainer.train_until(stop)
        if progress:
            progress(trainer.history[-1])
    tokens = steps * recipe.training.batch_size * recipe.training.accumulate * recipe.model.context
    result = Result(
        seed=seed,
        steps=steps,
        validation=trainer.evaluate().loss,
        train=trainer.history[-1]["loss"],
        seconds=trainer.seconds,
        compile_seconds=compile_seconds,
        tokens_per_second=tokens / trainer.seconds,
        parameters=sum(p.numel() for p in trainer.model.parameters()),
    )
    return result, trainer


def _own_group(optimizer: torch.optim.Optimizer, tables: list[nn.Parameter], recipe: Recipe) -> None:
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if not any(p is table for table in tables)]
    settings = {"weight_decay": recipe.table_decay, "lr_scale": recipe.table_scale}
    optimizer.add_param_group({"params": tables, **settings})
