"""Fine-tuning the small model on questions about stories: before, LoRA of several ranks, and all weights.

python -m benchmarks.finetune            about 15 minutes on two cores; goes on where it was stopped
python -m benchmarks.finetune --quick    a toy, to see whether it runs; writes nothing
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks._common import write_result
from microgpt_ref import chat, checkpoint, datasets, stories
from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import count_parameters
from microgpt_ref.evaluate import evaluate
from microgpt_ref.lora import LoRAConfig, lora_parameters
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CHAT_TOKENS, Tokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.answers import ask, exact_match
from microgpt_ref.torch.finetune import FinetuneConfig, Finetuner
from microgpt_ref.torch.lora import trainable_parameters

RANKS = (1, 4, 16)
FULL = {"method": "full", "learning_rate": 2e-3}
LIMIT, RIGHT, KEPT = 180.0, 0.95, 0.95
SEED = 0
RECIPE = FinetuneConfig(seed=SEED, steps=1000, evaluate_every=500, save_every=250)
PART = Path("runs/finetune.json")


def contestants() -> dict[str, tuple[dict[str, Any], int]]:
    """Name → changes of the recipe, and the rank."""
    return {**{f"rank {rank}": ({}, rank) for rank in reversed(RANKS)}, "full": (FULL, 1)}


def main(arguments: list[str] | None = None) -> None:
    """Train every contestant once and write benchmarks/results/finetune.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size, nothing written")
    quick = parser.parse_args(arguments).quick
    base = checkpoint.load(checkpoint.shipped("reader"))
    unseen = 20 if quick else 1000
    runs: dict[str, Any] = json.loads(PART.read_text()) if PART.exists() and not quick else {}
    if "before" not in runs:
        runs["before"] = before(base, unseen)
    for name, (changes, rank) in contestants().items():
        if name in runs:
            continue
        runs[name] = train(base, changes, rank, unseen, quick)
        print(name, {k: v for k, v in runs[name].items() if k != "curve"}, flush=True)
        if not quick:
            PART.parent.mkdir(exist_ok=True)
            with atomic_write(PART) as file:
                file.write(json.dumps(runs).encode())
    if not quick:
        print("written:", write_result("finetune", result(base, runs), ("microgpt-ref", "torch")).name)
        PART.unlink()


def scores(model: GPT, tokenizer: Tokenizer, unseen: int) -> dict[str, Any]:
    """Exact answers to one question about each of so many unseen stories, and the loss on 300 of them."""
    questions = stories.questions(unseen, SEED, "validation")
    right = exact_match(questions, ask(model, tokenizer, questions))
    return {"right": right, **telling(model, tokenizer, unseen)}


def telling(model: GPT, tokenizer: Tokenizer, unseen: int) -> dict[str, float]:
    """The loss on unseen stories and its floor, in nats a character."""
    text = "".join(stories.generate(min(unseen, 300), SEED, "validation"))
    told = evaluate(model, tokenizer, text, stories=True)
    per_character = told.tokens / told.characters
    return {"story_loss": told.loss * per_character, "story_floor": (told.floor or 0.0) * per_character}


def before(base: Checkpoint, unseen: int) -> dict[str, Any]:
    """The base model: its stories, and its answers with rows for chat tokens that mean nothing to it yet."""
    tuner = Finetuner(base, RECIPE, LoRAConfig(), dialogues(16))
    answered = scores(tuner.result().build_torch(), tuner.tokenizer, unseen)
    return {**answered, **telling(base.build_torch(), base.build_tokenizer(), unseen)}


def dialogues(count: int) -> chat.Dialogues:
    """Conversations about stories, as `microgpt finetune` takes them."""
    return chat.load_conversations("stories", count=count, seed=SEED, turns=10)


