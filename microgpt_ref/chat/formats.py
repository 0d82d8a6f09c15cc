"""The formats that conversations come in, read into one.

hh: {"chosen": "\\n\\nHuman: …\\n\\nAssistant: …", "rejected": …}       Anthropic's hh-rlhf (Bai et al. 2022)
alpaca: {"instruction": …, "input": …, "output": …}                    Stanford Alpaca (Taori et al. 2023)
        {"prompt": …, "completion": …}                                 HuggingFaceH4/instruction-dataset
messages: {"messages": [{"role": "user", "content": …}, …]}            OpenAI's, and most others' now
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_ref.chat.template import BLANK, Conversation, Message, Refused, settle

FORMATS = ("hh", "alpaca", "messages")
SIDES = ("chosen", "rejected")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
# "Human:" is a speaker at the start of a paragraph only; elsewhere it is text
SPEAKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):(?=\s|\Z)")
GZIP = b"\x1f\x8b"


class Parsed(NamedTuple):
    """The conversations of a file, in its order, and how many were refused for which reason."""

    conversations: list[Conversation]
    refused: Counter[str]


def parse_hh(text: str) -> Conversation:
    """One side of a record of hh-rlhf. Raises Refused as `settle`, or for text before the first speaker."""
    before, *parts = SPEAKER.split(text)
    if before.strip():
        raise Refused("text before the first speaker")
    return settle(Message(SPEAKERS[name], said) for name, said in zip(parts[::2], parts[1::2], strict=True))


def parse_alpaca(record: dict[str, Any]) -> Conversation:
    """One question and answer: instruction, with input a blank line below, and output; or prompt, completion.

    Raises Refused as `settle`, or if a field is missing or is not text.
    """
    if "instruction" in record:
        asked = [_text(record, "instruction"), _text(record, "input") if record.get("input") else ""]
        question, answer = BLANK.join(part.strip() for part in asked if part.strip()), "output"
    else:
        question, answer = _text(record, "prompt"), "completion"
    return settle([Message("user", question), Message("assistant", _text(record, answer))])


def parse_messages(record: dict[str, Any]) -> Conversation:
    """OpenAI's messages. Content may be a list of text parts, which become lines; "developer" means "system".

    Raises Refused as `settle`, or for a message without text (a tool's call, a picture) or another form.
    """
    messages = record.get("messages")
    if not isinstance(messages, list):
        raise Refused("no list of messages")
    return settle([_message(each) for each in messages])


def _message(message: Any) -> Message:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise Refused("a message without a role")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        content = "\n".join(texts) if len(texts) == len(parts) else None
    if message["role"] in ("system", "developer", "user", "assistant") and not isinstance(content, str):
        raise Refused("a message that is not text")
    return Message("system" if message["role"] == "developer" else message["role"], content or "")


def _text(record: dict[str, Any], field: str) -> str:
    if field not in record:
        raise Refused(f"no {field}")
    if not isinstance(record[field], str):
        raise Refused(f"the {field} is not text")
    return record[field]


def read_conversations(path: str | Path, format: str = "auto", side: str = "chosen") -> Parsed:
    """The conversations of a file: JSON lines or one JSON list, plain or gzipped.

    Args:
        format: one of FORMATS, or "auto": what the first record looks like; it holds for the whole file.
        side: hh-rlhf has two conversations a record, the "chosen" one and the "rejected".

    A record that cannot be used is counted in `refused`; a broken file is an error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8, damaged gzip or JSON (the message names the line), no records, no known format.
    """
    for argument, value, known in (("format", format, ("auto", *FORMATS)), ("side", side, SIDES)):
        if value not in known:
            raise ValueError(f"{argument}={value!r} is unknown; use one of {', '.join(known)}")
    conversations: list[Conversation] = []
    refused: Counter[str] = Counter()
    for record in _records(path):
        if format == "auto":
            format = _recognise(record, path)
        try:
            conversations.append(_parse(record, format, side))
        except Refused as error:
            refused[error.reason] += 1
    if not conversations and not refused:
        raise ValueError(f"{path} has no records; give a file of JSON lines or a JSON list")
    return Parsed(conversations, refused)


def _parse(record: Any, format: str, side: str) -> Conversation:
    if not isinstance(record, dict):
        raise Refused("a record that is no JSON object")
    match format:
        case "hh":
            return parse_hh(_text(record, side))
        case "alpaca":
            return parse_alpaca(record)
    return parse_messages(record)


def _recognise(record: Any, path: str | Path) -> str:
    keys = set(record) if isinstance(record, dict) else set()
    for format, needed in (
        ("messages", {"messages"}),
        ("hh", set(SIDES)),
        ("alpaca", {"instruction", "output"}),
        ("alpaca", {"prompt", "completion"}),
    ):
        if needed <= keys:
            return format
    found = ", ".join(sorted(keys)) or f"a JSON {type(record).__name__}"
    raise ValueError(
        f"{path}: the first record ({found[:200]}) is of no known format; give objects with chosen and "
        "rejected, instruction and output, prompt and completion, or messages, or name the format"
    )


def _records(path: str | Path) -> Iterator[Any]:
    """Each record of the file."""
    content = Path(path).expanduser().read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged ({error}); download or compress it again") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start}; convert it to UTF-8") from None
    if text.lstrip()[:1] == "[":
        yield from _json(text, path, 1)
        return
    # not splitlines: U+2028 may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _json(line, path, number)


def _json(text: str, path: str | Path, line: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{path}, line {line}: nested too deeply; mend or remove it") from None
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1}, column {error.colno}"
        raise ValueError(f"{path}, {place}: not JSON ({error.msg}); mend or remove it") from None
