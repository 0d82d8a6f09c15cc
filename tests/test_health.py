"""Each seeded disease gets its diagnosis, from a real run; a healthy run is called healthy; in one line."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import health as measured
from microgpt_ref import datasets, health, stories
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch.train import TrainConfig, Trainer

TOKENIZER = CharacterTokenizer(stories.ALPHABET)
V = TOKENIZER.vocab_size
MODEL = preset("tiny").replace(vocab_size=V, context=32, d_model=32, n_head=2)
RECIPE = TrainConfig(steps=60, batch_size=8, warmup_steps=10, precision="fp32", device="cpu")
KNOWN = health.bands()["runs"]


@functools.cache
def dataset() -> datasets.Dataset:
    return datasets.load("stories", characters=20_000)


def trainer(**changes: Any) -> Trainer:
    return Trainer(MODEL, dataclasses.replace(RECIPE, **changes), dataset(), TOKENIZER)


def train(run: Trainer) -> str:
    """The run's log every ten updates, without evaluations, and its report."""
    while run.step < run.config.steps:
        run.train_until(run.step + 10)
    return run.health()


def unshifted(run: Trainer) -> None:
    batch = run.batch
    run.batch = lambda step, micro_batch=0: (batch(step, micro_batch)[0],) * 2  # type: ignore[method-assign]


def one_token(run: Trainer) -> None:
    batch = run.batch
    run.batch = lambda *place: tuple(part[:1, :1] for part in batch(*place))  # type: ignore[method-assign,assignment,return-value]


def no_zero_grad(run: Trainer) -> None:
    run.model.zero_grad = lambda *args, **settings: None  # type: ignore[method-assign]


def frozen(run: Trainer) -> None:
    for name, parameter in run.model.named_parameters():
        parameter.requires_grad_(name == "blocks.0.attention.qkv.weight")


def no_update(run: Trainer) -> None:
    run.optimizer.step = lambda *args, **settings: None  # type: ignore[method-assign]


def large_head(run: Trainer) -> None:
    with torch.no_grad():
        run.model.head.weight.mul_(50)


def summed_loss(run: Trainer) -> None:
    loss = run.loss
    run.loss = lambda inputs, targets: (
        loss(inputs, targets) + 99 * ((mean := loss(inputs, targets)) - mean.detach())
    )  # the same value, a hundred times the gradient


NOTHING = "has not fallen from ln V = 4.01; usual cause: learning rate far too low"
DISEASES: dict[str, tuple[dict[str, Any], Callable[[Trainer], None] | None, str]] = {
    "targets not shifted": (
        {"learning_rate": 1e-2},
        unshifted,
        "lower than text allows; usual cause: targets not shifted",
    ),
    "learning rate × 100": (
        {"learning_rate": 0.4, "warmup_steps": 0},
        None,
        "which it had reached; usual cause: learning rate too high",
    ),
    "learning rate / 100": ({"learning_rate": 4e-5}, None, NOTHING),
    "zero_grad forgotten, no clipping": ({"clip": 0.0}, no_zero_grad, "usual cause: zero_grad forgotten"),
    "summed loss": ({}, summed_loss, "a loss that is summed and not averaged"),
    "frozen parameters": ({}, frozen, NOTHING),
    "gradient never applied": ({}, no_update, NOTHING),
    "head × 50": ({}, large_head, "at step 1 is far above ln V = 4.01; usual cause: a badly scaled head"),
    "batch of one token": ({}, one_token, "a batch of too few tokens"),
}


