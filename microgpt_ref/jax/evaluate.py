"""How good a model in JAX is: the loss on a text, every token but the first predicted once."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float, Int

from microgpt_ref.config import GPTConfig
from microgpt_ref.evaluate import Evaluation
from microgpt_ref.jax.basics import Parameters
from microgpt_ref.jax.gpt import cross_entropy, forward
from microgpt_ref.jax.mesh import make_mesh, share_batch
from microgpt_ref.shards import windows
from microgpt_ref.tokenizers import Tokenizer


@partial(jax.jit, static_argnames="config")
def sum_of_losses(
    parameters: Parameters, tokens: Int[Array, "B T"], targets: Int[Array, "B T"], config: GPTConfig
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The losses of one batch added up, and how many there are; targets of −1 are left out."""
    count = (targets >= 0).sum()
    return cross_entropy(forward(parameters, tokens, config), targets) * count, count


def evaluate_ids(
    parameters: Parameters,
    ids: Int[np.ndarray, " n"],
    config: GPTConfig,
    tokenizer: Tokenizer,
    batch_size: int = 32,
    mesh: Mesh | None = None,
) -> Evaluation:
    """Score a text: every token but the first is predicted once, in windows that do not overlap.

    All batches are padded to one shape with targets of −1, so the program is compiled once.

    Raises:
        ValueError: if there are fewer than two tokens.
    """
    mesh = make_mesh() if mesh is None else mesh
    rows = -(-batch_size // mesh.size) * mesh.size
    total, count = 0.0, 0
    for pair in windows(ids, config.context, rows):
        tokens, targets = (
            share_batch(_pad(array, (rows, config.context), filler), mesh)
            for array, filler in zip(pair, (0, -1), strict=True)
        )
        summed, counted = sum_of_losses(parameters, tokens, targets, config)
        total, count = total + float(summed), count + int(counted)
    predicted = tokenizer.decode([int(token) for token in ids[1:]])
    return Evaluation(count, len(predicted), len(predicted.encode()), total / count)


def _pad(array: np.ndarray, shape: tuple[int, int], filler: int) -> np.ndarray:
    padded = np.full(shape, filler, np.int32)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded
