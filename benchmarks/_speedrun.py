"""One run of the speedrun in a process of its own, and what all its benchmarks share."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

from benchmarks._common import usable_cores
from microgpt_ref import datasets
from microgpt_ref.torch.speedrun import Recipe

TEJAS, NANOGPT = 1.4815, 1.4697
MARKS = {
    TEJAS: "tejas-10m's published validation loss",
    NANOGPT: "nanoGPT's README: validation loss 1.4697 in about three minutes on an A100",
}
PACKAGES = ("microgpt-ref", "numpy", "torch")
VALIDATION = (
    "the whole validation split of tiny Shakespeare (the last tenth), in windows of the context that do not "
    "overlap, every character but the first predicted once, in float32"
)


def train_apart(recipe: Recipe, seed: int, quick: bool = False) -> dict[str, Any]:
    """`run` of microgpt_ref.torch.speedrun in a fresh process: no run finds another's caches or memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_train, recipe, seed, quick).result()


def toy(recipe: Recipe) -> Recipe:
    """The recipe at a size for tests: a few seconds, and no compiler."""
    return recipe.replace(
        steps=6, warmup_steps=2, log_every=3, batch_size=2, context=32, d_model=32, n_layer=1,
        compile=False, ngrams={n: min(rows, 500) for n, rows in recipe.ngrams.items() if n < 4},
    )  # fmt: skip


def _train(recipe: Recipe, seed: int, quick: bool) -> dict[str, Any]:
    import torch

    from microgpt_ref.tokenizers import CharacterTokenizer
    from microgpt_ref.torch.speedrun import run

    torch.set_num_threads(usable_cores())
    data = toy_text() if quick else datasets.load("tinyshakespeare")
    tokenizer = CharacterTokenizer.from_text(data.train + data.validation)
    result, trainer = run(toy(recipe) if quick else recipe, data, tokenizer, seed, _tell)
    curve = [[line["step"], round(line["seconds"], 1), round(line["loss"], 4)] for line in trainer.history]
    return {**asdict(result), "curve": curve}


def toy_text() -> datasets.Dataset:
    """A few of the embedded stories: no download, no shared folder."""
    return datasets.load("stories", characters=20_000)


def _tell(line: dict[str, Any]) -> None:
    print(
        f"  step {line['step']}: loss {line['loss']:.3f}, {line['seconds']:.0f} s",
        file=sys.stderr,
        flush=True,
    )