@pytest.mark.parametrize("name", DISEASES)
def test_each_disease_has_its_diagnosis(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    changes, infect, expected = DISEASES[name]
    run = trainer(**changes)
    if infect:
        infect(run)
    line = train(run)
    assert line.startswith("not healthy: ")
    assert expected in line
    assert "\n" not in line
    warned = capsys.readouterr().out.splitlines()
    assert len(warned) == 1, warned
    assert expected in warned[0]


def test_a_healthy_run_is_called_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        line = train(trainer(seed=seed))
        assert line.startswith("healthy: loss 4.0")
        assert line.endswith("in 60 steps, within the general bands")
    assert capsys.readouterr().out == ""


def test_every_line_of_a_log_gives_the_same_answer_as_every_tenth() -> None:
    run = trainer()
    for step in range(1, RECIPE.steps + 1):
        run.train_until(step)
    assert run.health().startswith("healthy: loss 4.0")
    no_shift = trainer(learning_rate=1e-2)
    unshifted(no_shift)
    for step in range(1, RECIPE.steps + 1):
        no_shift.train_until(step)
    assert "targets not shifted" in no_shift.health()


def test_the_trainer_in_jax_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    jax = pytest.importorskip("jax")
    from microgpt_ref.jax.train import Recipe
    from microgpt_ref.jax.train import Trainer as JaxTrainer

    recipe = Recipe(steps=60, batch_size=8, warmup_steps=10)
    well = JaxTrainer(MODEL, recipe, dataset(), TOKENIZER, evaluate_every=60)
    assert train_jax(well).startswith("healthy: loss 4.0")
    sick = JaxTrainer(MODEL, recipe, dataset(), TOKENIZER, evaluate_every=60)
    parameters = sick.state.parameters
    large = parameters | {"head.weight": 50 * parameters["head.weight"]}
    sick.state = sick.state._replace(parameters=jax.tree.map(lambda array: array, large))
    assert "usual cause: a badly scaled head" in train_jax(sick)
    assert len(capsys.readouterr().out.splitlines()) == 1


def train_jax(run: Any) -> str:
    while run.step < 20:
        run.train_until(run.step + 10)
    return str(run.health())


# Logs written by hand


def lines(losses: list[float], every: int = 10, **values: Any) -> list[dict[str, Any]]:
    made = [{"step": every * (i + 1), "loss": loss} | values for i, loss in enumerate(losses)]
    return [made[0] | {"initial_loss": 4.0}, *made[1:]]


FALLING = [3.2, 2.8, 2.5, 2.3, 2.2, 2.1, 2.0, 1.95, 1.9, 1.85]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "healthy: loss 4.00 → 1.85 in 100 steps"),
        ({4: {"loss": math.nan}}, "loss nan at step 50 is not a finite number"),
        ({4: {"gradient_norm": 0.0}}, "gradient norm 0 at step 50 is below 1e-06; usual cause: frozen"),
        ({7: {"gradient_norm": 30.0}}, "gradient norm 30 at step 80 is above 10; usual cause: a bad batch"),
        ({7: {"gradient_norm": None}}, "healthy"),
        ({9: {"loss": 2.9}}, "loss 2.9 at step 100 has risen from 1.9 at step 90; usual cause: zero_grad"),
        ({6: {"loss": 9.0}}, "loss 9 at step 70 is far above 2.1, which it had reached"),
        ({4: {"loss": 0.1}}, "loss 0.1 at step 50 is below 0.8, lower than text allows"),
    ],
)
def test_a_value_out_of_its_band_is_named(changed: dict[int, dict[str, Any]], expected: str) -> None:
    history = lines(FALLING, gradient_norm=0.5, learning_rate=1e-3)
    for place, values in changed.items():
        history[place] |= values
    assert expected in health.report(history, vocab_size=55)


def test_a_loss_below_the_known_floor_is_a_leak() -> None:
    history = [{"step": 5000, "loss": 0.3, "learning_rate": 1e-3}]
    evaluation = {"step": 5000, "validation": {"loss": 0.4, "floor": 0.2}}
    assert health.report([*history, evaluation], 55).startswith("healthy")
    evaluation["validation"] = {"loss": 0.4, "floor": 0.5}
    assert "loss 0.3 at step 5000 is below 0.4" in health.report([*history, evaluation], 55)


def test_overfitting_is_told_from_learning() -> None:
    history = lines(FALLING)
    checks = [{"step": 10 * i, "validation": {"loss": loss}} for i, loss in ((5, 2.4), (8, 2.3), (10, 2.9))]
    line = health.report([*history, *checks], 55)
    assert "validation loss 2.9 at step 100 has risen from 2.3 at step 80; usual cause: overfitting" in line
    assert health.report([*history, *checks[:2]], 55).startswith("healthy")


def test_a_noisy_log_without_norms_shows_a_tiny_batch() -> None:
    noise = np.random.default_rng(0).normal(size=60)
    calm, wild = ([3 - 0.01 * i + size * n for i, n in enumerate(noise)] for size in (0.2, 1.2))
    assert health.report(lines(calm, every=1), 55).startswith("healthy")
    line = health.report(lines(wild, every=1), 55)
    assert "a step up to step 60, more than 0.6; usual cause: a batch of too few tokens" in line


def test_warm_up_and_trained_weights_are_no_disease() -> None:
    slow = [{"step": 10 * i, "loss": 4.0, "learning_rate": 1e-6 * i} for i in range(1, 8)]
    assert health.report(slow, 55).startswith("healthy")
    assert "has not fallen" in health.report([*slow, slow[-1] | {"step": 80}], 55)
    tuned = [{"step": 10 * i, "loss": 0.5, "learning_rate": 1e-4} for i in range(1, 9)]
    assert health.report([tuned[0] | {"initial_loss": 0.5}, *tuned[1:]], 55).startswith("healthy")


def test_a_log_without_a_loss_is_not_judged() -> None:
    assert health.report([], 55) == "no judgement: the log has no line with a loss yet"
    with pytest.raises(ValueError, match="vocab_size=1 leaves nothing to predict"):
        health.report([], 1)


def test_a_watch_warns_once() -> None:
    watch = health.Watch(55)
    history = lines(FALLING)
    assert [watch.warning(history[:n]) for n in range(1, 11)] == [None] * 10
    history.append({"step": 110, "loss": 9.0})
    assert "loss 9 at step 110" in str(watch.warning(history))
    history.append({"step": 120, "loss": 9.0})
    assert watch.warning(history) is None
    assert "loss 9 at step 110" in watch.report(history)


