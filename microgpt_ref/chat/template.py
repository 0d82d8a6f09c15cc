"""What a conversation is, and the one way to write it as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from microgpt_ref.tokenizers import CHAT_TOKENS

USER, END_USER, ASSISTANT, END_ASSISTANT = CHAT_TOKENS
ROLES = ("system", "user", "assistant")
BLANK = "\n\n"  # between a system message and the user's text, and between two messages made one

# The same as `render`, for Hugging Face's `apply_chat_template`. Their tag `generation` marks the tokens on
# which the loss is taken: the answer and the mark that ends it, as in `encode`. Some programs that read such
# templates look for the tag in just this spelling, so it has no minus signs.
CHAT_TEMPLATE = (
    "{%- set note = namespace(text='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}"
    "{%- set note.text = message['content'] + '\\n\\n' if message['content'] else '' -%}"
    "{%- elif message['role'] == 'user' -%}"
    "{{- '<|user|>' + note.text + message['content'] + '<|enduser|>' -}}"
    "{%- set note.text = '' -%}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' -}}"
    "{% generation %}{{- message['content'] + '<|endassistant|>' -}}{% endgeneration %}"
    "{%- else -%}"
    "{{- raise_exception('the role ' + message['role'] + ' is not system, user or assistant') -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


class Message(NamedTuple):
    """One turn. role: "system", "user" or "assistant"."""

    role: str
    text: str


Conversation = tuple[Message, ...]
"""Perhaps a system message, then the user's and the assistant's in turn, the user's first."""


class Refused(ValueError):
    """A conversation that cannot be trained on. `reason`: a few words, the same for all of its kind."""

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or reason)
        self.reason = reason


def exchanges(conversation: Sequence[Message]) -> tuple[str, list[tuple[str, str | None]]]:
    """The system's text ("" without one) and pairs (user's text, answer), the last answer None if it is open.

    Raises ValueError if the messages are not in the order of a Conversation.
    """
    messages = list(conversation)
    system = messages.pop(0).text if messages and messages[0].role == "system" else ""
    for i, message in enumerate(messages):
        expected = ROLES[1 + i % 2]
        if message.role != expected:
            raise ValueError(
                f"message {i} after the system's has the role {message.role!r}, not {expected!r}; after an "
                "optional system message the user and the assistant speak in turn (chat.settle mends it)"
            )
    if not messages:
        raise ValueError("conversation has no message of the user's; give at least Message('user', text)")
    questions: list[str] = [message.text for message in messages[::2]]
    answers: list[str | None] = [message.text for message in messages[1::2]]
    return system, list(zip(questions, [*answers, None], strict=False))


def user_text(system: str, question: str) -> str:
    """What stands between the user's marks: the system's text goes before the first question."""
    return system + BLANK + question if system else question


def render(conversation: Sequence[Message]) -> str:
    """The conversation as text. One that ends with the user's turn ends with "<|enduser|>".

    For people to read: `encode` makes the ids from the parts, so that marks inside a text stay text.
    Raises ValueError if the messages are not in the order of a Conversation.
    """
    system, pairs = exchanges(conversation)
    parts = []
    for i, (question, answer) in enumerate(pairs):
        parts.append(USER + user_text("" if i else system, question) + END_USER)
        if answer is not None:
            parts.append(ASSISTANT + answer + END_ASSISTANT)
    return "".join(parts)


def settle(messages: Iterable[Message]) -> Conversation:
    """A conversation to train on, out of what somebody recorded.

    White space around a text goes. An empty message is left out, and neighbours of one role become one
    message, its texts a blank line apart: somebody who speaks twice has said two paragraphs.

    Raises:
        Refused: an unknown role, a system message in the middle, an empty last answer or none, another first
            speaker than the user, or a text with a lone surrogate.
    """
    settled: list[Message] = []
    last = ""
    for role, text in messages:
        if role not in ROLES:
            raise Refused(f"unknown role {role[:20]!r}")
        last, text = role, text.strip()
        if not text:
            continue
        if settled and settled[-1].role == role:
            settled[-1] = Message(role, settled[-1].text + BLANK + text)
        else:
            settled.append(Message(role, text))
    spoken = [role for role, _ in settled]
    if "system" in spoken[1:]:
        raise Refused("a system message in the middle")
    spoken = [role for role in spoken if role != "system"]
    if spoken[-1:] != ["assistant"]:
        raise Refused("the last answer is empty" if last == "assistant" else "no answer at the end")
    if spoken[0] != "user":
        raise Refused("the first turn is the assistant's")
    if not all(_is_unicode(text) for _, text in settled):
        raise Refused("a lone surrogate, which is not a character")
    return tuple(settled)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
