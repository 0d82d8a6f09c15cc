"""What a GPU makes of the course's runs, in three parts. Without a GPU it says so and measures nothing.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --parts gpt2            one part; the others keep what they had
    python -m benchmarks.gpu --toy                   every part at toy size on the CPU; writes nothing

- `speedrun`: our speedrun on tiny Shakespeare to nanoGPT's mark of 1.4697, compilation not counted;
- `gpt2`: steps of GPT-2 small, 124M parameters, T = 1024, bf16, and the share of the GPU's peak they use;
- `tejas`: tejas-10m's recipe, 5,000 steps at learning rate 3e-4 with dropout 0.2, and the losses it reaches.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import tyro

from benchmarks._common import RESULTS, write_result
from microgpt_ref import roofline
from microgpt_ref.presets import preset

Part = Literal["speedrun", "gpt2", "tejas"]
MARK = 1.4697

# bf16 FLOP/s without sparsity, from NVIDIA's data sheets, by the words of the GPU's name
DATA_SHEETS = {
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}


@dataclass(frozen=True)
class Settings:
    """Measure on a GPU."""

    parts: tuple[Part, ...] = ("speedrun", "gpt2", "tejas")
    """Which of them."""
    toy: bool = False
    """Toy sizes on the CPU, to see that everything runs."""
    batch_size: int = 32
    """Sequences a step of GPT-2."""


def main(settings: Settings) -> None:
    """Measure the parts, and write benchmarks/results/gpu.json."""
    import torch

    if not settings.toy and not torch.cuda.is_available():
        print("No GPU here: nothing was measured. On a machine with one: python -m benchmarks.gpu")
        return
    measured = {part: PARTS[part](settings) for part in settings.parts}
    print(json.dumps(measured, indent=2))
    if settings.toy:
        return
    name = torch.cuda.get_device_name()
    path = write_result("gpu", {"gpu": name, **kept(settings, name), **measured}, ("microgpt-ref", "torch"))
    print(f"written: {path.relative_to(RESULTS.parents[1])}")


def kept(settings: Settings, gpu: str) -> dict[str, Any]:
    """What an earlier run on the same kind of GPU measured of the other parts."""
    file = RESULTS / "gpu.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    others = [part for part in PARTS if part not in settings.parts]
    return {part: before[part] if before.get("gpu") == gpu and part in before else {} for part in others}


def speedrun(settings: Settings) -> dict[str, Any]:
    """The recipe of `benchmarks.speedrun` with the GPU's attention: its loss and its seconds of training."""
    from benchmarks._speedrun import toy
    from microgpt_ref.torch import speedrun as entry

    recipe = entry.TWO_MINUTES.replace(attention="sdpa", device=device_of(settings))
    if settings.toy:
        recipe = toy(recipe)
    data, tokenizer = text(settings)
    result, _ = entry.run(recipe, data, tokenizer)
    return {**asdict(result), "mark": MARK}


