"""The speedrun's benchmarks at toy size, the ladder's arithmetic, and where the ladder ends."""

import itertools
import json
import math

import pytest

from benchmarks import _common, speedrun, speedrun_best, speedrun_ladder
from benchmarks.speedrun_ladder import TEJAS, UPDATES, complete, row, rungs
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
            "curve": [[steps, steps * 0.1, 1.5]],
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


def rung(name: str, loss: float | None, milliseconds: float) -> dict[str, object]:
    curve = [
        [10, milliseconds / 50, 2.0],
        [20, milliseconds / 100 * 2 + 9, 2.0],
        [30, milliseconds / 100 * 3 + 9, 2.0],
    ]
    run = {"validation": loss, "train": 1.3, "compile_seconds": 5.0, "parameters": 7, "curve": curve}
    return row(name, run, trained=loss is not None)


def test_a_step_takes_what_its_fastest_updates_took() -> None:
    assert rung("any", 1.7, 80)["seconds_a_step"] == pytest.approx(0.08)


def test_a_rung_of_speed_has_the_loss_of_the_next_that_was_trained() -> None:
    first, second, third = complete(
        [rung("slow", None, 90), rung("fast", 1.6, 45), rung("good", 1.5, 45)], 0.05
    )
    assert first["validation"] == second["validation"] == 1.6
    assert first["steps_to_mark"] == second["steps_to_mark"] == round(UPDATES * 2 ** ((1.6 - TEJAS) / 0.05))
    assert first["seconds_to_mark"] == pytest.approx(2 * second["seconds_to_mark"])
    assert third["steps_to_mark"] < second["steps_to_mark"]
    assert complete([rung("far", 2.5, 90)], 0.05)[0]["steps_to_mark"] is None
    assert complete([rung("unknown", 1.5, 90)], None)[0]["steps_to_mark"] is None


def test_the_ladder_is_written_rung_by_rung_and_goes_on(fake_training, folder) -> None:
    speedrun.main([])
    rows = speedrun_ladder.main([])
    file = folder / "speedrun_ladder.json"
    whole = json.loads(file.read_text())
    assert [each["name"] for each in whole["rungs"]] == [each["name"] for each in rows]
    assert len(rows) == len(rungs())
    assert whole["rungs"][-1]["steps_to_mark"] == pytest.approx(math.exp((2.0 - TEJAS) / 0.1), rel=0.02)
    asked = len(fake_training)
    cut = {**whole, "rungs": whole["rungs"][:-2]}
    file.write_text(json.dumps(cut))
    speedrun_ladder.main([])
    assert len(fake_training) - asked == 2  # what comes after the rungs was there
    assert json.loads(file.read_text())["rungs"][:-2] == cut["rungs"]
    file.write_text(json.dumps({**cut, "machine": {**cut["machine"], "cores": 99}}))
    assert speedrun_ladder.unfinished() == ([], [])


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
