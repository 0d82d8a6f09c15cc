"""One update: PyTorch's weights, micro-batches, number formats, a scan over layers, frozen names, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax.gpt import forward, initialise, loss
from microgpt_ref.jax.layers import scanned_forward, scanned_loss, stack_layers, unstack_layers
from microgpt_ref.jax.optim import Recipe
from microgpt_ref.jax.precision import to_bfloat16
from microgpt_ref.jax.update import TrainState, batch_loss, initial_state, train_step
from microgpt_ref.presets import preset
from microgpt_ref.schedules import warmup_cosine
from microgpt_ref.torch import GPT
from microgpt_ref.torch.optim import parameter_groups
from tests.frameworks.cases import random_parameters
from tests.jax.training import assert_close, assert_same, changed

SHAPES = {"vocab_size": 11, "context": 8, "d_model": 16, "n_layer": 2, "n_head": 2}
SMALL = GPTConfig(**SHAPES)
PARAMETERS = random_parameters(SMALL, 0)
Batch = tuple[jax.Array, jax.Array]


def batch(seed: int, *shape: int) -> Batch:
    tokens, targets = np.random.default_rng(seed).integers(0, 11, (2, *(shape or (4, 8))))
    return jnp.asarray(tokens, jnp.int32), jnp.asarray(targets, jnp.int32)


def state_of(recipe: Recipe, config: GPTConfig = SMALL, dtype: type = np.float32) -> TrainState:
    arrays = random_parameters(config, 0)
    return initial_state({name: jnp.asarray(a, dtype) for name, a in arrays.items()}, recipe)


@pytest.mark.usefixtures("double")
def test_twenty_steps_of_adamw_end_where_torch_s_do() -> None:
    """float64, a clip that is at work in some of the steps, and decay on the matrices alone."""
    recipe = changed(steps=20, warmup_steps=3, learning_rate=1e-2, final_learning_rate=1e-3, clip=6.0)
    model = GPT(SMALL).double()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in PARAMETERS.items()})
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), betas=(0.9, 0.99))
    given = {name: jnp.asarray(array) for name, array in PARAMETERS.items()}
    state, norms, compiled = initial_state(given, recipe), [], train_step._cache_size()
    for step in range(20):
        tokens, targets = batch(step)
        used = state
        state, metrics = train_step(state, tokens, targets, SMALL, recipe)
        assert used.parameters["embedding.weight"].is_deleted()  # its memory holds the new state
        optimizer.zero_grad()
        logits = model(torch.from_numpy(np.asarray(tokens, np.int64)))  # model.loss rounds to float32
        expected = functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(np.asarray(targets, np.int64)).flatten()
        )
        expected.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)))
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, 20, 3, 1e-2, 1e-3)
        optimizer.step()
        assert float(metrics["loss"]) == pytest.approx(expected.item(), rel=1e-8)
        assert float(metrics["gradient_norm"]) == pytest.approx(norms[-1], rel=1e-6)
        assert float(metrics["learning_rate"]) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert min(norms) < recipe.clip < max(norms)
    assert int(state.step) == 20
    assert train_step._cache_size() == compiled + 1
    assert not given["embedding.weight"].is_deleted()
    for name, parameter in model.named_parameters():
        # torch divides by the norm + 1e-6 where it clips
        np.testing.assert_allclose(state.parameters[name], parameter.detach(), rtol=1e-7, atol=1e-8)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
def test_accumulated_gradients_equal_the_big_batch() -> None:
    """Four micro-batches of 4 are one batch of 16, to rounding in float64."""
    tokens, targets = batch(0, 4, 4, 8)
    recipe = changed(learning_rate=1e-2, warmup_steps=0)
    many, metrics = train_step(state_of(recipe, dtype=np.float64), tokens, targets, SMALL, recipe)
    big = tokens.reshape(16, 8), targets.reshape(16, 8)
    one, expected = train_step(state_of(recipe, dtype=np.float64), *big, SMALL, recipe)
    for name in metrics:
        assert float(metrics[name]) == pytest.approx(float(expected[name]), rel=1e-12)
    assert_close(many.parameters, one.parameters, rtol=1e-6, atol=1e-9)
    assert not np.allclose(one.parameters["embedding.weight"], PARAMETERS["embedding.weight"])


@pytest.mark.slow
def test_dropout_depends_on_the_seed_and_the_step_and_differs_between_micro_batches() -> None:
    config, recipe, (tokens, targets) = SMALL.replace(dropout=0.5), changed(), batch(0)
    twice = jnp.stack([tokens, tokens]), jnp.stack([targets, targets])
    one = jax.jit(loss, static_argnames="config")
    for seed, step in ((0, 0), (0, 1), (7, 0)):
        state = initial_state(initialise(config), recipe, seed)._replace(step=jnp.asarray(step, jnp.int32))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), step), 2)
        expected = [float(one(state.parameters, tokens, targets, config, key)) for key in keys]
        _, metrics = train_step(state, *twice, config, recipe)
        assert float(metrics["loss"]) == pytest.approx(sum(expected) / 2, rel=1e-5)
        assert abs(expected[0] - expected[1]) > 1e-3


FORMS = {
    "tied": SMALL,
    "biases and learned positions": GPTConfig(**SHAPES, head_bias=True, tied_head=False),
    "laptop": preset("laptop").replace(**SHAPES),
    "post-norm": GPTConfig(**SHAPES, norm_position="post", final_norm=False, activation="swiglu"),
}


@pytest.mark.slow
def test_bfloat16_stays_close() -> None:
    config, (tokens, targets) = SMALL, batch(1)
    parameters = initialise(config)
    of = jax.jit(jax.value_and_grad(batch_loss), static_argnums=(3, 4))
    exact, expected = of(parameters, tokens, targets, config, changed(), None)
    value, gradients = of(parameters, tokens, targets, config, changed(precision="bf16"), None)
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(float(exact), rel=3e-3)
    assert float(value) != float(exact)
    largest = max(float(abs(g).max()) for g in expected.values())
    for name, gradient in gradients.items():
        assert gradient.dtype == jnp.float32
        assert float(abs(gradient - expected[name]).max()) < 0.05 * largest, name


@pytest.mark.parametrize("name", FORMS)
def test_bfloat16_is_for_products_and_float32_for_sums(name: str) -> None:
    """Every product of the gradient's program, and what softmax, loss and norms begin or end with."""
    config, recipe, (tokens, targets) = FORMS[name], changed(precision="bf16"), batch(1)
    program = jax.make_jaxpr(jax.grad(lambda p: batch_loss(p, tokens, targets, config, recipe, None)))
    formats: dict[str, set[str]] = {}
    for operation in _operations(program(initialise(config)).jaxpr):
        for value in operation.invars[:1]:
            formats.setdefault(operation.primitive.name, set()).add(str(value.aval.dtype))
    assert formats["dot_general"] == {"bfloat16"}
    assert formats["reduce_max"] == {"float32"}  # of the softmax and of the loss
    assert formats["log"] == {"float32"}
    if not config.qk_norm:  # the norm of q and k is in their format
        assert formats["sqrt"] == {"float32"}


