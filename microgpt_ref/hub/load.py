"""In: a model that transformers wrote, as a checkpoint of ours."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from microgpt_ref._arguments import check_parameters
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.hub import gpt2, llama
from microgpt_ref.hub.errors import HubError
from microgpt_ref.hub.files import download, read_json, read_weights
from microgpt_ref.hub.tokens_in import read_tokenizer
from microgpt_ref.parameters import parameter_shapes

FAMILIES: dict[str, ModuleType] = {"gpt2": gpt2, "llama": llama}


def load(name_or_folder: str | os.PathLike[str], tokenizer: bool = True) -> Checkpoint:
    """A model of GPT-2's or Llama's class: a published GPT-2 by name, or a folder.

    The folder is one that transformers' `save_pretrained` or our `export` wrote: config.json, weights as
    safetensors (or a pytorch_model.bin that holds nothing but tensors), and a tokenizer.

    Args:
        name_or_folder: gpt2, gpt2-medium, gpt2-large or gpt2-xl, or a path.
        tokenizer: whether to read the tokenizer too; a folder without one gives a checkpoint without one.

    Raises:
        HubError: the model or its tokenizer has a choice that ours cannot express, or the files are damaged.
        ConnectionError: a name whose files can neither be found in the cache nor downloaded.
    """
    if str(name_or_folder) in gpt2.SIZES and not Path(name_or_folder).exists():
        return _published(str(name_or_folder), tokenizer)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise HubError(
            f"name_or_folder={str(name_or_folder)!r} is neither a folder nor one of {', '.join(gpt2.SIZES)}"
        )
    fields = read_json(folder / "config.json")
    config, family = _config(folder, fields)
    description = read_tokenizer(folder) if tokenizer else {}
    return _checkpoint(folder, family, config, description)


def load_gpt2(name_or_folder: str | os.PathLike[str], tokenizer: bool = True) -> Checkpoint:
    """`load`, for GPT-2's class only.

    Raises:
        HubError: it is another class; and as `load`.
    """
    folder = Path(name_or_folder)
    if folder.is_dir() and (kind := read_json(folder / "config.json").get("model_type")) != "gpt2":
        raise HubError(f"{folder} has model_type={kind!r}, not 'gpt2'; use load, which takes llama too")
    return load(name_or_folder, tokenizer)


def _published(name: str, tokenizer: bool) -> Checkpoint:
    folder = download(gpt2.REPOSITORY.format(name=name))
    config = gpt2.SIZES[name]
    found = gpt2.config_in(read_json(folder / "config.json"))
    if found != config:
        raise HubError(f"{folder} does not hold {name}: its configuration is another; empty the hub's cache")
    return _checkpoint(folder, gpt2, config, {"kind": "gpt2", "chat": False} if tokenizer else {})


def _config(folder: Path, fields: dict[str, Any]) -> tuple[GPTConfig, ModuleType]:
    kind = fields.get("model_type")
    if kind not in FAMILIES:
        raise HubError(f"{folder} has model_type={kind!r}; use a model of one of {', '.join(FAMILIES)}")
    try:
        return FAMILIES[kind].config_in(fields), FAMILIES[kind]
    except KeyError as error:
        raise HubError(f"{folder / 'config.json'} has no {error}; save the model again") from None


def _checkpoint(folder: Path, family: ModuleType, config: GPTConfig, tokenizer: dict[str, Any]) -> Checkpoint:
    parameters = family.weights_in(read_weights(folder), config)
    try:
        check_parameters(parameters, parameter_shapes(config))
    except ValueError as error:
        raise HubError(f"the weights in {folder} are not those of its config.json: {error}") from None
    return Checkpoint(config, parameters, tokenizer, training={"source": str(folder.name)})
