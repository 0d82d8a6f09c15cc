"""Train the small GPT that ships inside the package, and keep the history of its training.

    python -m benchmarks.shipped_checkpoint              the real one; its last time: stories.history.json
    python -m benchmarks.shipped_checkpoint --steps 50 --out /tmp/try    a trial

A killed run goes on where it was when the same command is given again. At the end it writes
`stories.safetensors` (float16), `stories.json` and `stories.history.json` into the folder `--assets`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks._common import machine, today, versions
from microgpt_ref import checkpoint, datasets, stories
from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.evaluate import evaluate
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch import generate
from microgpt_ref.torch.train import TrainConfig, Trainer

ASSETS = Path(checkpoint.__file__).parent / "assets"
SAMPLES = 5


@dataclass(frozen=True)
class Run:
    """Train the shipped checkpoint."""

    steps: int = 12_000
    """Updates of the weights."""
    batch_size: int = 4
    """Windows in each."""
    story_width: int = 416
    """Width of the windows that begin where a story begins: nearly every story fits into one."""
    story_part: float = 0.8
    """The part of the run that reads those; the rest reads windows of 512 characters from anywhere."""
    learning_rate: float = 4e-3
    """Peak learning rate."""
    compile: bool = True
    """Whether to compile the model."""
    characters: int = 20_000_000
    """Training text: about twice what the run reads, from random places."""
    stories: int = 300
    """Validation stories that the finished model is measured on."""
    stories_on_the_way: int = 100
    """Of these, how many every evaluation of the history reads."""
    out: Path = Path("runs/shipped")
    """Folder of the run, for resuming."""
    assets: Path = ASSETS
    """Where the finished files go."""


class WholeStoriesFirst(Trainer):
    """A trainer that reads each story from its beginning, and windows from anywhere only at the end.

    What a window leaves out cannot be recalled: cut at random, half of the recall would be a guess.
    """

    story_width, story_part = 0, 0.0
    starts: np.ndarray  # where a story's first character stands, less one: the newline before it

    def batch(self, step: int, micro_batch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets: whole stories, or in the last part of the run windows from anywhere."""
        if step >= self.story_part * self.config.steps:
            return super().batch(step, micro_batch)
        generator = np.random.default_rng([self.config.seed, step, micro_batch])
        chosen = generator.choice(self.starts, self.config.batch_size)  # (B,)
        windows = self.train_ids[chosen[:, None] + np.arange(self.story_width + 1)]  # (B, T + 1)
        tokens = torch.from_numpy(windows.astype(np.int64)).to(self.device)
        return tokens[:, :-1], tokens[:, 1:]


def moments(steps: int) -> list[int]:
    """When to evaluate: closer together at the beginning, where most happens."""
    spaced = np.geomspace(10, steps, 22).round().astype(int)
    return sorted({0, *spaced.tolist()})


def sample(trainer: Trainer, tokenizer: CharacterTokenizer) -> str:
    """The story that the model tells now, always with the same dice."""
    prompt = torch.tensor([tokenizer.encode("\n")])
    tokens = generate(trainer.model, prompt, 400, generator=torch.Generator().manual_seed(1))
    return tokenizer.decode(tokens[0].tolist())[1:].split("\n")[0]


