"""`microgpt finetune`: a trained model learns to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from microgpt_ref.cli.train import finished, refuse_a_second_run, resume
from microgpt_ref.lora import LoRAConfig
from microgpt_ref.torch.finetune import FinetuneConfig

if TYPE_CHECKING:
    from microgpt_ref.chat import Dialogues
    from microgpt_ref.checkpoint import Checkpoint
    from microgpt_ref.torch.finetune import Finetuner

UNSEEN = 200  # questions asked after the run
TOLD = 30  # stories whose loss is compared


@dataclass(frozen=True)
class Finetune:
    """Teach a trained model to answer, with LoRA or with all its weights.

    Without any flag: questions about the embedded stories, the small model that comes with the package, LoRA,
    a few minutes on a laptop.
    """

    data: str = "stories"
    """stories, hh-rlhf, alpaca, or a file of JSON lines with messages, instruction and output, prompt and
    completion, or chosen and rejected."""
    checkpoint: str = ""
    """What to begin with: a .safetensors file, the folder of a run, gpt2 (or gpt2-medium, -large, -xl), or
    the folder of a Hugging Face model. Empty: the small model that comes with the package."""
    side: Literal["chosen", "rejected"] = "chosen"
    """Which conversation of each pair, with hh-rlhf."""
    conversations: int = 5000
    """How many conversations to train on, with stories."""
    turns: int = 10
    """How many questions about each story, at most."""
    replay_data: str | None = None
    """Text of the kind that the model was trained on, mixed in so that it is not forgotten: stories,
    tinyshakespeare, wikitext2 or the path of a text file; none for no such text. None: what the model was
    trained on where that is the stories, else nothing."""
    out: Path | None = None
    """Folder of the run. None: runs/DATA-chat."""
    resume: bool = False
    """Go on with the run in that folder, with the same settings."""
    lora: Annotated[LoRAConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: LoRAConfig(rank=16, alpha=16)
    )
    recipe: Annotated[FinetuneConfig, tyro.conf.arg(name="")] = field(default_factory=FinetuneConfig)


def finetune(command: Finetune, arguments: Sequence[str]) -> int:
    """`microgpt finetune`."""
    from microgpt_ref.torch.finetune import Finetuner
    from microgpt_ref.torch.lora import trainable_parameters

    out = command.out or Path("runs") / f"{Path(command.data).name.split('.')[0]}-chat"
    refuse_a_second_run(out, command.resume)
    base = open_base(command.checkpoint)
    dialogues = open_dialogues(command)
    tuner = Finetuner(base, command.recipe, command.lora, dialogues, replay_text(command, base), out)
    if command.resume:
        resume(tuner, out)
    trained = trainable_parameters(tuner.model)
    every = sum(parameter.numel() for parameter in tuner.model.parameters())
    print(
        f"{command.recipe.method}: {trained:,} of {every:,} parameters are trained, on {tuner.device.type}; "
        f"{len(dialogues.train):,} conversations; step {tuner.step} of {command.recipe.steps}"
    )
    for reason, count in tuner.refused.most_common():
        print(f"left out: {count:,} conversations ({reason})")
    if not finished(tuner, out, arguments):
        return 130
    print(
        f"loss on the answers {tuner.history[-1]['validation']['loss']:.4f} nats a token; best "
        f"{tuner.best:.4f}, kept in {out / 'best.safetensors'}; {tuner.seconds:.0f} s of training"
    )
    if command.data == "stories":
        print_what_it_can(tuner, out)
    print(f"Talk to it: microgpt chat --checkpoint {out}")
    return 0


def open_base(name: str) -> Checkpoint:
    """The checkpoint to begin with: ours, or one of Hugging Face's by name or folder."""
    from microgpt_ref import checkpoint, hub

    if not name:
        return checkpoint.load(checkpoint.shipped("reader"))
    if name in hub.SIZES or (Path(name) / "config.json").is_file():
        return hub.load(name)
    return checkpoint.load(name)


def open_dialogues(command: Finetune) -> Dialogues:
    """The conversations that the flags ask for."""
    from microgpt_ref.chat import load_conversations

    if command.data == "stories":
        return load_conversations(
            "stories", count=command.conversations, seed=command.recipe.seed, turns=command.turns
        )
    return load_conversations(command.data, side=command.side)


def replay_text(command: Finetune, base: Checkpoint) -> str:
    """The text to mix in; "" for none."""
    from microgpt_ref import datasets

    name = command.replay_data
    if name is None:
        name = "stories" if base.training.get("dataset") == "stories" else "none"
    return "" if name == "none" or not command.recipe.replay else datasets.load(name).train


def print_what_it_can(tuner: Finetuner, out: Path) -> None:
    """Unseen questions answered, and whether stories are still told as well as before."""
    from microgpt_ref import checkpoint, stories
    from microgpt_ref.evaluate import evaluate
    from microgpt_ref.torch.answers import ask, exact_match

    model, tokenizer = checkpoint.load_model(out)
    questions = stories.questions(UNSEEN, tuner.config.seed, "validation")
    share = exact_match(questions, ask(model, tokenizer, questions))["all"]
    print(f"{share:.1%} of {UNSEEN} questions about unseen stories answered right, letter for letter")
    text = "".join(stories.generate(TOLD, tuner.config.seed, "validation"))
    before, after = (
        evaluate(each, cut, text, stories=True).bits_per_character
        for each, cut in ((tuner.base.build_torch(), tuner.base.build_tokenizer()), (model, tokenizer))
    )
    print(f"loss on stories {before:.4f} before, {after:.4f} after, in bits a character")
