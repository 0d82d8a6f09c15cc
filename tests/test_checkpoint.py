"""Checkpoints: whole or not there, and a bad file gives one sentence."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from microgpt_ref import checkpoint
from microgpt_ref.checkpoint import Checkpoint, CheckpointError
from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch import GPT

SMALL = GPTConfig(vocab_size=9, context=8, d_model=8, n_layer=2, n_head=2)


def small_checkpoint(config: GPTConfig = SMALL) -> Checkpoint:
    torch.manual_seed(0)
    parameters = {name: p.detach().numpy() for name, p in GPT(config).named_parameters()}
    return Checkpoint(
        config=config,
        parameters=parameters,
        tokenizer=CharacterTokenizer("abcdefgh\n").to_dict(),
        step=7,
        metrics={"loss": 1.25},
        training={"dataset": "é"},
        optimizer={"0.exp_avg": np.arange(3, dtype=np.float32), "0.step": np.float32(7).reshape(())},
    )


def test_round_trip(tmp_path: Path) -> None:
    saved = small_checkpoint()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "deep" / "x.safetensors", saved))
    assert loaded.describe() == saved.describe()
    for mine, theirs in [(loaded.parameters, saved.parameters), (loaded.optimizer, saved.optimizer)]:
        assert mine.keys() == theirs.keys()
        for name in theirs:
            np.testing.assert_array_equal(mine[name], theirs[name])
            assert mine[name].dtype == theirs[name].dtype


@pytest.mark.parametrize("name", ["laptop", "tejas-10m", "kandarpa-17m"])
def test_the_model_comes_back(name: str, tmp_path: Path) -> None:
    config = PRESETS[name].replace(vocab_size=50, context=16)
    torch.manual_seed(0)
    model = GPT(config).eval()
    parameters = {n: p.detach().numpy() for n, p in model.named_parameters()}
    path = checkpoint.save(tmp_path / "x.safetensors", Checkpoint(config, parameters))
    tokens = torch.randint(50, (2, 16))
    again = checkpoint.load(path).build_torch()
    assert not again.training
    torch.testing.assert_close(again(tokens), model(tokens), rtol=0, atol=0)


def test_tokenizer_comes_back(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    assert checkpoint.load(path).build_tokenizer().decode([1, 2, 3]) == "abc"


def test_json_beside_it_says_the_same(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    readable = json.loads(path.with_suffix(".json").read_text())
    assert len(readable.pop("sha256")) == 64
    assert readable == checkpoint.load(path).describe()


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for _ in range(2):
        checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.safetensors"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, small_checkpoint(SMALL.replace(n_layer=1)))
    assert path.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.safetensors"]


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 1000, -1])
def test_truncated(keep: int, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"x\.safetensors cannot be read .* truncated"):
        checkpoint.load(path)


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    generator = np.random.default_rng(0)
    for position in generator.integers(header, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << generator.integers(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(CheckpointError, match="is damaged: its tensors do not match the sha256"):
            checkpoint.load(path)


def test_foreign_files(tmp_path: Path) -> None:
    text = tmp_path / "notes.safetensors"
    text.write_text("To be, or not to be")
    with pytest.raises(CheckpointError, match="another kind of file"):
        checkpoint.load(text)
    other = tmp_path / "other.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, other)
    with pytest.raises(CheckpointError, match="not one of this project's checkpoints"):
        checkpoint.load(other)
    save_file({"w": np.zeros(3, np.float32)}, other, metadata={"microgpt": '{"format": "microgpt-99"}'})
    with pytest.raises(CheckpointError, match=r"has format 'microgpt-99'.*upgrade"):
        checkpoint.load(other)
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nowhere; give a \.safetensors file"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        checkpoint.load(tmp_path)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()


def test_source_never_unpickles() -> None:
    package = Path(checkpoint.__file__).parent
    for source in package.rglob("*.py"):
        text = source.read_text()
        for word in ("pickle.load", "allow_pickle=True", "weights_only=False"):
            assert word not in text, source
        for line in text.splitlines():
            assert "torch.load(" not in line or "weights_only=True" in line, source


def test_a_folder_means_its_best(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", small_checkpoint())
    assert checkpoint.find(tmp_path).name == "last.safetensors"
    checkpoint.save(tmp_path / "best.safetensors", small_checkpoint())
    assert checkpoint.find(tmp_path).name == "best.safetensors"


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "x.safetensors", small_checkpoint())
    code = f"import sys; from microgpt_ref import checkpoint; checkpoint.load({str(path)!r}); "
    result = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"


def test_unknown_shipped_name() -> None:
    with pytest.raises(CheckpointError, match="name='llama' is not a shipped checkpoint; use 'stories' or"):
        checkpoint.shipped("llama")
