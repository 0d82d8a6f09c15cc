"""Decoding beside other people's: tokens a second, one at a time, with the same weights and the same tokens.

    python -m benchmarks.decoding --peer NANOGPT     about two minutes on two cores
    python -m benchmarks.decoding --quick            a toy size, for a look: nothing is written

The shape is tejas-10m's with a context of 1024 and GPT-2's choices, which all codes can express, in float32
on the CPU. Each code gets the same random weights, and before anything is timed all must give the same greedy
tokens. With --peer, the loop without a cache is the model of that checkout in nanoGPT's way: the whole text
again for each token, the head at its last position only. Without it, our own model's without a cache stands
for it. The floor is what reading the weights and the cache alone would take, by the bandwidth measured in the
same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._common import alternate, summary, usable_cores, write_result
from benchmarks._contestants import load_file
from microgpt_ref import checkpoint
from microgpt_ref.config import GPTConfig, count_parameters
from microgpt_ref.parameters import parameter_shapes
from microgpt_ref.presets import preset
from microgpt_ref.torch import GPT, generate
from microgpt_ref.torch.cache import KVCache, read

SHAPE = {name: getattr(preset("tejas-10m"), name) for name in ("vocab_size", "d_model", "n_layer", "n_head")}
CONFIG = GPTConfig(**SHAPE, context=1024)
TOY = CONFIG.replace(context=96, d_model=48, n_layer=2)
PROMPT, NEW, BATCH = 16, 256, 16
Decode = Callable[[torch.Tensor, int], torch.Tensor]
"""Prompts (B, T) and a number of new tokens → the new tokens (B, n), greedy."""


def main() -> None:
    """Check that all give the same tokens, measure, and write benchmarks/results/decoding.json."""
    parser = argparse.ArgumentParser(description="Decoding beside other people's.")
    parser.add_argument("--peer", help="the root of a checkout of nanoGPT")
    parser.add_argument("--quick", action="store_true", help="a toy size; print, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cores())
    if arguments.quick:
        print(measure(TOY, arguments.peer, new=32, lengths=(16, 64), steps=8, repeats=2))
        return
    result = measure(CONFIG, arguments.peer, NEW, (64, 128, 256, 512, 992), steps=32, repeats=3)
    path = write_result("decoding", result, ("microgpt-ref", "numpy", "torch", "transformers", "jax"))
    print(f"tokens/s {result['tokens_per_second']}, batch {BATCH} {result['batch_16']['tokens_per_second']}")
    print(f"ratios {result['ratios']}; floor {result['floor']}")
    print(f"written: {path.relative_to(path.parents[2])}")


def measure(
    config: GPTConfig, peer: str | None, new: int, lengths: tuple[int, ...], steps: int, repeats: int
) -> dict[str, Any]:
    """Everything that the file holds, besides machine and versions."""
    weights = random_weights(config)
    model = GPT(config).eval()
    model.load_state_dict(weights)
    codes = with_cache(model, weights)
    loops = without_cache(model, weights, peer)
    prompt = random_tokens(config, 1, PROMPT)
    jax_code = build_jax(config, weights)
    first = same_tokens(codes | {"ours_jax": jax_code} | loops, prompt, new)
    times = alternate({name: lambda d=d: d(prompt, new) for name, d in codes.items()}, repeats)
    times |= {name: summary([first[name]]) for name in loops}  # long enough for one run to say
    times |= alternate({"ours_jax": lambda: jax_code(prompt, new)}, repeats=1)
    speeds = {name: round(new / row["median_s"], 1) for name, row in times.items()}
    loop = "nanogpt_loop" if "nanogpt_loop" in loops else "ours_no_cache"
    fastest = max(("ours", "ours_compiled"), key=lambda name: speeds[name])
    batch = batch_speeds(config, codes, repeats, new // 4)
    at = {name: codes[name] for name in ("ours", "ours_compiled", "hugging_face")}
    return {
        "title": "Decoding with a KV cache, beside Hugging Face and nanoGPT",
        "threads": torch.get_num_threads(),
        "shape": {**SHAPE, "context": config.context, "parameters": count_parameters(config)},
        "prompt": PROMPT,
        "new_tokens": new,
        "same_tokens": True,
        "compile_and_first_s": round(first["ours_compiled"], 1),
        "times": times,
        "tokens_per_second": speeds,
        "loop": "the peer's model" if loop == "nanogpt_loop" else "our model without its cache",
        "fastest": fastest,
        "ratios": {
            "hugging_face": round(speeds[fastest] / speeds["hugging_face"], 2),
            "hugging_face_uncompiled": round(speeds["ours"] / speeds["hugging_face"], 2),
            "loop": round(speeds[fastest] / speeds[loop], 1),
            "batch_16_hugging_face": round(
                max(batch["ours"], batch["ours_compiled"]) / batch["hugging_face"], 2
            ),
        },
        "batch_16": {"tokens_per_second": batch},
        "by_length": [length_row(config, at, length, steps) for length in lengths],
        "floor": floor(config, lengths),
        "stories_tokens_per_second": stories_speed(new),
    }


def random_weights(config: GPTConfig) -> dict[str, torch.Tensor]:
    """Weights large enough that the greedy text is no endless repetition, by a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in parameter_shapes(config).items():
        scale = 1.5 * shape[-1] ** -0.5 if len(shape) == 2 else 0.1
        centre = 1.0 if name.endswith("norm.weight") else 0.0
        weights[name] = centre + scale * torch.randn(shape, generator=generator)
    return weights