# The course's own runs


def seed_log(name: str, seed: int = 0, every: int = 10, speed: float = 1.0) -> list[dict[str, Any]]:
    """The log that a seed of a run left, a line every few updates."""
    run = KNOWN[name]
    curve = run["loss"][seed]
    speeds = next(iter(run["tokens_per_second"].values()))
    values = {"gradient_norm": run["gradient_norm"][0], "tokens_per_second": speeds[seed] * speed}
    means = [sum(curve[i : i + every]) / every for i in range(0, len(curve) - every + 1, every)]
    history = lines(means, every, **values)
    history[0]["initial_loss"] = run["initial_loss"][seed]
    return history


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("every", [1, 10, 25])
def test_what_was_measured_lies_in_its_own_bands(name: str, every: int) -> None:
    vocab_size = KNOWN[name]["key"]["model"]["vocab_size"]
    for seed in range(3):
        line = health.report(seed_log(name, seed, every), vocab_size, name)
        assert line.startswith("healthy"), line
        assert line.endswith(f"within the bands of {name}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"loss": 1.25}, "is above the usual"),
        ({"loss": 0.75}, "is below the usual"),
        ({"gradient_norm": 1e-3}, "gradient norm"),
        ({"initial_loss": 0.7}, "initial loss"),
    ],
)
def test_a_run_of_the_course_has_narrower_bands(change: dict[str, float], expected: str) -> None:
    history = seed_log("train-tinyshakespeare")
    for line in history:
        for name, factor in change.items():
            line |= {name: line[name] * factor} if name in line else {}
    assert health.report(history, 65).startswith("healthy")
    line = health.report(history, 65, "train-tinyshakespeare")
    assert line.startswith("not healthy")
    assert expected in line
    assert "of train-tinyshakespeare; usual cause: " in line


def test_speed_is_compared_with_the_same_class_of_device() -> None:
    name = "train-tinyshakespeare"
    device = next(iter(KNOWN[name]["tokens_per_second"]))
    slow = seed_log(name, speed=0.1)
    assert f"a quarter of what {device} gave; usual cause: another job" in health.report(
        slow, 65, name, device
    )
    assert health.report(seed_log(name, speed=0.5), 65, name, device).startswith("healthy")
    line = health.report(slow, 65, name, "t4")
    assert line.startswith("healthy")
    assert line.endswith("; no speed was measured for t4")
    assert health.report(slow, 65, device_class="t4").endswith("within the general bands")
    with pytest.raises(ValueError, match=r"run='nonsense' has no bands; use one of .*train-tiny"):
        health.report(slow, 65, "nonsense")


@pytest.mark.parametrize(
    ("kind", "cores", "name"),
    [
        ("cpu", 1, "cpu-1-core"),
        ("cpu", 2, "cpu-2-cores"),
        ("Tesla T4", 2, "t4"),
        ("NVIDIA A100-SXM4-40GB", 2, "a100"),
        ("NVIDIA H100 80GB HBM3", 2, "h100"),
        ("NVIDIA GeForce RTX 3060", 2, "rtx-3060"),
        ("TPU v5 lite", 2, "tpu-v5-lite"),
        ("mps", 2, "mps"),
    ],
)
def test_devices_have_short_names(kind: str, cores: int, name: str) -> None:
    assert health.name_device(kind, cores) == name


@pytest.mark.parametrize("name", KNOWN)
def test_a_trainer_recognises_its_run(name: str) -> None:
    """Fails when a recipe has changed and `python -m benchmarks.health` was not run again."""
    if KNOWN[name]["key"]["dataset"] == "tinyshakespeare":
        try:
            datasets.load("tinyshakespeare")
        except OSError:
            pytest.skip("tiny Shakespeare is not here and cannot be downloaded")
    run = measured.RUNS[name](5)
    assert run.watch.run == name
    assert measured.key_of(run) == KNOWN[name]["key"]


def test_another_recipe_is_another_run() -> None:
    mine = KNOWN["train-tinyshakespeare"]["key"]
    found = functools.partial(health.find_run, preset("laptop"), dataset=mine["dataset"])
    assert found(recipe=mine["recipe"] | {"seed": 7, "log_every": 3}) == "train-tinyshakespeare"
    assert found(recipe=mine["recipe"] | {"learning_rate": 1.0}) is None
    assert found(recipe=mine["recipe"], parameters=mine["parameters"] + 1) is None


def test_the_file_says_where_it_was_measured() -> None:
    machines = health.bands()["machines"]
    for run in KNOWN.values():
        assert len(run["loss"]) == len(run["initial_loss"]) == 3
        assert {len(curve) for curve in run["loss"]} == {run["steps"]}
        assert set(run["tokens_per_second"]) <= set(machines)
    for machine in machines.values():
        assert {"date", "machine", "versions"} == set(machine)
    assert "/" not in json.dumps(machines)
