"""The command line as a person uses it: train, sample, eval, Ctrl-C, and errors in one line."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microgpt_ref import checkpoint, cli
from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS
from microgpt_ref.torch.train import TrainConfig

SMALL = ["--d-model", "16", "--n-layer", "1", "--n-head", "2", "--context", "32", "--batch-size", "2"]
QUICK = [
    "--steps",
    "6",
    "--warmup-steps",
    "2",
    "--evaluate-every",
    "3",
    "--save-every",
    "2",
    "--precision",
    "fp32",
    "--no-measure-peak",
]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.txt"
    path.write_text("Mara has the lantern. Ben has the letter — für später.\n" * 60, encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def train(text_file: Path, out: Path, *more: object) -> int:
    return run("train", "--data", text_file, "--out", out, *SMALL, *QUICK, *more)


def test_train_then_sample_then_eval(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(text_file, out) == 0
    printed = capsys.readouterr().out
    assert f"Try it: microgpt sample --checkpoint {out}" in printed
    best = checkpoint.load(out)
    shown = re.search(r"validation loss ([\d.]+) nats", printed)
    assert shown
    assert float(shown[1]) >= best.metrics["validation"]["loss"] - 1e-4

    assert run("sample", "--checkpoint", out, "--prompt", "Mara", "--tokens", 30, "--seed", 3) == 0
    first = capsys.readouterr().out
    assert first.startswith("Mara")
    assert len(first) == 4 + 30 + 1
    run("sample", "--checkpoint", out, "--prompt", "Mara", "--tokens", 30, "--seed", 3)
    assert capsys.readouterr().out == first

    assert run("eval", "--checkpoint", out, "--data", text_file, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["loss"] == pytest.approx(best.metrics["validation"]["loss"], rel=1e-5)
    assert run("eval", "--checkpoint", out, "--data", text_file) == 0
    assert f"{result['loss']:.4f}" in capsys.readouterr().out


def test_train_says_whether_the_run_was_healthy(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(text_file, tmp_path / "run", "--preset", "tiny", "--optimizer", "muon") == 0
    assert re.search(r"^healthy: loss [\d.]+ → [\d.]+ in 6 steps", capsys.readouterr().out, re.MULTILINE)


def test_train_with_bpe(text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert train(text_file, out, "--tokenizer", "bpe", "--bpe-vocab-size", 280) == 0
    assert checkpoint.load(out).config.vocab_size == 280
    capsys.readouterr()
    assert run("sample", "--checkpoint", out, "--prompt", "Mara ", "--tokens", 40) == 0
    assert capsys.readouterr().out.startswith("Mara ")


def test_a_run_is_not_overwritten_and_can_be_resumed(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(text_file, out, "--resume") == 2
    assert "holds no run to resume" in capsys.readouterr().err
    assert train(text_file, out) == 0
    before = (out / "last.safetensors").read_bytes()
    assert train(text_file, out) == 2
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert train(text_file, out, "--resume") == 0
    assert "step 6 of 6" in capsys.readouterr().out
    assert (out / "last.safetensors").read_bytes() == before


@pytest.mark.slow
def test_ctrl_c_saves_and_says_where(text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "microgpt_ref.cli", "train", "--data", str(text_file), "--out", str(out)]
    command += [*SMALL, *QUICK[2:], "--steps", "100000", "--log-every", "5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    for _ in range(600):
        if (out / "last.safetensors").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    said = re.search(r"Stopped after step (\d+); saved in (.*)\. Go on with: microgpt (.*)", printed)
    assert said, printed
    assert checkpoint.load(out / "last.safetensors").step == int(said[1])
    assert said[2] == str(out)
    assert said[3].endswith("--resume")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere.txt"], "nowhere.txt"),
        (["train", "--preset", "gpt-9"], "preset='gpt-9' is not known; use one of tejas-10m"),
        (["train", "--d-model", "100", "--n-head", "6"], "d_model=100 is not divisible by n_head=6"),
        (["train", "--vocab-size", "300"], "vocab_size=300 cannot be chosen"),
        (["sample", "--checkpoint", "nowhere"], "no checkpoint at nowhere"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, as a user would see it."""
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "microgpt_ref.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("microgpt: error: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_character_the_model_never_saw(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(text_file, tmp_path / "run")
    assert run("sample", "--checkpoint", tmp_path / "run", "--prompt", "Mara€") == 2
    assert "'€'" in capsys.readouterr().err


def test_help_documents_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("train", "--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for kind in (cli.Train, TrainConfig, GPTConfig):
        for field in dataclasses.fields(kind):
            if field.name not in ("model", "recipe"):
                assert "--" + field.name.replace("_", "-") in text, field.name
    with pytest.raises(SystemExit):
        run("--help")
    assert "{train,sample,eval,finetune,chat,export}" in capsys.readouterr().out


def test_defaults_come_from_the_preset() -> None:
    parsed = cli.parse(["train", "--preset", "tejas-10m", "--n-layer", "2"])
    assert isinstance(parsed, cli.Train)
    assert parsed.model == PRESETS["tejas-10m"].replace(n_layer=2)
    parsed = cli.parse(["train", "--data", "tinyshakespeare"])
    assert isinstance(parsed, cli.Train)
    assert parsed.model == PRESETS["laptop"]
    parsed = cli.parse(["train"])
    assert isinstance(parsed, cli.Train)
    assert parsed.model == PRESETS["stories"]
    assert parsed.recipe == TrainConfig(measure_peak=True)


def test_stream_waits_for_whole_characters() -> None:
    from microgpt_ref.tokenizers import BPETokenizer

    tokenizer = BPETokenizer.train("abc " * 10, 256)
    ids = tokenizer.encode("aé漁b")
    assert list(cli.decode_stream(tokenizer, iter(ids))) == ["a", "é", "漁", "b"]
