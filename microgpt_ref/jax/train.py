"""The training loop around the pure update: batches, evaluation, the log, checkpoints, resuming.

What is random in step i depends on (seed, i) alone, and the batches are those of the trainer in PyTorch.
The loop is the same for a CPU, a GPU, a TPU, or several of them: the mesh says where the arrays lie.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int
from tqdm import tqdm

from microgpt_ref import checkpoint, health
from microgpt_ref._memory import keep_freed_memory
from microgpt_ref._runs import StopSignal, rewind_log
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.evaluate import Evaluation
from microgpt_ref.jax import resuming
from microgpt_ref.jax.basics import Parameters
from microgpt_ref.jax.evaluate import evaluate_ids
from microgpt_ref.jax.gpt import initialise
from microgpt_ref.jax.mesh import make_mesh, on_every_device, share_batch
from microgpt_ref.jax.optim import KANDARPA_17M, Recipe
from microgpt_ref.jax.update import Metrics, TrainState, initial_state, train_step
from microgpt_ref.shards import random_batch
from microgpt_ref.tokenizers import Tokenizer

__all__ = ["KANDARPA_17M", "Recipe", "TrainState", "Trainer", "initial_state", "train", "train_step"]


class Trainer:
    """One run: `Trainer(...).run()` trains to the end; each of its steps can also be called by hand.

    Args:
        config: the architecture; its vocab_size must be the tokenizer's.
        recipe: what an update does, and how many there are.
        dataset: training and validation text.
        tokenizer: cuts both into tokens.
        out: folder for checkpoints and the log; None keeps everything in memory.
        seed: of the initial weights, the batches and dropout.
        evaluate_every: updates between two evaluations on the validation split; the last is always evaluated.
        save_every: updates between two checkpoints to resume from.
        log_every: updates between two lines of the log.
        parameters: where to start, as `Checkpoint.build_jax` gives them; None starts from random weights.
        mesh: the devices, see `make_mesh`; None takes all there are.

    Raises:
        ValueError: if the vocabulary does not fit, a split is shorter than one window, or the devices do not
            divide the batch.
    """

    def __init__(
        self,
        config: GPTConfig,
        recipe: Recipe,
        dataset: Dataset,
        tokenizer: Tokenizer,
        out: str | os.PathLike[str] | None = None,
        *,
        seed: int = 0,
        evaluate_every: int = 250,
        save_every: int = 250,
        log_every: int = 10,
        parameters: Parameters | None = None,
        mesh: Mesh | None = None,
    ) -> None:
        if config.vocab_size != tokenizer.vocab_size:
            raise ValueError(
                f"vocab_size={config.vocab_size} but the tokenizer has {tokenizer.vocab_size} tokens; "
                f"use config.replace(vocab_size={tokenizer.vocab_size})"
            )
        self.config, self.recipe, self.seed = config, recipe, seed
        self.dataset, self.tokenizer = dataset, tokenizer
        self.out = None if out is None else Path(out)
        self.every = {"log": log_every, "evaluate": evaluate_every, "save": save_every}
        self.train_ids, self.validation_ids = (
            np.asarray(tokenizer.encode(text)) for text in (dataset.train, dataset.validation)
        )
        if len(self.train_ids) <= config.context:
            raise ValueError(
                f"the training text has {len(self.train_ids)} tokens, too few for context="
                f"{config.context}; give a longer text or a context below {len(self.train_ids)}"
            )
        self.mesh = make_mesh() if mesh is None else mesh
        if self.mesh.devices.flat[0].platform == "cpu":
            keep_freed_memory()
        start = initialise(config, seed) if parameters is None else parameters
        self.state: TrainState = on_every_device(initial_state(start, recipe, seed), self.mesh)
        self.batch(0)  # refuses a batch that the devices do not divide
        self.step = 0
        self.seconds = 0.0
        self.best: float | None = None
        self.history: list[dict[str, Any]] = []
        self.watch = health.watch_over(
            config,
            dataclasses.asdict(recipe),
            dataset.name,
            device=self.mesh.devices.flat[0].device_kind,
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        )

    def batch(self, step: int) -> tuple[Int[Array, "*micro B T"], Int[Array, "*micro B T"]]:
        """Inputs and targets of one step on the devices; (A, B, T) if gradients are accumulated."""
        recipe = self.recipe
        pairs = [
            random_batch(
                self.train_ids,
                recipe.batch_size,
                self.config.context,
                np.random.default_rng([self.seed, step, micro_batch]),
            )
            for micro_batch in range(recipe.accumulate)
        ]
        shape = pairs[0][0].shape if recipe.accumulate == 1 else (recipe.accumulate, *pairs[0][0].shape)
        inputs, targets = (
            share_batch(np.stack(arrays).astype(np.int32).reshape(shape), self.mesh)
            for arrays in zip(*pairs, strict=True)
        )
        return inputs, targets

    def train_step(self) -> Metrics:
        """One update. Its numbers stay on the device: reading one would wait for the update to end."""
        inputs, targets = self.batch(self.step)
        self.state, metrics = train_step(self.state, inputs, targets, self.config, self.recipe)
        self.step += 1
        return metrics

    def evaluate(self) -> Evaluation:
        """The loss on the validation split, read in windows that do not overlap."""
        return evaluate_ids(
            self.state.parameters, self.validation_ids, self.config, self.tokenizer, mesh=self.mesh
        )

    def run(self) -> list[dict[str, Any]]:
        """Train from the current step to the last one; returns the log's lines.

        Ctrl-C (or SIGTERM) ends the step under way, saves the run and raises KeyboardInterrupt.
        """
        steps = self.recipe.steps
        bar = tqdm(total=steps, initial=self.step, unit="step", dynamic_ncols=True)
        with bar, StopSignal() as signal:
            while self.step < steps and not signal.received:
                stop = min(steps, *((self.step // every + 1) * every for every in self.every.values()))
                before = self.step
                self.train_until(stop, signal)
                bar.update(self.step - before)
                if self.step < stop:
                    break
                if self.is_time_to("evaluate"):
                    self.evaluate_and_keep_best()
                if self.is_time_to("save"):
                    self.save_last()
        if signal.received and self.step < steps:
            self.save_last()
            raise KeyboardInterrupt
        return self.history

    def is_time_to(self, what: str) -> bool:
        """Whether to "log", "evaluate" or "save" after this many steps; after the last one always."""
        return self.step % self.every[what] == 0 or self.step == self.recipe.steps

    def train_until(self, stop: int, signal: StopSignal | None = None) -> None:
        """Update until `stop` steps are done, then write one line of the log.

        Raises:
            FloatingPointError: if the mean loss is not a finite number.
        """
        first, start, losses = self.step, time.perf_counter(), []
        while self.step < stop and not (signal and signal.received):
            metrics = self.train_step()
            losses.append(metrics["loss"])
        if not losses:
            return
        mean = float(sum(losses)) / len(losses)  # the only wait for the device
        seconds = time.perf_counter() - start
        self.seconds += seconds
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"the loss is {mean} at step {self.step}; lower learning_rate={self.recipe.learning_rate}"
            )
        recipe = self.recipe
        tokens = (self.step - first) * recipe.batch_size * recipe.accumulate * self.config.context
        numbers = {name: float(metrics[name]) for name in ("gradient_norm", "learning_rate")}
        initial = {"initial_loss": float(losses[0])} if first == 0 else {}
        self.log(loss=mean, **numbers, tokens_per_second=tokens / seconds, **initial)

    def evaluate_and_keep_best(self) -> Evaluation:
        """Evaluate, log the result, and write `best.safetensors` if no earlier result was as low."""
        result = self.evaluate()
        self.log(validation=result.to_dict())
        if self.best is None or result.loss < self.best:
            self.best = result.loss
            if self.out:
                snapshot = resuming.snapshot(self, metrics={"validation": result.to_dict()})
                checkpoint.save(self.out / "best.safetensors", snapshot)
        return result

    def log(self, **values: Any) -> None:
        """Append one line to the history and to `log.jsonl`."""
        line = {"step": self.step, "seconds": round(self.seconds, 3), **values}
        self.history.append(line)
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if warning := self.watch.warning(self.history):
            tqdm.write(warning)

    def health(self) -> str:
        """One line: whether the run so far is as it should be; see `microgpt_ref.health`."""
        return self.watch.report(self.history)

    def save_last(self) -> None:
        """Write `last.safetensors`, from which `resume` goes on."""
        if self.out:
            checkpoint.save(self.out / "last.safetensors", resuming.snapshot(self, with_optimizer=True))

    def resume(self) -> bool:
        """Go on from `last.safetensors` in the run's folder; False if there is none.

        Raises:
            CheckpointError: if it belongs to another model, recipe or text, naming the first difference.
        """
        if not self.out or not (self.out / "last.safetensors").exists():
            return False
        saved = checkpoint.load(self.out / "last.safetensors")
        self.state = on_every_device(resuming.restore(self, saved), self.mesh)
        self.step, self.seconds = saved.step, saved.training["seconds"]
        self.best = saved.training["best"]
        self.history = rewind_log(self.out / "log.jsonl", self.step)
        return True


def train(
    config: GPTConfig,
    recipe: Recipe,
    dataset: Dataset,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str] | None = None,
    **settings: int | Parameters | Mesh | None,
) -> Trainer:
    """Train to the end, going on where an earlier call with the same `out` was stopped; see `Trainer`."""
    trainer = Trainer(config, recipe, dataset, tokenizer, out, **settings)  # type: ignore[arg-type]
    trainer.resume()
    trainer.run()
    return trainer