def random_tokens(config: GPTConfig, rows: int, length: int) -> torch.Tensor:
    """Prompts (rows, length), by a fixed seed."""
    drawn = np.random.default_rng(length).integers(0, config.vocab_size, (rows, length))
    return torch.from_numpy(drawn)


def with_cache(model: GPT, weights: dict[str, torch.Tensor]) -> dict[str, Decode]:
    """The codes that keep keys and values."""
    return {
        "ours": lambda tokens, n: ours(model, tokens, n),
        "ours_compiled": lambda tokens, n: ours(model, tokens, n, compile=True),
        "ours_plain_products": lambda tokens, n: by_plain_read(model, tokens, n),
        "hugging_face": build_hugging_face(model.config, weights),
    }


def without_cache(model: GPT, weights: dict[str, torch.Tensor], peer: str | None) -> dict[str, Decode]:
    """The codes that read the text again for each token."""
    loops: dict[str, Decode] = {"ours_no_cache": lambda tokens, n: ours(model, tokens, n, cache=False)}
    if peer:
        loops["nanogpt_loop"] = build_nanogpt(model.config, weights, peer)
    return loops


def ours(model: GPT, tokens: torch.Tensor, n: int, **settings: Any) -> torch.Tensor:
    """`generate`, as anybody calls it."""
    return generate(model, tokens, n, temperature=0, **settings)[:, tokens.shape[1] :]


@torch.inference_mode()
def by_plain_read(model: GPT, tokens: torch.Tensor, n: int) -> torch.Tensor:
    """The cache alone, with PyTorch's ordinary products: what the others buy is the difference."""
    kept, chosen = KVCache(model, len(tokens), tokens.shape[1] + n), []
    for _ in range(n):
        tokens = read(model, tokens, kept).argmax(-1, keepdim=True)
        chosen.append(tokens)
    return torch.cat(chosen, dim=1)


def build_jax(config: GPTConfig, weights: dict[str, torch.Tensor]) -> Decode:
    """Ours in JAX: all steps in one compiled program."""
    import jax
    import jax.numpy as jnp

    from microgpt_ref.jax import generate as jax_generate

    parameters = {name: jnp.asarray(weight.numpy()) for name, weight in weights.items()}

    def decode(tokens: torch.Tensor, n: int) -> torch.Tensor:
        prompt = jnp.asarray(tokens.numpy(), jnp.int32)
        text = jax_generate(parameters, prompt, config, n, jax.random.key(0), temperature=0.0)
        return torch.from_numpy(np.array(text))[:, tokens.shape[1] :].long()

    return decode


def build_hugging_face(config: GPTConfig, weights: dict[str, torch.Tensor]) -> Decode:
    """GPT-2 of `transformers` with its `generate`, as it comes."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": config.context, "n_embd": config.d_model, "n_layer": config.n_layer}
    settings = GPT2Config(
        vocab_size=config.vocab_size,
        n_head=config.n_head,
        activation_function=config.activation,
        bos_token_id=None,
        eos_token_id=None,
        **sizes,
    )
    model = GPT2LMHeadModel(settings).eval()
    names = gpt2_names(config)
    square = {names[name]: w for name, w in weights.items() if name in names}
    # its projections are stored (in, out)
    turned = {n: w.t() if w.dim() == 2 and ".h." in n else w for n, w in square.items()}
    load(model, turned)

    @torch.inference_mode()
    def decode(tokens: torch.Tensor, n: int) -> torch.Tensor:
        mask = torch.ones_like(tokens)
        text = model.generate(tokens, attention_mask=mask, max_new_tokens=n, do_sample=False, pad_token_id=0)
        return text[:, tokens.shape[1] :]

    return decode


def build_nanogpt(config: GPTConfig, weights: dict[str, torch.Tensor], peer: str) -> Decode:
    """The peer's model in the loop of nanoGPT's `generate`, with the likeliest token for a drawn one."""
    module = load_file(Path(peer) / "model.py", "nanogpt_model")
    sizes = {"n_layer": config.n_layer, "n_head": config.n_head, "n_embd": config.d_model}
    settings = module.GPTConfig(
        vocab_size=config.vocab_size, block_size=config.context, dropout=0.0, bias=True, **sizes
    )
    model = module.GPT(settings).eval()
    names = gpt2_names(config)
    load(model, {names[name]: w for name, w in weights.items() if name in names})

    @torch.no_grad()
    def decode(tokens: torch.Tensor, n: int) -> torch.Tensor:
        text = tokens
        for _ in range(n):
            logits, _ = model(text[:, -config.context :])
            text = torch.cat((text, logits[:, -1].argmax(-1, keepdim=True)), dim=1)
        return text[:, tokens.shape[1] :]

    return decode


def gpt2_names(config: GPTConfig) -> dict[str, str]:
    """Our names → GPT-2's, in both codes."""
    names = {"embedding.weight": "transformer.wte.weight", "position.weight": "transformer.wpe.weight"}
    parts = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.out": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn.up": "mlp.c_fc",
        "ffn.down": "mlp.c_proj",
    }
    for kind in ("weight", "bias"):
        names[f"final_norm.{kind}"] = f"transformer.ln_f.{kind}"
        for layer in range(config.n_layer):
            for our, their in parts.items():
                names[f"blocks.{layer}.{our}.{kind}"] = f"transformer.h.{layer}.{their}.{kind}"
    return names


