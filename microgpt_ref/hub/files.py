"""Folders of weights: read safetensors (whole or in shards), download by name, write whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from microgpt_ref.hub.errors import ExportError, HubError

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
WEIGHTS = "model.safetensors"
MARK = "microgpt"  # the entry in the header of our own exports
WRITTEN = (
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    WEIGHTS,
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises HubError, naming the file, if it is missing or something else."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HubError(f"{path} is missing; give a folder that transformers' save_pretrained wrote") from None
    except ValueError as error:
        raise HubError(f"{path} is not JSON ({error}); save the model again") from None
    if not isinstance(fields, dict):
        raise HubError(f"{path} holds no JSON object; save the model again")
    return fields


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Name → array in float32, from model.safetensors, its shards, or pytorch_model.bin. Runs no code.

    Raises:
        HubError: no weights are there, or they are damaged, or could only be read by running a pickle.
    """
    index = folder / f"{WEIGHTS}.index.json"
    if (folder / WEIGHTS).is_file():
        return _read_safetensors(folder / WEIGHTS)
    if index.is_file():
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        weights: dict[str, np.ndarray] = {}
        for shard in shards:
            weights |= _read_safetensors(folder / Path(shard).name)
        return weights
    if (folder / "pytorch_model.bin").is_file():
        return _read_torch(folder / "pytorch_model.bin")
    raise HubError(
        f"{folder} has no {WEIGHTS}; save the model with transformers' save_pretrained, which writes it"
    )


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).float().numpy() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise HubError(f"{path} cannot be read as safetensors ({error}); copy it again") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.float().numpy() for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise HubError(
            f"{path} is damaged or holds more than tensors, and no pickle is run here; save the model again "
            f"as {WEIGHTS}"
        ) from error


def download(repository: str) -> Path:
    """The folder with config.json and the weights of a model on the Hugging Face hub, kept in its cache.

    Raises:
        HubError: huggingface_hub is not installed.
        ConnectionError: the files are not in the cache and cannot be downloaded.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise HubError(
            'a model by name needs huggingface_hub; install it with pip install "microgpt-ref[hub]", or give '
            "a local folder"
        ) from None

    def both(from_cache: bool) -> Path:
        files = (WEIGHTS, "config.json")
        paths = [hf_hub_download(repository, name, local_files_only=from_cache) for name in files]
        return Path(paths[0]).parent

    with contextlib.suppress(Exception):  # what the cache holds is used without a question to the network
        return both(from_cache=True)
    try:
        return both(from_cache=False)
    except Exception as error:  # its errors, httpx's and requests' share no class
        raise ConnectionError(
            f"{repository} is not in the cache and could not be downloaded ({type(error).__name__}); connect "
            f"to the network once, or give a folder that holds config.json and {WEIGHTS}"
        ) from error


def cast(weights: dict[str, np.ndarray], dtype: str) -> dict[str, torch.Tensor]:
    """The arrays as contiguous tensors of that number format.

    Raises:
        ExportError: a number is too large for it.
    """
    tensors = {}
    for name, array in weights.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(DTYPES[dtype])
        if not torch.isfinite(tensor).all():
            raise ExportError(
                f"dtype={dtype!r} cannot hold {name}, whose largest number is {np.abs(array).max():.3g}; "
                f"use bfloat16 or float32"
            )
        tensors[name] = tensor
    return tensors


def write_folder(
    folder: Path,
    texts: dict[str, str],
    weights: dict[str, torch.Tensor],
    description: dict[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write the files beside `folder` and rename: a new folder appears whole or not at all.

    In an earlier export each file is replaced in one step; files that are not an export's stay as they are.

    Raises:
        ExportError: the folder holds something else and `overwrite` is False.
    """
    folder = folder.resolve()
    occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if folder.is_file() or (occupied and not overwrite and not is_export(folder)):
        raise ExportError(f"folder={folder} holds something other than an export; name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(4)}.part")
    part.mkdir()
    try:
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8")
        metadata = {"format": "pt", MARK: json.dumps(description, ensure_ascii=False)}
        save_file(weights, part / WEIGHTS, metadata=metadata)
        shutil.copymode(part / "config.json", part / WEIGHTS)  # safetensors lets only the owner read it
        for path in part.iterdir():  # the bytes must be on the disk before the names point at them
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        if not occupied:
            if folder.exists():
                folder.rmdir()  # empty
            part.replace(folder)
            return folder
        for name in WRITTEN:
            if (part / name).exists():
                (part / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
        return folder
    finally:
        shutil.rmtree(part, ignore_errors=True)


def is_export(folder: Path) -> bool:
    """Whether `write_folder` wrote the weights in this folder."""
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return MARK in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False