def build(run: Run) -> tuple[Trainer, CharacterTokenizer, str]:
    """The trainer, its tokenizer and the validation text."""
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    text = "".join(stories.generate(run.stories, seed=0, split="validation"))
    train = datasets.load("stories", characters=run.characters).train
    recipe = TrainConfig(
        steps=run.steps,
        batch_size=run.batch_size,
        learning_rate=run.learning_rate,
        warmup_steps=min(200, run.steps // 4),
        save_every=run.steps,
        evaluate_every=run.steps,
        compile=run.compile,
    )
    model = preset("stories").replace(vocab_size=tokenizer.vocab_size)
    dataset = datasets.Dataset("stories", train, text)
    trainer = WholeStoriesFirst(model, recipe, dataset, tokenizer, run.out)
    trainer.story_width, trainer.story_part = run.story_width, run.story_part
    newlines = np.flatnonzero(trainer.train_ids == tokenizer.encode("\n")[0])
    trainer.starts = newlines[newlines < len(trainer.train_ids) - run.story_width]
    # the two widths are compiled one by one, instead of once, more slowly, for every width
    torch._dynamo.config.automatic_dynamic_shapes = False
    return trainer, tokenizer, text


def train(run: Run) -> None:
    """The run, evaluated at `moments`; what has been measured is saved with every checkpoint."""
    trainer, tokenizer, text = build(run)
    shorter_text = "".join(text.splitlines(keepends=True)[: run.stories_on_the_way])
    history_file = run.out / "history.json"
    history = {"log": [], "evaluations": [], "samples": []}
    if trainer.resume():
        history = json.loads(history_file.read_text(encoding="utf-8"))
    due = moments(run.steps)
    sampled = {0, *np.geomspace(due[2], run.steps, SAMPLES - 1).round().astype(int).tolist()}
    sampled = {min(due, key=lambda step: abs(step - wanted)) for wanted in sampled}
    while True:
        if trainer.step in due and trainer.step not in {e["step"] for e in history["evaluations"]}:
            result = evaluate(trainer.model, tokenizer, shorter_text, stories=True).to_dict()
            history["evaluations"].append({"step": trainer.step, "seconds": trainer.seconds, **result})
            if trainer.step in sampled:
                history["samples"].append({"step": trainer.step, "text": sample(trainer, tokenizer)})
            trainer.save_last()
            with atomic_write(history_file) as file:
                file.write(json.dumps(history).encode())
            losses = {name: round(part["loss"], 3) for name, part in result["categories"].items()}
            print(trainer.step, round(trainer.seconds), round(result["loss"], 4), losses, flush=True)
        if trainer.step == run.steps:
            break
        stop = min(step for step in due if step > trainer.step)
        trainer.train_until(stop)
        history["log"] += [{"step": trainer.step, "loss": trainer.history[-1]["loss"]}]
    finish(run, trainer, tokenizer, text, history)


def finish(run: Run, trainer: Trainer, tokenizer: CharacterTokenizer, text: str, history: dict) -> None:
    """Round to float16, measure what was rounded, and write the three files."""
    half = {name: p.detach().half().numpy() for name, p in trainer.model.named_parameters()}
    rounded = Checkpoint(trainer.model.config, half).build_torch()
    result = evaluate(rounded, tokenizer, text, stories=True)
    made = {
        "steps": run.steps,
        "batch_size": run.batch_size,
        "context": trainer.model.config.context,
        "story_width": run.story_width,
        "story_part": run.story_part,
        "learning_rate": run.learning_rate,
        "precision": str(trainer.format.dtype).removeprefix("torch."),
        "compiled": run.compile,
        "threads": torch.get_num_threads(),
        "training_seconds": round(trainer.seconds),
    }
    shipped = Checkpoint(
        config=trainer.model.config,
        parameters=half,
        tokenizer=tokenizer.to_dict(),
        step=trainer.step,
        metrics={"validation": result.to_dict(), "validation_stories": {"count": run.stories, "seed": 0}},
        training={"script": "benchmarks/shipped_checkpoint.py", **made},
    )
    checkpoint.save(run.assets / "stories.safetensors", shipped)
    about = {"recipe": made, "machine": machine(), "versions": versions(), "date": today()}
    with atomic_write(run.assets / "stories.history.json") as file:
        file.write((json.dumps({**about, **history}, indent=1) + "\n").encode())
    print(f"loss {result.loss:.4f}, floor {result.floor:.4f}, written to {run.assets}")


if __name__ == "__main__":
    train(tyro.cli(Run))
