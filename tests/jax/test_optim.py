"""Recipes and what optax makes of them: schedules, groups that decay, names that are frozen, refusals."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from microgpt_ref.jax.gpt import initialise
from microgpt_ref.jax.optim import (
    KANDARPA_17M,
    Recipe,
    decays,
    learning_rate_schedule,
    make_optimizer,
    split_frozen,
)
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.presets import PRESETS
from microgpt_ref.schedules import warmup_cosine
from microgpt_ref.torch import GPT
from microgpt_ref.torch.optim import parameter_groups
from tests.jax.training import MODEL, changed


@pytest.mark.parametrize(("steps", "rise"), [(30, 0), (30, 1), (30, 7), (12, 12)])
def test_the_learning_rate_is_that_of_the_other_trainer(steps: int, rise: int) -> None:
    schedule = learning_rate_schedule(
        Recipe(steps=steps, warmup_steps=rise, learning_rate=3e-3, final_learning_rate=1e-4)
    )
    expected = [warmup_cosine(step, steps, rise, 3e-3, 1e-4) for step in range(steps + 3)]
    found = [float(schedule(jnp.asarray(step))) for step in range(steps + 3)]
    if rise == steps:  # no cosine is left; optax holds the peak, and no update sees the difference
        expected, found = expected[:steps], found[:steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_kandarpa_s_learning_rate_is_optax_s_own() -> None:
    published = optax.warmup_cosine_decay_schedule(0.0, 5e-4, 100, 7600, 1e-5)
    schedule = learning_rate_schedule(KANDARPA_17M)
    for step in (0, 1, 50, 99, 100, 101, 3000, 7599, 7600):
        assert float(schedule(step)) == pytest.approx(float(published(step)), rel=1e-6, abs=1e-12)
    assert float(schedule(0)) == 0
    assert float(schedule(100)) == pytest.approx(5e-4)


def test_kandarpa_s_updates_are_those_of_the_published_chain() -> None:
    """Five updates with the optimizer written out as published, with gradients on both sides of the clip."""
    published = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-4, 100, 7600, 1e-5), weight_decay=0.01),
    )
    ours = make_optimizer(KANDARPA_17M)
    parameters = {"head.weight": jnp.ones((3, 4)), "head.bias": jnp.ones(3)}
    shown = []
    for optimizer in (ours, published):
        update, state = jax.jit(optimizer.update), optimizer.init(parameters)
        rng, weights = np.random.default_rng(0), parameters
        for scale in (0.0, 0.001, 10.0, 0.01, 1.0):
            gradients = {
                n: jnp.asarray(scale * rng.normal(size=a.shape), a.dtype) for n, a in weights.items()
            }
            updates, state = update(gradients, state, weights)
            weights = {name: weights[name] + updates[name] for name in weights}
        shown.append(weights)
    for name in parameters:
        np.testing.assert_allclose(shown[0][name], shown[1][name], rtol=1e-7)
        assert float(abs(shown[0][name] - 1).max()) > 1e-5


@pytest.mark.parametrize("name", ["tejas-10m", "kandarpa-17m", "laptop"])
def test_the_same_parameters_decay_as_in_torch(name: str) -> None:
    config = PRESETS[name].replace(vocab_size=17, context=8, d_model=16, n_layer=2, n_head=2)
    model = GPT(config)
    names = {parameter: name for name, parameter in model.named_parameters()}
    expected = {names[parameter] for parameter in parameter_groups(model, 0.1)[0]["params"]}
    marks = decays(initialise(config))
    assert {name for name, mark in marks.items() if mark} == expected
    assert expected
    assert len(expected) < len(marks)


def test_clipping_can_be_switched_off() -> None:
    """One step of AdamW does not show the clip, its second moment does."""
    seen = []
    for clip in (0.0, 1e-3):
        optimizer = make_optimizer(changed(clip=clip))
        parameters = {"head.weight": jnp.ones((2, 2))}
        _, state = jax.jit(optimizer.update)(parameters, optimizer.init(parameters), parameters)
        adam = next(leaf for leaf in jax.tree.leaves(state, is_leaf=_is_adam) if _is_adam(leaf))
        seen.append(np.linalg.norm(adam.mu["head.weight"]) / 0.1)
    assert seen == pytest.approx([2, 1e-3], rel=1e-5)


def _is_adam(leaf: object) -> bool:
    return isinstance(leaf, optax.ScaleByAdamState)


def test_frozen_names_are_whole_words() -> None:
    parameters = initialise(MODEL.replace(n_layer=11))
    learning, still = split_frozen(parameters, ("embedding", "blocks.1", "final_norm.bias"))
    assert learning.keys() | still.keys() == parameters.keys()
    assert not learning.keys() & still.keys()
    blocks = {name.split(".")[1] for name in still if name.startswith("blocks")}
    assert blocks == {"1"}  # and not the 10th
    assert {name for name in still if "blocks" not in name} == {"embedding.weight", "final_norm.bias"}
    assert split_frozen(parameters, ()) == (parameters, {})


def test_a_name_that_is_not_there_says_so() -> None:
    parameters = initialise(MODEL)
    sentence = "frozen='embeding' names no parameter; use one of blocks, embedding, final_norm, position"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        split_frozen(parameters, ("embeding",))
    with pytest.raises(ValueError, match=r"frozen='blocks.7' names no parameter; use one of blocks.0, "):
        split_frozen(parameters, ("blocks.7",))
    with pytest.raises(ValueError, match="leaves nothing to learn"):
        split_frozen(parameters, ("blocks", "embedding", "final_norm", "position"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps=0 is below 1"),
        ({"accumulate": 0}, "accumulate=0 is below 1"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0 is negative"),
        ({"beta2": 1.0}, r"beta2=1\.0 is outside"),
        ({"warmup_steps": 13}, "warmup_steps=13 is more than steps=12; use 12 or fewer"),
    ],
)
def test_recipes_that_cannot_run_say_so(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        changed(**changes)


def test_words_that_are_not_known_say_so() -> None:
    """Past the type check of the test run, as outside it."""
    for field, word, sentence in [
        ("precision", "fp16", "precision='fp16' is not known; use fp32 or bf16"),
        ("decay", "some", "decay='some' is not known; use matrices or all"),
        ("frozen", "embedding", r"frozen='embedding' is one word; use a tuple, \('embedding',\)"),
    ]:
        recipe = Recipe()
        object.__setattr__(recipe, field, word)
        with pytest.raises(ValueError, match=sentence):
            recipe.__post_init__()


def test_the_names_in_both_lists_are_parameters() -> None:
    """A renamed table would decay without a word."""
    assert {"embedding.weight", "position.weight"} < set(parameter_shapes(MODEL))
