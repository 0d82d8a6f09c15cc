"""The trainer: right gradients, exact resuming, a log that can be trusted, and clear refusals."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from microgpt_ref import checkpoint
from microgpt_ref.checkpoint import CheckpointError
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.muon import Muon
from microgpt_ref.torch.precision import choose_device, choose_precision, has_fast_bf16
from microgpt_ref.torch.train import TrainConfig, Trainer

TEXT = "mara has the lantern. ben has the letter. who has the key? ada has it.\n" * 40
DATASET = Dataset("test", TEXT, TEXT[:500])
TOKENIZER = CharacterTokenizer.from_text(TEXT)
MODEL = GPTConfig(
    vocab_size=TOKENIZER.vocab_size, context=16, d_model=16, n_layer=1, n_head=2, position="rotary"
)
RECIPE = TrainConfig(
    steps=12, batch_size=4, warmup_steps=2, evaluate_every=6, save_every=3, log_every=2, precision="fp32"
)


def trainer(out: Path | None = None, model: GPTConfig = MODEL, **changes: object) -> Trainer:
    recipe = dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]
    return Trainer(model, recipe, DATASET, TOKENIZER, out)


def weights(run: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_one_batch_can_be_overfitted() -> None:
    run = trainer(steps=150, learning_rate=1e-2, evaluate_every=150, save_every=150)
    inputs, targets = run.batch(0)
    run.batch = lambda step, micro_batch=0: (inputs, targets)  # type: ignore[method-assign]
    run.run()
    assert run.model.loss(inputs, targets).item() < 0.15
    assert run.history[0]["loss"] > 2


def test_batches_are_shifted_by_one_and_come_from_the_training_text() -> None:
    inputs, targets = trainer().batch(3)
    assert inputs.shape == targets.shape == (4, 16)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    for row in inputs:
        assert TOKENIZER.decode(row.tolist()) in TEXT


def test_same_seed_same_weights_other_seed_other_weights() -> None:
    runs = [trainer(seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        run.run()
    assert_same(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(runs[0].model.embedding.weight, runs[2].model.embedding.weight)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulated_gradients_equal_the_big_batch(optimizer: str) -> None:
    """`zain-124m`'s effective batch of 128, its architecture small: 16 micro-batches of 8 are one of 128."""
    changes = {"vocab_size": MODEL.vocab_size, "context": 16, "d_model": 16, "n_layer": 2, "n_head": 2}
    model = preset("zain-124m").replace(**changes, dropout=0.0)
    small = trainer(model=model, batch_size=8, accumulate=16, optimizer=optimizer)
    big = trainer(model=model, batch_size=128, optimizer=optimizer)
    for run in (small, big):
        run.model.double()
        for of_run in run.optimizers:
            if isinstance(of_run, Muon):
                of_run.dtype = torch.float64
    parts = [small.batch(0, i) for i in range(16)]
    together = tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))
    assert together[0].shape == (128, 16)
    big.batch = lambda step, micro_batch=0: together  # type: ignore[method-assign, return-value]
    (mine, my_norm), (theirs, their_norm) = small.train_step(), big.train_step()
    torch.testing.assert_close(mine.double(), theirs.double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(my_norm, their_norm, rtol=1e-6, atol=0)
    for name, parameter in big.model.named_parameters():
        torch.testing.assert_close(
            dict(small.model.named_parameters())[name], parameter, rtol=1e-6, atol=1e-9
        )


class NoWaiting(TorchDispatchMode):
    """Raises where a value is read back from the device, whether Python or C++ asks for it."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if operator in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise AssertionError(f"{operator} waits for the device")
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_never_waits_for_the_device(optimizer: str) -> None:
    run = trainer(optimizer=optimizer, accumulate=2, precision="bf16")
    with NoWaiting():
        for _ in range(2):
            run.train_step()
        with pytest.raises(AssertionError, match="waits for the device"):
            torch.ones(1).item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_never_waits_for_a_gpu(optimizer: str) -> None:
    run = trainer(optimizer=optimizer, accumulate=2, precision="auto", device="cuda")
    run.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def scaled(run: Trainer, scale: float = 2.0**10) -> torch.amp.GradScaler:
    """Give the run the scaler of fp16, while its numbers stay float32."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    run.format = dataclasses.replace(run.format, scaler=scaler)
    return scaler


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_scaler_changes_nothing_but_the_range(optimizer: str) -> None:
    """A small clip would cut scaled gradients to nothing: clipping comes after unscaling."""
    plain, with_scaler = (trainer(optimizer=optimizer, clip=0.5, accumulate=2) for _ in range(2))
    scaled(with_scaler)
    for _ in range(4):
        for mine, theirs in zip(plain.train_step(), with_scaler.train_step(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(weights(plain).values(), weights(with_scaler).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("overflowing", ["embedding.weight", "blocks.0.ffn.up.weight"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_overflow_leaves_the_whole_update_out(optimizer: str, overflowing: str, value: float) -> None:
    run = trainer(optimizer=optimizer)
    scaler, before = scaled(run), weights(run)
    hook = dict(run.model.named_parameters())[overflowing].register_hook(lambda g: g * value)
    run.train_step()
    assert_same(weights(run), before)
    assert scaler.get_scale() == 2.0**9
    run.train_until(2)
    assert run.history[-1]["gradient_norm"] is None  # JSON knows no infinity
    hook.remove()
    run.train_step()
    assert all(torch.isfinite(p).all() for p in run.model.parameters())
    assert not torch.equal(run.model.embedding.weight, before["embedding.weight"])


def test_float32_products_are_whole_whatever_the_process_says() -> None:
    run, seen = trainer(), []
    run.loss = lambda *batch: (seen.append(torch.get_float32_matmul_precision()), run.model.loss(*batch))[1]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        run.train_step()
        run.format = dataclasses.replace(run.format, tf32=True)
        run.train_step()
        assert seen == ["highest", "high"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_muon_and_adamw_both_follow_the_schedule() -> None:
    run = trainer(optimizer="muon", learning_rate=0.01, muon_learning_rate=0.04)
    for step in range(4):
        run.train_step()
        rates = [{group["lr"] for group in optimizer.param_groups} for optimizer in run.optimizers]
        share = run.learning_rate_at(step) / 0.01
        assert rates[0] == {run.learning_rate_at(step)}
        assert [*rates[1]] == [pytest.approx(0.04 * share)]


def test_another_module_can_be_trained() -> None:
    class Wide(GPT):
        """A GPT whose loss is smoothed."""

        def loss(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return 0.9 * super().loss(tokens, targets)

    run = Trainer(MODEL, RECIPE, DATASET, TOKENIZER, build_model=Wide)
    assert type(run.model) is Wide
    assert run.train_step()[0].item() == pytest.approx(0.9 * trainer().train_step()[0].item(), rel=1e-5)
    assert_same({"": trainer().model.embedding.weight}, {"": trainer().model.embedding.weight})


def test_clipping_bounds_the_gradient() -> None:
    seen = []
    for clip in (0.0, 1e-3):
        run = trainer(clip=clip)
        optimizer_step = run.optimizer.step

        def recorded(run: Trainer = run, optimizer_step=optimizer_step) -> None:  # type: ignore[no-untyped-def]
            gradients = [p.grad for p in run.model.parameters() if p.grad is not None]
            seen.append(torch.nn.utils.get_total_norm(gradients).item())
            optimizer_step()

        run.optimizer.step = recorded  # type: ignore[method-assign]
        _, norm = run.train_step()
        assert norm > 0.1  # what is reported is the norm before clipping
    assert seen[0] > 0.1
    assert seen[1] == pytest.approx(1e-3, rel=1e-3)


def test_training_beats_the_uniform_model_and_keeps_the_best(tmp_path: Path) -> None:
    run = trainer(tmp_path, steps=60, evaluate_every=20, save_every=20)
    run.run()
    losses = [line["validation"]["loss"] for line in run.history if "validation" in line]
    assert len(losses) == 3
    assert losses[-1] < np.log(TOKENIZER.vocab_size) - 0.5
    best = checkpoint.load(tmp_path)
    assert best.metrics["validation"]["loss"] == min(losses) == run.best
    assert best.optimizer == {}


def test_best_is_kept_when_later_is_worse(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.evaluate_and_keep_best()
    before = (tmp_path / "best.safetensors").read_bytes()
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(torch.randn_like(parameter))
    run.evaluate_and_keep_best()
    assert (tmp_path / "best.safetensors").read_bytes() == before


def test_the_log_is_one_json_object_a_line(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    history = run.run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == history
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == 12
    assert {line["step"] for line in lines if "validation" in line} == {6, 12}
    for line in lines:
        if "loss" in line:
            assert line["tokens_per_second"] > 0
            assert line["learning_rate"] == pytest.approx(run.learning_rate_at(line["step"] - 1))


@pytest.mark.parametrize(
    ("dropout", "changes"),
    [
        (0.0, {}),
        (0.3, {}),
        (0.0, {"optimizer": "muon"}),
        (0.3, {"optimizer": "muon", "schedule": "wsd", "decay_share": 0.5, "accumulate": 2}),
        (0.0, {"schedule": "one_cycle"}),
    ],
)
def test_stopped_and_resumed_is_the_run_left_alone(
    tmp_path: Path, dropout: float, changes: dict[str, object]
) -> None:
    model = MODEL.replace(dropout=dropout)
    whole = trainer(model=model, **changes)
    whole.run()
    for stop in (3, 4, 11):
        out = tmp_path / str(stop)
        first = trainer(out, model=model, **changes)
        for _ in range(stop):
            first.train_step()
        first.save_last()
        second = trainer(out, model=model, **changes)
        assert second.resume()
        assert second.step == stop
        second.run()
        assert_same(weights(second), weights(whole))


def test_a_run_saved_when_there_was_one_optimiser_goes_on(tmp_path: Path) -> None:
    whole = trainer()
    whole.run()
    first = trainer(tmp_path)
    for _ in range(5):
        first.train_step()
    first.save_last()
    saved = checkpoint.load(tmp_path / "last.safetensors")
    before = {key.removeprefix("0."): array for key, array in saved.optimizer.items()}
    checkpoint.save(tmp_path / "last.safetensors", dataclasses.replace(saved, optimizer=before))
    second = trainer(tmp_path)
    assert second.resume()
    second.run()
    assert_same(weights(second), weights(whole))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_the_log_goes_on_without_repeating(tmp_path: Path, number: int) -> None:
    run = trainer(tmp_path, save_every=100)
    original = run.train_step

    def interrupted():  # type: ignore[no-untyped-def]
        if run.step == 7:
            os.kill(os.getpid(), number)  # in the middle of a step, which is finished all the same
        return original()

    handler = signal.getsignal(number)
    run.train_step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert signal.getsignal(number) == handler
    assert checkpoint.load(tmp_path / "last.safetensors").step == 8
    again = trainer(tmp_path, save_every=100)
    assert again.resume()
    again.run()
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    whole = trainer()
    whole.run()
    assert_same(weights(again), weights(whole))


def test_a_half_written_line_of_the_log_is_dropped(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    for _ in range(4):
        run.train_step()
    run.log(loss=1.0)
    run.save_last()
    run.step = 6
    run.log(loss=0.9)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')
    again = trainer(tmp_path)
    assert again.resume()
    assert [line["step"] for line in again.history] == [4]


SCRIPT = """
import sys, dataclasses, torch
sys.path.insert(0, sys.argv[2])
from tests.torch.test_train import MODEL, trainer
torch.set_num_threads(1)
run = trainer(sys.argv[1], model=MODEL.replace(dropout=0.1), steps=400, save_every=1, evaluate_every=50)
run.resume()
print("ready", flush=True)
run.run()
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_at_ten_random_moments_gives_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL leaves no chance to clean up; whatever lies in the folder must be enough."""
    root = str(Path(__file__).parents[2])
    generator = np.random.default_rng()
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "killed"), root], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline().strip() == "ready"
        time.sleep(generator.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed: give it more steps"
    assert 0 < checkpoint.load(tmp_path / "killed" / "last.safetensors").step < 400
    for folder in ("killed", "whole"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / folder), root]
        subprocess.run(command, check=True, capture_output=True)
    killed, whole = (checkpoint.load(tmp_path / f / "last.safetensors") for f in ("killed", "whole"))
    assert killed.step == whole.step == 400
    for mine, theirs in [(killed.parameters, whole.parameters), (killed.optimizer, whole.optimizer)]:
        for name in theirs:
            np.testing.assert_array_equal(mine[name], theirs[name])
    leftovers = [path.name for path in (tmp_path / "killed").iterdir() if path.name.endswith(".safetensors")]
    assert sorted(leftovers) == ["best.safetensors", "last.safetensors"]


def test_resuming_another_run_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.train_step()
    run.save_last()
    cases = [
        ({"learning_rate": 1e-4}, r"has learning_rate=0\.004, but 0\.0001 was asked for"),
        ({"seed": 5}, "has seed=0, but 5 was asked for"),
        ({"model": MODEL.replace(n_layer=2)}, "has n_layer=1, but 2 was asked for"),
    ]
    for changes, sentence in cases:
        with pytest.raises(CheckpointError, match=sentence):
            trainer(tmp_path, **changes).resume()  # type: ignore[arg-type]
    other = Trainer(MODEL, RECIPE, Dataset("test", TEXT + " ", TEXT), TOKENIZER, tmp_path)
    with pytest.raises(CheckpointError, match="dataset_sha256"):
        other.resume()
    assert trainer(tmp_path, log_every=1, evaluate_every=2).resume()
    assert not trainer(tmp_path / "elsewhere").resume()


def test_bf16_stays_close_to_fp32() -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        run = trainer(steps=40, evaluate_every=40, precision=precision)
        run.run()
        losses.append(run.best)
        assert all(p.dtype == torch.float32 for p in run.model.parameters())
    assert losses[0] == pytest.approx(losses[1], abs=0.1)


COMPILED = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from tests.torch.test_train import trainer
plain, compiled = trainer(), trainer(compile=True)
for _ in range(3):
    torch.testing.assert_close(plain.train_step()[0], compiled.train_step()[0], rtol=1e-4, atol=1e-5)
"""


@pytest.mark.slow
def test_compiled_step_gives_the_same_loss() -> None:
    """In a process of its own: the compiler cannot see through the test run's type checks."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("torch.compile needs a C++ compiler on the CPU, and this machine has none")
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", COMPILED, root], check=True)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    run = trainer(steps=4)
    with torch.no_grad():
        run.model.embedding.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 2; lower learning_rate"):
        run.run()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps=0 is below 1"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0 is negative"),
        ({"beta2": 1.0}, r"beta2=1\.0 is outside"),
        ({"muon_momentum": -0.1}, r"muon_momentum=-0\.1 is outside"),
        ({"warmup_steps": 13}, "warmup_steps=13 is more than steps=12; use 12 or fewer"),
        ({"schedule": "wsd", "decay_share": 0.9}, "use warmup_steps=1 or a smaller decay_share"),
    ],
)
def test_recipes_that_cannot_run_say_so(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("schedule", "schedule='other' is not known; use one of cosine, one_cycle, wsd"),
        ("optimizer", "optimizer='other' is not known; use one of adamw, muon"),
    ],
)
def test_unknown_names_say_so(name: str, sentence: str) -> None:
    recipe = dataclasses.replace(RECIPE)
    object.__setattr__(recipe, name, "other")  # past the type checks of the test run
    with pytest.raises(ValueError, match=sentence):
        recipe.__post_init__()


def test_what_does_not_fit_together_says_so() -> None:
    with pytest.raises(ValueError, match=r"vocab_size=99 but the tokenizer has .* use config\.replace"):
        Trainer(MODEL.replace(vocab_size=99), RECIPE, DATASET, TOKENIZER)
    with pytest.raises(ValueError, match="the training text has 10 tokens, too few for context=16"):
        Trainer(MODEL, RECIPE, Dataset("test", TEXT[:10], TEXT), TOKENIZER)


def test_devices_and_formats() -> None:
    cpu = choose_device("cpu")
    assert choose_precision("fp32", cpu).dtype == torch.float32
    assert not choose_precision("bf16", cpu).scaler.is_enabled()
    expected = torch.bfloat16 if has_fast_bf16(cpu) else torch.float32
    assert choose_precision("auto", cpu).dtype == expected
    with pytest.raises(ValueError, match="precision='fp16' is for GPUs"):
        choose_precision("fp16", cpu)
    with pytest.raises(ValueError, match="precision='tf32' is for NVIDIA GPUs"):
        choose_precision("tf32", cpu)
    with pytest.raises(ValueError, match="device='cuda:7' cannot be used here"):
        choose_device("cuda:7")
