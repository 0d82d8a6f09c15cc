"""What healthy runs of the course do in their first updates: the bands of `microgpt_ref.health`.

    python -m benchmarks.health                    all runs, a few minutes
    python -m benchmarks.health train-stories      one of them

It writes `microgpt_ref/assets/health.json`. Speed is kept by class of device: what another machine measured
stays there as long as the run is the same. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._common import machine, today, versions
from microgpt_ref import datasets, health, stories
from microgpt_ref._files import atomic_write
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CharacterTokenizer

if TYPE_CHECKING:
    from microgpt_ref.jax.train import Trainer as JaxTrainer
    from microgpt_ref.torch.train import Trainer

PATH = Path(health.__file__).parent / "assets" / "health.json"
SEEDS = (0, 1, 2)
STEPS = 100


def train_stories(seed: int) -> Trainer:
    """`microgpt train`."""
    from microgpt_ref.torch.train import TrainConfig, Trainer

    tokenizer = CharacterTokenizer(stories.ALPHABET)
    model = preset("stories").replace(vocab_size=tokenizer.vocab_size)
    return Trainer(model, TrainConfig(seed=seed), datasets.load("stories"), tokenizer)


def train_tinyshakespeare(seed: int) -> Trainer:
    """`microgpt train --data tinyshakespeare`."""
    from microgpt_ref.torch.train import TrainConfig, Trainer

    dataset = datasets.load("tinyshakespeare")
    tokenizer = CharacterTokenizer.from_text(dataset.train + dataset.validation)
    return Trainer(preset("laptop"), TrainConfig(seed=seed), dataset, tokenizer)


def chapter_8(seed: int) -> Trainer:
    """The live run on the stories in chapter 8."""
    import torch

    from microgpt_ref.torch.train import TrainConfig, Trainer

    torch.set_num_threads(1)
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    model = preset("tiny").replace(vocab_size=tokenizer.vocab_size, context=512)
    recipe = TrainConfig(steps=150, warmup_steps=20, batch_size=4, learning_rate=6e-3, seed=seed)
    return Trainer(model, recipe, datasets.load("stories", characters=100_000), tokenizer)


def chapter_9(seed: int) -> JaxTrainer:
    """The training loop of chapter 9."""
    from microgpt_ref.jax.train import Recipe, Trainer

    tokenizer = CharacterTokenizer(stories.ALPHABET)
    model = preset("tiny").replace(vocab_size=tokenizer.vocab_size)
    recipe = Recipe(steps=150, batch_size=16, warmup_steps=20)
    return Trainer(model, recipe, datasets.load("stories", characters=100_000), tokenizer, seed=seed)


def chapter_9_kandarpa(seed: int) -> JaxTrainer:
    """`kandarpa-17m`'s recipe at small size, in chapter 9."""
    from microgpt_ref.jax.train import KANDARPA_17M, Trainer

    tokenizer = CharacterTokenizer(stories.ALPHABET)
    model = preset("kandarpa-17m").replace(
        vocab_size=tokenizer.vocab_size, context=32, d_model=64, n_head=4, n_layer=2, embedding_scale=8.0
    )
    small = {"steps": 60, "warmup_steps": 10, "batch_size": 16, "learning_rate": 5e-3}
    recipe = dataclasses.replace(KANDARPA_17M, **small)  # type: ignore[arg-type]
    return Trainer(model, recipe, datasets.load("stories", characters=100_000), tokenizer, seed=seed)


def speedrun(seed: int) -> Trainer:
    """The speedrun of chapter 10."""
    from microgpt_ref.torch import speedrun

    dataset = datasets.load("tinyshakespeare")
    tokenizer = CharacterTokenizer.from_text(dataset.train + dataset.validation)
    return speedrun.SpeedrunTrainer(speedrun.TWO_MINUTES.replace(seed=seed), dataset, tokenizer)


RUNS: dict[str, Callable[[int], Trainer | JaxTrainer]] = {
    "train-stories": train_stories,
    "train-tinyshakespeare": train_tinyshakespeare,
    "chapter-8": chapter_8,
    "chapter-9": chapter_9,
    "chapter-9-kandarpa": chapter_9_kandarpa,
    "speedrun": speedrun,
}


def key_of(trainer: Any) -> dict[str, Any]:
    """What the trainer's run is known by."""
    in_torch = hasattr(trainer, "model")
    config = trainer.model.config if in_torch else trainer.config
    recipe = dataclasses.asdict(trainer.config if in_torch else trainer.recipe)
    count = sum(p.numel() for p in trainer.model.parameters()) if in_torch else None
    return health.key(config, recipe, trainer.dataset.name, count)


def observe(name: str, most: int = STEPS) -> tuple[dict[str, Any], str]:
    """What three seeds of a run do in their first updates, and the class of device they ran on."""
    histories = []
    for seed in SEEDS:
        trainer: Any = RUNS[name](seed)
        steps = min(most, (trainer.config if hasattr(trainer, "model") else trainer.recipe).steps)
        for step in range(1, steps + 1):
            trainer.train_until(step)
        histories.append(trainer.history)
        last = trainer.history[-1]
        print(f"{name}, seed {seed}: loss {last['loss']:.3f} after {steps} updates", flush=True)
    norms = [line["gradient_norm"] for lines in histories for line in lines]
    speeds = [statistics.median(line["tokens_per_second"] for line in lines[1:]) for lines in histories]
    device = str(trainer.watch.device_class)
    observed = {
        "key": key_of(trainer),
        "steps": steps,
        "initial_loss": [round(lines[0]["initial_loss"], 3) for lines in histories],
        "gradient_norm": [round(min(norms), 4), round(max(norms), 4)],
        "tokens_per_second": {device: [round(speed) for speed in speeds]},
        "loss": [[round(line["loss"], 3) for line in lines] for lines in histories],
    }
    return observed, device


def main(arguments: list[str]) -> None:
    """Observe the chosen runs, and write them beside what is known of the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="*", default=list(RUNS), choices=RUNS)
    for name in parser.parse_args(arguments).runs:
        observed, device = observe(name)
        known = json.loads(PATH.read_text(encoding="utf-8"))
        before = known["runs"].get(name, {})
        if before.get("key") == observed["key"]:
            observed["tokens_per_second"] = before["tokens_per_second"] | observed["tokens_per_second"]
        known["runs"][name] = observed
        packages = versions("microgpt-ref", "numpy", "torch", "jax", "optax")
        known["machines"][device] = {"date": today(), "machine": machine(), "versions": packages}
        write(known)


def write(known: dict[str, Any]) -> None:
    """As JSON with each list of numbers on a line of its own."""
    text = json.dumps(known, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)
    with atomic_write(PATH) as file:
        file.write((text + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
