"""How training text gets to the device without the device waiting for it.

Whichever way it goes, a batch depends on (seed, step, micro_batch) alone, and is the one that
`shards.random_batch` draws: a resumed run and another machine see the same text in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from microgpt_ref.shards import Ids, random_batch

Pair = tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]
Batches = Callable[[int, int], Pair]
"""Gives inputs and targets, on the device, for a step and a micro-batch."""


class Drawn:
    """Drawn when asked for: right on the CPU, where there is no way to travel."""

    def __init__(self, ids: Ids, batch_size: int, context: int, seed: int, device: torch.device) -> None:
        self.ids, self.batch_size, self.context, self.seed = ids, batch_size, context, seed
        self.device = device

    def generator(self, step: int, micro_batch: int) -> np.random.Generator:
        """The dice of one micro-batch."""
        return np.random.default_rng([self.seed, step, micro_batch])

    def draw(self, step: int, micro_batch: int) -> Pair:
        """The batch in the memory of the CPU."""
        rows = random_batch(self.ids, self.batch_size, self.context, self.generator(step, micro_batch))
        return torch.from_numpy(rows[0]), torch.from_numpy(rows[1])

    def __call__(self, step: int, micro_batch: int) -> Pair:
        """Inputs and targets on the device."""
        inputs, targets = self.draw(step, micro_batch)
        return inputs.to(self.device), targets.to(self.device)


class OnDevice(Drawn):
    """The whole text lies on the device; only the places of the windows travel."""

    def __init__(self, ids: Ids, batch_size: int, context: int, seed: int, device: torch.device) -> None:
        super().__init__(ids, batch_size, context, seed, device)
        self.text = torch.from_numpy(np.asarray(ids, dtype=np.int32)).to(device)
        self.offsets = torch.arange(context + 1, device=device)

    def __call__(self, step: int, micro_batch: int) -> Pair:
        """Inputs and targets, cut on the device."""
        # the same dice, thrown as `random_batch` throws them
        places = self.generator(step, micro_batch).integers(0, len(self.ids) - self.context, self.batch_size)
        starts = move(torch.from_numpy(places), self.device)
        rows = self.text[starts[:, None] + self.offsets].long()  # (B, T + 1)
        return rows[:, :-1], rows[:, 1:]


class Prefetched(Drawn):
    """A thread draws the next batch into pinned memory while the device works on this one."""

    def __init__(
        self,
        ids: Ids,
        batch_size: int,
        context: int,
        seed: int,
        device: torch.device,
        accumulate: int = 1,
    ) -> None:
        super().__init__(ids, batch_size, context, seed, device)
        self.accumulate = accumulate
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.waiting: dict[tuple[int, int], Future[Pair]] = {}

    def draw(self, step: int, micro_batch: int) -> Pair:
        """The batch in pinned memory, from which the device can copy on its own."""
        inputs, targets = super().draw(step, micro_batch)
        return pinned(inputs, self.device), pinned(targets, self.device)

    def __call__(self, step: int, micro_batch: int) -> Pair:
        """Inputs and targets on the device; the next micro-batch is drawn meanwhile."""
        ready = self.waiting.pop((step, micro_batch), None)
        inputs, targets = ready.result() if ready else self.draw(step, micro_batch)
        last = micro_batch == self.accumulate - 1
        following = (step + 1, 0) if last else (step, micro_batch + 1)
        if following not in self.waiting:  # others are left from before a jump: forget them
            self.waiting = {following: self.thread.submit(self.draw, *following)}
        return inputs.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)


class Epochs(Drawn):
    """Without repetition: each epoch cuts the text into windows at a new offset and deals them shuffled.

    Windows from random places show some text five times before other text comes once; a model that could
    learn by heart what it sees twice in a short time generalises better from this order.
    """

    def starts(self, step: int) -> Int[np.ndarray, " B"]:
        """Where the windows of one update begin."""
        # one place less than the text has, so that every epoch has as many windows as any offset allows
        windows = (len(self.ids) - 1) // self.context - 1
        if windows < 1:
            raise ValueError(
                f"the text has {len(self.ids)} tokens, too few for epochs of context={self.context}; give "
                f"a longer text or a context of at most {(len(self.ids) - 1) // 2}"
            )
        numbers = np.arange(step * self.batch_size, (step + 1) * self.batch_size)  # (B,)
        starts = np.empty_like(numbers)  # (B,)
        for epoch in np.unique(numbers // windows):
            generator = np.random.default_rng([self.seed, int(epoch)])
            offset = generator.integers(0, self.context)
            order = generator.permutation(windows)
            chosen = numbers // windows == epoch
            starts[chosen] = offset + self.context * order[numbers[chosen] % windows]
        return starts

    def draw(self, step: int, micro_batch: int) -> Pair:
        """The batch in the memory of the CPU.

        Raises:
            ValueError: for a text of fewer than two windows, or a second micro-batch.
        """
        if micro_batch:
            raise ValueError(f"micro_batch={micro_batch}: epochs deal one batch an update; use accumulate=1")
        rows = self.ids[self.starts(step)[:, None] + np.arange(self.context + 1)].astype(
            np.int64
        )  # (B, T + 1)
        return torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])


def build_batches(
    ids: Ids, batch_size: int, context: int, seed: int, device: torch.device, accumulate: int = 1
) -> Drawn:
    """On a GPU the text itself if it fills less than an eighth of what is free, else batch by batch."""
    if device.type != "cuda":
        return Drawn(ids, batch_size, context, seed, device)
    free, _ = torch.cuda.mem_get_info(device)
    if 4 * len(ids) <= free // 8:
        return OnDevice(ids, batch_size, context, seed, device)
    return Prefetched(ids, batch_size, context, seed, device, accumulate)


def pinned(tensor: Int[Tensor, "*shape"], device: torch.device) -> Int[Tensor, "*shape"]:
    """A copy in memory that is never swapped out, so that a GPU can read it while the CPU goes on."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def move(tensor: Int[Tensor, "*shape"], device: torch.device) -> Int[Tensor, "*shape"]:
    """To the device, without waiting for it."""
    return pinned(tensor, device).to(device, non_blocking=True)
