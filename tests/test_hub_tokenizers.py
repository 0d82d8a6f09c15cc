"""Tokenizers in and out: the same ids for the same text on both sides."""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref import hub, stories
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.hub.tokens_in import read_tokenizer
from microgpt_ref.hub.tokens_out import merges_of, tokenizer_files
from microgpt_ref.parameters import initial_parameters
from microgpt_ref.tokenizers import (
    CHAT_TOKENS,
    BPETokenizer,
    CharacterTokenizer,
    Tokenizer,
    gpt2,
    tokenizer_from_dict,
)

transformers = pytest.importorskip("transformers")
fast = pytest.importorskip("tokenizers")

CL100K_LIKE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SOME_TEXT = "".join(stories.generate(12)) + "the rat’s café 1234 … " * 5 + "naïve\r\n\n\t  x" * 5


BUILDERS: dict[str, Callable[[], Tokenizer]] = {
    "characters": lambda: CharacterTokenizer(stories.ALPHABET),
    "characters, chat": lambda: CharacterTokenizer(stories.ALPHABET, CHAT_TOKENS),
    "odd characters": lambda: CharacterTokenizer("a b\n\r\t\x00é\u0301😀漢.,'\u2028"),
    "bpe": lambda: BPETokenizer.train(SOME_TEXT, 320),
    "bpe, special": lambda: BPETokenizer.train(SOME_TEXT, 330, ("<|endoftext|>", *CHAT_TOKENS)),
    "bpe, pattern": lambda: BPETokenizer.train(SOME_TEXT, 320, pattern=CL100K_LIKE),
    "gpt2": lambda: gpt2(chat=True),
}
"""One of each kind, with and without special tokens."""


@functools.cache
def build(kind: str) -> Tokenizer:
    """The tokenizer of that kind; GPT-2's needs its published vocabulary."""
    try:
        return BUILDERS[kind]()
    except ConnectionError:
        pytest.skip("GPT-2's vocabulary is not in TIKTOKEN_CACHE_DIR")


def exported(tokenizer: Tokenizer, folder: Path) -> Path:
    """A tiny model with that tokenizer, as transformers sees it."""
    config = GPTConfig(vocab_size=tokenizer.vocab_size, context=8, d_model=4, n_layer=1, n_head=1)
    parameters = {name: array.astype(np.float32) for name, array in initial_parameters(config).items()}
    return hub.export(Checkpoint(config, parameters, tokenizer.to_dict()), folder, overwrite=True)


@functools.cache
def pair(kind: str) -> tuple[Tokenizer, Any]:
    """Ours, and theirs as the `tokenizers` library runs it."""
    mine = build(kind)
    files = tokenizer_files(mine, 8)
    return mine, fast.Tokenizer.from_str(json.dumps(files["tokenizer.json"]))


def their_ids(theirs: Any, text: str) -> list[int]:
    return theirs.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("kind", BUILDERS)
def test_auto_tokenizer_has_the_same_ids_and_text(kind: str, tmp_path: Path) -> None:
    mine = build(kind)
    theirs = transformers.AutoTokenizer.from_pretrained(exported(mine, tmp_path / "out"))
    assert len(theirs) == mine.vocab_size
    text = (
        " a b\nb ab .. , ' a  \n"
        if "odd" in kind or "char" in kind
        else " It's 12 o'clock…\n\n  naïve 😀\r\n"
    )
    assert theirs(text).input_ids == mine.encode(text)
    assert theirs.decode(mine.encode(text)) == text
    for token, token_id in mine.special_tokens.items():
        assert theirs.convert_tokens_to_ids(token) == token_id
        around = f"a{token} b"
        assert theirs(around).input_ids == mine.encode(around, allow_special=True)
        assert theirs.decode(mine.encode(around, allow_special=True)) == around
        assert theirs.decode([token_id], skip_special_tokens=True) == ""


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if "characters" not in kind])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_text_has_the_same_ids(kind: str, data: st.DataObject) -> None:
    mine, theirs = pair(kind)
    words = st.sampled_from(
        ["the", " the", "  ", "\n", "it's", "’s", "123456", "…", "\u00a0", "\u2003", "'S"]
    )
    pieces = st.lists(st.one_of(words, st.text(max_size=8)), max_size=12)
    text = "".join(data.draw(pieces))
    ids = mine.encode(text)
    assert their_ids(theirs, text) == ids
    assert theirs.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("kind", ["characters", "odd characters"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_characters_have_the_same_ids(kind: str, data: st.DataObject) -> None:
    mine, theirs = pair(kind)
    assert isinstance(mine, CharacterTokenizer)
    text = data.draw(st.text(alphabet=mine.characters, max_size=60))
    ids = mine.encode(text)
    assert their_ids(theirs, text) == ids
    assert theirs.decode(ids) == text


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 319), max_size=12))
def test_any_ids_have_the_same_text(ids: list[int]) -> None:
    """Halves of characters, too."""
    mine, theirs = pair("bpe")
    assert theirs.decode(ids) == mine.decode(ids)


def test_an_unknown_character_is_an_error_on_both_sides() -> None:
    mine, theirs = pair("characters")
    with pytest.raises(ValueError, match="'é'"):
        mine.encode("é")
    with pytest.raises(Exception, match="Missing"):
        theirs.encode("é")


REAL_TEXT = Path(os.environ.get("MICROGPT_DATA", "nowhere")) / "wikitext2_valid.txt"


