"""The trainer in JAX: PyTorch's batches, exact resuming, files for all frameworks, clear refusals."""

import json
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from microgpt_ref import checkpoint, evaluate
from microgpt_ref import numpy as in_numpy
from microgpt_ref.checkpoint import CheckpointError
from microgpt_ref.datasets import Dataset
from microgpt_ref.jax.gpt import forward
from microgpt_ref.jax.resuming import flatten, unflatten
from microgpt_ref.jax.train import Trainer, train
from microgpt_ref.torch import GPT
from microgpt_ref.torch.train import TrainConfig
from microgpt_ref.torch.train import Trainer as TorchTrainer
from tests.jax.training import DATASET, MODEL, RECIPE, TEXT, TOKENIZER, assert_same, changed, trainer


def finished(folder: Path | None = None) -> Trainer:
    run = trainer(folder)
    run.run()
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that nobody stopped."""
    return finished(tmp_path_factory.mktemp("whole"))


def test_both_trainers_see_the_same_batches() -> None:
    mine = trainer(recipe=changed(accumulate=3), seed=4)
    recipe = TrainConfig(steps=12, batch_size=4, accumulate=3, warmup_steps=2, seed=4, device="cpu")
    theirs = TorchTrainer(MODEL, recipe, DATASET, TOKENIZER)
    for step in (0, 7):
        inputs, targets = mine.batch(step)
        assert inputs.shape == targets.shape == (3, 4, 16)
        for micro_batch in range(3):
            for found, expected in zip((inputs, targets), theirs.batch(step, micro_batch), strict=True):
                np.testing.assert_array_equal(found[micro_batch], expected.numpy())
    inputs, targets = trainer().batch(3)
    assert inputs.shape == (4, 16)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])


def test_the_loss_falls_and_the_best_is_kept(whole: Trainer) -> None:
    assert whole.out
    losses = [line["validation"]["loss"] for line in whole.history if "validation" in line]
    assert len(losses) == 2
    assert losses[-1] < np.log(TOKENIZER.vocab_size) - 0.1
    best = checkpoint.load(whole.out)
    assert best.metrics["validation"]["loss"] == min(losses) == whole.best
    assert best.optimizer == {}


def test_best_is_kept_when_later_is_worse(tmp_path: Path, whole: Trainer) -> None:
    run = trainer(tmp_path, parameters=whole.state.parameters)
    run.evaluate_and_keep_best()
    before = (tmp_path / "best.safetensors").read_bytes()
    worse = {name: array + 1 for name, array in run.state.parameters.items()}
    run.state = run.state._replace(parameters=worse)
    run.evaluate_and_keep_best()
    assert (tmp_path / "best.safetensors").read_bytes() == before


def test_the_validation_loss_is_the_other_frameworks(whole: Trainer) -> None:
    model = GPT(MODEL)
    model.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in whole.state.parameters.items()})
    expected = evaluate.evaluate(model, TOKENIZER, DATASET.validation)
    found = whole.evaluate()
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert (found.tokens, found.characters, found.bytes) == (499, 499, 499)
    assert found.bits_per_byte == pytest.approx(expected.bits_per_byte, rel=1e-6)


def test_a_checkpoint_loads_in_all_frameworks(whole: Trainer) -> None:
    assert whole.out
    saved = checkpoint.load(whole.out / "last.safetensors")
    assert saved.step == 12
    tokens = np.asarray([TOKENIZER.encode("mara has the lan")])
    expected = forward(whole.state.parameters, jnp.asarray(tokens), MODEL)
    with torch.no_grad():
        in_torch = saved.build_torch()(torch.from_numpy(tokens)).numpy()
    np.testing.assert_allclose(in_torch, expected, rtol=1e-4, atol=1e-5)
    logits, _ = in_numpy.forward(saved.build_numpy(), tokens, MODEL)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert_same(saved.build_jax(), dict(whole.state.parameters))
    assert saved.build_tokenizer().encode("mara") == TOKENIZER.encode("mara")


def test_the_log_is_one_json_object_a_line(whole: Trainer) -> None:
    assert whole.out
    lines = [json.loads(line) for line in (whole.out / "log.jsonl").read_text().splitlines()]
    assert lines == whole.history
    assert [line["step"] for line in lines if "loss" in line] == [2, 3, 4, 6, 8, 9, 10, 12]
    assert [line["step"] for line in lines if "validation" in line] == [6, 12]
    for line in lines:
        if "loss" in line:
            assert line["tokens_per_second"] > 0
            assert line["gradient_norm"] > 0
    assert lines[0]["learning_rate"] == pytest.approx(RECIPE.learning_rate)


@pytest.mark.parametrize("stop", [3, 11])
def test_stopped_and_resumed_is_the_run_left_alone(tmp_path: Path, stop: int, whole: Trainer) -> None:
    first = trainer(tmp_path)
    for _ in range(stop):
        first.train_step()
    first.save_last()
    second = trainer(tmp_path, evaluate_every=5)  # how a run is watched may change
    assert second.resume()
    assert second.step == stop
    second.run()
    assert_same(dict(second.state.parameters), dict(whole.state.parameters))
    for mine, theirs in zip(
        jax.tree.leaves(second.state.optimizer), jax.tree.leaves(whole.state.optimizer), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert not list(tmp_path.glob("*.part"))


def test_ctrl_c_saves_and_train_goes_on(tmp_path: Path, whole: Trainer) -> None:
    run = trainer(tmp_path, save_every=100)
    original = run.train_step

    def interrupted():  # type: ignore[no-untyped-def]
        if run.step == 7:
            os.kill(os.getpid(), signal.SIGINT)  # in the middle of a step, which is finished all the same
        return original()

    run.train_step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert checkpoint.load(tmp_path / "last.safetensors").step == 8
    again = train(MODEL, RECIPE, DATASET, TOKENIZER, tmp_path, evaluate_every=6, log_every=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == again.history
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    assert {2, 12} <= {line["step"] for line in lines}
    assert_same(dict(again.state.parameters), dict(whole.state.parameters))


def test_fine_tuning_starts_from_given_weights(whole: Trainer) -> None:
    recipe = changed(frozen=("blocks", "position"), steps=1, warmup_steps=0)
    run = trainer(recipe=recipe, parameters=whole.state.parameters)
    assert_same(dict(run.state.parameters), dict(whole.state.parameters))
    run.run()
    moved = {n for n, a in run.state.parameters.items() if not np.array_equal(a, whole.state.parameters[n])}
    assert moved == {"embedding.weight", "final_norm.weight", "final_norm.bias"}


def test_resuming_another_run_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.save_last()
    cases = [
        ({"recipe": changed(learning_rate=1e-4)}, r"has learning_rate=0\.004, but 0\.0001 was asked for"),
        ({"recipe": changed(frozen=("blocks",))}, r"has frozen=\[\], but \['blocks'\] was asked for"),
        ({"seed": 5}, "has seed=0, but 5 was asked for"),
        ({"model": MODEL.replace(n_layer=2)}, "has n_layer=1, but 2 was asked for"),
    ]
    for changes, sentence in cases:
        with pytest.raises(CheckpointError, match=sentence):
            trainer(tmp_path, **changes).resume()  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="dataset_sha256"):
        Trainer(MODEL, RECIPE, Dataset("test", TEXT + " ", TEXT), TOKENIZER, tmp_path).resume()
    assert not trainer(tmp_path / "elsewhere").resume()
    run.evaluate_and_keep_best()
    (tmp_path / "best.safetensors").replace(tmp_path / "last.safetensors")
    with pytest.raises(CheckpointError, match=r"no optimizer state '.*count'; resume from last\.safetensors"):
        trainer(tmp_path).resume()


def test_a_pytree_goes_through_names_and_back() -> None:
    tree = {"a": (jnp.asarray(3, jnp.int32), [jnp.ones(2)]), "b.c": None}
    arrays = {name: np.atleast_1d(array) for name, array in flatten(tree).items()}  # as a file holds them
    assert arrays.keys() == {"a/0", "a/1/0"}
    back = unflatten(arrays, jax.tree.map(jnp.zeros_like, tree))
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert back["a"][0].shape == ()
    assert back["a"][0].dtype == jnp.int32
    np.testing.assert_array_equal(back["a"][1][0], np.ones(2))


def test_a_loss_that_is_not_finite_stops_the_run(whole: Trainer) -> None:
    broken = {name: array * np.nan for name, array in whole.state.parameters.items()}
    with pytest.raises(FloatingPointError, match="the loss is nan at step 2; lower learning_rate"):
        trainer(parameters=broken).run()


def test_what_does_not_fit_together_says_so() -> None:
    with pytest.raises(ValueError, match=r"vocab_size=99 but the tokenizer has .* use config\.replace"):
        trainer(model=MODEL.replace(vocab_size=99))
    with pytest.raises(ValueError, match="the training text has 10 tokens, too few for context=16"):
        Trainer(MODEL, RECIPE, Dataset("test", TEXT[:10], TEXT), TOKENIZER)
