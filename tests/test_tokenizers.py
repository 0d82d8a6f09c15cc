"""The tokenizers against hand-worked examples, against tiktoken, and against Hugging Face's own BPE."""

import base64
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import regex
import tiktoken
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref import _bpe, tokenizers
from microgpt_ref.tokenizers import CHAT_TOKENS, BPETokenizer, CharacterTokenizer, tokenizer_from_dict

SAMPLE = (
    "The lamp was lit, and the old lamp-keeper's boat came home. It's 7 o'clock; they're late!\n\n"
    "  Der Leuchtturm blinkt über dem Hafen. Маяк мигает над гаванью. 灯台は港の上で光る。\t½ 🏮🏮 👩‍🚀\r\n"
) * 3
DATA = Path(os.environ.get("MICROGPT_DATA") or "no-data-folder")
GPT2_CACHE = Path(os.environ.get("TIKTOKEN_CACHE_DIR") or "no-cache")
GPT2_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"

# Text that reaches the seams of the pattern and of UTF-8, besides hypothesis's own text.
seams = st.lists(
    st.sampled_from(
        [
            *" \n\t\r\0'.7½éя中ा́🏮",
            "'s",
            "'LL",
            "e\u0301",
            "👩‍🚀",
            "\u200d",
            "\ufeff",
            "\x1c",
            "\x85",
            "\u3000",
            "the",
            "<|",
        ]
    )
    | st.characters(exclude_categories=["Cs"]),
    max_size=40,
).map("".join)
texts = st.text(max_size=60) | seams
# Without code points that Python does not know: see the test of both pattern matchers.
known_texts = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60) | seams.filter(
    lambda text: all(unicodedata.category(character) != "Cn" for character in text)
)


@functools.cache
def gpt2_or_skip(chat: bool = False) -> tokenizers.GPT2Tokenizer:
    if not (GPT2_CACHE / hashlib.sha1(f"{GPT2_URL}vocab.bpe".encode()).hexdigest()).exists():
        pytest.skip("GPT-2's vocabulary is not in TIKTOKEN_CACHE_DIR")
    return tokenizers.gpt2(chat)


def data_or_skip(filename: str) -> str:
    if not (DATA / filename).exists():
        pytest.skip(f"{filename} is not in MICROGPT_DATA")
    return (DATA / filename).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained() -> BPETokenizer:
    return BPETokenizer.train(SAMPLE, 330, CHAT_TOKENS)


@pytest.fixture(scope="module", params=["characters", "bpe", "gpt2", "gpt2-chat"])
def any_tokenizer(request: pytest.FixtureRequest, trained: BPETokenizer):
    if request.param == "characters":
        return CharacterTokenizer.from_text(SAMPLE + "<|>abcdefghijklmnopqrstuvwxyz", CHAT_TOKENS)
    return trained if request.param == "bpe" else gpt2_or_skip(chat=request.param == "gpt2-chat")


# --- byte-pair encoding: training ---------------------------------------------------------------------------


def test_merges_of_an_example_worked_by_hand():
    """aaab d aaab ac: "aa" occurs 4 times (overlaps count); then "ab" ties with "aa" + "a" and is smaller."""
    vocabulary = _bpe.train_plain("aaabdaaabac", 259)
    assert vocabulary[:256] == [bytes([value]) for value in range(256)]
    assert vocabulary[256:] == [b"aa", b"ab", b"aaab"]
    tokenizer = BPETokenizer(vocabulary)
    assert tokenizer.encode_plain("aaabdaaabac") == [258, ord("d"), 258, ord("a"), ord("c")]


def test_count_and_merge_on_overlaps():
    assert _bpe.count_pairs([[1, 1, 1], [1, 2]]) == {(1, 1): 2, (1, 2): 1}
    assert _bpe.merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]
    assert _bpe.merge([2, 1, 2, 1, 2], (2, 1), 9) == [9, 9, 2]
    assert _bpe.merge([], (1, 1), 9) == []


def test_ties_go_to_the_smaller_ids():
    """Each pair occurs twice; the order of the text must not matter."""
    for text in ("zy zy ab ab ac ac", "ac ac zy ab zy ab", "ab zy ac ab ac zy"):
        words = text.split()
        for train in (_bpe.train_plain, _bpe.train_fast):
            # a word a chunk, without its space
            assert train(text, 259, pattern=r"\w+| ")[256:] == [b"ab", b"ac", b"zy"], (train, words)


