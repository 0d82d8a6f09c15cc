"""Every way to the device brings the batches that `random_batch` draws."""

import numpy as np
import pytest
import torch

from microgpt_ref.shards import random_batch
from microgpt_ref.torch.batches import Drawn, Epochs, OnDevice, Prefetched, build_batches

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


@pytest.mark.parametrize("batch_size", [4, 7, 61, 200])
def test_epochs_show_each_window_once_before_any_twice(batch_size: int) -> None:
    ids = np.arange(1000)  # a token says where it stands
    batches = Epochs(ids, batch_size, 16, 7, CPU)
    windows = 999 // 16 - 1
    steps = -(-3 * windows // batch_size)
    drawn = [batches(step, 0) for step in range(steps)]
    for inputs, targets in drawn:
        assert inputs.shape == targets.shape == (batch_size, 16)
        assert torch.equal(targets, inputs + 1)
    starts = torch.cat([inputs[:, 0] for inputs, _ in drawn])[: 3 * windows].reshape(3, windows)
    offsets = starts.min(1).values
    for epoch, offset in zip(starts, offsets, strict=True):
        assert torch.equal(epoch.sort().values, offset + 16 * torch.arange(windows))
        assert not torch.equal(epoch, epoch.sort().values)
    assert len(set(offsets.tolist())) > 1
    again = Epochs(ids, batch_size, 16, 7, CPU)(steps - 1, 0)
    assert torch.equal(again[0], drawn[-1][0])  # from any step, as a resumed run asks for it
    assert not torch.equal(Epochs(ids, batch_size, 16, 8, CPU)(0, 0)[0], drawn[0][0])


def test_epochs_say_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="the text has 30 tokens, too few for epochs of context=16"):
        Epochs(np.arange(30), 2, 16, 0, CPU)(0, 0)
    with pytest.raises(ValueError, match="use accumulate=1"):
        Epochs(IDS, 2, 16, 0, CPU)(0, 1)


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
