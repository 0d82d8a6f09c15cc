"""`microgpt export`: a trained model as a folder for other libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Export:
    """Write a trained model as a folder that Hugging Face's transformers loads."""

    out: Path
    """Folder to write; an earlier export in it is replaced only with --overwrite."""
    checkpoint: Path | None = None
    """A .safetensors file or the folder of a run. None: the small model that comes with the package."""
    to: Literal["huggingface"] = "huggingface"
    """The format: config.json, model.safetensors and the tokenizer's files."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the weights; the last two halve the file."""
    overwrite: bool = False
    """Replace an earlier export."""


def export(command: Export) -> int:
    """`microgpt export`."""
    from microgpt_ref import checkpoint, hub

    model = checkpoint.load(command.checkpoint or checkpoint.shipped())
    folder = hub.export(model, command.out, command.dtype, command.overwrite)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB in {command.dtype}")
    print(f'Load it with: AutoModelForCausalLM.from_pretrained("{folder}")')
    return 0
