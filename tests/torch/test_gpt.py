"""The whole model against Hugging Face's, its initial loss, and its errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS, PUBLISHED
from microgpt_ref.torch import GPT
from microgpt_ref.torch.gpt import sinusoidal_positions
from tests.strategies import configs


def from_hugging_face(state: dict[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    """GPT2LMHeadModel's tensors under our names; its Conv1D keeps matrices as (in, out)."""
    parts = {
        "ln_1": "attention_norm",
        "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.out",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn.up",
        "mlp.c_proj": "ffn.down",
    }
    mine = {"embedding.weight": state["transformer.wte.weight"]}
    mine["position.weight"] = state["transformer.wpe.weight"]
    for kind in ("weight", "bias"):
        mine[f"final_norm.{kind}"] = state[f"transformer.ln_f.{kind}"]
        for i in range(n_layer):
            for theirs, ours in parts.items():
                tensor = state[f"transformer.h.{i}.{theirs}.{kind}"]
                transpose = kind == "weight" and "ln" not in theirs
                mine[f"blocks.{i}.{ours}.{kind}"] = tensor.T if transpose else tensor
    return mine


def hugging_face_pair(config: GPTConfig) -> tuple[GPT, torch.nn.Module]:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context,
            n_embd=config.d_model,
            n_layer=config.n_layer,
            n_head=config.n_head,
        )
    ).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where a mistake in them would not show
        for name, parameter in theirs.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "wte" not in name and "wpe" not in name:
                parameter.mul_(3)
    ours = GPT(config).eval()
    ours.load_state_dict(from_hugging_face(theirs.state_dict(), config.n_layer))
    return ours, theirs


@pytest.mark.slow
def test_equals_hugging_face_at_the_shape_of_gpt2_small() -> None:
    ours, theirs = hugging_face_pair(PRESETS["minigpt-124m"])
    tokens = torch.randint(50_257, (2, 64))
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-4)


def test_gradients_equal_hugging_face_at_a_small_shape() -> None:
    config = GPTConfig(
        vocab_size=50, context=16, d_model=32, n_layer=2, n_head=4, activation="gelu_tanh", tied_head=True
    )
    ours, theirs = hugging_face_pair(config)
    tokens = torch.randint(50, (2, 16))
    theirs(tokens, labels=tokens).loss.backward()
    ours.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    expected = from_hugging_face({n: p.grad for n, p in theirs.named_parameters()}, config.n_layer)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_initial_loss_is_ln_of_the_vocabulary(name: str) -> None:
    """A fresh model knows nothing: every token is as likely as any other, so the loss is ln V."""
    torch.manual_seed(0)
    config = PRESETS[name]
    model = GPT(config).eval()
    tokens, targets = torch.randint(config.vocab_size, (2, 2, 128 if name in PUBLISHED else 64))
    with torch.inference_mode():
        loss = model.loss(tokens[:, : config.context], targets[:, : config.context]).item()
    assert loss == pytest.approx(math.log(config.vocab_size), rel=0.03)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(configs())
def test_every_configuration_trains(config: GPTConfig) -> None:
    """Shapes fit, the two attentions agree, and every parameter gets a finite gradient."""
    torch.manual_seed(0)
    fused, plain = GPT(config.replace(dropout=0.0)), GPT(config.replace(dropout=0.0), attention="plain")
    plain.load_state_dict(fused.state_dict())
    tokens = torch.randint(config.vocab_size, (2, config.context))
    logits = fused(tokens)
    assert logits.shape == (2, config.context, config.vocab_size)
    torch.testing.assert_close(logits, plain(tokens), rtol=1e-4, atol=1e-5)
    fused.loss(tokens, tokens.roll(-1, 1)).backward()
    for name, parameter in fused.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_tied_head_is_one_matrix_with_one_gradient() -> None:
    tied, free = GPT(GPTConfig(tied_head=True)), GPT(GPTConfig(tied_head=False))
    assert "head.weight" not in tied.state_dict()
    free.load_state_dict({**tied.state_dict(), "head.weight": tied.embedding.weight.detach().clone()})
    tokens = torch.randint(65, (2, 20))
    for model in (tied, free):
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    together = free.embedding.weight.grad + free.head.weight.grad
    torch.testing.assert_close(tied.embedding.weight.grad, together)


def test_sinusoidal_positions_by_their_formula() -> None:
    table = sinusoidal_positions(20, 6)
    for t, i in [(0, 0), (1, 0), (7, 1), (19, 2)]:
        angle = t / 10_000 ** (2 * i / 6)
        assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_without_positions_order_does_not_matter() -> None:
    """Attention alone sees a bag of earlier tokens: swapping two of them changes nothing after both."""
    tokens = torch.tensor([[3, 5, 8, 13, 21]])
    swapped = tokens[:, [1, 0, 2, 3, 4]]
    for position, same in [("none", True), ("learned", False), ("rotary", False), ("sinusoidal", False)]:
        torch.manual_seed(0)
        model = GPT(GPTConfig(position=position, n_layer=1)).eval()  # type: ignore[arg-type]
        equal = torch.allclose(model(tokens)[:, -1], model(swapped)[:, -1], atol=1e-5)
        assert equal == same, position


def test_post_norm_ends_each_block_in_a_norm() -> None:
    config = GPTConfig(norm_position="post", final_norm=False)
    model = GPT(config).eval()
    x = model.blocks[0](torch.randn(1, 4, config.d_model) * 50)
    torch.testing.assert_close(x.mean(-1), torch.zeros(1, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var(-1, unbiased=False), torch.ones(1, 4), atol=1e-3, rtol=0)


def test_masked_targets_do_not_count() -> None:
    model = GPT(GPTConfig(n_layer=1)).eval()
    tokens, targets = torch.randint(65, (2, 1, 8))
    shorter = model.loss(tokens[:, :5], targets[:, :5])
    targets[:, 5:] = -1
    torch.testing.assert_close(model.loss(tokens, targets), shorter)


def test_too_long_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match="T=5 positions but the model's context is 4"):
        GPT(GPTConfig(context=4))(torch.zeros(1, 5, dtype=torch.int64))
