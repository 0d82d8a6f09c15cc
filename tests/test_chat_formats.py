"""Conversations out of files of every format, and what is refused, with its reason."""

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref import chat, datasets
from microgpt_ref.chat import Message, Refused
from microgpt_ref.datasets import RemoteFile


def talk(*texts: str) -> chat.Conversation:
    """The user and the assistant in turn."""
    return tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts))


def reason(parse, record) -> str:
    with pytest.raises(Refused) as refused:
        parse(record)
    return refused.value.reason


# --- hh-rlhf ------------------------------------------------------------------------------------------------

roles = st.sampled_from(["system", "user", "assistant"])
# texts without white space around them and without a paragraph that begins with a speaker
lines = st.text("abH:é.", min_size=1, max_size=9) | st.sampled_from(
    ["Human: no", "say Assistant: no", "a\nb"]
)


@settings(deadline=None)
@given(st.lists(st.tuples(lines, lines), min_size=1, max_size=4))
def test_hh_reads_what_was_written(pairs):
    texts = [text for pair in pairs for text in pair]
    written = "".join(f"\n\n{('Human', 'Assistant')[i % 2]}: {text}" for i, text in enumerate(texts))
    assert chat.parse_hh(written) == talk(*texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\nHuman: a\n\nAssistant: b\n", talk("a", "b")),
        ("Human: a\n\nAssistant: b", talk("a", "b")),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c\n\nAssistant: d", talk("a\n\nb", "c\n\nd")),
        ("\n\nHuman: a\n\nAssistant:\n\nHuman: b\n\nAssistant: c", talk("a\n\nb", "c")),
        ("\n\nHuman: a\n\nAssistant: b\n\nHuman: \n\nAssistant: c", talk("a", "b\n\nc")),
        ("\n\nHuman: a Human: b\nAssistant: c\n\nAssistant: d", talk("a Human: b\nAssistant: c", "d")),
        ("\n\nHuman: a\n\nb\n\nAssistant: c\n\n\n\nd", talk("a\n\nb", "c\n\n\n\nd")),
        ("\n\nHuman: a\n\nHuman:b\n\nAssistant: c", talk("a\n\nHuman:b", "c")),
    ],
)
def test_hh_by_hand(text, expected):
    assert chat.parse_hh(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no answer at the end"),
        ("\n\nHuman: a", "no answer at the end"),
        ("\n\nHuman: a\n\nAssistant: b\n\nHuman: c", "no answer at the end"),
        ("\n\nHuman: a\n\nAssistant:", "the last answer is empty"),
        ("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: ", "the last answer is empty"),
        ("\n\nAssistant: a\n\nHuman: b\n\nAssistant: c", "the first turn is the assistant's"),
        ("\n\nHuman:\n\nAssistant: c", "the first turn is the assistant's"),
        ("Hello\n\nHuman: a\n\nAssistant: b", "text before the first speaker"),
        ("\n\nHuman: \ud800\n\nAssistant: b", "a lone surrogate, which is not a character"),
    ],
)
def test_hh_refusals(text, expected):
    assert reason(chat.parse_hh, text) == expected


