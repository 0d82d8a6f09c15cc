"""Every way to the device brings the batches that `random_batch` draws."""

import numpy as np
import pytest
import torch

from microgpt_ref.shards import random_batch
from microgpt_ref.torch.batches import Drawn, OnDevice, Prefetched, build_batches

IDS = np.random.default_rng(0).integers(0, 500, 1000)
CPU = torch.device("cpu")


def expected(step: int, micro_batch: int) -> tuple[torch.Tensor, ...]:
    generator = np.random.default_rng([7, step, micro_batch])
    return tuple(torch.from_numpy(rows) for rows in random_batch(IDS, 4, 16, generator))


def assert_batches(batches: Drawn, order: list[tuple[int, int]]) -> None:
    for place in order:
        got = batches(*place)
        for tensor, wanted in zip(got, expected(*place), strict=True):
            assert tensor.dtype == torch.int64
            assert torch.equal(tensor.cpu(), wanted), place


@pytest.mark.parametrize("way", [Drawn, OnDevice, Prefetched])
def test_all_ways_bring_the_same_batches(way: type[Drawn]) -> None:
    assert_batches(way(IDS, 4, 16, 7, CPU), [(0, 0), (1, 0), (2, 0), (9, 0), (3, 0), (3, 0), (4, 0)])


def test_prefetching_follows_the_micro_batches() -> None:
    batches = Prefetched(IDS, 4, 16, 7, CPU, accumulate=3)
    order = [(step, micro_batch) for step in range(4) for micro_batch in range(3)]
    for i, place in enumerate(order[:-1]):
        assert_batches(batches, [place])
        assert list(batches.waiting) == [order[i + 1]]
    assert_batches(batches, [(8, 1), (8, 2), (9, 0), (0, 0)])  # jumps, as after resuming
    assert list(batches.waiting) == [(0, 1)]


def test_a_memory_mapped_text_is_read_as_well(tmp_path) -> None:
    np.save(tmp_path / "ids.npy", IDS.astype(np.uint16))
    mapped = np.load(tmp_path / "ids.npy", mmap_mode="r")
    for way in (Drawn, OnDevice, Prefetched):
        assert_batches(way(mapped, 4, 16, 7, CPU), [(0, 0), (1, 0)])


def test_on_the_cpu_nothing_is_prefetched() -> None:
    assert type(build_batches(IDS, 4, 16, 7, CPU)) is Drawn


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_the_text_lies_on_the_device_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    order = [(0, 0), (0, 1), (1, 0), (1, 1)]
    batches = build_batches(IDS, 4, 16, 7, device, accumulate=2)
    assert type(batches) is OnDevice
    assert_batches(batches, order)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    batches = build_batches(IDS, 4, 16, 7, device, accumulate=2)
    assert type(batches) is Prefetched
    assert_batches(batches, order)
