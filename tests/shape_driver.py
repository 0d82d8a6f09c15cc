"""Runs every function of `microgpt_ref` that has shape comments, with the comments turned into checks.

A program of its own, so that the other tests keep the plain modules: it reads a list of mistakes from
standard input and writes what it found as JSON. Every letter has a size that no other letter has, and
`shape_sizes` says which, so that no wrong letter can hold by accident.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from book.tools.package_shapes import checked_package, commented_places
from book.tools.shape_runtime import shape_error_text, shape_sizes, shape_survivors

ROOT = Path(__file__).resolve().parents[1]

# V, context, C, N, H, D, F; then B and a T below the context
SIZES = [
    {"V": 17, "context": 9, "C": 24, "N": 2, "H": 6, "F": 40, "B": 5, "T": 7},
    {"V": 19, "context": 13, "C": 30, "N": 2, "H": 3, "F": 44, "B": 7, "T": 8},
]


def choose(which: int, **choices: Any) -> tuple[dict[str, int], dict[str, Any]]:
    """The sizes and the choices of one configuration."""
    return SIZES[which], choices


CHOICES = [
    choose(0, position="rotary", norm="rmsnorm", norm_weight=False, n_kv_head=3, qk_norm=True),
    choose(1, position="learned", norm_position="post", final_norm=False, head_bias=True, dropout=0.2),
    choose(0, position="sinusoidal", ffn_norm=False, activation="gelu_tanh", dropout=0.2),
    choose(1, position="none", norm="rmsnorm", activation="relu2", n_kv_head=1, tied_head=False),
    choose(0, position="rotary", activation="swiglu", qkv_bias=False, ffn_bias=False, norm_bias=False),
    choose(1, activation="relu", attention_out_bias=False, attention_scale=0.5, embedding_scale=5.0),
]


def module(name: str) -> Any:
    """A module of the package as it is imported now."""
    return importlib.import_module(f"microgpt_ref.{name}")


def tell_sizes(config: Any, B: int, T: int) -> None:
    """Say to the checks what each letter may be; T is that of the tokens or the whole context."""
    shape_sizes.clear()
    shape_sizes.update(
        B={B}, T={T, config.context}, C={config.d_model}, H={config.n_head}, N={config.n_layer}
    )
    shape_sizes.update(D={config.head_width}, F={config.ffn_width}, V={config.vocab_size})
    shape_sizes.update(context={config.context}, n_kv_head={config.kv_heads})
    shape_sizes.update(groups={config.n_head // config.kv_heads})
    shape_sizes.update(kv_width={config.kv_heads * config.head_width})


def each_config() -> Any:
    """Each configuration with its tokens and targets (B, T), after telling the checks its sizes."""
    for s, choices in CHOICES:
        config = module("config").GPTConfig(
            vocab_size=s["V"],
            context=s["context"],
            d_model=s["C"],
            n_layer=s["N"],
            n_head=s["H"],
            d_ff=s["F"],
            **choices,
        )
        tell_sizes(config, s["B"], s["T"])
        rng = np.random.default_rng(0)
        tokens, targets = rng.integers(0, s["V"], (2, s["B"], s["T"]))
        targets[0, :3] = -1
        yield config, tokens, targets


def run_numpy() -> None:
    """Forward and backward in NumPy, with and without dropout, and the attention maps."""
    gpt, sample = module("numpy.gpt"), module("numpy.sample")
    for config, tokens, targets in each_config():
        parameters = gpt.initialise(config, dtype=np.float64)
        gpt.loss_and_gradients(parameters, tokens, targets, config)
        gpt.loss_and_gradients(parameters, tokens, targets, config, np.random.default_rng(0))
        gpt.attention_maps(parameters, tokens, config)
        shape_sizes["T"].update({1, *range(len(tokens[0]), config.context), 2 * config.context})
        lengths, rng = [len(tokens[0]) - i % 3 for i in range(len(tokens))], np.random.default_rng(0)
        settings = {"top_k": 9, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1, "lengths": lengths}
        for cache in (False, True):
            sample.generate(parameters, tokens, config, config.context, rng, **settings, cache=cache)


def run_torch() -> None:
    """Forward and backward with each attention, sampling beyond the context, and the speedrun's model."""
    import torch

    gpt, sample, speedrun = module("torch.gpt"), module("torch.sample"), module("torch.speedrun")
    for config, tokens, targets in each_config():
        speedrun.SpeedrunGPT(config, ngrams={2: 500, 3: 100})(torch.from_numpy(tokens))
        heads = torch.ones(3, *tokens.shape[:1], config.n_head, tokens.shape[1], config.head_width)
        module("torch.attention").blockwise_attention(*heads, block_size=3)
        for attention in module("torch.attention").ATTENTIONS:
            model = gpt.GPT(config, attention)
            model.loss(torch.from_numpy(tokens), torch.from_numpy(targets)).backward()
        # the context may be any number of tokens while it fills
        shape_sizes["T"].update(range(tokens.shape[1], config.context + 1))
        # a cache reads one token at a time, and past the context it makes a longer table of angles
        shape_sizes["T"].update({1, 2 * (config.context + 1)})
        settings = {"top_k": 9, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1}
        prompts, lengths = torch.from_numpy(tokens), [len(tokens[0]) - i % 3 for i in range(len(tokens))]
        sample.generate(model, prompts, config.context, **settings)
        for cache in (False, True):
            sample.generate(model, prompts, config.context, stop=[[1, 2]], lengths=lengths, cache=cache)
        compiled = module("torch.compiled")  # its step as it is: the checks cannot be compiled
        compiled.step = getattr(compiled.step, "_torchdynamo_orig_callable", compiled.step)
        sample.generate(model, prompts, 2, lengths=lengths, compile=True)
        shape_sizes["B"].add(1)
        sample.generate(model, prompts[:1], 2, compile=True)


