"""`microgpt chat`: a conversation in the terminal, several turns long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import tyro

from microgpt_ref.chat import Message, prompt
from microgpt_ref.cli.sample import pieces
from microgpt_ref.sampling import Sampling
from microgpt_ref.tokenizers import CHAT_TOKENS

if TYPE_CHECKING:
    from microgpt_ref.tokenizers import Tokenizer
    from microgpt_ref.torch import GPT

RUN = Path("runs/stories-chat")
END = CHAT_TOKENS[-1]
HELP = """\
/system TEXT      what the assistant should know throughout; without a text: show it
/story            a new story for it to know, if it was tuned on stories
/reset            forget the conversation, and keep what /system said
/temperature 0.5  below 1 keeps to the likely, 0 always takes the likeliest; without a number: show it
/quit             end (so does Ctrl-D; Ctrl-C stops an answer)"""


@dataclass(frozen=True)
class Chat:
    """Talk with a fine-tuned model. /help lists what can be typed besides messages."""

    checkpoint: Path | None = None
    """A .safetensors file or the folder of a run by `microgpt finetune`. None: runs/stories-chat."""
    system: str = ""
    """What the assistant should know throughout."""
    tokens: int = 256
    """How many new tokens an answer has at most."""
    seed: int = 0
    """The same seed, settings and messages give the same answers."""
    sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(
        default_factory=lambda: Sampling(temperature=0.7, top_k=50, top_p=0.92)
    )


def chat(command: Chat) -> int:
    """`microgpt chat`."""
    from microgpt_ref import checkpoint

    path = command.checkpoint or RUN
    if command.checkpoint is None and not RUN.exists():
        raise ValueError(f"there is no model in {RUN} yet; run `microgpt finetune`, or name a --checkpoint")
    saved = checkpoint.load(path)
    tells_stories = saved.training.get("base", {}).get("dataset") == "stories"
    talk = Talk(saved.build_torch(), saved.build_tokenizer(), command, tells_stories)
    print(f"{path}: type a message, or /help.")
    if talk.knows_stories and not command.system:
        print(talk.story())
    for line in typed():
        try:
            for number, piece in enumerate(talk.reply(line)):
                print(piece if number else piece.lstrip(), end="", flush=True)
        except KeyboardInterrupt:
            pass  # the answer so far is part of the conversation
        except ValueError as error:
            print(error, end="")
        print()
        if talk.ended:
            break
    return 0


def typed() -> Iterator[str]:
    """What the user types, line by line, until Ctrl-D or Ctrl-C."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  # arrows and history

    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if line.strip():
            yield line.strip()


class Talk:
    """A conversation as it stands, and what a typed line does to it.

    Args:
        model, tokenizer: a fine-tuned model.
        command: its settings.
        knows_stories: whether the model began as one of the embedded stories, so that /story makes sense.

    Raises:
        ValueError: if the model was not fine-tuned: its tokenizer lacks the chat tokens.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, command: Chat, knows_stories: bool = False) -> None:
        if missing := [token for token in CHAT_TOKENS if token not in tokenizer.special_tokens]:
            raise ValueError(
                f"the model has no {missing[0]} token, so it was never taught to answer; run "
                "`microgpt finetune` on it first"
            )
        self.model, self.tokenizer, self.tokens = model, tokenizer, command.tokens
        self.knows_stories = knows_stories
        self.sampling, self.system = command.sampling, command.system
        self.generator = torch.Generator().manual_seed(command.seed)
        self.turns: list[Message] = []
        self.stories_told = 0
        self.ended = False
        self.commands = {
            "/help": lambda rest: HELP,
            "/system": self.set_system,
            "/story": lambda rest: self.story(),
            "/reset": lambda rest: self.reset(),
            "/temperature": self.set_temperature,
            "/quit": lambda rest: self.quit(),
        }

    def reply(self, line: str) -> Iterator[str]:
        """What a typed line brings, in pieces as they come: an answer, or what a command has to say."""
        word, _, rest = line.partition(" ")
        if line.startswith("/"):
            known = self.commands.get(
                word, lambda rest: f"{word} is not a command; the commands are:\n{HELP}"
            )
            yield known(rest.strip())
            return
        self.turns.append(Message("user", line))
        said = ""
        try:
            ids = self.read()  # a message too long for the context is an error here
            for piece in pieces(
                self.model, self.tokenizer, ids, self.tokens, self.sampling, (END,), self.generator
            ):
                said += piece
                yield piece
        finally:  # even if Ctrl-C cut it short
            if said:
                self.turns.append(Message("assistant", said))
            else:
                self.turns.pop()
        if not said:
            yield "(no answer)"

    def read(self) -> list[int]:
        """The conversation's ids; the oldest turns go from it for good where the context is too short."""
        ids = self.ids(self.turns)
        while len(self.turns) > 1 and self.ids(self.turns[2:]) == ids:
            del self.turns[:2]
        return ids

    def ids(self, turns: list[Message]) -> list[int]:
        """The ids of what the system said and of these turns, the oldest cut where there is no room."""
        context = self.model.config.context
        system = [Message("system", self.system)] if self.system else []
        return prompt([*system, *turns], self.tokenizer, context, min(self.tokens, context // 16))

    def set_system(self, text: str) -> str:
        """`/system`."""
        if not text:
            return self.system or "nothing; type /system and a text"
        self.tokenizer.encode(text)  # an unknown character is an error now, not at the next message
        self.system, self.turns = text, []
        return "noted; the conversation begins anew"

    def story(self) -> str:
        """`/story`: one that no model of the course was trained on."""
        from microgpt_ref import stories

        if not self.knows_stories:
            return "this model was not tuned on the stories; use /system TEXT"
        self.stories_told += 1
        story = stories.generate(self.stories_told, self.generator.initial_seed(), "validation")[-1].strip()
        self.system, self.turns = story, []
        asks = "  ".join(each.question for each in stories.questions_about(story + "\n")[::3])
        return f"{story}\n\nAsk about it, for example: {asks}"

    def reset(self) -> str:
        """`/reset`."""
        self.turns = []
        return "forgotten"

    def set_temperature(self, text: str) -> str:
        """`/temperature`."""
        if text:
            try:
                self.sampling = replace(self.sampling, temperature=float(text))
            except ValueError as error:
                return f"{text!r} is no temperature ({error}); type a number such as 0.7"
        return f"temperature {self.sampling.temperature:g}"

    def quit(self) -> str:
        """`/quit`."""
        self.ended = True
        return "goodbye"
