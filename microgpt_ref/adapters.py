"""A LoRA adapter on the disk, in the layout of Hugging Face's PEFT: a folder with two files.

`adapter_config.json` has PEFT's own fields; `adapter_model.safetensors` has the tensors under PEFT's names.
What PEFT has no field for (which model it was made for, and a checksum) stands in the header of the second.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import digest
from microgpt_ref.config import ConfigError, GPTConfig
from microgpt_ref.lora import LoRAConfig, adapter_shapes

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
NAMES = {"A": "lora_A.weight", "B": "lora_B.weight"}
NEW_ROWS = "embedding.new_rows.weight"
# `trainable_token_indices` is PEFT's way to train rows of a table
PEFT_ROWS = "embedding.token_adapter.trainable_tokens_delta"
FREE_TO_DIFFER = ("dropout", "context")
"""Fields of a model that change none of its shapes and not what its weights mean."""

# PEFT's variations that need another formula than W + alpha / rank · B A, with the value that means "off"
UNSUPPORTED: dict[str, Any] = {
    "use_rslora": False,
    "use_dora": False,
    "use_qalora": False,
    "use_bdlora": None,
    "lora_bias": False,
    "bias": "none",
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layer_replication": None,
    "target_parameters": None,
    "alora_invocation_tokens": None,
}


class AdapterError(ValueError):
    """A folder that is no usable adapter of this model; the message names it, the reason and the way out."""


@dataclass(frozen=True)
class Adapter:
    """What training with LoRA has learned, as NumPy arrays: it opens without torch or jax.

    Attributes:
        config: rank, alpha, dropout and targets.
        arrays: name → array, as `adapter_shapes` lists them.
        model: the model it was made for, without the new tokens; None if PEFT wrote it.
        tokens: the ids of the new tokens.
        base: the name of the model it was made for, for people.
    """

    config: LoRAConfig
    arrays: dict[str, np.ndarray]
    model: GPTConfig | None = None
    tokens: tuple[int, ...] = ()
    base: str = ""


def save(folder: str | os.PathLike[str], adapter: Adapter) -> Path:
    """Write the two files, each whole or not at all, the tensors last. The folder is made if missing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {PREFIX + _peft_name(name): np.ascontiguousarray(a) for name, a in adapter.arrays.items()}
    fields = _peft_config(adapter)
    model = None if adapter.model is None else adapter.model.to_dict()
    header = json.dumps({"model": model, "fields": fields, "sha256": digest(arrays)})
    with atomic_write(folder / CONFIG) as file:
        file.write((json.dumps(fields, indent=2) + "\n").encode())
    with atomic_write(folder / WEIGHTS) as file:
        file.write(to_bytes(arrays, metadata={"microgpt": header}))
    return folder


def load(folder: str | os.PathLike[str]) -> Adapter:
    """Read an adapter that `save` or PEFT wrote.

    Raises:
        AdapterError: if a file is missing or damaged, or PEFT was told to do what this package does not.
    """
    folder = Path(folder)
    fields = _read_config(folder / CONFIG)
    stored, header = _read_tensors(folder / WEIGHTS)
    if header and any(fields.get(name) != header["fields"][name] for name in ("r", "target_modules")):
        raise AdapterError(f"the two files in {folder} are not of one save; save the adapter again")
    arrays = {_own_name(name): array for name, array in stored.items()}
    targets = fields["target_modules"]
    if not isinstance(targets, list):  # a pattern: the tensors say which layers it found
        targets = [name.removesuffix(".A") for name in arrays if name.endswith(".A")]
    try:
        config = LoRAConfig(
            rank=fields["r"],
            alpha=fields["lora_alpha"],
            dropout=fields.get("lora_dropout", 0.0),
            targets=tuple(sorted(targets)),
        )
        model = None if header.get("model") is None else GPTConfig.from_dict(header["model"])
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"{folder / CONFIG} cannot be used ({error}); save the adapter again") from error
    tokens = _tokens(folder, fields.get("trainable_token_indices"))
    return Adapter(config, arrays, model, tokens, fields.get("base_model_name_or_path") or "")