def gpt2(settings: Settings) -> dict[str, Any]:
    """Tokens a second of GPT-2 small, and the utilisation that they mean."""
    import torch

    from benchmarks._contestants import random_trainer
    from microgpt_ref.torch.recipe import TrainConfig

    # the vocabulary is padded to a multiple of 64, as in nanoGPT: the 47 more rows cost less than they save
    config = preset("minigpt-124m").replace(vocab_size=50_304)
    if settings.toy:
        config = config.replace(vocab_size=70, context=16, d_model=48, n_layer=1)
    recipe = TrainConfig(
        batch_size=2 if settings.toy else settings.batch_size,
        learning_rate=6e-4,
        precision="fp32" if settings.toy else "bf16",
        compile=not settings.toy,
        device=device_of(settings),
    )
    trainer = random_trainer(config, recipe)
    compilation = timed(trainer.train_step)
    steps = [timed(trainer.train_step) for _ in range(2 if settings.toy else 30)]
    speed = recipe.batch_size * config.context / statistics.median(steps)
    useful = config if settings.toy else preset("minigpt-124m")
    causal, square = (roofline.training_flops_per_token(useful, masked=masked) for masked in (False, True))
    result = {
        "shape": {
            "preset": "minigpt-124m",
            "B": recipe.batch_size,
            "T": config.context,
            "V": config.vocab_size,
        },
        "first_step_s": round(compilation, 1),
        "step_s": round(statistics.median(steps), 5),
        "tokens_per_second": round(speed, 1),
        "teraflops": round(speed * causal / 1e12, 3),
        "teraflops_by_the_whole_square": round(speed * square / 1e12, 3),
    }
    if settings.toy:
        return result
    peak = roofline.measured_peak("cuda", "bfloat16")
    sheet = data_sheet(torch.cuda.get_device_name())
    return result | {
        "measured_peak_teraflops": round(peak / 1e12, 1),
        "percent_of_measured_peak": round(100 * speed * causal / peak, 1),
        "data_sheet_teraflops": "unknown" if sheet is None else sheet / 1e12,
        # utilisation as it is usually published: the whole square, and the data sheet's peak
        "mfu_percent": round(100 * speed * square / (sheet or peak), 1),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1),
    }


def tejas(settings: Settings) -> dict[str, Any]:
    """tejas-10m as it was trained: AdamW with torch's defaults, a constant learning rate, no clipping.

    Two things differ: our weights start as GPT-2's do, and the losses are of whole texts, not of 200 batches.
    """
    from microgpt_ref.evaluate import evaluate
    from microgpt_ref.torch.recipe import TrainConfig
    from microgpt_ref.torch.train import Trainer

    data, tokenizer = text(settings)
    config = preset("tejas-10m").replace(vocab_size=tokenizer.vocab_size)
    if settings.toy:
        config = config.replace(context=16, d_model=48, n_layer=1)
    recipe = TrainConfig(
        steps=3 if settings.toy else 5000,
        batch_size=4 if settings.toy else 64,
        learning_rate=3e-4,
        final_learning_rate=3e-4,
        warmup_steps=0,
        weight_decay=0.01,
        beta2=0.999,
        clip=0.0,
        precision="fp32" if settings.toy else "auto",
        compile=not settings.toy,
        device=device_of(settings),
    )
    trainer = Trainer(config, recipe, data, tokenizer)
    compilation = timed(trainer.train_step)
    seconds = timed(lambda: trainer.train_until(recipe.steps))
    shown = data.train[: len(data.validation)]
    return {
        "steps": recipe.steps,
        "precision": str(trainer.format.dtype).removeprefix("torch."),
        "first_step_s": round(compilation, 1),
        "seconds": round(seconds, 1),
        "validation_loss": trainer.evaluate().loss,
        "training_loss": evaluate(trainer.model, tokenizer, shown).loss,
    }


PARTS: dict[Part, Callable[[Settings], dict[str, Any]]] = {"speedrun": speedrun, "gpt2": gpt2, "tejas": tejas}


def text(settings: Settings) -> tuple[Any, Any]:
    """Tiny Shakespeare, or for a toy a few stories, and the tokenizer of its characters."""
    from benchmarks._speedrun import toy_text
    from microgpt_ref import datasets
    from microgpt_ref.tokenizers import CharacterTokenizer

    data = toy_text() if settings.toy else datasets.load("tinyshakespeare")
    return data, CharacterTokenizer(data.characters)


def device_of(settings: Settings) -> str:
    """Where the parts run."""
    return "cpu" if settings.toy else "cuda"


def data_sheet(name: str) -> float | None:
    """The peak that the maker states, or None where we do not know it."""
    words = set(name.replace("-", " ").split())
    return next((peak for sheet, peak in DATA_SHEETS.items() if set(sheet.split()) <= words), None)


def timed(work: Callable[[], object]) -> float:
    """Seconds of `work`, with what it left running on the GPU."""
    import torch

    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(tyro.cli(Settings))
