"""A training step in JAX beside the same step in PyTorch, in one process, with the same threads, in turns.

    python -m benchmarks.jax_vs_torch            two batch sizes, about four minutes on two cores
    python -m benchmarks.jax_vs_torch --quick    a toy size, for a look: nothing is written

The shape is tejas-10m's, float32, no dropout, on the CPU. A step is all of it: loss, gradient, clipping and
AdamW. PyTorch runs eagerly with its fused attention and its fused AdamW; JAX's step is compiled once, before
anything is timed, and its compilation is reported apart. Both start from the same weights, and their losses
over the first steps are compared before anything is timed. Ratios are of times: below 1, JAX is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._common import alternate, ratio, usable_cores, write_result
from microgpt_ref._memory import keep_freed_memory
from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import preset

CONFIG = preset("tejas-10m").replace(dropout=0.0)
TOY = CONFIG.replace(context=32, d_model=48, n_layer=2)
COMPARED_STEPS = 1
Step = Callable[[], float]


def main() -> None:
    """Measure, check that both agree, and write benchmarks/results/jax_vs_torch.json."""
    parser = argparse.ArgumentParser(description="A training step in JAX beside PyTorch's.")
    parser.add_argument("--quick", action="store_true", help="a toy size; print, and write nothing")
    if parser.parse_args().quick:
        print(measure(TOY, batch=4, repeats=2))
        return
    batches = {f"B{batch}": measure(CONFIG, batch, repeats) for batch, repeats in ((8, 9), (64, 3))}
    result: dict[str, Any] = {
        "title": "A training step in JAX, beside PyTorch's",
        "about": "tejas-10m's shape, T=256, float32, no dropout, on the CPU: loss, gradient, clipping and "
        "AdamW. PyTorch is eager, JAX compiled; medians of runs in turns, with the same threads.",
        "threads": usable_cores(),
        "batches": batches,
        "measured": [row for name in batches for row in rows(name)],
    }
    path = write_result("jax_vs_torch", result, ("microgpt-ref", "numpy", "torch", "jax", "optax"))
    for name, batch in batches.items():
        print(f"{name}: JAX's time as a multiple of torch's {batch['ratio']}; {batch['tokens_per_second']}")
    print(f"written: {path.relative_to(path.parents[2])}")


def rows(name: str) -> list[dict[str, Any]]:
    """What the results page shows of one batch size, by the paths into the file."""
    batch, path = name.removeprefix("B"), f"batches.{name}"
    return [
        {
            "what": f"JAX's step as a multiple of PyTorch's, batch {batch} × 256",
            "value": f"{path}.ratio",
            "digits": 2,
            "target": 1.3,
            "better": "lower",
            "source": "the course's limit",
        },
        {"what": "JAX", "value": f"{path}.tokens_per_second.jax", "unit": "tokens/s"},
        {"what": "PyTorch", "value": f"{path}.tokens_per_second.torch", "unit": "tokens/s"},
        {
            "what": "JAX's compilation, with the first step",
            "value": f"{path}.compilation_and_first_step_s",
            "digits": 0,
            "unit": "s",
        },
    ]


def measure(config: GPTConfig, batch: int, repeats: int) -> dict[str, Any]:
    """Seconds of one step of each, tokens a second, and how long JAX compiled."""
    tokens, targets = np.random.default_rng(0).integers(0, config.vocab_size, (2, batch, config.context))
    keep_freed_memory()  # as both trainers do
    torch_step = build_torch(config, tokens, targets)
    jax_step = build_jax(config, tokens, targets)
    start = time.perf_counter()
    first = jax_step()
    compilation = time.perf_counter() - start
    losses = {"jax": [first], "torch": [torch_step()]}
    for _ in range(COMPARED_STEPS):
        losses["jax"].append(jax_step())
        losses["torch"].append(torch_step())
    largest = float(np.abs(np.subtract(losses["jax"], losses["torch"])).max())
    if not largest < 1e-3:
        raise AssertionError(f"the losses differ by {largest:.1e}; the times cannot be compared: {losses}")
    times = alternate({"jax": jax_step, "torch": torch_step}, repeats)
    return {
        "largest_difference_of_losses": float(f"{largest:.2g}"),
        "compilation_and_first_step_s": round(compilation, 2),
        "times": times,
        "ratio": ratio(times, "jax", "torch"),
        "tokens_per_second": {name: round(tokens.size / row["median_s"]) for name, row in times.items()},
    }


def build_torch(config: GPTConfig, tokens: np.ndarray, targets: np.ndarray) -> Step:
    """PyTorch's step, as the trainer does it without autocast and compilation."""
    import torch

    from microgpt_ref.parameters import initial_parameters
    from microgpt_ref.torch import GPT
    from microgpt_ref.torch.optim import build_adamw

    torch.set_num_threads(usable_cores())
    model = GPT(config)
    start = {name: torch.from_numpy(array).float() for name, array in initial_parameters(config).items()}
    model.load_state_dict(start)
    optimizer = build_adamw(model, 3e-4, 0.9, 0.99, 0.1)
    inputs, wanted = torch.from_numpy(tokens), torch.from_numpy(targets)

    def step() -> float:
        loss = model.loss(inputs, wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def build_jax(config: GPTConfig, tokens: np.ndarray, targets: np.ndarray) -> Step:
    """JAX's step with the same recipe; XLA takes as many threads as the process has cores."""
    import jax
    import jax.numpy as jnp

    from microgpt_ref.jax.gpt import initialise
    from microgpt_ref.jax.optim import Recipe
    from microgpt_ref.jax.update import initial_state, train_step

    if jax.default_backend() != "cpu":
        raise SystemExit("this compares CPUs; set JAX_PLATFORMS=cpu and run it again")
    recipe = Recipe(learning_rate=3e-4, final_learning_rate=3e-4, warmup_steps=0)  # a constant learning rate
    state = initial_state(initialise(config), recipe)
    inputs, wanted = jnp.asarray(tokens, jnp.int32), jnp.asarray(targets, jnp.int32)

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, inputs, wanted, config, recipe)
        jax.block_until_ready(state)
        return float(metrics["loss"])

    return step


if __name__ == "__main__":
    main()
