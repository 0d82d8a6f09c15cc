"""Where the log goes: fakes for what is not installed, TensorBoard itself where it is."""

import sys
import types
from pathlib import Path

import pytest

from microgpt_ref import roofline
from microgpt_ref.torch.loggers import LOGGERS, flat, require
from microgpt_ref.torch.recipe import CHOICES
from tests.torch.test_train import trainer


class FakeRun:
    """Remembers what it is told."""

    def __init__(self, settings: dict) -> None:
        self.settings, self.lines, self.finished = settings, [], False

    def log(self, numbers: dict, step: int) -> None:
        assert not self.finished
        self.lines.append((step, numbers))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    """The runs that were started with a module in the place of W&B's."""
    runs: list[FakeRun] = []
    module = types.ModuleType("wandb")
    module.init = lambda **settings: runs.append(FakeRun(settings)) or runs[-1]  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return runs


def test_wandb_gets_every_line_of_the_log(wandb: list[FakeRun], tmp_path: Path) -> None:
    run = trainer(tmp_path / "mine", log_to="wandb")
    assert not wandb  # nothing begins before the first line
    history = run.run()
    (told,) = wandb
    assert told.finished
    assert told.settings["project"] == "microgpt"
    assert told.settings["name"] == "mine"
    assert told.settings["config"]["recipe"]["steps"] == 12
    assert [step for step, _ in told.lines] == [line["step"] for line in history]
    losses = [numbers["loss"] for _, numbers in told.lines if "loss" in numbers]
    assert losses == [line["loss"] for line in history if "loss" in line]
    validation = [numbers["validation/loss"] for _, numbers in told.lines if "validation/loss" in numbers]
    assert validation == [line["validation"]["loss"] for line in history if "validation" in line]


def test_tensorboard_has_every_line_of_the_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = trainer(tmp_path, log_to="tensorboard").run()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    seen = [(event.step, event.value) for event in events.Scalars("loss")]
    expected = [(line["step"], line["loss"]) for line in history if "loss" in line]
    assert [step for step, _ in seen] == [step for step, _ in expected]
    assert [value for _, value in seen] == pytest.approx([value for _, value in expected], rel=1e-6)
    assert "validation/loss" in events.Tags()["scalars"]


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_clear_error(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what importing finds of a package that is not there
    with pytest.raises(ValueError, match=f"log_to='{package}' needs .* run: pip install {package}$"):
        trainer(tmp_path, log_to=package)


def test_tensorboard_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="log_to='tensorboard' writes files, but the run has no folder"):
        trainer(log_to="tensorboard")


def test_names_and_numbers() -> None:
    values = {"loss": 1.5, "n": 3, "ok": True, "floor": None, "v": {"loss": 2.0, "by": {"recall": 0.5}}}
    assert flat(values) == {"loss": 1.5, "n": 3, "v/loss": 2.0, "v/by/recall": 0.5}
    assert require("json").dumps(1) == "1"
    assert set(LOGGERS) == set(CHOICES["log_to"])


def test_the_log_says_how_much_of_the_peak_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(roofline, "measured_peak", lambda *place: asked.append(place) or 1e9)  # type: ignore[func-returns-value]
    run = trainer(measure_peak=True, precision="bf16")
    history = run.run()
    assert asked == [("cpu", "bfloat16")]
    flops = roofline.training_flops_per_token(run.model.config)
    for line in history:
        if "loss" in line:
            used = line["tokens_per_second"] * flops / 1e9
            assert line["model_flops_utilisation"] == pytest.approx(used)
    assert "model_flops_utilisation" not in trainer().run()[0]
