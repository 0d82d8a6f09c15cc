"""The fast paths of reading with a cache: other products, a compiled step; the logits of `cache.read`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT, rows
from microgpt_ref.torch.cache import KVCache, grouped_attention, read
from microgpt_ref.torch.compiled import CompiledReader, step, sum_attention, sum_linear
from microgpt_ref.torch.gpt import Head
from tests.decoding import Prompt, random_prompt

ROOT = Path(__file__).resolve().parents[2]
# 37 outputs cannot be cut, 65 only into odd pieces
SHAPES = [(1152, 384), (65, 48), (37, 16), (12, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_a_few_rows_by_other_products(shape: tuple[int, int], count: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0], bias)
    x = torch.randn(count, 1, shape[1]).transpose(0, 1)
    quick = rows.RowsLinear(shape[1], shape[0], bias)
    quick.load_state_dict(layer.state_dict())
    quick.split()
    for found in (quick(x), rows.rows_linear(x, layer.weight, layer.bias)):
        torch.testing.assert_close(found, layer(x), rtol=1e-5, atol=1e-5)
    if count == 1:
        torch.testing.assert_close(sum_linear(x, layer.weight, layer.bias), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_one_query_by_sums(groups: int) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 2 * groups, 1, 8), torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 8)
    torch.testing.assert_close(
        sum_attention(q, k, v, None, 0.3), grouped_attention(q, k, v, None, 0.3), rtol=1e-5, atol=1e-6
    )


def test_the_model_itself_is_left_alone_and_its_parameters_are_shared() -> None:
    model = GPT(GPTConfig(n_layer=2, d_model=16, n_head=2))
    before = [type(module) for module in model.modules()]
    twin = rows.for_few_rows(model)
    assert [type(module) for module in model.modules()] == before
    assert {nn.Linear, Head} & {type(module) for module in twin.modules()} == set()
    assert [*map(id, twin.parameters())] == [*map(id, model.parameters())]
    with torch.no_grad():
        model.blocks[0].ffn.up.weight.zero_()  # type: ignore[union-attr, union-attr, operator]
    assert not rows.for_few_rows(model).blocks[0].ffn.up.parts.any()  # type: ignore[union-attr, operator]


def compare_by_step(prompt: Prompt, count: int) -> None:
    """Token by token beyond the context: the logits of the compiled step and of `read`."""
    model = prompt.model()
    tokens = torch.randint(0, 7, (count, 2 * prompt.config.context))
    plain, other = KVCache(model, count), KVCache(model, count)
    lengths = [2, 3, 1][:count]
    for kept in (plain, other):
        read(model, tokens[:, :3], kept, lengths)
    reader = CompiledReader(model, other)
    end = tokens.shape[1] if model.config.position in ("rotary", "none") else prompt.config.context
    for token in tokens[:, 3:end].split(1, dim=1):
        torch.testing.assert_close(reader.read(token), read(model, token, plain), rtol=1e-4, atol=1e-4)
    assert other.lengths == plain.lengths


@pytest.mark.parametrize("count", [1, 3])
def test_the_step_gives_the_logits_of_reading(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Of many architectures, without compiling it."""
    from microgpt_ref.torch import compiled

    monkeypatch.setattr(compiled, "step", step._torchdynamo_orig_callable)  # type: ignore[attr-defined]
    for seed in range(12):
        compare_by_step(random_prompt(seed), count)


PROGRAM = """
import torch
from microgpt_ref.torch import generate
from tests.decoding import random_prompt

for position in ("rotary", "learned"):
    prompt = random_prompt(3, position=position, n_layer=2)
    model, tokens, n = prompt.model(), torch.from_numpy(prompt.tokens), 2 * prompt.config.context
    for rows in (tokens[:1], tokens):
        expected = generate(model, rows, n, temperature=0)
        assert torch.equal(generate(model, rows, n, temperature=0, compile=True), expected), position
    if position == "rotary":
        lengths = [1, tokens.shape[1]]
        expected = generate(model, tokens, n, temperature=0, lengths=lengths)
        assert torch.equal(generate(model, tokens, n, temperature=0, lengths=lengths, compile=True), expected)
"""


@pytest.mark.slow
def test_compiled_it_gives_the_same_text() -> None:
    """In a process of its own: the checks of shapes, which the tests turn on, cannot be compiled."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
