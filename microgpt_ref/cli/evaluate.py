"""`microgpt eval`: the loss of a trained model on a text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from microgpt_ref.evaluate import Evaluation


@dataclass(frozen=True)
class Eval:
    """Measure a trained model's loss on a whole split."""

    checkpoint: Path | None = None
    """A .safetensors file or the folder of a run. None: the small model that comes with the package."""
    data: str = "stories"
    """stories, tinyshakespeare, or the path of a text file (UTF-8)."""
    split: Literal["train", "validation"] = "validation"
    """Which part of the text."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of a table."""


def evaluate(command: Eval) -> int:
    """`microgpt eval`."""
    from microgpt_ref import checkpoint, datasets
    from microgpt_ref.evaluate import evaluate_split

    model, tokenizer = checkpoint.load_model(command.checkpoint)
    result = evaluate_split(model, tokenizer, datasets.load(command.data), command.split)
    print(json.dumps(result.to_dict(), indent=1) if command.as_json else table(result))
    return 0


def table(result: Evaluation) -> str:
    """The result for people to read."""
    rows = [
        ("tokens", f"{result.tokens:,}"),
        ("loss (nats a token)", f"{result.loss:.4f}"),
        ("perplexity", f"{result.perplexity:.3f}"),
        ("bits a character", f"{result.bits_per_character:.4f}"),
        ("bits a byte", f"{result.bits_per_byte:.4f}"),
    ]
    if result.floor is not None:
        rows.append(("floor (nats a token)", f"{result.floor:.4f}"))
    rows += [
        (f"  {name}", f"{part.loss:.4f}  (floor {part.floor:.4f}, {part.characters:,} characters)")
        for name, part in result.categories.items()
    ]
    return "\n".join(f"{name:<22} {value}" for name, value in rows)