def _operations(jaxpr):  # type: ignore[no-untyped-def]
    """Every operation of a program and of the programs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if inner := getattr(value, "jaxpr", None):
                yield from _operations(inner)


def test_fp32_products_are_not_rounded_on_a_tpu() -> None:
    text = {}
    for precision in ("fp32", "bf16"):
        recipe = changed(precision=precision)
        text[precision] = train_step.lower(state_of(recipe), *batch(0), SMALL, recipe).as_text()
    products = text["fp32"].count("dot_general")
    assert products > 20
    assert text["fp32"].count("precision = [HIGHEST, HIGHEST]") == products
    assert "HIGHEST" not in text["bf16"]


@pytest.mark.slow
@pytest.mark.usefixtures("double")
def test_a_scan_over_layers_is_the_loop() -> None:
    config = FORMS["laptop"].replace(dropout=0.3)
    parameters, (tokens, targets) = initialise(config, dtype=np.float64), batch(2)
    key = jax.random.key(5)
    both = [jax.jit(jax.value_and_grad(f), static_argnames="config") for f in (loss, scanned_loss)]
    (expected, gradients), (value, scanned) = (f(parameters, tokens, targets, config, key) for f in both)
    assert float(value) == pytest.approx(float(expected), rel=1e-10)
    assert_close(scanned, gradients, rtol=1e-6, atol=1e-12)


def test_stacked_and_back() -> None:
    parameters = initialise(SMALL)
    stacked = stack_layers(parameters, SMALL)
    assert stacked["blocks.attention.qkv.weight"].shape == (2, 48, 16)
    assert_same(unstack_layers(stacked, SMALL), parameters)
    tokens, _ = batch(0)
    np.testing.assert_allclose(
        scanned_forward(stacked, tokens, SMALL), forward(parameters, tokens, SMALL), rtol=1e-6, atol=1e-7
    )


def test_a_scanned_program_does_not_grow_with_depth() -> None:
    """What the compiler reads, in lines; for a loop it is proportional to the layers."""

    def lines(n_layer: int, scanned: bool) -> int:
        config = SMALL.replace(n_layer=n_layer)
        parameters = jax.eval_shape(lambda: initialise(config))
        if scanned:
            parameters = jax.eval_shape(lambda p: stack_layers(p, config), parameters)
        f = jax.jit(scanned_forward if scanned else forward, static_argnames="config")
        return f.lower(parameters, batch(0)[0], config).as_text().count("\n")

    assert lines(12, True) == lines(3, True)
    assert lines(12, False) > 3 * lines(3, False)


def test_frozen_names_stay_bit_for_bit_and_have_no_moments() -> None:
    """What learns takes the same first step as with nothing frozen; the scan over layers changes nothing."""
    recipe = changed(frozen=("embedding", "blocks.0"), warmup_steps=0, clip=0.0, scan_layers=True)
    state = state_of(recipe)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state.optimizer)]
    assert any("blocks.1.ffn.up.weight" in path for path in paths)
    assert not any("embedding" in path or "blocks.0" in path for path in paths)
    state, metrics = train_step(state, *batch(0), SMALL, recipe)
    free = changed(warmup_steps=0, clip=0.0)
    expected, all_metrics = train_step(state_of(free), *batch(0), SMALL, free)
    assert 0 < float(metrics["gradient_norm"]) < float(all_metrics["gradient_norm"])
    for name, array in expected.parameters.items():
        if name.startswith(("embedding.", "blocks.0.")):
            np.testing.assert_array_equal(state.parameters[name], PARAMETERS[name].astype(np.float32))
            assert not np.array_equal(array, state.parameters[name])
        else:
            np.testing.assert_allclose(state.parameters[name], array, rtol=1e-4, atol=1e-6)


def test_an_unknown_frozen_name_says_so() -> None:
    with pytest.raises(ValueError, match=r"frozen='blocks.2' names no parameter; use one of blocks.0, block"):
        initial_state(initialise(SMALL), changed(frozen=("blocks.2",)))


def test_a_tied_head_learns_through_the_rounded_copy() -> None:
    parameters, config = to_bfloat16(initialise(SMALL), SMALL)
    assert parameters["embedding.weight"].dtype == jnp.float32
    assert parameters["head.weight"].dtype == jnp.bfloat16
    assert not config.tied_head
    assert SMALL.tied_head