def test_pairs_do_not_cross_chunks():
    """ "t h" is the commonest pair of bytes across the words, but no merge may join two chunks."""
    vocabulary = _bpe.train_fast("at hat hat hat hen", 258)
    assert b"t h" not in vocabulary
    assert all(len(_bpe.split(token.decode())) == 1 for token in vocabulary[256:])


@settings(max_examples=300, deadline=None)
@given(st.text("ab", max_size=200) | st.text("abc ", max_size=120) | texts, st.integers(256, 290))
def test_fast_training_equals_plain_training(text: str, vocab_size: int):
    def outcome(train):
        try:
            return train(text, vocab_size)
        except ValueError as error:
            return str(error)

    plain = outcome(_bpe.train_plain)
    assert outcome(_bpe.train_fast) == plain
    if isinstance(plain, list):
        assert len(set(plain)) == vocab_size  # tiktoken's format knows a token by its bytes


def test_fast_training_equals_plain_training_on_prose():
    text = data_or_skip("wikitext2_valid.txt")[:6_000]
    assert _bpe.train_fast(text, 360) == _bpe.train_plain(text, 360)


@settings(max_examples=200, deadline=None)
@given(st.text("ab", max_size=100) | st.text("abc '", max_size=100) | known_texts)
def test_encoding_the_training_text_replays_the_merges(text: str):
    """Joining by rank must end where training itself ended, chunk by chunk."""
    vocabulary = [bytes([value]) for value in range(256)]
    chunks = [list(chunk.encode()) for chunk in _bpe.split(text)]
    for _ in range(20):
        counts = _bpe.count_pairs(chunks)
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        chunks = [_bpe.merge(ids, pair, len(vocabulary)) for ids in chunks]
        vocabulary.append(vocabulary[pair[0]] + vocabulary[pair[1]])
    tokenizer = BPETokenizer(vocabulary)
    expected = [token_id for ids in chunks for token_id in ids]
    assert tokenizer.encode_plain(text) == expected
    assert tokenizer.encode(text) == expected


def test_training_is_deterministic_across_hash_seeds():
    code = (
        "import hashlib; from microgpt_ref.tokenizers import BPETokenizer\n"
        "text = 'the lamp the boat the rope a boat a lamp on the boat ' * 3\n"
        "print(hashlib.sha256(repr(BPETokenizer.train(text, 270).vocabulary).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_one_megabyte_to_a_thousand_merges_in_time():
    text = data_or_skip("tinyshakespeare.txt")
    started = time.process_time()
    vocabulary = _bpe.train_fast(text, 1256)
    assert time.process_time() - started < 30  # about 0.7 s on one core
    assert len(set(vocabulary)) == 1256
    assert vocabulary[256:260] == [b" t", b"he", b" a", b"ou"]


@pytest.mark.parametrize(
    ("text", "vocab_size", "message"),
    [
        ("abab", 255, "vocab_size=255 is too small.*use 256 or more"),
        ("ab", 257, "vocab_size=257 cannot be reached: after 256 tokens"),
        ("abab", 300, "after 257 tokens .* use vocab_size=257 or less"),
        ("", 257, "cannot be reached"),
    ],
)
def test_impossible_vocabulary_sizes(text: str, vocab_size: int, message: str):
    for train in (_bpe.train_plain, _bpe.train_fast, BPETokenizer.train):
        with pytest.raises(ValueError, match=message):
            train(text, vocab_size)


def test_a_pattern_that_loses_text_is_refused():
    with pytest.raises(ValueError, match="leaves out part of the text"):
        _bpe.train_fast("one two", 256, pattern=r"\w+")


def test_vocab_size_counts_the_special_tokens(trained: BPETokenizer):
    assert trained.vocab_size == 330
    assert len(trained.vocabulary) == 326
    assert trained.special_tokens == dict(zip(CHAT_TOKENS, range(326, 330), strict=True))


# --- the same ids as others ---------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(text=known_texts)
def test_plain_encoding_equals_tiktoken(trained: BPETokenizer, text: str):
    ids = trained.encode_plain(text)
    assert ids == trained.encode(text) == trained.encoding.encode_ordinary(text)
    assert b"".join(map(trained.token_bytes, ids)) == text.encode()


@settings(max_examples=500, deadline=None)
@given(text=known_texts)
def test_plain_encoding_equals_tiktokens_gpt2(text: str):
    gpt2 = gpt2_or_skip()
    assert gpt2.encode_plain(text) == tiktoken.get_encoding("gpt2").encode_ordinary(text) == gpt2.encode(text)


@pytest.mark.slow
def test_both_pattern_matchers_know_the_same_letters_and_numbers():
    """Every code point from U+0080, by vocabularies whose merges show that a character joins what follows it.

    `regex` and tiktoken carry Unicode tables of different years. They may disagree on characters that are
    so new that Python does not know them yet, and on nothing else.
    """
    code_points = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]
    everything = "".join(map(chr, code_points))
    single = [bytes([value]) for value in range(256)]
    disagree = set()
    for follower, kind in (("a", r"\p{L}"), ("1", r"\p{N}"), (".", r"[^\s\p{L}\p{N}]")):
        joins = BPETokenizer([*single, *(byte + follower.encode() for byte in single)])
        text = "".join(f"{chr(c)}{follower}\n" for c in code_points)
        ids = joins.encoding.encode_to_numpy(text)
        joined = ids[np.flatnonzero(ids == ord("\n")) - 1] >= 256
        here = set(regex.findall(kind, everything))
        assert len(joined) == len(code_points)
        disagree |= {
            c for c, join in zip(code_points, joined.tolist(), strict=True) if join != (chr(c) in here)
        }
    assert {c for c in disagree if unicodedata.category(chr(c)) != "Cn"} == set()


