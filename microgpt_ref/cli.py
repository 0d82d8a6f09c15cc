"""The command `microgpt`: train, sample, eval. Its flags are the fields of the dataclasses below."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import tyro

from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS, preset
from microgpt_ref.torch.train import TrainConfig

if TYPE_CHECKING:
    from microgpt_ref.evaluate import Evaluation
    from microgpt_ref.tokenizers import Tokenizer


@dataclass(frozen=True)
class Train:
    """Train a GPT on text, and keep the best checkpoint and a log.

    Without any flag: the embedded stories, a small modern GPT, a few minutes on a laptop.
    """

    data: str = "stories"
    """stories, tinyshakespeare, or the path of a text file (UTF-8)."""
    preset: str = ""
    """Architecture to start from; the flags under "model options" change it. Empty: stories for the stories,
    laptop for other text."""
    tokenizer: Literal["characters", "bpe", "gpt2"] = "characters"
    """How the text is cut: characters, byte-level BPE trained on the text, or GPT-2's vocabulary."""
    bpe_vocab_size: int = 1000
    """Vocabulary of --tokenizer bpe."""
    out: Path | None = None
    """Folder of the run. None: runs/DATA-PRESET."""
    resume: bool = False
    """Go on with the run in that folder, with the same settings."""
    model: Annotated[GPTConfig, tyro.conf.arg(name="")] = field(default_factory=lambda: PRESETS["stories"])
    recipe: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: TrainConfig(measure_peak=True)
    )


@dataclass(frozen=True)
class Sample:
    """Continue a prompt with a trained model."""

    checkpoint: Path | None = None
    """A .safetensors file or the folder of a run. None: the small model that comes with the package."""
    prompt: str = "\n"
    """Text to continue; a newline begins a new story."""
    tokens: int = 400
    """How many new tokens."""
    temperature: float = 0.8
    """Below 1 keeps to the likely, above 1 dares more, 0 always takes the likeliest."""
    top_k: int | None = None
    """Choose among the k likeliest tokens only."""
    seed: int = 0
    """The same seed gives the same text."""


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for bad input, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = parse(arguments)
        if isinstance(command, Train):
            return train(command, arguments)
        return sample(command) if isinstance(command, Sample) else evaluate(command)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"microgpt: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(arguments: Sequence[str]) -> Train | Sample | Eval:
    """The command, with the defaults of the preset that the arguments name."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="")
    first.add_argument("--data", default="stories")
    known, _ = first.parse_known_args(list(arguments))
    name = known.preset or ("stories" if known.data == "stories" else "laptop")
    commands = Union[  # noqa: UP007 (tyro reads the annotations)
        Annotated[Train, tyro.conf.subcommand("train", default=Train(model=preset(name)))],
        Annotated[Sample, tyro.conf.subcommand("sample")],
        Annotated[Eval, tyro.conf.subcommand("eval")],
    ]
    return tyro.cli(
        commands,
        prog="microgpt",
        description="Build, train and sample small GPTs.",
        args=arguments,
    )


def train(command: Train, arguments: Sequence[str]) -> int:
    """`microgpt train`."""
    from microgpt_ref import datasets
    from microgpt_ref.torch.train import Trainer

    name = command.preset or ("stories" if command.data == "stories" else "laptop")
    out = command.out or Path("runs") / f"{Path(command.data).stem}-{name}"
    if (out / "last.safetensors").exists() and not command.resume:
        raise ValueError(
            f"out={out} already holds a run; add --resume to go on with it, or name another --out"
        )
    if command.model.vocab_size != preset(name).vocab_size:
        raise ValueError(
            f"vocab_size={command.model.vocab_size} cannot be chosen: it is the tokenizer's; for BPE use "
            f"--tokenizer bpe --bpe-vocab-size {command.model.vocab_size}"
        )
    dataset = datasets.load(command.data)
    tokenizer = build_tokenizer(command, dataset)
    model_config = command.model.replace(vocab_size=tokenizer.vocab_size)
    trainer = Trainer(model_config, command.recipe, dataset, tokenizer, out)
    if command.resume and not trainer.resume():
        raise ValueError(f"out={out} holds no run to resume; leave --resume away to begin one")
    count = sum(p.numel() for p in trainer.model.parameters())
    print(
        f"{name}: {count:,} parameters on {trainer.device.type} ({str(trainer.format.dtype)[6:]}); "
        f"{len(trainer.train_ids):,} training tokens of {dataset.name}; step {trainer.step} of "
        f"{command.recipe.steps}"
    )
    try:
        trainer.run()
    except KeyboardInterrupt:
        again = " ".join([*(a for a in arguments if a != "--resume"), "--resume"])
        print(f"\nStopped after step {trainer.step}; saved in {out}. Go on with: microgpt {again}")
        return 130
    best = next(line["validation"] for line in reversed(trainer.history) if "validation" in line)
    print(
        f"validation loss {best['loss']:.4f} nats a token, {best['bits_per_character']:.4f} bits a character"
    )
    print(f"best {trainer.best:.4f}, kept in {out / 'best.safetensors'}; {trainer.seconds:.0f} s of training")
    print(trainer.health())
    print(f"Try it: microgpt sample --checkpoint {out}")
    return 0


def build_tokenizer(command: Train, dataset: Any) -> Tokenizer:
    """The tokenizer that the flags ask for."""
    from microgpt_ref import tokenizers

    if command.tokenizer == "gpt2":
        return tokenizers.gpt2()
    if command.tokenizer == "bpe":
        return tokenizers.BPETokenizer.train(dataset.train, command.bpe_vocab_size)
    if dataset.name == "stories":
        from microgpt_ref import stories

        return tokenizers.CharacterTokenizer(stories.ALPHABET)
    return tokenizers.CharacterTokenizer.from_text(dataset.train + dataset.validation)


def sample(command: Sample) -> int:
    """`microgpt sample`."""
    import torch

    from microgpt_ref import checkpoint
    from microgpt_ref.torch.sample import stream

    model, tokenizer = checkpoint.load_model(command.checkpoint)
    prompt = torch.tensor([tokenizer.encode(command.prompt)], dtype=torch.int64)  # (1, T)
    generator = torch.Generator().manual_seed(command.seed)
    steps = stream(model, prompt, command.tokens, command.temperature, command.top_k, generator)
    print(command.prompt.lstrip("\n"), end="")
    for piece in decode_stream(tokenizer, (int(token) for token in steps)):
        print(piece, end="", flush=True)
    print()
    return 0


def decode_stream(tokenizer: Tokenizer, ids: Iterator[int]) -> Iterator[str]:
    """The text as it grows; a character that several tokens make up waits until it is whole."""
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        if not text.endswith("\ufffd"):
            yield text
            waiting = []
    if waiting:
        yield tokenizer.decode(waiting)


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


if __name__ == "__main__":
    sys.exit(main())
