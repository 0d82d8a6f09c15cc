"""The training loop: batches, gradients, updates, evaluation, checkpoints, and resuming after any stop.

What is random in step i depends on (seed, i) alone, so a run that was killed and resumed draws the same
batches and the same dropout as one that was left alone, and ends with the same weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from microgpt_ref import checkpoint, health, roofline
from microgpt_ref._memory import keep_freed_memory
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.evaluate import Result, evaluate_split
from microgpt_ref.tokenizers import Tokenizer
from microgpt_ref.torch import resuming
from microgpt_ref.torch.batches import Batches, build_batches
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.loggers import LOGGERS, flat
from microgpt_ref.torch.optim import build_optimizers, set_learning_rates
from microgpt_ref.torch.precision import Together, choose_device, choose_precision
from microgpt_ref.torch.recipe import TrainConfig


class Trainer:
    """One run: `Trainer(...).run()` trains to the end; each of its steps can also be called by hand.

    Args:
        model_config: the architecture; its vocab_size must be the tokenizer's.
        config: the recipe.
        dataset: training and validation text.
        tokenizer: cuts both into tokens.
        out: folder for checkpoints and the log; None keeps everything in memory.
        build_model: makes the model from its configuration. None: `GPT`, with the attention that is fastest
            here; or another module that has the same `config`, `forward(tokens)` and `loss(tokens, targets)`.

    Raises:
        ValueError: if the vocabulary does not fit or a split is shorter than one window.
    """

    def __init__(
        self,
        model_config: GPTConfig,
        config: TrainConfig,
        dataset: Dataset,
        tokenizer: Tokenizer,
        out: str | os.PathLike[str] | None = None,
        build_model: Callable[[GPTConfig], GPT] | None = None,
    ) -> None:
        if model_config.vocab_size != tokenizer.vocab_size:
            raise ValueError(
                f"vocab_size={model_config.vocab_size} but the tokenizer has {tokenizer.vocab_size} tokens; "
                f"use config.replace(vocab_size={tokenizer.vocab_size})"
            )
        self.config, self.dataset, self.tokenizer = config, dataset, tokenizer
        self.out = None if out is None else Path(out)
        self.device = choose_device(config.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.format = choose_precision(config.precision, self.device)
        torch.manual_seed(config.seed)
        self.model = (build_model or self.build_gpt)(model_config).to(self.device)
        self.optimizers = build_optimizers(self.model, config)
        self.loss = torch.compile(self.model.loss) if config.compile else self.model.loss
        self.batches = self.build_batches(model_config.context)
        self.logger = LOGGERS[config.log_to](
            self.out, {"model": model_config.to_dict(), "recipe": dataclasses.asdict(config)}
        )
        self.peak = self.measure_peak() if config.measure_peak else None
        self.step = 0
        self.seconds = 0.0
        self.best: float | None = None
        self.history: list[dict[str, Any]] = []
        on_gpu = self.device.type == "cuda"
        self.watch = health.watch_over(
            model_config,
            dataclasses.asdict(config),
            dataset.name,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            device=torch.cuda.get_device_name(self.device) if on_gpu else self.device.type,
            cores=torch.get_num_threads(),
        )

    def build_gpt(self, model_config: GPTConfig) -> GPT:
        """The course's GPT. On a CPU the compiler makes more of attention in blocks than of the fused one."""
        blocks = self.config.compile and self.device.type == "cpu"
        return GPT(model_config, attention="blockwise" if blocks else "sdpa")

    def build_batches(self, context: int) -> Batches:
        """What deals the batches: windows from random places of the training text."""
        self.train_ids = np.asarray(self.tokenizer.encode(self.dataset.train))
        if len(self.train_ids) <= context:
            raise ValueError(
                f"the training text has {len(self.train_ids)} tokens, too few for context={context}; "
                f"give a longer text or a context below {len(self.train_ids)}"
            )
        config = self.config
        return build_batches(
            self.train_ids, config.batch_size, context, config.seed, self.device, config.accumulate
        )

    def settings(self) -> dict[str, Any]:
        """What the run was told, as JSON-ready values: a run that is resumed must be told the same."""
        return dataclasses.asdict(self.config)

    def measure_peak(self) -> float | None:
        """FLOP/s of a large matrix product in the run's number format; None where it cannot be timed."""
        if self.device.type == "mps":
            return None
        with self.format.float32_products():
            return roofline.measured_peak(str(self.device), str(self.format.dtype).removeprefix("torch."))

    # One update, in the order in which it happens

    def batch(self, step: int, micro_batch: int = 0) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Inputs and targets of one micro-batch of one step, on the device."""
        return self.batches(step, micro_batch)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW, which every recipe has."""
        return self.optimizers[0]

    def learning_rate_at(self, step: int) -> float:
        """AdamW's learning rate in that update."""
        return self.config.learning_rate_at(step)

    def train_step(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """One update. Returns the mean loss of its batch and the norm of its gradient, on the device.

        Nothing here waits for the device: the CPU runs ahead and prepares the next kernels meanwhile.
        """
        config, scaler = self.config, self.format.scaler
        # dropout, too, depends on (seed, step) alone
        torch.manual_seed(int(np.random.SeedSequence([config.seed, self.step]).generate_state(1)[0]))
        self.model.train()
        total = torch.zeros((), device=self.device)
        with self.format.float32_products():
            batches = [self.batch(self.step, micro_batch) for micro_batch in range(config.accumulate)]
            counted = torch.stack([(targets >= 0).sum() for _, targets in batches])
            for (inputs, targets), share in zip(batches, counted / counted.sum(), strict=True):
                with self.format.autocast():
                    # a mean of means would weigh the tokens of a micro-batch with few targets more
                    loss = self.loss(inputs, targets) * share
                scaler.scale(loss).backward()
                total += loss.detach()
            set_learning_rates(self.optimizers, config, self.step)
            optimizer = self.optimizer if len(self.optimizers) == 1 else Together(self.optimizers)
            gradient_norm = self.format.clip_and_step(optimizer, list(self.model.parameters()), config.clip)
        self.model.zero_grad()
        self.step += 1
        return total, gradient_norm

    def evaluate(self) -> Result:
        """The loss on the whole validation split, in float32; see `evaluate_split`."""
        return evaluate_split(self.model, self.tokenizer, self.dataset)

    # The run

    def run(self) -> list[dict[str, Any]]:
        """Train from the current step to the last one; returns the log's lines.

        Ctrl-C (or SIGTERM) ends the step under way, saves the run and raises KeyboardInterrupt.
        """
        config = self.config
        bar = tqdm(total=config.steps, initial=self.step, unit="step", dynamic_ncols=True)
        with bar, contextlib.closing(self.logger), resuming.StopSignal() as signal:
            while self.step < config.steps:
                intervals = (config.log_every, config.evaluate_every, config.save_every)
                stop = min(config.steps, *((self.step // every + 1) * every for every in intervals))
                mean = self.train_until(stop, bar, signal)
                bar.set_postfix(loss=f"{mean:.3f}", best=f"{self.best or float('nan'):.4f}")
                if signal.received:
                    break
                if self.step % config.evaluate_every == 0 or self.step == config.steps:
                    self.evaluate_and_keep_best()
                if self.step % config.save_every == 0 or self.step == config.steps:
                    self.save_last()
        if signal.received and self.step < config.steps:
            self.save_last()
            raise KeyboardInterrupt
        return self.history

    def train_until(
        self, stop: int, bar: tqdm[Any] | None = None, signal: resuming.StopSignal | None = None
    ) -> float:
        """Update until `stop` steps are done, write one line of the log, and return the mean loss.

        Raises:
            FloatingPointError: if that mean is not a finite number.
        """
        config, first, start = self.config, self.step, time.perf_counter()
        total, initial = torch.zeros((), device=self.device), None
        while self.step < stop and not (signal and signal.received):
            loss, gradient_norm = self.train_step()
            total += loss
            initial = loss if self.step == 1 else initial
            if bar is not None:
                bar.update()
        done = self.step - first
        if not done:
            return float("nan")
        mean = total.item() / done  # the only wait for the device
        seconds = time.perf_counter() - start
        self.seconds += seconds
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"the loss is {mean} at step {self.step}; lower learning_rate={config.learning_rate} "
                f"or use precision=fp32"
            )
        norm = float(gradient_norm)
        tokens = done * config.batch_size * config.accumulate * self.model.config.context
        speed = {"tokens_per_second": tokens / seconds}
        if self.peak:
            used = roofline.utilisation(tokens / seconds, self.model.config, self.peak)
            speed["model_flops_utilisation"] = used
        self.log(
            loss=mean,
            gradient_norm=norm if math.isfinite(norm) else None,  # the scaler left an overflow out
            learning_rate=self.learning_rate_at(self.step - 1),
            **speed,
            **({} if initial is None else {"initial_loss": initial.item()}),
        )
        return mean

    def evaluate_and_keep_best(self) -> Result:
        """Evaluate, log the result, and write `best.safetensors` if no earlier result was as low."""
        result = self.evaluate()
        self.log(validation=result.to_dict())
        if self.best is None or result.loss < self.best:
            self.best = result.loss
            if self.out:
                self.save_best(self.out / "best.safetensors", {"validation": result.to_dict()})
        return result

    def save_best(self, path: Path, metrics: dict[str, Any]) -> None:
        """Write the model as it is now, for use."""
        checkpoint.save(path, resuming.snapshot(self, metrics))

    def log(self, **values: Any) -> None:
        """Append one line to the history and to `log.jsonl`, and tell the logger its numbers."""
        line = {"step": self.step, "seconds": round(self.seconds, 3), **values}
        self.history.append(line)
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        self.logger.write(self.step, flat(values))
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
        resuming.restore(self, checkpoint.load(self.out / "last.safetensors"))
        self.history = resuming.rewind_log(self.out / "log.jsonl", self.step)
        return True