def train(base: Checkpoint, changes: dict[str, Any], rank: int, unseen: int, quick: bool) -> dict[str, Any]:
    """One run of `microgpt finetune`'s recipe, and what became of the model."""
    recipe = dataclasses.replace(RECIPE, **changes)
    if quick:
        recipe = dataclasses.replace(recipe, steps=6, batch_size=8, warmup_steps=2)
    talks = dialogues(40 if quick else 8000)
    lora = LoRAConfig(rank=rank, alpha=16)
    tuner = Finetuner(base, recipe, lora, talks, datasets.load("stories").train)
    tuner.validation = tuner.validation[:100]
    curve = []
    while tuner.step < recipe.steps:
        tuner.train_until(min(recipe.steps, tuner.step + max(1, recipe.steps // 12)))
        curve.append([tuner.step, round(tuner.seconds, 1), tuner.evaluate().loss])
    plain = tuner.result().build_torch()
    return {
        "rank": None if recipe.method == "full" else rank,
        "seconds": tuner.seconds,
        "steps": recipe.steps,
        "trainable": trainable_parameters(tuner.model),
        "parameters": sum(p.numel() for p in tuner.model.parameters()),
        "bytes": held(tuner),
        "curve": curve,
        **scores(plain, tuner.tokenizer, unseen),
    }


def held(tuner: Finetuner) -> dict[str, int]:
    """Bytes that stay in memory between two updates or are filled in each: counted, tensor by tensor."""
    weights = list(tuner.model.parameters())
    state = [v for o in tuner.optimizers for s in o.state.values() for v in s.values() if torch.is_tensor(v)]
    return {
        "weights": sum(p.numel() * p.element_size() for p in weights),
        "gradients": sum(p.numel() * p.element_size() for p in weights if p.requires_grad),
        "optimizer": sum(v.numel() * v.element_size() for v in state),
    }


def of_zain() -> dict[str, Any]:
    """The same for zain-124m at rank 16, by formula: float32 weights, gradients, AdamW's two averages."""
    config = preset("zain-124m")
    plain = config.replace(vocab_size=config.vocab_size - len(CHAT_TOKENS))
    every, few = count_parameters(config), lora_parameters(plain, LoRAConfig(16, 16), len(CHAT_TOKENS))
    return {
        "parameters": every,
        "lora": few,
        "full_bytes": 4 * (every + 3 * every),
        "lora_bytes": 4 * (every + lora_parameters(plain, LoRAConfig(16, 16)) + 3 * few),
    }


def result(base: Checkpoint, runs: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, and the figures that the results page shows."""
    lora = {name: run for name, run in runs.items() if name.startswith("rank")}
    best = max(lora, key=lambda name: lora[name]["right"]["all"])
    kept = {name: runs["before"]["story_loss"] / run["story_loss"] for name, run in runs.items()}
    zain = of_zain()
    return {
        "title": "Fine-tuning on questions about stories",
        "command": "python -m benchmarks.finetune",
        "about": "Exact match, letter for letter, on one question about each of 1,000 stories of the "
        "validation split; one seed. The shipped reader model; `microgpt finetune`'s recipe, with 1,000 "
        "updates. Kept: the base model's loss on 300 unseen stories divided by the tuned model's.",
        "base": base.metrics,
        "recipe": dataclasses.asdict(RECIPE),
        "full": FULL,
        "runs": runs,
        "kept": kept,
        "best_lora": best,
        "zain": zain,
        "measured": rows(runs, best, kept, zain),
    }


def rows(
    runs: dict[str, Any], best: str, kept: dict[str, float], zain: dict[str, Any]
) -> list[dict[str, Any]]:
    """The figures of the results page."""
    right = "Questions about unseen stories answered right"
    lora, small, full = runs[best], runs["rank 16"], runs["full"]
    share = zain["lora_bytes"] / zain["full_bytes"]
    return [
        row(f"{right}, before fine-tuning", runs["before"]["right"]["all"], 1),
        row(f"{right}, after LoRA ({best})", lora["right"]["all"], 1, RIGHT, "higher", True),
        row(
            f"Training time of LoRA ({best}) on two CPU cores", lora["seconds"], 0, LIMIT, "lower", True, "s"
        ),
        row(f"The base model's story loss that LoRA ({best}) keeps", kept[best], 1, KEPT, "higher", True),
        row("Questions right after LoRA of rank 1", runs["rank 1"]["right"]["all"], 1),
        row("Questions right after training all weights", full["right"]["all"], 1),
        row("Story loss kept after training all weights", kept["full"], 1),
        row("Parameters trained, LoRA of rank 16", small["trainable"], 0, unit=""),
        row("Parameters trained, all weights", full["trainable"], 0, unit=""),
        row("Gradients and AdamW's state, LoRA of rank 16", megabytes(small), 2, unit="MB"),
        row("Gradients and AdamW's state, all weights", megabytes(full), 2, unit="MB"),
        row("zain-124m, LoRA of rank 16: parameters trained, by formula", zain["lora"], 0, unit=""),
        row("zain-124m: memory of LoRA, as a share of full fine-tuning's, by formula", share, 1),
    ]


def megabytes(run: dict[str, Any]) -> float:
    """What training needs besides the weights and the activations."""
    return (run["bytes"]["gradients"] + run["bytes"]["optimizer"]) / 1e6


def row(
    what: str,
    value: float,
    digits: int,
    target: float | None = None,
    better: str = "",
    readme: bool = False,
    unit: str = "%",
) -> dict[str, Any]:
    """One figure of the results page; shares are shown in percent."""
    factor = 100 if unit == "%" else 1
    shown: dict[str, Any] = {"what": what, "value": factor * value, "unit": unit, "digits": digits}
    if target is not None:
        shown |= {"target": factor * target, "better": better, "source": "the course's limit"}
    return {**shown, "readme": True} if readme else shown


if __name__ == "__main__":
    main()