@pytest.mark.skipif(not REAL_TEXT.is_file(), reason="wikitext is not on this machine")
@pytest.mark.parametrize("kind", ["bpe, pattern", "gpt2"])
def test_real_text_has_the_same_ids(kind: str) -> None:
    mine, theirs = pair(kind)
    text = REAL_TEXT.read_text(encoding="utf-8")[:300_000]
    assert their_ids(theirs, text) == mine.encode(text)


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.lists(st.text(alphabet="ab", min_size=2, max_size=5), unique=True, max_size=12),
    texts=st.lists(st.text(alphabet="ab", max_size=40), min_size=5, max_size=5),
)
def test_any_table_of_tokens_has_the_same_ids(tokens: list[str], texts: list[str]) -> None:
    """Tokens that no training would make, cut in more than one way: here each cut must be a merge."""
    mine = BPETokenizer([bytes([value]) for value in range(256)] + [token.encode() for token in tokens])
    theirs = fast.Tokenizer.from_str(json.dumps(tokenizer_files(mine, 8)["tokenizer.json"]))
    for text in texts:
        assert their_ids(theirs, text) == mine.encode(text)


def test_merges_are_in_the_order_of_what_they_make() -> None:
    mine = build("bpe")
    assert isinstance(mine, BPETokenizer)
    made = [mine.vocabulary.index(left + right) for left, right in merges_of(mine.vocabulary)]
    assert made == sorted(made)
    assert set(made) == set(range(256, 320))


@pytest.mark.parametrize("kind", BUILDERS)
def test_our_own_export_comes_back(kind: str, tmp_path: Path) -> None:
    mine = build(kind)
    again = hub.load(exported(mine, tmp_path / "out")).build_tokenizer()
    assert again.special_tokens == mine.special_tokens
    if isinstance(mine, BPETokenizer):
        assert isinstance(again, BPETokenizer)
        assert (again.vocabulary, again.pattern) == (mine.vocabulary, mine.pattern)
    else:
        assert again.to_dict() == mine.to_dict()


def trained_by_them(text: str) -> Any:
    """A byte-level BPE of 300 ids as the `tokenizers` library trains it, and a special token after them."""
    theirs = fast.ByteLevelBPETokenizer()
    theirs.train_from_iterator([text], vocab_size=300, show_progress=False)
    theirs.add_special_tokens(["<|endoftext|>"])
    return theirs


@pytest.mark.parametrize("as_one_file", [True, False])
def test_their_byte_level_bpe_has_the_same_ids_here(as_one_file: bool, tmp_path: Path) -> None:
    theirs = trained_by_them(SOME_TEXT)
    if as_one_file:
        theirs.save(str(tmp_path / "tokenizer.json"))
    else:
        theirs.save_model(str(tmp_path))
    mine = tokenizer_from_dict(read_tokenizer(tmp_path))
    assert mine.special_tokens == ({"<|endoftext|>": 300} if as_one_file else {})
    text = "the cat’s mat\n\n 12 dogs 😀  naïve"
    assert mine.encode(text) == their_ids(theirs, text)


def test_a_special_token_at_the_end_of_vocab_json(tmp_path: Path) -> None:
    """So it is in OpenAI's own files."""
    trained_by_them(SOME_TEXT).save_model(str(tmp_path))
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps({**vocab, "<|endoftext|>": 300}))
    assert tokenizer_from_dict(read_tokenizer(tmp_path)).special_tokens == {"<|endoftext|>": 300}


def changed(pipeline: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {**pipeline, "model": {**pipeline["model"], **model}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {**p, "normalizer": {"type": "Lowercase"}}, "changes the text before it cuts it"),
        (lambda p: changed(p, type="Unigram"), "'Unigram' model, which is not byte-level BPE"),
        (lambda p: {**p, "pre_tokenizer": {"type": "Whitespace"}}, "not byte-level BPE's"),
        (lambda p: changed(p, merges=p["model"]["merges"][::-1]), "not in the order of its merges"),
        (lambda p: changed(p, vocab={**p["model"]["vocab"], "▁x": 300}), "not byte-level BPE's"),
        (lambda p: changed(p, vocab={**p["model"]["vocab"], "zq": 400}), "without gaps"),
        (lambda p: changed(p, vocab={**p["model"]["vocab"], "zqj": 300}), "merges never make"),
    ],
)
def test_another_kind_is_refused_with_a_way_out(change: Any, message: str, tmp_path: Path) -> None:
    theirs = fast.ByteLevelBPETokenizer()
    theirs.train_from_iterator([SOME_TEXT], vocab_size=300, show_progress=False)
    pipeline = change(json.loads(theirs.to_str()))
    (tmp_path / "tokenizer.json").write_text(json.dumps(pipeline))
    with pytest.raises(hub.HubError, match=message) as caught:
        read_tokenizer(tmp_path)
    assert "load(folder, tokenizer=False) reads the model alone" in str(caught.value)


def test_a_special_token_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(hub.ExportError, match="special token '<é>'"):
        tokenizer_files(BPETokenizer.train(SOME_TEXT, 300, ("<é>",)), 8)


def test_more_tokens_than_the_model_has_rows_is_refused(tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=3, context=8, d_model=4, n_layer=1, n_head=1)
    checkpoint = Checkpoint(config, initial_parameters(config), CharacterTokenizer("abcd").to_dict())
    with pytest.raises(hub.ExportError, match="4 tokens, more than vocab_size=3"):
        hub.export(checkpoint, tmp_path / "out")
