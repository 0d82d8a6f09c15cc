"""LoRA in JAX, held to LoRA in PyTorch, which is held to PEFT."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.jax import forward
from microgpt_ref.jax.basics import linear, low_rank
from microgpt_ref.jax.lora import (
    extended,
    initialise,
    load_adapter,
    loss,
    new_rows,
    save_adapter,
    with_dropout,
    with_lora,
)
from microgpt_ref.lora import LoRAConfig, adapter_shapes
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.torch import GPT
from microgpt_ref.torch import lora as torch_lora
from tests.frameworks.cases import draw_case, random_config, random_parameters

SMALL = GPTConfig(vocab_size=11, context=6, d_model=8, n_layer=1, n_head=2)
UNTIED = SMALL.replace(tied_head=False, head_bias=True)

# compiled as a whole: one by one, the operations of a backward pass take JAX many times as long
logits_of = jax.jit(forward, static_argnames="config")
loss_of = jax.jit(jax.value_and_grad(loss, argnums=1), static_argnames=("config", "lora"))


def arrays(parameters: dict[str, np.ndarray], dtype: Any = None) -> dict[str, jax.Array]:
    return {name: jnp.asarray(array, dtype) for name, array in parameters.items()}


def random_adapter(
    config: GPTConfig, lora: LoRAConfig, tokens: int = 0, seed: int = 0
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape) for name, shape in adapter_shapes(config, lora, tokens).items()}


def torch_model(
    config: GPTConfig, parameters: dict[str, np.ndarray], adapter: dict[str, np.ndarray], lora: LoRAConfig
) -> GPT:
    """The same numbers in PyTorch."""
    model = GPT(config).double()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in parameters.items()})
    if "embedding.new_rows.weight" in adapter:
        torch_lora.extend_vocabulary(model, len(adapter["embedding.new_rows.weight"]))
    torch_lora.add_lora(model, lora)
    with torch.no_grad():
        for name, array in adapter.items():
            dict(model.named_parameters())[name].copy_(torch.from_numpy(array))
    return model.eval()


def batch(config: GPTConfig, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    tokens, targets = np.random.default_rng(seed).integers(0, config.vocab_size, (2, 3, config.context))
    return tokens, targets


CASES = [
    (random_config(0), LoRAConfig(rank=2, alpha=3.0), 0),
    (random_config(1), LoRAConfig(rank=1, alpha=2.0, targets=("qkv", "down")), 2),
    (random_config(4), LoRAConfig(rank=5, alpha=2.0, targets=("out", "up")), 1),
    (UNTIED, LoRAConfig(rank=3, alpha=5.0), 3),
    (SMALL.replace(activation="swiglu", n_kv_head=1, n_layer=2), LoRAConfig(rank=2), 2),
]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("which", range(len(CASES)))
def test_outputs_and_gradients_are_those_of_torch(which: int) -> None:
    config, lora, tokens = CASES[which]
    parameters, adapter = random_parameters(config, which), random_adapter(config, lora, tokens, which)
    base, own = arrays(parameters), arrays(adapter)
    larger = extended(config, own)
    assert larger.vocab_size == config.vocab_size + tokens
    model = torch_model(config, parameters, adapter, lora)
    ids, targets = batch(larger, which)
    with torch.no_grad():
        theirs = model(torch.from_numpy(ids)).numpy()
    mine = logits_of(with_lora(base, own, lora), jnp.asarray(ids), larger)
    np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10 * np.abs(theirs).max())
    # PyTorch's own loss is taken in float32
    logits = model(torch.from_numpy(ids))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten()).backward()
    _, gradient = loss_of(base, own, jnp.asarray(ids), jnp.asarray(targets), config, lora)
    assert gradient.keys() == adapter.keys()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            other = parameter.grad.numpy()
            np.testing.assert_allclose(gradient[name], other, rtol=0, atol=1e-10 * np.abs(other).max())


def test_in_float32_too() -> None:
    config, lora = SMALL, LoRAConfig(rank=2)
    case = draw_case(config)
    adapter = random_adapter(config, lora)
    model = torch_model(config, case.parameters, adapter, lora).float()
    with torch.no_grad():
        theirs = model(torch.from_numpy(case.tokens)).numpy()
    adapted = with_lora(arrays(case.parameters), arrays(adapter), lora)
    mine = logits_of(adapted, jnp.asarray(case.tokens), config)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_it_begins_as_the_base(config: GPTConfig) -> None:
    lora = LoRAConfig(rank=4, targets=("qkv", "ffn.up"))
    numbers = random_parameters(config, 0)
    base = arrays(numbers)
    adapter = initialise(config, lora, jax.random.key(0)) | new_rows(base, 2)
    shapes = {name: array.shape for name, array in adapter.items()}
    assert shapes == adapter_shapes(config, lora, 2)
    adapted, larger = with_lora(base, adapter, lora), extended(config, adapter)
    assert {name: array.shape for name, array in adapted.items()} == parameter_shapes(larger)
    tokens = jnp.asarray(batch(config)[0])
    logits, before = logits_of(adapted, tokens, larger), logits_of(base, tokens, config)
    np.testing.assert_allclose(logits[..., :-2], before, rtol=1e-6, atol=1e-6)
    model = torch_lora.extend_vocabulary(torch_model(config, numbers, {}, lora), 2)
    rows = {name: p.detach().numpy() for name, p in model.named_parameters() if ".new_" in name}
    assert rows.keys() == {name for name in adapter if ".new_" in name}
    for name, means in rows.items():
        np.testing.assert_allclose(adapter[name], means, rtol=1e-5, atol=1e-6)


def test_a_is_uniform_and_the_key_decides() -> None:
    config = SMALL.replace(d_model=64, n_head=4)
    first, again, other = (initialise(config, LoRAConfig(rank=16), jax.random.key(i)) for i in (0, 0, 1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        if name.endswith(".B"):
            assert not array.any()
            continue
        bound = array.shape[1] ** -0.5
        assert 0.95 * bound < jnp.abs(array).max() <= bound
        assert float(array.std()) == pytest.approx(bound / 3**0.5, rel=0.06)
        assert not jnp.array_equal(array, other[name])
    assert not jnp.array_equal(first["blocks.0.ffn.up.A"][:, :8], first["blocks.0.attention.out.A"][:, :8])


def test_only_the_adapter_learns_and_under_jit() -> None:
    config, lora = SMALL, LoRAConfig(rank=4, alpha=8.0)
    base = arrays(random_parameters(config, 0))
    adapter = initialise(config, lora, jax.random.key(0)) | new_rows(base, 2)
    tokens, targets = map(jnp.asarray, batch(extended(config, adapter)))
    losses = []
    for _ in range(40):
        value, gradient = loss_of(base, adapter, tokens, targets, config, lora)
        adapter = jax.tree.map(lambda a, g: a - 0.3 * g, adapter, gradient)
        losses.append(float(value))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.usefixtures("double")
def test_dropout_with_given_masks() -> None:
    """Beside the weight, with no mask, it is the merged model; a mask multiplies what goes into A."""
    config, lora = SMALL, LoRAConfig(rank=2, alpha=3.0, dropout=0.25)
    base, adapter = arrays(random_parameters(config, 0)), arrays(random_adapter(config, lora, 2))
    larger = extended(config, adapter)
    tokens = jnp.asarray(batch(larger)[0])
    beside = with_dropout(base, adapter, lora, (3, 6), jax.random.key(0))
    masks = {name: array for name, array in beside.items() if name.endswith(".mask")}
    values = np.unique(np.concatenate([np.ravel(mask) for mask in masks.values()]))
    np.testing.assert_allclose(values, [0, 1 / 0.75])
    whole = beside | {name: jnp.ones_like(mask) for name, mask in masks.items()}
    merged = logits_of(with_lora(base, adapter, lora), tokens, larger)
    np.testing.assert_allclose(logits_of(whole, tokens, larger), merged, rtol=1e-10, atol=1e-10)
    assert not np.allclose(logits_of(beside, tokens, larger), merged, rtol=1e-3)

    x, mask = jax.random.normal(jax.random.key(1), (2, 3, 6, 8))
    A, B = adapter["blocks.0.ffn.up.A"], adapter["blocks.0.ffn.up.B"]
    weight, bias = base["blocks.0.ffn.up.weight"], base["blocks.0.ffn.up.bias"]
    expected = np.einsum("bti,ri,or->bto", x * mask, A, B) + x @ weight.T + bias
    np.testing.assert_allclose(linear(x, weight, bias, A=A, B=B, mask=mask), expected, rtol=1e-10)
    np.testing.assert_allclose(low_rank(x, A, B, mask), expected - linear(x, weight, bias), rtol=1e-8)


def test_dropout_only_with_a_key_and_a_new_one_a_step() -> None:
    lora = LoRAConfig(rank=2, dropout=0.5)
    base, adapter = arrays(random_parameters(SMALL, 0)), arrays(random_adapter(SMALL, lora))
    tokens, targets = map(jnp.asarray, batch(SMALL))

    def value(key: Any, lora: LoRAConfig = lora) -> float:
        return float(loss_of(base, adapter, tokens, targets, SMALL, lora, key)[0])

    plain = value(None)
    assert value(jax.random.key(0), LoRAConfig(rank=2)) == pytest.approx(plain, rel=1e-6)
    assert value(jax.random.key(0)) == value(jax.random.key(0))
    assert len({plain, value(jax.random.key(0)), value(jax.random.key(1))}) == 3
    _, gradient = loss_of(base, adapter, tokens, targets, SMALL, lora, jax.random.key(0))
    assert all(array.any() for array in gradient.values())


@pytest.mark.parametrize("config", [SMALL, UNTIED], ids=["tied", "untied"])
def test_one_file_for_both_frameworks(config: GPTConfig, tmp_path: Path) -> None:
    lora = LoRAConfig(rank=2, alpha=3.0, targets=("attention.out", "ffn.down"))
    parameters, adapter = random_parameters(config, 0), random_adapter(config, lora, 2)
    base = arrays(parameters)
    save_adapter(arrays(adapter), config, lora, tmp_path / "a", base="stories")
    loaded, settings = load_adapter(tmp_path / "a", config)
    assert settings == lora
    for name in adapter:
        np.testing.assert_array_equal(loaded[name], adapter[name].astype(np.float32))
    model = GPT(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in parameters.items()})
    torch_lora.load_adapter(model, tmp_path / "a")
    torch_lora.save_adapter(model, tmp_path / "b", base="stories")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    larger = extended(config, loaded)
    adapted = with_lora(base, loaded, lora)
    tokens = batch(larger)[0]
    with torch.no_grad():
        theirs = torch_lora.remove_lora(model.eval())(torch.from_numpy(tokens)).numpy()
    np.testing.assert_allclose(logits_of(adapted, jnp.asarray(tokens), larger), theirs, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"made for a model with n_layer=1, this one has 3"):
        load_adapter(tmp_path / "a", config.replace(n_layer=3))


def test_a_wrong_target() -> None:
    with pytest.raises(ValueError, match=r"targets: 'query' is no linear layer of this model; there are"):
        initialise(SMALL, LoRAConfig(targets=("query",)), jax.random.key(0))