@pytest.mark.parametrize("filename", ["tinyshakespeare.txt", "wikitext2_valid.txt"])
def test_whole_books_encode_alike(filename: str):
    text = data_or_skip(filename)
    tokenizer = BPETokenizer.train(text[:300_000], 800)
    ids = tokenizer.encode(text)
    assert ids == tokenizer.encode_plain(text)
    assert tokenizer.decode(ids) == text


def bytes_to_letters(token: bytes) -> str:
    """Hugging Face writes tokens in GPT-2's alphabet of printable characters."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    return "".join(letters[value] for value in token)


def hugging_face_twin(tokenizer: BPETokenizer):
    """Our vocabulary as a list of merges in Hugging Face's BPE."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    merges = []
    for rank, token in enumerate(tokenizer.vocabulary[256:], 256):
        earlier = {known: i for i, known in enumerate(tokenizer.vocabulary[:rank])}
        left, right = _bpe.encode_chunk(token, earlier)
        merges.append(tuple(bytes_to_letters(tokenizer.vocabulary[part]) for part in (left, right)))
    vocabulary = {bytes_to_letters(token): i for i, token in enumerate(tokenizer.vocabulary)}
    twin = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    twin.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    twin.decoder = decoders.ByteLevel()
    return twin


def test_encoding_equals_hugging_face():
    pytest.importorskip("tokenizers")
    tokenizer = BPETokenizer.train(SAMPLE, 330)
    twin = hugging_face_twin(tokenizer)

    @settings(max_examples=300, deadline=None)
    @given(known_texts)
    def check(text: str) -> None:
        assert twin.encode(text).ids == tokenizer.encode(text)

    check()


@pytest.mark.slow
def test_encoding_a_book_equals_hugging_face():
    pytest.importorskip("tokenizers")
    text = data_or_skip("wikitext2_valid.txt")
    tokenizer = BPETokenizer.train(text, 1256)
    assert hugging_face_twin(tokenizer).encode(text).ids == tokenizer.encode(text)


def test_training_equals_hugging_face():
    """The same merges in the same order, where both number bytes alike: printable ASCII without spaces."""
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    text = re.sub(r"\s+", "|", data_or_skip("tinyshakespeare.txt"))
    other = Tokenizer(models.BPE())
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=1256, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    other.train_from_iterator([text], trainer)
    theirs = sorted(other.get_vocab(), key=other.get_vocab().get)[256:]
    assert [token.decode() for token in _bpe.train_fast(text, 1256)[256:]] == theirs


