"""Attention: the fused version is the formula, the formula is the loop, and nothing sees the future."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT
from microgpt_ref.torch.attention import (
    ATTENTIONS,
    Attention,
    blockwise_attention,
    plain_attention,
    rotary_angles,
    rotate,
    sdpa_attention,
)


def random_heads(*shape: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in range(3)]


def attention_by_loops(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """An independent version in Python numbers: one position, one earlier position at a time."""
    out = torch.zeros_like(v)
    for b, h, t in product(*(range(n) for n in q.shape[:3])):
        scores = [scale * float(q[b, h, t] @ k[b, h, s]) for s in range(t + 1)]
        weights = [math.exp(score - max(scores)) for score in scores]
        for s, weight in enumerate(weights):
            out[b, h, t] += weight / sum(weights) * v[b, h, s]
    return out


@pytest.mark.parametrize("attention", ATTENTIONS.values())
@pytest.mark.parametrize("scale", [None, 0.3])
def test_equals_the_loop(attention, scale) -> None:
    q, k, v = random_heads(2, 3, 7, 4)
    expected = attention_by_loops(q, k, v, 1 / math.sqrt(4) if scale is None else scale)
    torch.testing.assert_close(attention(q, k, v, scale), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 4, 64, 16), (3, 2, 33, 64)])
def test_plain_equals_sdpa(shape) -> None:
    for seed in range(5):
        q, k, v = random_heads(*shape, seed=seed)
        torch.testing.assert_close(plain_attention(q, k, v), sdpa_attention(q, k, v), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 4, 13, 128])
def test_blockwise_equals_plain_whatever_the_block(block_size) -> None:
    q, k, v = (x.double().requires_grad_() for x in random_heads(2, 3, 13, 8))
    outputs = [plain_attention(q, k, v), blockwise_attention(q, k, v, block_size=block_size)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    d_out = torch.randn_like(v)
    gradients = [torch.autograd.grad(out, (q, k, v), d_out) for out in outputs]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_blockwise_in_bf16_is_as_near_as_sdpa() -> None:
    q, k, v = random_heads(2, 3, 200, 16)
    short = [x.bfloat16() for x in (q, k, v)]
    errors = [
        (attention(*short).float() - plain_attention(q, k, v)).abs().max()
        for attention in (blockwise_attention, sdpa_attention)
    ]
    assert errors[0] < 1.5 * errors[1] + 1e-2


def test_large_scores_do_not_overflow() -> None:
    q, k, v = (1e4 * x for x in random_heads(1, 2, 8, 4))
    assert plain_attention(q, k, v).isfinite().all()


def test_rows_of_weights_sum_to_one() -> None:
    q, k, _ = random_heads(1, 2, 9, 4)
    ones = torch.ones(1, 2, 9, 4)
    torch.testing.assert_close(plain_attention(q, k, ones), ones)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("position", ["learned", "rotary"])
@pytest.mark.parametrize("implementation", ATTENTIONS)
def test_no_position_sees_a_later_one(kv_heads, position, implementation) -> None:
    config = GPTConfig(d_model=16, n_head=4, n_kv_head=kv_heads, context=10, position=position, n_layer=2)
    model = GPT(config, implementation).eval()
    tokens = torch.randint(config.vocab_size, (1, 10))
    before = model(tokens)
    for t in range(1, 10):
        changed = tokens.clone()
        changed[:, t:] = (changed[:, t:] + 1) % config.vocab_size
        after = model(changed)
        torch.testing.assert_close(after[:, :t], before[:, :t])
        assert not torch.allclose(after[:, t:], before[:, t:])


def test_grouped_queries_equal_repeated_heads() -> None:
    """A model whose key and value heads are copies of one another is the grouped model."""
    small = GPTConfig(d_model=16, n_head=4, n_kv_head=2, context=6, qkv_bias=False)
    torch.manual_seed(0)
    grouped, full = Attention(small), Attention(small.replace(n_kv_head=4))
    q, k, v = grouped.qkv.weight.detach().split([16, 8, 8])
    k, v = (w.view(2, 4, 16).repeat_interleave(2, dim=0).reshape(16, 16) for w in (k, v))
    full.load_state_dict({**grouped.state_dict(), "qkv.weight": torch.cat((q, k, v))})
    x = torch.randn(2, 6, 16)
    torch.testing.assert_close(grouped(x), full(x))


def test_rotary_score_depends_on_the_distance_only() -> None:
    angles = rotary_angles(64, 8, 10_000.0)
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).expand(2, 1, 1, 64, 8)
    q, k = (rotate(x, angles.cos(), angles.sin()) for x in (q, k))
    scores = (q @ k.transpose(-1, -2))[0, 0]  # (T, T)
    for distance in (0, 1, 5, 40):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-10, atol=1e-10)


def test_rotary_is_a_rotation_of_complex_numbers() -> None:
    x = torch.randn(1, 2, 5, 8, dtype=torch.float64)
    angles = rotary_angles(5, 8, 100.0)
    turned = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angles), angles)
    expected = torch.cat((turned.real, turned.imag), dim=-1)
    torch.testing.assert_close(rotate(x, angles.cos(), angles.sin()), expected)


def test_rotary_equals_hugging_face() -> None:
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    q, k, _ = random_heads(1, 2, 9, 8)
    angles = rotary_angles(9, 8, 10_000.0).float()
    both = torch.cat((angles, angles), dim=-1)[None]
    expected = apply_rotary_pos_emb(q, k, both.cos(), both.sin())
    for x, y in zip((q, k), expected, strict=True):
        torch.testing.assert_close(rotate(x, angles.cos(), angles.sin()), y)


def test_dropout_zeroes_weights_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    q, k, _ = random_heads(1, 1, 64, 8)
    ones = torch.ones(1, 1, 64, 8)
    outputs = torch.stack([plain_attention(q, k, ones, dropout=0.5) for _ in range(400)])
    assert outputs.std(0)[0, 0, 1:].min() > 0.05
    np.testing.assert_allclose(outputs.mean().item(), 1.0, atol=0.02)
