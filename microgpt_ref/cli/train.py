"""`microgpt train`: train a GPT on text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import PRESETS, preset
from microgpt_ref.torch.train import TrainConfig

if TYPE_CHECKING:
    from microgpt_ref.tokenizers import Tokenizer
    from microgpt_ref.torch.train import Trainer


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


def train(command: Train, arguments: Sequence[str]) -> int:
    """`microgpt train`."""
    from microgpt_ref import datasets
    from microgpt_ref.torch.train import Trainer

    name = command.preset or ("stories" if command.data == "stories" else "laptop")
    out = command.out or Path("runs") / f"{Path(command.data).stem}-{name}"
    refuse_a_second_run(out, command.resume)
    if command.model.vocab_size != preset(name).vocab_size:
        raise ValueError(
            f"vocab_size={command.model.vocab_size} cannot be chosen: it is the tokenizer's; for BPE use "
            f"--tokenizer bpe --bpe-vocab-size {command.model.vocab_size}"
        )
    dataset = datasets.load(command.data)
    tokenizer = build_tokenizer(command, dataset)
    model_config = command.model.replace(vocab_size=tokenizer.vocab_size)
    trainer = Trainer(model_config, command.recipe, dataset, tokenizer, out)
    if command.resume:
        resume(trainer, out)
    count = sum(p.numel() for p in trainer.model.parameters())
    print(
        f"{name}: {count:,} parameters on {trainer.device.type} ({str(trainer.format.dtype)[6:]}); "
        f"{len(trainer.train_ids):,} training tokens of {dataset.name}; step {trainer.step} of "
        f"{command.recipe.steps}"
    )
    if not finished(trainer, out, arguments):
        return 130
    best = next(line["validation"] for line in reversed(trainer.history) if "validation" in line)
    print(
        f"validation loss {best['loss']:.4f} nats a token, {best['bits_per_character']:.4f} bits a character"
    )
    print(f"best {trainer.best:.4f}, kept in {out / 'best.safetensors'}; {trainer.seconds:.0f} s of training")
    print(trainer.health())
    print(f"Try it: microgpt sample --checkpoint {out}")
    return 0


def refuse_a_second_run(out: Path, resuming: bool) -> None:
    """Raise ValueError rather than write over a run."""
    if (out / "last.safetensors").exists() and not resuming:
        raise ValueError(
            f"out={out} already holds a run; add --resume to go on with it, or name another --out"
        )


def resume(trainer: Trainer, out: Path) -> None:
    """Go on from the run's last checkpoint; ValueError where there is none."""
    if not trainer.resume():
        raise ValueError(f"out={out} holds no run to resume; leave --resume away to begin one")


def finished(trainer: Trainer, out: Path, arguments: Sequence[str]) -> bool:
    """Train to the end; after Ctrl-C say how to go on, and return False."""
    try:
        trainer.run()
    except KeyboardInterrupt:
        again = " ".join([*(a for a in arguments if a != "--resume"), "--resume"])
        print(f"\nStopped after step {trainer.step}; saved in {out}. Go on with: microgpt {again}")
        return False
    return True


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
