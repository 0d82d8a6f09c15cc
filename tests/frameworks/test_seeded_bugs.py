"""Classic mistakes, each put into the reference on purpose: the comparisons must notice every one.

A test suite that cannot fail proves nothing. Each mistake is one line of the source replaced by the wrong
one. The comparison that names it passes before, fails while the mistake is there, and passes again after.
"""

from functools import partial

import numpy as np
import pytest

from microgpt_ref import shards
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.jax import attention as jax_attention
from microgpt_ref.jax import basics as jax_basics
from microgpt_ref.jax import gpt as jax_gpt
from microgpt_ref.jax import norm as jax_norm
from microgpt_ref.numpy import attention, basics, ffn, gpt, norm
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch import attention as torch_attention
from microgpt_ref.torch import gpt as torch_gpt
from microgpt_ref.torch import train
from tests.frameworks import compare
from tests.frameworks.seeding import Bug, seeded

PLAIN = GPTConfig(
    vocab_size=7, context=5, d_model=8, n_layer=2, n_head=2, d_ff=11, activation="gelu", norm_eps=1e-3
)
ROTARY = PLAIN.replace(position="rotary", norm="rmsnorm", tied_head=False)
GROUPED = PLAIN.replace(d_model=16, n_head=4, n_kv_head=2)
TWO = ("numpy", "torch")


def forward(config: GPTConfig = PLAIN, *frameworks: str) -> partial[None]:
    return partial(compare.check_forward, config, frameworks=frameworks or TWO)


def gradients(config: GPTConfig = PLAIN) -> partial[None]:
    return partial(compare.check_gradients, config, frameworks=TWO)


def differences(config: GPTConfig = PLAIN, dropout_seed: int | None = None) -> partial[tuple[int, int]]:
    one_layer = config.replace(n_layer=1)
    return partial(compare.check_finite_differences, one_layer, count=0, dropout_seed=dropout_seed)


def causality(*frameworks: str) -> partial[None]:
    return partial(compare.check_causality, PLAIN, frameworks=frameworks)


pytestmark = pytest.mark.slow


def random_batches() -> None:
    """Ids that say their own place."""
    ids = list(range(100))
    draw = partial(shards.random_batch, np.arange(100), 8, 6, np.random.default_rng(0))
    compare.check_training_targets(draw, ids)


def trainer_batches() -> None:
    text = "the lantern is on the pier, and the kite is in the boat.\n" * 4
    tokenizer = CharacterTokenizer.from_text(text)
    config = PLAIN.replace(vocab_size=tokenizer.vocab_size)
    dataset = Dataset("text", text, text)
    trainer = train.Trainer(
        config, train.TrainConfig(steps=1, warmup_steps=0, device="cpu"), dataset, tokenizer
    )

    def draw() -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = trainer.batch(0)
        return inputs.numpy(), targets.numpy()

    compare.check_training_targets(draw, tokenizer.encode(text))


score_scale = GPTConfig.score_scale.fget  # type: ignore[attr-defined]

