"""Token ids on disk, memory-mapped, and cut into batches: inputs, and as targets the ids one place later."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, Integer
from numpy.typing import ArrayLike

from microgpt_ref._files import atomic_write

Ids = Integer[np.ndarray, "n"]
Batch = tuple[Int[np.ndarray, "B T"], Int[np.ndarray, "B T"]]


def random_batch(ids: Ids, batch_size: int, context: int, generator: np.random.Generator) -> Batch:
    """`batch_size` windows of `context` ids from random places; every place is equally likely.

    Returns:
        inputs and targets, both (B, T) int64: targets[b, t] is the id that follows inputs[b, t].

    Raises:
        ValueError: `batch_size` or `context` is below 1, or `ids` has fewer than context + 1.
    """
    _check(ids, batch_size, context, context + 1)
    starts = generator.integers(0, len(ids) - context, batch_size)
    rows = ids[starts[:, None] + np.arange(context + 1)].astype(np.int64)  # (B, T + 1)
    return rows[:, :-1], rows[:, 1:]


def windows(ids: Ids, context: int, batch_size: int = 1) -> Iterator[Batch]:
    """All of `ids`, in order and without overlap: each id but the first is a target exactly once.

    Yields inputs and targets (B, T) int64 with T = `context` and B = `batch_size` (fewer rows in the last
    batch), then, if ids are left over, one shorter window (1, T'). Weigh losses by the number of targets.

    Raises:
        ValueError: `batch_size` or `context` is below 1, or `ids` has fewer than two.
    """
    _check(ids, batch_size, context, 2)
    return _windows(ids, context, batch_size)


def _windows(ids: Ids, context: int, batch_size: int) -> Iterator[Batch]:
    whole = (len(ids) - 1) // context  # windows whose targets are all there
    for first in range(0, whole, batch_size):
        starts = context * np.arange(first, min(first + batch_size, whole))
        rows = ids[starts[:, None] + np.arange(context + 1)].astype(np.int64)  # (B, T + 1)
        yield rows[:, :-1], rows[:, 1:]
    rest = np.asarray(ids[whole * context :]).astype(np.int64)[None]  # (1, n - whole * context)
    if rest.shape[1] > 1:
        yield rest[:, :-1], rest[:, 1:]


def _check(ids: Ids, batch_size: int, context: int, needed: int) -> None:
    for argument, value in (("batch_size", batch_size), ("context", context)):
        if value < 1:
            raise ValueError(f"{argument}={value} is too small; use 1 or more")
    if len(ids) < needed:
        raise ValueError(
            f"ids has only {len(ids)} tokens, but context={context} needs {needed}: "
            "use a shorter context or more text"
        )


def write_tokens(path: str | Path, ids: ArrayLike) -> None:
    """Write `ids` (n,) as a NumPy file, whole or not at all: uint16 if every id fits, else uint32.

    Raises:
        ValueError: `ids` is empty, not one-dimensional, or holds something else than ids below 2^32.
    """
    array = np.asarray(ids)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"ids must be whole numbers (n,), n ≥ 1, not {array.dtype} {array.shape}")
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest >= 2**32:
        raise ValueError(f"ids must lie between 0 and 2^32 − 1, not {lowest} to {highest}")
    dtype = np.uint16 if highest < 2**16 else np.uint32
    with atomic_write(path) as file:
        np.save(file, array.astype(dtype), allow_pickle=False)


def read_tokens(path: str | Path) -> Ids:
    """The ids (n,) of a file that `write_tokens` made, memory-mapped: read only, and only what is looked at.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or holds no token ids.
    """
    try:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a whole token file ({error}); write it again") from None
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype not in (np.uint16, np.uint32):
        raise ValueError(f"{path} holds no token ids (uint16 or uint32, one dimension); write it again")
    return ids
