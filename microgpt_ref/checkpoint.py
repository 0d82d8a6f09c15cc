"""Checkpoints: one safetensors file that holds tensors and, in its header, everything else as JSON.

One file means one rename, so a reader sees the old checkpoint or the new one, never half of each. The
same JSON is written beside it for people; programs read the header. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from microgpt_ref._arguments import check_parameters
from microgpt_ref._files import atomic_write
from microgpt_ref.config import ConfigError, GPTConfig
from microgpt_ref.parameters import parameter_shapes

if TYPE_CHECKING:
    from jax import Array

    from microgpt_ref.tokenizers import Tokenizer
    from microgpt_ref.torch import GPT

FORMAT = "microgpt-1"
OPTIMIZER = "optimizer."


class CheckpointError(ValueError):
    """A file that is not a usable checkpoint; the message names it, the reason and the way out."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, as NumPy arrays: it opens without torch or jax.

    Attributes:
        config: the architecture.
        parameters: name → array, in PyTorch's (out, in) layout.
        tokenizer: the tokenizer as a dictionary, see `tokenizers.tokenizer_from_dict`.
        step: how many optimizer steps made it.
        metrics: measured numbers, such as the validation loss in nats a token.
        training: the settings of the run and its data, enough to resume or to repeat it.
        optimizer: name → array of the optimizer's state; empty in a checkpoint made for use.
    """

    config: GPTConfig
    parameters: dict[str, np.ndarray]
    tokenizer: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, np.ndarray] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """All but the arrays, as JSON-ready values."""
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "tokenizer": self.tokenizer,
            "step": self.step,
            "metrics": self.metrics,
            "training": self.training,
        }

    def build_tokenizer(self) -> Tokenizer:
        """The tokenizer that the model was trained with."""
        from microgpt_ref.tokenizers import tokenizer_from_dict

        return tokenizer_from_dict(self.tokenizer)

    def build_torch(self, attention: str = "sdpa") -> GPT:
        """The model in PyTorch, in float32 and in evaluation mode."""
        import torch

        from microgpt_ref.torch import GPT

        model = GPT(self.config, attention)
        model.load_state_dict({name: torch.from_numpy(a).float() for name, a in self.parameters.items()})
        return model.eval()

    def build_numpy(self, dtype: Any = np.float32) -> dict[str, np.ndarray]:
        """The parameters for `microgpt_ref.numpy.forward`, checked against the configuration.

        Raises:
            ValueError: if a parameter is missing, of another shape, or not in the model.
        """
        check_parameters(self.parameters, parameter_shapes(self.config))
        return {name: array.astype(dtype) for name, array in self.parameters.items()}

    def build_jax(self, dtype: Any = np.float32) -> dict[str, Array]:
        """The parameters for `microgpt_ref.jax.forward`, on the default device; raises as `build_numpy`."""
        import jax.numpy as jnp

        return {name: jnp.asarray(array) for name, array in self.build_numpy(dtype).items()}


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Write `path` (.safetensors) and, for people, the same description as JSON beside it.

    The file is written under another name, flushed to the disk and renamed, so a crash at any moment
    leaves the previous checkpoint whole.
    """
    path = Path(path)
    arrays = {**checkpoint.parameters}
    arrays |= {OPTIMIZER + name: array for name, array in checkpoint.optimizer.items()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    description = {**checkpoint.describe(), "sha256": digest(arrays)}
    text = json.dumps(description, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(to_bytes(arrays, metadata={"microgpt": text}))
    with atomic_write(path.with_suffix(".json")) as file:
        file.write((json.dumps(description, ensure_ascii=False, indent=1) + "\n").encode())
    return path


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint, or the best one of a run when `path` is the run's folder.

    Raises:
        CheckpointError: if the file is missing, truncated, damaged, or not one of ours.
    """
    path = find(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({error}); it may be truncated or another kind of file: "
            f"copy it again or use an earlier checkpoint"
        ) from error
    description = _description(path, metadata)
    if description.get("sha256") != digest(arrays):
        raise CheckpointError(
            f"{path} is damaged: its tensors do not match the sha256 in its header; copy it again or use an "
            f"earlier checkpoint"
        )
    return _assemble(path, description, arrays)


def find(path: str | os.PathLike[str]) -> Path:
    """The file that `path` means: itself, or in a run's folder `best.safetensors`, else `last.safetensors`.

    Raises:
        CheckpointError: if there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    for name in ("best.safetensors", "last.safetensors"):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"no checkpoint at {path}; give a .safetensors file or the folder that `microgpt train --out` wrote"
    )


def shipped(name: str = "stories") -> Path:
    """A checkpoint that comes inside the package: a small GPT trained on the stories.

    Args:
        name: "stories", which reads single characters, or "reader", which reads BPE tokens and is the one to
            fine-tune.

    Raises:
        CheckpointError: for another name.
    """
    path = Path(str(resources.files("microgpt_ref"))) / "assets" / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"name={name!r} is not a shipped checkpoint; use 'stories' or 'reader'")
    return path


def history() -> dict[str, Any]:
    """How the shipped checkpoint was trained: its recipe, its losses by category over time, and samples."""
    return json.loads(shipped().with_suffix(".history.json").read_text(encoding="utf-8"))


def load_model(path: str | os.PathLike[str] | None = None) -> tuple[GPT, Tokenizer]:
    """The PyTorch model and its tokenizer, in one line; without a path, the shipped one."""
    checkpoint = load(shipped() if path is None else path)
    return checkpoint.build_torch(), checkpoint.build_tokenizer()


def _description(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The JSON in the header, if it is ours."""
    try:
        description = json.loads(metadata["microgpt"])
    except (KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is a safetensors file, but not one of this project's checkpoints: its header has no "
            f"readable 'microgpt' entry; use a file written by `microgpt train`"
        ) from error
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {description.get('format')!r}, and this version reads {FORMAT!r}; "
            f"upgrade the package"
        )
    return description


def _assemble(path: Path, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Checkpoint:
    try:
        config = GPTConfig.from_dict(description["config"])
        fields = {name: description[name] for name in ("tokenizer", "step", "metrics", "training")}
    except (ConfigError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the header of {path} cannot be used ({error}); use an earlier checkpoint"
        ) from error
    return Checkpoint(
        config=config,
        parameters={name: a for name, a in arrays.items() if not name.startswith(OPTIMIZER)},
        optimizer={name[len(OPTIMIZER) :]: a for name, a in arrays.items() if name.startswith(OPTIMIZER)},
        **fields,
    )


def digest(arrays: dict[str, np.ndarray]) -> str:
    """sha256 over names, types, shapes and bytes: safetensors itself does not notice a flipped bit."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