@pytest.mark.parametrize(
    ("side", "conversations", "refused"),
    [("chosen", 2308, {"the last answer is empty": 4}), ("rejected", 2312, {})],
)
def test_the_real_conversations_are_parsed_or_refused(side, conversations, refused):
    path = datasets.data_folder() / datasets.FILES["hh_rlhf_test"].filename
    if not path.exists():
        pytest.skip(f"{path.name} is not in MICROGPT_DATA")
    parsed = chat.read_conversations(path, side=side)
    assert len(parsed.conversations) == conversations
    assert parsed.refused == refused
    assert sum(parsed.refused.values()) + conversations == 2312
    # nothing is lost: written back, each is a text of the file but for white space and repeated speakers
    originals = [json.loads(line)[side] for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
    written = {
        "".join(f"\n\n{'Human' if role == 'user' else 'Assistant'}: {text}" for role, text in conversation)
        for conversation in parsed.conversations
    }
    unchanged = sum(text in written for text in originals)
    assert 2280 < unchanged <= conversations


# --- Alpaca and messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"instruction": "Add.", "input": "1 2", "output": "3"}, talk("Add.\n\n1 2", "3")),
        ({"instruction": "Add.", "input": "", "output": "3"}, talk("Add.", "3")),
        ({"instruction": " Add. \n", "input": " ", "output": "3\n"}, talk("Add.", "3")),
        ({"instruction": "", "input": "1", "output": "3"}, talk("1", "3")),
        ({"instruction": "Add.", "output": "3", "input": None}, talk("Add.", "3")),
        ({"prompt": "Add.", "completion": "3", "meta": {"source": 1}}, talk("Add.", "3")),
    ],
)
def test_alpaca(record, expected):
    assert chat.parse_alpaca(record) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"instruction": "Add.", "input": ""}, "no output"),
        ({"instruction": "Add.", "input": "", "output": ""}, "the last answer is empty"),
        ({"instruction": "", "input": "", "output": "3"}, "the first turn is the assistant's"),
        ({"instruction": "Add.", "input": [1], "output": "3"}, "the input is not text"),
        ({"instruction": 3, "output": "3"}, "the instruction is not text"),
        ({"prompt": "Add.", "completion": None}, "the completion is not text"),
        ({}, "no prompt"),
    ],
)
def test_alpaca_refusals(record, expected):
    assert reason(chat.parse_alpaca, record) == expected


def message(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([message("user", "a"), message("assistant", "b")], talk("a", "b")),
        (
            [message("system", "s"), message("user", "a"), message("assistant", "b")],
            (Message("system", "s"), *talk("a", "b")),
        ),
        (
            [
                message("developer", "s"),
                message("system", "t"),
                message("user", "a"),
                message("assistant", "b"),
            ],
            (Message("system", "s\n\nt"), *talk("a", "b")),
        ),
        (
            [
                message("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                message("assistant", ["c"]),
            ],
            talk("a\nb", "c"),
        ),
        ([message("system", " "), message("user", "a"), message("assistant", "b")], talk("a", "b")),
    ],
)
def test_messages(messages, expected):
    assert chat.parse_messages({"messages": messages}) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (None, "no list of messages"),
        ([], "no answer at the end"),
        (["hello"], "a message without a role"),
        ([{"content": "a"}], "a message without a role"),
        ([message("user", "a"), message("assistant", None)], "a message that is not text"),
        (
            [message("user", [{"type": "image_url", "image_url": {}}]), message("assistant", "b")],
            "a message that is not text",
        ),
        ([message("user", "a"), message("tool", "4"), message("assistant", "b")], "unknown role 'tool'"),
        ([message("user", "a"), message("function", None)], "unknown role 'function'"),
        (
            [message("user", "a"), message("assistant", "b"), message("system", "s"), message("user", "c")],
            "a system message in the middle",
        ),
    ],
)
def test_messages_refusals(messages, expected):
    assert reason(chat.parse_messages, {"messages": messages}) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(roles, st.sampled_from(["a", "b", ""])), max_size=7))
def test_what_is_settled_can_be_rendered_and_settling_again_changes_nothing(turns):
    try:
        settled = chat.settle([Message(*turn) for turn in turns])
    except Refused:
        return
    assert chat.settle(settled) == settled
    assert chat.render(settled).endswith("<|endassistant|>")
    assert [text for _, each in settled for text in each.split("\n\n")] == [text for _, text in turns if text]


# --- files --------------------------------------------------------------------------------------------------

HH = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
ALPACA = {"instruction": "a", "input": "", "output": "b\u2028c"}
MESSAGES = {"messages": [message("user", "a"), message("assistant", "b")]}


def json_lines(*records) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


@pytest.mark.parametrize("pressed", [False, True])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json_lines(HH, HH), [talk("a", "b")] * 2),
        (json_lines(ALPACA), [talk("a", "b\u2028c")]),
        (json.dumps([ALPACA, ALPACA], indent=2).encode(), [talk("a", "b\u2028c")] * 2),
        (json_lines({"prompt": "p", "completion": "q"}), [talk("p", "q")]),
        (json_lines(MESSAGES), [talk("a", "b")]),
        (b"\xef\xbb\xbf\r\n" + json_lines(MESSAGES).replace(b"\n", b"\r\n") + b"\n\n", [talk("a", "b")]),
    ],
)
def test_files_are_recognised(tmp_path: Path, content: bytes, expected: list, pressed: bool):
    path = tmp_path / "talks"  # the name says nothing
    path.write_bytes(gzip.compress(content) if pressed else content)
    assert chat.read_conversations(path) == (expected, Counter())
    assert chat.read_conversations(str(path)) == (expected, Counter())


