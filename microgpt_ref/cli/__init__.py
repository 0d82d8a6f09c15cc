"""The command `microgpt`: train, sample, eval, finetune, chat, export. Each has a module here.

Its flags are the fields of the command's dataclass.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Union

import tyro

from microgpt_ref.cli.chat import Chat, chat
from microgpt_ref.cli.evaluate import Eval, evaluate
from microgpt_ref.cli.export import Export, export
from microgpt_ref.cli.finetune import Finetune, finetune
from microgpt_ref.cli.sample import Sample, sample
from microgpt_ref.cli.train import Train, train
from microgpt_ref.presets import preset
from microgpt_ref.sampling import decode_stream

__all__ = [
    "Chat",
    "Eval",
    "Export",
    "Finetune",
    "Sample",
    "Train",
    "chat",
    "decode_stream",
    "evaluate",
    "export",
    "finetune",
    "main",
    "parse",
    "sample",
    "train",
]

Command = Train | Sample | Eval | Finetune | Chat | Export


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for bad input, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(parse(arguments), arguments)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"microgpt: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(command: Command, arguments: Sequence[str]) -> int:
    """Do what was asked; `arguments` are the words of the command line, to say how to go on."""
    match command:
        case Train():
            return train(command, arguments)
        case Finetune():
            return finetune(command, arguments)
        case Sample():
            return sample(command)
        case Eval():
            return evaluate(command)
        case Chat():
            return chat(command)
    return export(command)


def parse(arguments: Sequence[str]) -> Command:
    """The command, with the defaults of the preset that the arguments name."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="")
    first.add_argument("--data", default="stories")
    known, _ = first.parse_known_args(list(arguments))
    name = "stories"
    if list(arguments[:1]) == ["train"]:
        name = known.preset or ("stories" if known.data == "stories" else "laptop")
    commands = Union[  # noqa: UP007 (tyro reads the annotations)
        Annotated[Train, tyro.conf.subcommand("train", default=Train(model=preset(name)))],
        Annotated[Sample, tyro.conf.subcommand("sample")],
        Annotated[Eval, tyro.conf.subcommand("eval")],
        Annotated[Finetune, tyro.conf.subcommand("finetune")],
        Annotated[Chat, tyro.conf.subcommand("chat")],
        Annotated[Export, tyro.conf.subcommand("export")],
    ]
    return tyro.cli(
        commands,
        prog="microgpt",
        description="Build, train, fine-tune and use small GPTs.",
        args=arguments,
    )