def check(adapter: Adapter, model: GPTConfig) -> None:
    """Refuse an adapter that was made for another model, or lacks a tensor, before anything is changed.

    Args:
        adapter: as `load` gives it.
        model: the model without the new tokens.

    Raises:
        AdapterError: naming the field that differs, or the tensor that is missing, superfluous or misshapen.
    """
    if adapter.model is not None:
        made_for, mine = adapter.model.to_dict(), model.to_dict()
        for name in mine:
            if made_for[name] != mine[name] and name not in FREE_TO_DIFFER:
                raise AdapterError(
                    f"the adapter was made for a model with {name}={made_for[name]!r}, this one has "
                    f"{mine[name]!r}; load it onto the model it was trained on"
                    + (f", {adapter.base}" if adapter.base else "")
                )
    if adapter.tokens != tuple(range(model.vocab_size, model.vocab_size + len(adapter.tokens))):
        raise AdapterError(
            f"the adapter has rows for the tokens {adapter.tokens}, but the model's next free ids begin at "
            f"{model.vocab_size}; only rows of new tokens can be loaded"
        )
    try:
        expected = adapter_shapes(model, adapter.config, len(adapter.tokens))
    except ValueError as error:
        raise AdapterError(f"the adapter does not fit the model: {error}") from error
    for name, shape in expected.items():
        if name not in adapter.arrays:
            raise AdapterError(f"the adapter has no tensor {name!r}; save it again, with all of its layers")
        if adapter.arrays[name].shape != shape:
            raise AdapterError(
                f"the adapter's {name!r} has shape {adapter.arrays[name].shape}, but rank "
                f"{adapter.config.rank} and this model need {shape}; load it onto the model it was trained on"
            )
    if extra := sorted(set(adapter.arrays) - set(expected)):
        raise AdapterError(
            f"the adapter's tensor {extra[0]!r} has no place in this model; load it onto the model it was "
            f"trained on"
        )


def _peft_config(adapter: Adapter) -> dict[str, Any]:
    """PEFT's fields; those left out have PEFT's defaults. Targets that matched nothing are left out, too."""
    layers = [name.removesuffix(".A") for name in adapter.arrays if name.endswith(".A")]
    targets = [t for t in adapter.config.targets if any(f".{name}".endswith(f".{t}") for name in layers)]
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": adapter.base or None,
        "r": adapter.config.rank,
        "lora_alpha": adapter.config.alpha,
        "lora_dropout": adapter.config.dropout,
        "target_modules": sorted(targets),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "trainable_token_indices": {"embedding": list(adapter.tokens)} if adapter.tokens else None,
    }


def _peft_name(name: str) -> str:
    """`blocks.0.ffn.up.A` → `blocks.0.ffn.up.lora_A.weight`; PEFT ignores the new rows of an untied head."""
    layer, _, last = name.rpartition(".")
    return PEFT_ROWS if name == NEW_ROWS else f"{layer}.{NAMES.get(last, last)}"


def _own_name(stored: str) -> str:
    """The inverse of `_peft_name`, with PEFT's prefix."""
    name = stored.removeprefix(PREFIX)
    if name == PEFT_ROWS:
        return NEW_ROWS
    for own, theirs in NAMES.items():
        if name.endswith(f".{theirs}"):
            return f"{name.removesuffix(theirs)}{own}"
    return name


def _tokens(folder: Path, indices: Any) -> tuple[int, ...]:
    """The ids in PEFT's `trainable_token_indices`, of the embedding."""
    if not indices:
        return ()
    by_table = indices if isinstance(indices, dict) else {"embedding": indices}
    if set(by_table) != {"embedding"}:
        raise AdapterError(
            f"{folder / CONFIG} trains rows of {sorted(by_table)}; only those of 'embedding' can be loaded"
        )
    return tuple(by_table["embedding"])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"{path} cannot be read ({error}); give the folder that `save_adapter` or PEFT wrote"
        ) from error
    if not isinstance(fields, dict) or fields.get("peft_type") != "LORA" or "target_modules" not in fields:
        raise AdapterError(f"{path} does not describe a LoRA adapter; give a folder with one")
    for name, off in UNSUPPORTED.items():
        value = fields.get(name, off)
        if value != off and value:
            raise AdapterError(f"{path} has {name}={value!r}, which cannot be loaded here; train without it")
    return fields


def _read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads((file.metadata() or {}).get("microgpt", "{}"))
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise AdapterError(
            f"{path} cannot be read as safetensors ({error}); it may be truncated: copy it again"
        ) from error
    if header and header.get("sha256") != digest(arrays):
        raise AdapterError(f"{path} is damaged: its tensors do not match its sha256; copy it again")
    return arrays, header
