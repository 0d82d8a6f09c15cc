"""The speedrun's benchmarks at toy size, the ladder's arithmetic, and where the ladder ends."""

import itertools
import json
import math

import pytest

from benchmarks import _common, speedrun, speedrun_best, speedrun_ladder
from benchmarks.speedrun_ladder import TEJAS, row, rungs, steps_to
from microgpt_ref.torch.speedrun import FIFTEEN_MINUTES, TWO_MINUTES


@pytest.fixture
def fake_training(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, int]]:
    """Instead of a process that trains for a minute: one that says what it was asked for."""
    asked = []

    def train(recipe, seed, quick=False):
        asked.append((recipe, seed))
        steps = recipe.training.steps
        return {
            "seed": seed,
            "steps": steps,
            "validation": 2.0 - 0.1 * math.log(steps),
            "train": 1.3,
            "seconds": steps * 0.1,
            "compile_seconds": 5.0,
            "tokens_per_second": 1.0,
            "parameters": 7,
            "curve": [],
        }

    for module in (speedrun, speedrun_ladder, speedrun_best):
        monkeypatch.setattr(module, "train_apart", train)
    return asked


@pytest.fixture
def folder(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(speedrun_ladder, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.slow
def test_a_toy_run_in_its_own_process() -> None:
    (run,) = speedrun.main(["--quick"])
    assert run["steps"] == 6
    assert 1 < run["validation"] < 5
    assert run["seconds"] > 0
    assert [step for step, _, _ in run["curve"]] == [3, 6]


def test_the_ladder_ends_at_the_speedrun_and_changes_one_thing_a_rung() -> None:
    ladder = rungs()
    assert ladder[-1][1] == TWO_MINUTES
    recipes = [recipe for _, recipe, _ in ladder]
    assert all(a != b for a, b in itertools.pairwise(recipes))
    assert {(r.model.d_model, r.model.n_layer, r.training.steps, r.training.batch_size) for r in recipes} == {
        (TWO_MINUTES.model.d_model, 4, TWO_MINUTES.training.steps, 16)
    }
    first = recipes[0]
    assert (first.training.precision, first.training.compile, first.model.norm) == (
        "fp32",
        False,
        "layernorm",
    )
    assert not first.ngrams


def test_steps_to_the_mark_on_a_known_line() -> None:
    def loss(steps: float) -> float:
        return 2.5 - 0.15 * math.log(steps)

    expected = math.exp((2.5 - TEJAS) / 0.15)
    assert steps_to(TEJAS, (225, loss(225)), (450, loss(450))) == pytest.approx(expected, abs=1)
    assert steps_to(1.5, (225, 1.4), (450, 1.45)) is None  # longer is worse: no line leads there


def test_a_rung_of_speed_needs_the_updates_of_the_one_below() -> None:
    run = {"validation": 1.7, "train": 1.6, "seconds": 45.0, "steps": 450, "compile_seconds": 9.0}
    run |= {"parameters": 5}
    half = {"steps": 225, "validation": 1.8, "seconds": 22.0}
    below = row("slow", {**run, "seconds": 90.0}, half, None)
    above = row("fast", run, None, below)
    assert above["steps_to_mark"] == below["steps_to_mark"]
    assert above["seconds_to_mark"] == pytest.approx(below["seconds_to_mark"] / 2)
    assert above["extrapolated"]


def test_the_ladder_is_written_rung_by_rung_and_goes_on(fake_training, folder, monkeypatch) -> None:
    rows = speedrun_ladder.main([])
    whole = json.loads((folder / "speedrun_ladder.json").read_text())
    assert whole["rungs"] == json.loads(json.dumps(rows))
    assert len(rows) == len(rungs())
    asked = len(fake_training)
    cut = {**whole, "rungs": whole["rungs"][:-2]}
    (folder / "speedrun_ladder.json").write_text(json.dumps(cut))
    speedrun_ladder.main([])
    assert len(fake_training) - asked == 4  # two rungs, each with its half
    other = {**cut, "machine": {**cut["machine"], "cores": 99}}
    (folder / "speedrun_ladder.json").write_text(json.dumps(other))
    assert speedrun_ladder.unfinished() == []


def test_the_results_give_the_worst_seed(fake_training, folder) -> None:
    runs = speedrun.main([])
    assert [seed for _, seed in fake_training] == [0, 1, 2]
    runs[1] |= {"validation": 1.5, "seconds": 99.0}
    loss, seconds = speedrun.result(runs)["measured"]
    assert (loss["value"], seconds["value"]) == (1.5, 99.0)
    assert json.loads((folder / "speedrun.json").read_text())["runs"][0]["steps"] == 450
    speedrun_best.main([])
    best = json.loads((folder / "speedrun_best.json").read_text())
    assert best["run"]["steps"] == FIFTEEN_MINUTES.training.steps
