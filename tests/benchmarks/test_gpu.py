"""The GPU benchmark at toy size on the CPU; without a GPU it says so and leaves no file."""

import json
import math

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Settings
from book.tools import results


@pytest.mark.parametrize("part", gpu.PARTS)
def test_a_part_runs_at_toy_size(part):
    measured = gpu.PARTS[part](Settings(toy=True))
    assert json.loads(json.dumps(measured)) == measured


def test_gpt2s_rates_belong_together():
    measured = gpu.gpt2(Settings(toy=True))
    tokens = measured["shape"]["B"] * measured["shape"]["T"]
    assert measured["tokens_per_second"] == pytest.approx(tokens / measured["step_s"], rel=0.02)


def test_the_recipe_of_tejas_trains_at_a_constant_rate(monkeypatch):
    from microgpt_ref.torch import train

    made = []
    monkeypatch.setattr(
        train, "Trainer", lambda *args, made=made, real=train.Trainer: made.append(args) or real(*args)
    )
    measured = gpu.tejas(Settings(toy=True))
    recipe = made[0][1]
    assert {recipe.learning_rate_at(step) for step in range(recipe.steps)} == {3e-4}
    assert 0 < measured["validation_loss"] < 2 * math.log(80)


def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "write_result", lambda *_: pytest.fail("written"))
    gpu.main(Settings())
    assert capsys.readouterr().out.startswith("No GPU here: nothing was measured.")
    gpu.main(Settings(toy=True, parts=("gpt2",)))
    assert "tokens_per_second" in capsys.readouterr().out


def test_parts_that_were_not_run_again_stay_if_the_gpu_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "RESULTS", tmp_path)
    settings = Settings(parts=("gpt2",))
    assert gpu.kept(settings, "A") == {"speedrun": {}, "tejas": {}}
    (tmp_path / "gpu.json").write_text(json.dumps({"gpu": "A", "tejas": {"seconds": 1}}), encoding="utf-8")
    assert gpu.kept(settings, "A") == {"speedrun": {}, "tejas": {"seconds": 1}}
    assert gpu.kept(settings, "B") == {"speedrun": {}, "tejas": {}}


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("Tesla T4", None),
    ],
)
def test_the_data_sheets_peak(name, peak):
    assert gpu.data_sheet(name) == peak


def test_the_page_names_only_what_the_benchmark_measures():
    rows = results.yaml.safe_load(results.WORDS.read_text(encoding="utf-8"))["gpu"]["rows"]
    assert {row["value"].split(".")[0] for row in rows} == set(gpu.PARTS)
    for name in ("speedrun", "tejas"):
        part = gpu.PARTS[name](Settings(toy=True))
        assert {row["value"].split(".")[1] for row in rows if row["value"].startswith(name)} <= set(part)