def run_jax() -> None:
    """Loss, gradient and sampling: one configuration as it is, one compiled, all of them traced by `jit`."""
    import jax
    import jax.numpy as jnp

    gpt, sample, layers = module("jax.gpt"), module("jax.sample"), module("jax.layers")
    for i, (config, tokens, targets) in enumerate(each_config()):
        parameters, key = gpt.initialise(config), jax.random.key(0)
        batch = jnp.asarray(tokens), jnp.asarray(targets)
        jax.eval_shape(lambda *arrays, c=config: layers.scanned_loss(*arrays, c), parameters, *batch)
        gradient = jax.jit(jax.grad(gpt.loss), static_argnames="config")
        if i == 0:
            gpt.loss(parameters, *batch, config)
            shape_sizes["T"].update({1, 2 * config.context})
            settings = {"top_k": 9, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1}
            for cache in (False, True):
                sample.generate(parameters, batch[0], config, config.context, key, **settings, cache=cache)
            next(sample.stream(parameters, batch[0], config, 1, key))
        elif i == 1:
            gradient(parameters, *batch, config, key)
        shape_sizes["T"].update({1, 2 * config.context})
        jax.eval_shape(
            lambda p, t, k, c=config: sample.generate(p, t, c, c.context, k), parameters, batch[0], key
        )
        jax.eval_shape(
            lambda *arrays, f=gradient, c=config: f(*arrays[:3], c, arrays[3]), parameters, *batch, key
        )


def run_lora() -> None:
    """Forward and backward with low-rank changes and new tokens; the number of each is no other size."""
    import jax
    import jax.numpy as jnp
    import torch

    for config, tokens, targets in each_config():
        C, F, kv_width = config.d_model, config.ffn_width, config.kv_heads * config.head_width
        shape_sizes.update(n={3}, rank={4}, V={config.vocab_size, config.vocab_size + 3})
        shape_sizes.update(inputs={C, F}, outputs={C, F, C + 2 * kv_width})
        lora, settings = module("torch.lora"), module("lora").LoRAConfig(rank=4)
        model = lora.extend_vocabulary(module("torch.gpt").GPT(config), 3, "normal")
        lora.add_lora(model, settings)
        model.loss(torch.from_numpy(tokens), torch.from_numpy(targets)).backward()
        module("torch.vocabulary").cut_vocabulary(lora.remove_lora(model), 3)
        parameters, key = module("jax.gpt").initialise(config), jax.random.key(0)
        settings, lora = module("lora").LoRAConfig(rank=4, dropout=0.2), module("jax.lora")
        adapter = lora.initialise(config, settings, key) | lora.new_rows(parameters, 3)
        for each in (None, key):
            arrays = parameters, adapter, jnp.asarray(tokens), jnp.asarray(targets)
            jax.eval_shape(lambda *a, c=config, s=settings, k=each, f=lora.loss: f(*a, c, s, k), *arrays)


def run_text() -> None:
    """Batches, windows and losses of a text of known length; the rest of the windows is shorter."""
    import torch

    shards, evaluate, gpt = module("shards"), module("evaluate"), module("torch.gpt")
    for config, tokens, _ in each_config():
        (B, T), context = tokens.shape, config.context
        ids = np.random.default_rng(0).integers(0, config.vocab_size, B * context + T + 1)
        shards.random_batch(ids, B, context, np.random.default_rng(0))
        list(shards.windows(ids, context, B))
        for way in (module("torch.batches").OnDevice, module("torch.batches").Epochs):
            way(ids, B, context, 0, torch.device("cpu"))(0, 0)
        evaluate.token_losses(gpt.GPT(config), ids[: B * context + 1], B)
        break


def run_cli() -> None:
    """`microgpt sample` with the shipped model, for one token."""
    cli = module("cli")
    config = module("checkpoint").load(module("checkpoint").shipped()).config
    tell_sizes(config, 1, 3)
    with contextlib.redirect_stdout(io.StringIO()):
        cli.sample(cli.Sample(prompt="\nOn", tokens=1))


RUNS: dict[str, Callable[[], None]] = {
    "numpy": run_numpy,
    "torch": run_torch,
    "jax": run_jax,
    "lora": run_lora,
    "text": run_text,
    "cli": run_cli,
}


def everything() -> dict[str, Any]:
    """Where the comments are, which of them were checked, and which wrong versions of them would pass."""
    shape_survivors.clear()
    with checked_package():
        for run in RUNS.values():
            run()
    survivors = {
        place: sorted(map(shape_error_text, wrong)) for place, wrong in shape_survivors.items() if wrong
    }
    return {
        "places": commented_places(ROOT),
        "reached": sorted(shape_survivors),
        "survivors": survivors,
    }


def message_of(file: str, old: str, new: str, run: str) -> str:
    """What the check says after `old` was replaced by `new` in one file; empty if it passes."""
    with checked_package({file: (old, new)}):
        try:
            RUNS[run]()
        except AssertionError as error:
            return str(error)
    return ""


if __name__ == "__main__":
    mistakes = json.load(sys.stdin)
    json.dump({**everything(), "messages": [message_of(*mistake) for mistake in mistakes]}, sys.stdout)