def test_the_side_and_the_format_are_settings(tmp_path: Path):
    path = tmp_path / "talks.jsonl"
    path.write_bytes(json_lines(HH, {"chosen": "x"}, 3, {**HH, "rejected": 4}))
    assert chat.read_conversations(path, side="rejected") == (
        [talk("a", "c")],
        Counter({"no rejected": 1, "a record that is no JSON object": 1, "the rejected is not text": 1}),
    )
    assert chat.read_conversations(path, format="messages").refused == {
        "no list of messages": 3,
        "a record that is no JSON object": 1,
    }
    with pytest.raises(ValueError, match="side='best' is unknown; use one of chosen, rejected"):
        chat.read_conversations(path, side="best")
    with pytest.raises(ValueError, match="format='csv' is unknown; use one of auto, hh, alpaca, messages"):
        chat.read_conversations(path, format="csv")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "has no records"),
        (b" \n\n", "has no records"),
        (b"[]", "has no records"),
        (json_lines(MESSAGES) + b"\n{broken\n", r"line 3, column 2: not JSON \("),
        (json_lines(MESSAGES, MESSAGES)[:-9], "line 2, column"),
        (b'[\n{"instruction": "a"},\n{]', "line 3, column 2: not JSON"),
        (b"[" * 100_000, "line 1: nested too deeply"),
        (b'{"a": ' + b"[" * 100_000, "line 1: nested too deeply"),
        (json_lines({"text": "a", "id": 3}), r"the first record \(id, text\) is of no known format"),
        (json_lines("a"), r"the first record \(a JSON str\) is of no known format"),
        (b'{"a": "caf\xe9"}', "is not UTF-8 text: byte 10"),
        (gzip.compress(json_lines(MESSAGES) * 99)[:-20], "is damaged"),
        (b"\x1f\x8b nonsense", "is damaged"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, content: bytes, error: str):
    path = tmp_path / "talks.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=error) as caught:
        chat.read_conversations(path)
    assert str(path) in str(caught.value)


# --- names --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small files under the public names."""
    monkeypatch.setenv("MICROGPT_DATA", str(tmp_path))
    contents = {
        "hh_rlhf_train": gzip.compress(json_lines(HH, HH, {"chosen": "", "rejected": ""})),
        "hh_rlhf_test": gzip.compress(json_lines(HH, {"chosen": "", "rejected": ""})),
        "alpaca": json.dumps([{**ALPACA, "output": str(i)} for i in range(20)]).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        file = RemoteFile(name, "https://no.invalid", hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(datasets.FILES, name, file)
    return tmp_path


def test_public_conversations_by_name(folder: Path):
    hh = chat.load_conversations("hh-rlhf", side="rejected")
    assert hh == ([talk("a", "c")] * 2, [talk("a", "c")], Counter({"no answer at the end": 2}))
    alpaca = chat.load_conversations("alpaca")
    assert [each[1].text for each in alpaca.train + alpaca.validation] == [str(i) for i in range(20)]
    assert len(alpaca.validation) == 2


def test_stories_by_name_share_nothing():
    train, validation, refused = chat.load_conversations("stories", count=25, seed=2, turns=3)
    assert train == chat.story_conversations(25, 2, "train", 3)
    assert validation == chat.story_conversations(3, 2, "validation", 3)
    assert not refused


def test_a_file_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "talks.jsonl").write_bytes(json_lines(*[MESSAGES] * 10))
    for path in (tmp_path / "talks.jsonl", "~/talks.jsonl"):
        train, validation, _ = chat.load_conversations(path)
        assert (len(train), len(validation)) == (9, 1)
    (tmp_path / "few.jsonl").write_bytes(json_lines(*[MESSAGES] * 9))
    assert [len(part) for part in chat.load_conversations(tmp_path / "few.jsonl")[:2]] == [9, 0]
    with pytest.raises(FileNotFoundError, match="'alpacas' is neither a file nor the name of conversations"):
        chat.load_conversations("alpacas")