def test_gpt2_equals_hugging_faces_gpt2():
    """Hugging Face's implementation reads the same published files and never sees tiktoken."""
    pytest.importorskip("tokenizers")
    gpt2 = gpt2_or_skip()
    vocab, merges = (
        GPT2_CACHE / hashlib.sha1(f"{GPT2_URL}{name}".encode()).hexdigest()
        for name in ("encoder.json", "vocab.bpe")
    )
    if not vocab.exists():
        pytest.skip("GPT-2's encoder.json is not in TIKTOKEN_CACHE_DIR")
    from tokenizers import ByteLevelBPETokenizer

    other = ByteLevelBPETokenizer(str(vocab), str(merges))
    text = SAMPLE + data_or_skip("wikitext2_valid.txt")[:300_000]
    assert gpt2.encode(text) == other.encode(text).ids


# --- GPT-2 and special tokens -------------------------------------------------------------------------------


def test_gpt2_sizes_and_known_ids():
    gpt2, chat = gpt2_or_skip(), gpt2_or_skip(chat=True)
    assert (gpt2.vocab_size, chat.vocab_size) == (50_257, 50_261)
    assert gpt2.special_tokens == {"<|endoftext|>": 50_256}
    assert chat.special_tokens == {
        "<|endoftext|>": 50_256,
        "<|user|>": 50_257,
        "<|enduser|>": 50_258,
        "<|assistant|>": 50_259,
        "<|endassistant|>": 50_260,
    }
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.encode("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]
    assert gpt2.encode("<|endoftext|>", allow_special=True) == [50_256]
    assert chat.encode("<|user|>Hello world<|enduser|>", allow_special=True) == [50_257, 15496, 995, 50_258]
    assert chat.token_bytes(50_257) == b"<|user|>"


names = st.sampled_from(["<|endoftext|>", *CHAT_TOKENS, "<|user", "|>", "<|", "a", " "])


@settings(max_examples=200, deadline=None)
@given(text=st.lists(names, max_size=12).map("".join))
def test_special_tokens_in_text_are_text(any_tokenizer, text: str):
    ids = any_tokenizer.encode(text)
    assert not set(ids) & set(any_tokenizer.special_tokens.values())
    assert any_tokenizer.decode(ids) == text

    special = any_tokenizer.encode(text, allow_special=True)
    found = re.findall("|".join(map(re.escape, any_tokenizer.special_tokens)), text)
    assert [any_tokenizer.special(name) for name in found] == [
        i for i in special if i in any_tokenizer.special_tokens.values()
    ]
    assert any_tokenizer.decode(special) == text
    if not isinstance(any_tokenizer, CharacterTokenizer):
        assert special == any_tokenizer.encoding.encode(text, allowed_special="all")


def test_the_longest_special_token_wins():
    tokenizer = CharacterTokenizer("<a>b", ["<a>", "<a>b"])
    assert tokenizer.encode("<a>b<a>", allow_special=True) == [5, 4]


def test_special_by_name(trained: BPETokenizer):
    assert trained.special("<|assistant|>") == 328
    with pytest.raises(ValueError, match=r"'<\|system\|>' is not a special token .*it has: <\|user\|>"):
        trained.special("<|system|>")
    with pytest.raises(ValueError, match="it has: none"):
        CharacterTokenizer("ab").special("<|user|>")


@pytest.mark.parametrize("wrong", [["<a>", "<a>"], [""]])
def test_wrong_special_tokens(wrong: list[str]):
    with pytest.raises(ValueError, match="empty or repeated"):
        CharacterTokenizer("ab", wrong)


# --- round trips --------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(text=texts)
def test_bpe_round_trip_of_any_unicode(trained: BPETokenizer, text: str):
    assert trained.decode(trained.encode(text)) == text
    assert trained.decode(trained.encode(text, allow_special=True)) == text


@settings(max_examples=500, deadline=None)
@given(text=texts)
def test_gpt2_round_trip_of_any_unicode(text: str):
    gpt2 = gpt2_or_skip(chat=True)
    assert gpt2.decode(gpt2.encode(text)) == text


@settings(max_examples=300, deadline=None)
@given(text=texts.filter(bool))
def test_character_round_trip(text: str):
    tokenizer = CharacterTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(np.array(ids, np.uint16)) == text
    assert tokenizer.decode(range(tokenizer.vocab_size)) == tokenizer.characters == "".join(sorted(set(text)))


def test_decode_takes_arrays_and_tensors(trained: BPETokenizer):
    import torch

    ids = trained.encode("the lamp")
    for form in (tuple(ids), np.array(ids, np.uint16), torch.tensor(ids), iter(ids)):
        assert trained.decode(form) == "the lamp"
    assert trained.decode([]) == ""


def test_decode_of_broken_utf8_gives_the_replacement_character():
    tokenizer = BPETokenizer([bytes([value]) for value in range(256)])
    lamp = list("🏮".encode())
    assert tokenizer.decode(lamp) == "🏮"
    assert tokenizer.decode([*lamp[:2], ord("!")]) == "\ufffd!"
    assert tokenizer.decode([0xFF]) == "\ufffd"


@pytest.mark.parametrize("wrong_id", [-1, 330, 10**9])
def test_decode_refuses_unknown_ids(trained: BPETokenizer, wrong_id: int):
    with pytest.raises(ValueError, match=f"id {wrong_id} at position 1 is not in .* vocabulary of 330"):
        trained.decode([0, wrong_id])


@pytest.mark.parametrize("wrong", [[[1, 2]], [1.5], ["1"], np.zeros((2, 2), int)])
def test_decode_refuses_other_things(wrong):
    with pytest.raises(TypeError, match=r"whole numbers in one dimension|parameter 'ids'"):
        CharacterTokenizer("abc").decode(wrong)


@pytest.mark.parametrize("text", ["ab\ud83c", "ab\udc00c", "ab\ud83c\udfee"])
def test_lone_surrogates_are_refused_clearly(trained: BPETokenizer, text: str):
    for use in (trained.encode, trained.encode_plain, lambda text: BPETokenizer.train(text, 256)):
        with pytest.raises(ValueError, match=r"lone surrogate, U\+D[0-9A-F]{3}, at position 2.*remove it"):
            use(text)


def test_unknown_characters_are_named():
    tokenizer = CharacterTokenizer.from_text("abc")
    with pytest.raises(
        ValueError, match=r"character 'é' \(U\+00E9\) at position 2 .* 3 characters; leave it out"
    ):
        tokenizer.encode("abécé")


@pytest.mark.parametrize("wrong", ["", "aa", ["ab", "c"], ["a", ""]])
def test_wrong_alphabets(wrong):
    with pytest.raises(ValueError, match=r"use CharacterTokenizer\.from_text"):
        CharacterTokenizer(wrong)


def test_long_runs(trained: BPETokenizer):
    """Where tiktoken's own matcher would crash there is a sentence; below that it works."""
    for text in ("a" * 200_000, " " * 200_000 + "a", "🏮" * 50_000):
        assert trained.decode(trained.encode(text)) == text
    with pytest.raises(ValueError, match="500,000 or more white-space characters in a row at position 1"):
        trained.encode("a" + " " * 1_000_000 + "a")


# --- storing ------------------------------------------------------------------------------------------------


def test_to_dict_round_trip_through_json(any_tokenizer):
    again = tokenizer_from_dict(json.loads(json.dumps(any_tokenizer.to_dict())))
    assert type(again) is type(any_tokenizer)
    assert isinstance(again, tokenizers.Tokenizer)
    assert again.to_dict() == any_tokenizer.to_dict()
    assert again.special_tokens == any_tokenizer.special_tokens
    assert again.vocab_size == any_tokenizer.vocab_size
    text = "the old lamp <|user|>"
    assert again.encode(text, allow_special=True) == any_tokenizer.encode(text, allow_special=True)


def test_gpt2_is_stored_by_name_only():
    assert gpt2_or_skip(chat=True).to_dict() == {"kind": "gpt2", "chat": True}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"kind": "words"},
        {"kind": "characters"},
        {"kind": "gpt2", "chat": "yes"},
        {"kind": ["bpe"]},
        {"kind": "bpe", "pattern": ".", "vocabulary": ["!!!"], "special_tokens": []},
        {"kind": "bpe", "pattern": ".", "vocabulary": ["YQ=="], "special_tokens": []},
    ],
)
def test_wrong_descriptions(wrong: dict):
    with pytest.raises(ValueError, match=r"no tokenizer is described here|damaged|lacks the single byte"):
        tokenizer_from_dict(wrong)