FORWARD = [
    Bug("scale by 1/√C, in all three", score_scale, "self.head_width", "self.d_model", forward()),
    Bug("scale by 1/√C, in PyTorch's formula", torch_attention.plain_attention,
        "else scale)", "else scale / math.sqrt(q.shape[1]))", forward()),
    Bug("softmax over the wrong axis", attention.softmax,
        "weights /= weights.sum(-1, keepdims=True)", "weights /= weights.sum(-2, keepdims=True)", forward()),
    Bug("rows of attention do not sum to one", attention.softmax,
        "weights.sum(-1, keepdims=True)", "weights.sum(-2, keepdims=True)",
        partial(compare.check_attention_rows, PLAIN)),
    Bug("softmax over the wrong axis, in JAX", jax_attention.softmax,
        "weights / weights.sum(-1, keepdims=True)", "weights / weights.sum(-2, keepdims=True)",
        forward(PLAIN, "jax")),
    Bug("mask off by one: sees the next token", attention.attention, "k=1", "k=2", causality("numpy")),
    Bug("mask off by one, in PyTorch", torch_attention.plain_attention,
        "diagonal=1", "diagonal=2", causality("torch")),
    Bug("mask off by one, in JAX", jax_attention.attention, "k=1", "k=2", causality("jax")),
    Bug("mask forgotten", torch_attention.sdpa_attention, "is_causal=True", "is_causal=False", gradients()),
    Bug("mask off by one: not even itself but at the start", attention.attention,
        "np.triu(np.ones((T, T), dtype=bool), k=1)",
        "np.triu(np.ones((T, T), dtype=bool), k=0) & (np.arange(T) > 0)", forward()),
    Bug("heads reshaped without transpose", attention.split_heads,
        "x.reshape(B, T, n_head, width // n_head).swapaxes(1, 2)",
        "x.reshape(B, n_head, T, width // n_head)", forward()),
    Bug("heads reshaped without transpose: sees the future", attention.split_heads,
        "x.reshape(B, T, n_head, width // n_head).swapaxes(1, 2)",
        "x.reshape(B, n_head, T, width // n_head)", causality("numpy")),
    Bug("no transpose back", attention.merge_heads,
        "x.swapaxes(1, 2).reshape(B, T, H * D)", "x.reshape(B, T, H * D)", forward()),
    Bug("no transpose back, in JAX", jax_attention.merge_heads,
        "x.swapaxes(1, 2).reshape(B, T, H * D)", "x.reshape(B, T, H * D)", forward(PLAIN, "jax")),
    Bug("no transpose back, in PyTorch", torch_attention.Attention.forward,
        "heads.transpose(1, 2).reshape(B, T, C)", "heads.reshape(B, T, C)", forward()),
    Bug("std + ε", norm.layer_norm, "np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)", forward()),
    Bug("std + ε, in JAX", jax_norm.layer_norm,
        "jnp.sqrt(variance + eps)", "(jnp.sqrt(variance) + eps)", forward(PLAIN, "jax")),
    Bug("missing mean", norm.layer_norm, "centred = x - x.mean(-1, keepdims=True)", "centred = x", forward()),
    Bug("variance of a sample", norm._mean_of_product, "/ a.shape[-1]", "/ (a.shape[-1] - 1)", forward()),
    Bug("post- for pre-norm", gpt.pre_norm, "return x + change,", "return norm(x + change)[0],", forward()),
    Bug("post- for pre-norm, in PyTorch", torch_gpt.pre_norm,
        "x + branch(norm(x))", "norm(x + branch(x))", forward()),
    Bug("post- for pre-norm, in JAX", jax_gpt.pre_norm,
        "x + branch(norm(x))", "norm(x + branch(x))", forward(PLAIN, "jax")),
    Bug("last norm forgotten", gpt.forward, "norm_pair(config.final_norm)", "norm_pair(False)", forward()),
    Bug("RoPE on v", torch_attention.Attention.forward,
        "q, k = (rotate(z, self.cos[:T], self.sin[:T]) for z in (q, k))",
        "q, k, v = (rotate(z, self.cos[:T], self.sin[:T]) for z in (q, k, v))", forward(ROTARY)),
    Bug("RoPE on q only", jax_attention.place,
        "q, k = rotate(q, angles), rotate(k, angles)", "q = rotate(q, angles)", forward(ROTARY, "jax")),
    Bug("RoPE on neighbouring channels", attention.rotate,
        "np.split(x, 2, axis=-1)", "(x[..., ::2], x[..., 1::2])", forward(ROTARY)),
    Bug("RoPE from position 1 on in k", attention.place,
        "rotate(k, angles)", "rotate(k, angles + angles[1])", forward(ROTARY)),
    Bug("RoPE's frequencies over all of C, in NumPy and JAX", attention.rotary_angles,
        "/ head_width)", "/ (2 * head_width))", forward(ROTARY, "jax")),
    Bug("sines and cosines one after the other, in NumPy and JAX", gpt.sinusoidal_positions,
        "np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(context, d_model)",
        "np.concatenate((np.sin(angles), np.cos(angles)), axis=-1)",
        forward(PLAIN.replace(position="sinusoidal"), "jax")),
    Bug("bias forgotten", basics.linear, "if bias is not None:", "if False:", forward()),
    Bug("bias forgotten in JAX", jax_basics.linear,
        "out = out if bias is None else out + bias", "out = out", forward(PLAIN, "jax")),
    Bug("grouped heads in turn", jax_attention.attention_layer,
        "jnp.repeat(k, groups, axis=1), jnp.repeat(v, groups, axis=1)",
        "jnp.tile(k, (1, groups, 1, 1)), jnp.tile(v, (1, groups, 1, 1))", forward(GROUPED, "jax")),
    Bug("positions from the end", torch_gpt.GPT.embed,
        "self.position.weight[:T]", "self.position.weight[-T:]",
        partial(compare.check_forward, PLAIN, seed=1, frameworks=TWO)),
    Bug("a 64-bit factor turns float32 into float64", ffn.gelu,
        "math.sqrt(0.5)", "np.sqrt(0.5)",
        partial(compare.check_forward, PLAIN, dtype=np.float32, frameworks=TWO)),
]  # fmt: skip

