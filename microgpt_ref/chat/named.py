"""Conversations by name: made of the stories, public ones downloaded once, or your own file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from microgpt_ref import datasets, stories
from microgpt_ref.chat.formats import read_conversations
from microgpt_ref.chat.template import Conversation, Message

NAMES = ("stories", "hh-rlhf", "alpaca")
STORIES = 10_000


class Dialogues(NamedTuple):
    """Conversations in two parts, and what was refused of both. The validation part is never trained on."""

    train: list[Conversation]
    validation: list[Conversation]
    refused: Counter[str]


def story_conversations(
    count: int, seed: int = 0, split: str = "train", turns: int = 1
) -> list[Conversation]:
    """`count` conversations, each about a story of the split, the same on every machine.

    The system message is the story, which thereby stays where older questions are cut; the user asks, and
    the answer is a whole sentence. It begins with a space, as a word within a text does: to BPE " Mara" is
    one token, which the stories have made familiar, and "Mara" another. With one turn the questions are
    those of `stories.questions`, with more those of `stories.quizzes`.
    """
    return [
        (
            Message("system", quiz[0].story.strip()),
            *(
                message
                for each in quiz
                for message in (Message("user", each.question), Message("assistant", f" {each.answer}"))
            ),
        )
        for quiz in stories.quizzes(count, seed, split, turns)
    ]


def load_conversations(
    name_or_path: str | Path,
    *,
    side: str = "chosen",
    count: int = STORIES,
    seed: int = 0,
    turns: int = 1,
) -> Dialogues:
    """The conversations of a name in NAMES, or of a file that `read_conversations` reads.

    hh-rlhf is "harmless-base" with its own split; some of it is offensive. Alpaca (CC BY-NC 4.0) and files
    are split 90 % / 10 %, in order; fewer than ten conversations are all to train on. A name wins over a file
    of the same name; write "./stories" for the file.

    Args:
        side: "chosen" or "rejected", for hh-rlhf.
        count, seed, turns: stories only; `count` to train on, and a tenth of it to validate.

    Raises:
        FileNotFoundError: no such name and no such file.
        ValueError: see `read_conversations`.
        datasets.DownloadError: see `datasets.fetch`.
    """
    name = str(name_or_path)
    if name == "stories":
        parts = ("train", count), ("validation", -(-count // 10))
        train, validation = (story_conversations(n, seed, split, turns) for split, n in parts)
        return Dialogues(train, validation, Counter())
    if name == "hh-rlhf":
        first, second = (
            read_conversations(datasets.fetch(f"hh_rlhf_{part}"), "hh", side) for part in ("train", "test")
        )
        return Dialogues(first.conversations, second.conversations, first.refused + second.refused)
    path = datasets.fetch(name) if name == "alpaca" else Path(name).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"{name!r} is neither a file nor the name of conversations; the names are {', '.join(NAMES)}"
        )
    parsed = read_conversations(path, side=side)
    border = len(parsed.conversations) - len(parsed.conversations) // 10
    return Dialogues(parsed.conversations[:border], parsed.conversations[border:], parsed.refused)