def test_save_and_load(trained: BPETokenizer, tmp_path: Path):
    path = tmp_path / "my.tiktoken"
    trained.save(path)
    trained.save(path)  # over itself
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my.tiktoken", "my.tiktoken.json"]
    again = BPETokenizer.load(path)
    assert again.to_dict() == trained.to_dict()


def test_tiktoken_itself_reads_the_file(
    trained: BPETokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "my.tiktoken"
    trained.save(path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # its cache would keep a copy under the path's name
    ranks = tiktoken.load.load_tiktoken_bpe(str(path))
    encoding = tiktoken.Encoding("my", pat_str=trained.pattern, mergeable_ranks=ranks, special_tokens={})
    assert encoding.encode_ordinary(SAMPLE) == trained.encode(SAMPLE)


def damaged(line: int, new: bytes):
    def damage(path: Path) -> None:
        lines = path.read_bytes().splitlines()
        lines[line] = new
        path.write_bytes(b"\n".join(lines))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damaged(3, b"!!! 3"),
        damaged(3, b"Aw== 4"),
        damaged(3, b"Aw== three"),
        damaged(3, b"Aw=="),
        damaged(3, b""),
        damaged(300, b"AA== 300"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: Path(f"{path}.json").write_text("{"),
        lambda path: Path(f"{path}.json").write_text("[]"),
        lambda path: Path(f"{path}.json").write_text("{}"),
    ],
)
def test_damaged_files_give_one_error(trained: BPETokenizer, tmp_path: Path, damage):
    path = tmp_path / "my.tiktoken"
    trained.save(path)
    damage(path)
    with pytest.raises(ValueError, match=r"save (the tokenizer|it) again") as caught:
        BPETokenizer.load(path)
    assert "my.tiktoken" in str(caught.value)


def test_damaged_ranks_name_the_line(trained: BPETokenizer, tmp_path: Path):
    path = tmp_path / "foreign.tiktoken"
    trained.save(path)
    assert _bpe.read_ranks(path) == trained.vocabulary
    damaged(3, b"Aw== 4")(path)
    with pytest.raises(
        ValueError, match=r"foreign.tiktoken, line 4: expected base64 and the rank 3, found b'Aw== 4'"
    ):
        _bpe.read_ranks(path)


def test_missing_files(trained: BPETokenizer, tmp_path: Path):
    path = tmp_path / "my.tiktoken"
    with pytest.raises(FileNotFoundError, match=r"my\.tiktoken"):
        BPETokenizer.load(path)
    trained.save(path)
    Path(f"{path}.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds the pattern and special tokens"):
        BPETokenizer.load(path)


def test_a_failed_save_leaves_the_old_file(
    trained: BPETokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "my.tiktoken"
    trained.save(path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        BPETokenizer.train("abababab", 257).save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my.tiktoken", "my.tiktoken.json"]
    assert BPETokenizer.load(path).to_dict() == trained.to_dict()


def test_vocabularies_are_checked():
    single = [bytes([value]) for value in range(256)]
    with pytest.raises(ValueError, match="lacks the single byte 255"):
        BPETokenizer(single[:-1])
    for wrong in (b"", b"a"):
        with pytest.raises(ValueError, match="empty or repeated token"):
            BPETokenizer([*single, wrong])


# --- in a process of its own --------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_gpt2_offline_says_what_to_do(tmp_path: Path):
    """No cached vocabulary, and a proxy that nobody answers in place of the network."""
    closed = "http://127.0.0.1:9"
    code = (
        "from microgpt_ref.tokenizers import gpt2\ntry: gpt2()\nexcept ConnectionError as error: print(error)"
    )
    result = run_python(
        code,
        TIKTOKEN_CACHE_DIR=str(tmp_path),
        HTTPS_PROXY=closed,
        https_proxy=closed,
        NO_PROXY="",
        no_proxy="",
    )
    assert result.stdout.startswith("GPT-2's vocabulary is not in tiktoken's cache"), result.stderr
    assert "TIKTOKEN_CACHE_DIR" in result.stdout
    assert result.stdout.count("\n") == 1


def test_import_needs_no_framework():
    code = (
        "import sys, microgpt_ref.tokenizers, microgpt_ref.datasets, microgpt_ref.shards\n"
        "print([m for m in ('torch', 'jax', 'transformers') if m in sys.modules])"
    )
    assert run_python(code).stdout.strip() == "[]"


def test_base64_in_dictionaries_is_the_token_in_the_file(trained: BPETokenizer):
    stored = trained.to_dict()["vocabulary"]
    assert [base64.b64decode(token) for token in stored] == trained.vocabulary