def load(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Copy the weights; the head is tied to the embedding.

    Raises:
        ValueError: if the model has a parameter that is not given.
    """
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"these weights do not fit: missing {missing}, unexpected {unexpected}")


def same_tokens(codes: dict[str, Decode], tokens: torch.Tensor, n: int) -> dict[str, float]:
    """The seconds of each first run, compilation included.

    Raises:
        AssertionError: if one code gives other tokens; then there is nothing to compare.
    """
    first, expected = {}, None
    for name, decode in codes.items():
        start = time.perf_counter()
        found = decode(tokens, n)
        first[name] = time.perf_counter() - start
        expected = found if expected is None else expected
        if not torch.equal(found, expected):
            raise AssertionError(f"{name} gives other tokens than {next(iter(codes))}")
    return first


def batch_speeds(config: GPTConfig, codes: dict[str, Decode], repeats: int, n: int) -> dict[str, float]:
    """Tokens a second of a batch of 16 prompts."""
    prompts = random_tokens(config, BATCH, PROMPT)
    chosen = {name: codes[name] for name in ("ours", "ours_compiled", "hugging_face")}
    same_tokens(chosen, prompts, n)
    times = alternate({name: lambda d=d: d(prompts, n) for name, d in chosen.items()}, repeats)
    return {name: round(BATCH * n / row["median_s"], 1) for name, row in times.items()}


def length_row(config: GPTConfig, codes: dict[str, Decode], length: int, steps: int) -> dict[str, Any]:
    """Tokens a second after a prompt of this length: the time of a few steps without that of reading it."""
    prompt = random_tokens(config, 1, length)
    jobs = {
        f"{name} {n}": (lambda d=d, n=n: d(prompt, n)) for name, d in codes.items() for n in (1, steps + 1)
    }
    times = alternate(jobs, repeats=2)
    row: dict[str, Any] = {"length": length}
    for name in codes:
        row[name] = round(
            steps / (times[f"{name} {steps + 1}"]["fastest_s"] - times[f"{name} 1"]["fastest_s"]), 1
        )
    return row


def floor(config: GPTConfig, lengths: tuple[int, ...]) -> dict[str, Any]:
    """What reading alone would allow: bytes of a step over the bandwidth of reading.

    Weights of this size may stay in the processor's cache from step to step, so the bandwidth is that of
    summing as many bytes again and again; that of a block too large for any cache is given beside it.
    """
    weights = 4 * count_parameters(config)
    near, far = bandwidth(weights), bandwidth(2**28)
    kept = {n: 8 * config.n_layer * config.kv_heads * config.head_width * n for n in lengths}
    return {
        "weight_bytes": weights,
        "cache_bytes": {str(n): size for n, size in kept.items()},
        "read_gb_per_s": round(near / 1e9, 1),
        "read_memory_gb_per_s": round(far / 1e9, 1),
        "tokens_per_second": {str(n): round(near / (weights + size)) for n, size in kept.items()},
        "tokens_per_second_from_memory": {str(n): round(far / (weights + size)) for n, size in kept.items()},
    }


def bandwidth(size: int) -> float:
    """Bytes a second of summing so many bytes; the fastest of ten times."""
    block = torch.ones(size // 4)
    times = []
    for _ in range(11):
        start = time.perf_counter()
        block.sum()
        times.append(time.perf_counter() - start)
    return size / min(times[1:])


def stories_speed(n: int) -> float:
    """Tokens a second of the model that ships with the package, uncompiled."""
    model, tokenizer = checkpoint.load_model(checkpoint.shipped())
    prompt = torch.tensor([tokenizer.encode("\n")])
    times = alternate({"stories": lambda: ours(model, prompt, n)}, repeats=3)
    return round(n / times["stories"]["median_s"], 1)


if __name__ == "__main__":
    main()
