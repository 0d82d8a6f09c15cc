"""The contestants of `throughput`: our code and that of others, each as one training step.

A builder takes the shape and gives a function that does one training step (forward, backward, update) and
returns the loss. Every code keeps what it comes with: its attention, its optimizer, its clipping.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks._workers import Job
from microgpt_ref._memory import keep_freed_memory
from microgpt_ref.config import GPTConfig

if TYPE_CHECKING:
    from microgpt_ref.torch.recipe import TrainConfig
    from microgpt_ref.torch.train import Trainer

Precision = Literal["fp32", "bf16"]
Step = Callable[[], float]


def random_trainer(config: GPTConfig, recipe: TrainConfig) -> Trainer:
    """Our trainer on random tokens: what a step costs does not depend on what it reads."""
    from microgpt_ref.datasets import Dataset
    from microgpt_ref.tokenizers import CharacterTokenizer
    from microgpt_ref.torch.train import Trainer

    alphabet = [chr(0x100 + i) for i in range(config.vocab_size)]
    drawn = np.random.default_rng(0).integers(0, len(alphabet), 100 * config.context)
    text = "".join(alphabet[i] for i in drawn)
    return Trainer(config, recipe, Dataset("random", text, text), CharacterTokenizer(alphabet))


def ours(job: Job, precision: Precision, compiled: bool, micro_batch: int = 0) -> Step:
    """Our trainer in PyTorch; it draws its batches itself, which counts as part of its step."""
    from microgpt_ref.torch.recipe import TrainConfig

    at_a_time = micro_batch or job.batch_size
    recipe = TrainConfig(
        batch_size=at_a_time,
        accumulate=job.batch_size // at_a_time,
        learning_rate=3e-4,
        precision=precision,
        compile=compiled,
        device="cpu",
    )
    trainer = random_trainer(job.config, recipe)
    return lambda: float(trainer.train_step()[0])


def ours_in_jax(job: Job, precision: Precision) -> Step:
    """Our update in JAX, compiled as a whole."""
    import jax.numpy as jnp

    from microgpt_ref.jax.gpt import initialise
    from microgpt_ref.jax.optim import Recipe
    from microgpt_ref.jax.update import initial_state, train_step

    keep_freed_memory()  # as its trainer does
    recipe = Recipe(batch_size=job.batch_size, learning_rate=3e-4, precision=precision)
    state = initial_state(initialise(job.config, 0), recipe)
    tokens, targets = (jnp.asarray(array, jnp.int32) for array in job.batch())

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, tokens, targets, job.config, recipe)
        return float(metrics["loss"])

    return step


def hugging_face(job: Job, bf16: bool, compiled: bool) -> Step:
    """GPT-2 of `transformers` at these sizes, with its default attention and torch's fused AdamW."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    c = job.config
    sizes = {"n_positions": c.context, "n_embd": c.d_model, "n_layer": c.n_layer, "n_head": c.n_head}
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=c.vocab_size, use_cache=False, **sizes, **no_dropout))
    tokens = torch.from_numpy(job.batch()[0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    return torch_step(model, lambda m: m(input_ids=tokens, labels=tokens).loss, optimizer, bf16, compiled)


def nanogpt(job: Job, bf16: bool, compiled: bool) -> Step:
    """nanoGPT: `GPT(GPTConfig(...))` and `configure_optimizers` of its model.py, clipping as its train.py."""
    import torch

    module = load_file(Path(job.peer) / "model.py", "nanogpt_model")
    c = job.config
    sizes = {"n_layer": c.n_layer, "n_head": c.n_head, "n_embd": c.d_model, "block_size": c.context}
    model = module.GPT(module.GPTConfig(vocab_size=c.vocab_size, dropout=0.0, bias=False, **sizes))
    optimizer = model.configure_optimizers(0.1, 3e-4, (0.9, 0.99), "cpu")
    tokens, targets = map(torch.from_numpy, job.batch())
    return torch_step(model, lambda m: m(tokens, targets)[1], optimizer, bf16, compiled)


def mingpt(job: Job) -> Step:
    """minGPT: `GPT` of mingpt/model.py with its own optimizer, clipping as its trainer."""
    import torch

    sys.path.insert(0, job.peer)
    module = importlib.import_module("mingpt.model")
    c, config = job.config, module.GPT.get_default_config()
    sizes = {"n_layer": c.n_layer, "n_head": c.n_head, "n_embd": c.d_model, "block_size": c.context}
    no_dropout = {"embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0}
    for name, value in {"model_type": None, "vocab_size": c.vocab_size, **sizes, **no_dropout}.items():
        setattr(config, name, value)
    model = module.GPT(config)
    recipe = SimpleNamespace(weight_decay=0.1, learning_rate=3e-4, betas=(0.9, 0.95))
    optimizer = model.configure_optimizers(recipe)
    tokens, targets = map(torch.from_numpy, job.batch())
    return torch_step(model, lambda m: m(tokens, targets)[1], optimizer)


TEJAS_FILE = Path("src", "my_gptv1.py")


def tejas(job: Job) -> Step:
    """tejas-10m's own script. Only its definitions are run: the file trains when it is imported."""
    import torch

    c = job.config
    source = (Path(job.peer) / TEJAS_FILE).read_text(encoding="utf-8")
    sizes = {"n_embid": c.d_model, "n_heads": c.n_head, "n_layer": c.n_layer, "block_size": c.context}
    names = definitions(source) | sizes | {"vocab_size": c.vocab_size, "dropout": 0.0, "device": "cpu"}
    exec(names.pop("code"), names)
    model = names["GPTLanguageModel"]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    tokens, targets = map(torch.from_numpy, job.batch())
    return torch_step(model, lambda m: m(tokens, targets)[1], optimizer, clip=0.0)


def definitions(source: str) -> dict[str, Any]:
    """The imports, classes and functions of a script as compiled `code`, without what it does."""
    kept = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    return {"__name__": "definitions", "code": compile(tree, "definitions", "exec")}


def torch_step(
    model: Any,
    loss_of: Callable[[Any], Any],
    optimizer: Any,
    bf16: bool = False,
    compiled: bool = False,
    clip: float = 1.0,
) -> Step:
    """The usual step around somebody else's model."""
    import torch

    model.train()
    called = torch.compile(model) if compiled else model

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = loss_of(called)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return float(loss.detach())

    return step


def load_file(path: Path, name: str) -> Any:
    """A module from a file that is not on Python's path."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Contestant:
    """How a row is called, what builds its step, and how many sequences go through the model at a time."""

    label: str
    build: Callable[[Job], Step]
    peer: str = ""
    """The peer whose checkout it needs."""
    micro_batch: int = 0


CONTESTANTS = {
    "ours_fp32": Contestant("Ours, PyTorch, fp32", lambda job: ours(job, "fp32", False)),
    "ours_fp32_compiled": Contestant("Ours, PyTorch, fp32, compiled", lambda job: ours(job, "fp32", True)),
    "ours_bf16": Contestant("Ours, PyTorch, bf16", lambda job: ours(job, "bf16", False)),
    "ours_bf16_compiled": Contestant("Ours, PyTorch, bf16, compiled", lambda job: ours(job, "bf16", True)),
    "ours_bf16_compiled_by_16": Contestant(
        "The same in micro-batches of 16", lambda job: ours(job, "bf16", True, 16), micro_batch=16
    ),
    "ours_bf16_compiled_by_8": Contestant(
        "The same in micro-batches of 8", lambda job: ours(job, "bf16", True, 8), micro_batch=8
    ),
    "jax_fp32": Contestant("Ours, JAX, fp32", lambda job: ours_in_jax(job, "fp32")),
    "jax_bf16": Contestant("Ours, JAX, bf16", lambda job: ours_in_jax(job, "bf16")),
    "hugging_face_fp32": Contestant(
        "Hugging Face GPT-2, fp32, as it comes", lambda job: hugging_face(job, False, False)
    ),
    "hugging_face_bf16_compiled": Contestant(
        "Hugging Face GPT-2, bf16, compiled", lambda job: hugging_face(job, True, True)
    ),
    "nanogpt_fp32": Contestant("nanoGPT, fp32", lambda job: nanogpt(job, False, False), "nanoGPT"),
    "nanogpt_bf16_compiled": Contestant(
        "nanoGPT, bf16, compiled", lambda job: nanogpt(job, True, True), "nanoGPT"
    ),
    "mingpt_fp32": Contestant("minGPT, fp32", mingpt, "minGPT"),
    "tejas_fp32": Contestant("tejas-10m's own code, fp32", tejas, "tejas-10m"),
}

PEERS = {"nanoGPT": Path("model.py"), "minGPT": Path("mingpt", "model.py"), "tejas-10m": TEJAS_FILE}
"""The file by which a checkout is known."""


def which_peer(folder: str) -> str:
    """The name of the peer in this folder.

    Raises:
        ValueError: if it is none of `PEERS`.
    """
    for name, file in reversed(PEERS.items()):  # a bare model.py says least
        if (Path(folder) / file).is_file():
            return name
    known = ", ".join(f"{file} ({name})" for name, file in PEERS.items())
    raise ValueError(f"--peer {folder} has none of {known}; give the root of a checkout")
