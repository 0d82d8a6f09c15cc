"""A small text, model and recipe for the tests of training in JAX."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np

from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.jax.optim import Recipe
from microgpt_ref.jax.train import Trainer
from microgpt_ref.tokenizers import CharacterTokenizer

TEXT = "mara has the lantern. ben has the letter. who has the key? ada has it.\n" * 40
DATASET = Dataset("test", TEXT, TEXT[:500])
TOKENIZER = CharacterTokenizer.from_text(TEXT)
MODEL = GPTConfig(vocab_size=TOKENIZER.vocab_size, context=16, d_model=16, n_layer=1, n_head=2)
RECIPE = Recipe(steps=12, batch_size=4, warmup_steps=2)


def trainer(
    out: Path | None = None, model: GPTConfig = MODEL, recipe: Recipe = RECIPE, **settings: object
) -> Trainer:
    every = {"evaluate_every": 6, "save_every": 3, "log_every": 2}
    return Trainer(model, recipe, DATASET, TOKENIZER, out, **(every | settings))  # type: ignore[arg-type]


def changed(**changes: object) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]


def assert_same(a: dict[str, jax.Array], b: dict[str, jax.Array]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_close(a: dict[str, jax.Array], b: dict[str, jax.Array], rtol: float, atol: float) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=rtol, atol=atol, err_msg=name)
