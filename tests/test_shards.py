"""Batches and token files: nothing is skipped, repeated or read past the end."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref.shards import random_batch, read_tokens, windows, write_tokens


def test_targets_are_the_inputs_one_place_later():
    ids = np.arange(100, 200)  # the id says its place
    inputs, targets = random_batch(ids, 64, 8, np.random.default_rng(0))
    assert inputs.shape == targets.shape == (64, 8)
    assert inputs.dtype == targets.dtype == np.int64
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(np.diff(inputs), 1)


@pytest.mark.parametrize(("count", "context"), [(2, 1), (9, 8), (10, 8), (20, 3)])
def test_every_start_is_drawn_and_none_past_the_end(count: int, context: int):
    inputs, targets = random_batch(np.arange(count), 4000, context, np.random.default_rng(0))
    starts, times = np.unique(inputs[:, 0], return_counts=True)
    assert starts.tolist() == list(range(count - context))
    assert targets.max() == count - 1
    expected = 4000 / len(starts)
    assert np.all(np.abs(times - expected) < 5 * np.sqrt(expected))


def test_random_batches_follow_the_generator():
    ids = np.arange(1000, dtype=np.uint16)
    first, again, other = (random_batch(ids, 4, 8, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 80), st.integers(1, 20), st.integers(1, 5))
def test_windows_predict_each_id_exactly_once(count: int, context: int, batch_size: int):
    ids = np.arange(count, dtype=np.uint16)
    batches = list(windows(ids, context, batch_size))
    np.testing.assert_array_equal(np.concatenate([targets.ravel() for _, targets in batches]), ids[1:])
    np.testing.assert_array_equal(np.concatenate([inputs.ravel() for inputs, _ in batches]), ids[:-1])
    for inputs, targets in batches:
        assert inputs.shape == targets.shape
        assert inputs.dtype == targets.dtype == np.int64
        assert 1 <= inputs.shape[0] <= batch_size
        assert 1 <= inputs.shape[1] <= context
    shapes = [inputs.shape for inputs, _ in batches]
    rows = (count - 1) // context
    expected = [(min(batch_size, rows - first), context) for first in range(0, rows, batch_size)]
    rest = (count - 1) % context
    assert shapes == expected + ([(1, rest)] if rest else [])


@pytest.mark.parametrize(
    ("ids", "batch_size", "context", "message"),
    [
        (8, 1, 8, "ids has only 8 tokens, but context=8 needs 9: use a shorter context or more text"),
        (0, 1, 1, "ids has only 0 tokens"),
        (9, 0, 8, "batch_size=0 is too small; use 1 or more"),
        (9, 1, 0, "context=0 is too small"),
        (9, 1, -1, "context=-1 is too small"),
    ],
)
def test_impossible_batches(ids: int, batch_size: int, context: int, message: str):
    with pytest.raises(ValueError, match=message):
        random_batch(np.arange(ids), batch_size, context, np.random.default_rng(0))


@pytest.mark.parametrize(("ids", "context"), [(0, 4), (1, 4), (5, 0)])
def test_impossible_windows_fail_at_the_call(ids: int, context: int):
    with pytest.raises(ValueError, match=r"too small|has only"):
        windows(np.arange(ids), context)


@pytest.mark.parametrize(
    ("highest", "dtype"), [(0, np.uint16), (2**16 - 1, np.uint16), (2**16, np.uint32), (2**32 - 1, np.uint32)]
)
def test_token_files_round_trip(tmp_path: Path, highest: int, dtype: type):
    path = tmp_path / "train.npy"
    for form in ([0, highest, 1], np.array([0, highest, 1], np.int64)):
        write_tokens(path, form)
        ids = read_tokens(path)
        assert isinstance(ids, np.memmap)
        assert ids.dtype == dtype
        assert ids.tolist() == [0, highest, 1]
        del ids
    assert [p.name for p in tmp_path.iterdir()] == ["train.npy"]


def test_token_files_are_read_only_and_make_batches(tmp_path: Path):
    write_tokens(tmp_path / "t.npy", np.arange(70_000))
    ids = read_tokens(tmp_path / "t.npy")
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1
    inputs, targets = random_batch(ids, 16, 32, np.random.default_rng(0))
    np.testing.assert_array_equal(targets, inputs + 1)
    assert sum(targets.size for _, targets in windows(ids, 512, 8)) == 69_999


@pytest.mark.parametrize("wrong", [[], [[1, 2]], [1.5], ["a"], [True], [-1], [2**32]])
def test_only_ids_are_written(tmp_path: Path, wrong: list):
    with pytest.raises(ValueError, match="ids must"):
        write_tokens(tmp_path / "t.npy", wrong)
    assert list(tmp_path.iterdir()) == []


def test_damaged_token_files(tmp_path: Path):
    path = tmp_path / "t.npy"
    with pytest.raises(FileNotFoundError):
        read_tokens(path)
    write_tokens(path, np.arange(1000))
    whole = path.read_bytes()
    for content in (b"", b"not a NumPy file", whole[:40], whole[:-1], whole[:128]):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"t\.npy (is not a whole token file|holds no token ids).*write it again"
        ):
            read_tokens(path)


def test_pickles_and_other_arrays_are_refused(tmp_path: Path):
    path = tmp_path / "t.npy"
    for array in (
        np.array([{"a": 1}], dtype=object),
        np.zeros((2, 2), np.uint16),
        np.zeros(3),
        np.zeros(3, np.int64),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ValueError, match="write it again"):
            read_tokens(path)
    np.savez(tmp_path / "t.npz", a=np.zeros(3, np.uint16))
    (tmp_path / "t.npz").rename(path)
    with pytest.raises(ValueError, match="holds no token ids"):
        read_tokens(path)