BACKWARD = [
    Bug("tied weights copied instead of shared: another gradient", torch_gpt.GPT.forward,
        "self.head(x, self.embedding.weight)", "self.head(x, self.embedding.weight.detach().clone())",
        gradients()),
    Bug("tied weights copied instead of shared: another parameter", torch_gpt.GPT.__init__,
        "Head(config)", "Head(config.replace(tied_head=False))",
        partial(compare.check_parameter_names, PLAIN)),
    Bug("the head's gradient lost", gpt.backward,
        'gradients["embedding.weight"] += gradients.pop("head.weight")', 'gradients.pop("head.weight")',
        differences()),
    Bug("gradient not summed over groups", attention.attention_layer_backward,
        ".sum(2) for z", "[:, :, 0] for z", gradients(GROUPED)),
    Bug("the slope of the other GELU", ffn.gelu_backward,
        "d_out * (cdf + x * density)", "gelu_tanh_backward(d_out, (x, gelu_tanh(x)[1][1]))", gradients()),
    Bug("equal tokens overwrite each other", gpt.embed_backward,
        "np.add.at(d_table, tokens, d_x * config.embedding_scale)",
        "d_table[tokens] += d_x * config.embedding_scale", gradients()),
    Bug("embedding's factor forgotten on the way back", gpt.embed_backward,
        "d_x * config.embedding_scale", "d_x", differences(PLAIN.replace(embedding_scale=3.0))),
    Bug("softmax backward without the average", attention.softmax_backward,
        "weights * (d_weights - average)", "weights * d_weights", differences()),
    Bug("residual gradient dropped", gpt.pre_norm_backward, "return d_out + d_x,", "return d_x,",
        gradients()),
    Bug("RoPE backward with the wrong sign", attention.rotate_backward,
        "-angles", "angles", gradients(ROTARY)),
    Bug("scale forgotten on the way back", attention.attention_backward,
        "d_scores @ k * scale", "d_scores @ k", differences()),
    Bug("norm backward takes the variance for a constant", norm.layer_norm_backward,
        "d_x -= normed * _mean_of_product(d_normed, normed)", "pass", gradients()),
    Bug("norm backward forgets the mean", norm.layer_norm_backward,
        "d_normed - d_normed.mean(-1, keepdims=True)", "d_normed.copy()", differences()),
    Bug("bias gradient averaged", basics.linear_backward, "d_rows.sum(0)", "d_rows.mean(0)", gradients()),
    Bug("left-out targets counted in the mean", gpt.cross_entropy_backward,
        "/ counted.sum()", "/ counted.size", differences()),
    Bug("left-out targets not left out", gpt.cross_entropy,
        "* counted).sum() / counted.sum()", ").mean()", gradients()),
    Bug("dropout drawn anew on the way back", basics.dropout_backward,
        "d_out * keep", "d_out * np.random.default_rng(9).permutation(keep.ravel()).reshape(keep.shape)",
        differences(PLAIN.replace(dropout=0.3), dropout_seed=1)),
    Bug("dropout forgotten on the way back", attention.attention_backward,
        "dropout_backward(d_out @ v.swapaxes(-1, -2), keep)", "d_out @ v.swapaxes(-1, -2)",
        differences(PLAIN.replace(dropout=0.3), dropout_seed=1)),
    Bug("dropout without its factor", basics.dropout,
        "x.dtype.type(1 / (1 - probability))", "x.dtype.type(1)", compare.check_dropout_mean),
]  # fmt: skip

DATA = [
    Bug("unshifted labels", shards.random_batch, "rows[:, 1:]", "rows[:, :-1]", random_batches),
    Bug("unshifted labels in training", shards.random_batch, "rows[:, 1:]", "rows[:, :-1]", trainer_batches),
    Bug("the trainer's labels are its inputs", train.Trainer.batch,
        "self.batches(step, micro_batch)", "self.batches(step, micro_batch)[:1] * 2", trainer_batches),
]  # fmt: skip


@pytest.mark.parametrize("bug", FORWARD + BACKWARD + DATA, ids=lambda bug: bug.name)
def test_it_is_noticed(bug: Bug) -> None:
    bug.notices()
    with seeded(bug), np.errstate(all="ignore"), pytest.raises(compare.Disagreement):
        bug.notices()
    bug.notices()


def test_a_mistake_that_is_no_longer_in_the_source_is_an_error() -> None:
    bug = Bug("stale", basics.linear, "no such line", "", lambda: None)
    with pytest.raises(LookupError, match="stale"), seeded(bug):
        pass


CLASSIC = (
    "scale by 1/√C",
    "softmax over the wrong axis",
    "mask off by one",
    "heads reshaped without transpose",
    "no transpose back",
    "std + ε",
    "missing mean",
    "post- for pre-norm",
    "RoPE on v",
    "unshifted labels",
    "tied weights copied instead of shared",
    "bias forgotten",
)


@pytest.mark.parametrize("name", CLASSIC)
def test_the_classic_ones_are_among_them(name: str) -> None:
    assert any(bug.name.startswith(name) for bug in FORWARD + BACKWARD + DATA)
