"""Out: a checkpoint of ours as a folder that transformers' Auto classes load."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from microgpt_ref._arguments import check_parameters
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.hub import gpt2, llama
from microgpt_ref.hub.card import model_card
from microgpt_ref.hub.errors import ExportError
from microgpt_ref.hub.files import DTYPES, cast, write_folder
from microgpt_ref.hub.rewrite import Model
from microgpt_ref.hub.tokens_out import generation_ids, tokenizer_files
from microgpt_ref.parameters import parameter_shapes

FAMILIES: tuple[ModuleType, ...] = (gpt2, llama)


def export(
    checkpoint: Checkpoint,
    folder: str | os.PathLike[str],
    dtype: str = "float32",
    overwrite: bool = False,
) -> Path:
    """Write a folder for `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`.

    The class is GPT-2's for models with LayerNorm, Llama's for models with RMSNorm and rotary positions, and
    Qwen3's if those normalise queries and keys. Same logits (to the rounding of float32), same tokens.

    Args:
        checkpoint: the model; without a tokenizer in it, none is written.
        folder: a new or empty folder, or an earlier export, which is replaced.
        dtype: the number format of the weights, float32, or float16 or bfloat16, which halve the files.
        overwrite: write into a folder that holds other things; files with our names are replaced.

    Returns:
        The folder.

    Raises:
        ExportError: no class can express the model (the message lists every choice in the way), or the
            tokenizer, or `dtype` the numbers; or the folder holds something else.
    """
    if dtype not in DTYPES:
        raise ExportError(f"dtype={dtype!r} is not known; use one of {', '.join(DTYPES)}")
    config = checkpoint.config
    family = family_of(config)
    check_parameters(checkpoint.parameters, parameter_shapes(config))
    weights = cast(family.weights_out(Model(config, checkpoint.parameters)), dtype)
    fields = family.config_out(config)
    texts = {"README.md": model_card(checkpoint, fields, dtype)}
    ids: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if checkpoint.tokenizer:
        tokenizer = checkpoint.build_tokenizer()
        if tokenizer.vocab_size > config.vocab_size:
            raise ExportError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, more than vocab_size={config.vocab_size}; "
                f"export the tokenizer that the model was trained with"
            )
        ids = generation_ids(tokenizer)
        files = tokenizer_files(tokenizer, config.context)
        texts |= {name: _text(content) for name, content in files.items()}
    texts["config.json"] = _text({**fields, **ids, "torch_dtype": dtype, "use_cache": True})
    texts["generation_config.json"] = _text(ids)
    return write_folder(Path(folder), texts, weights, checkpoint.describe(), overwrite)


def family_of(config: GPTConfig) -> ModuleType:
    """The module of the class that can express `config`.

    Raises:
        ExportError: there is none; for each class the message lists every choice in the way.
    """
    found = {family: family.obstacles(config) for family in FAMILIES}
    for family, obstacles in found.items():
        if not obstacles:
            return family
    reasons = "; ".join(f"{family.TITLE}'s: {', '.join(why)}" for family, why in found.items())
    raise ExportError(f"no class of transformers that is known here can express this model. {reasons}")


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
