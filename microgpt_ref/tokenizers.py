"""Text to token ids and back: characters, byte-pair encoding (BPE) trained here, and GPT-2's vocabulary.

Every tokenizer keeps two promises. `decode(encode(text)) == text`. And `encode` treats text as text: a user
who types "<|endoftext|>" gets the ids of those letters; only `allow_special=True`, or `special("<|user|>")`,
gives the id of a special token. A special token's id lies after those of the ordinary ones.
"""

import base64
import hashlib
import json
import operator
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, runtime_checkable

import regex

from microgpt_ref import _bpe
from microgpt_ref._files import atomic_write

if TYPE_CHECKING:
    import tiktoken

CHAT_TOKENS = ("<|user|>", "<|enduser|>", "<|assistant|>", "<|endassistant|>")
GPT2_PATTERN = _bpe.GPT2_PATTERN
LONGEST_BLANK = 500_000  # tiktoken's matcher runs out of stack at about twice as many


@runtime_checkable
class Tokenizer(Protocol):
    """What the rest of the package asks of a tokenizer."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def special_tokens(self) -> dict[str, int]: ...
    def encode(self, text: str, allow_special: bool = False) -> list[int]: ...
    def decode(self, ids: Iterable[SupportsIndex]) -> str: ...
    def special(self, token: str) -> int: ...
    def to_dict(self) -> dict[str, Any]: ...


class _Specials:
    """Special tokens: ids after the ordinary ones, in the order given, found in text only when asked for."""

    def __init__(self, special_tokens: Sequence[str], first_id: int):
        if isinstance(special_tokens, str):
            raise TypeError(f"special_tokens={special_tokens!r} is one string; use ({special_tokens!r},)")
        if "" in special_tokens or len(set(special_tokens)) < len(special_tokens):
            raise ValueError(f"special_tokens={list(special_tokens)} has an empty or repeated one; remove it")
        self.special_tokens = {token: first_id + i for i, token in enumerate(special_tokens)}
        self.vocab_size = first_id + len(special_tokens)

    def special(self, token: str) -> int:
        """The id of a special token. Raises ValueError for a name that is not one."""
        if token not in self.special_tokens:
            known = ", ".join(self.special_tokens) or "none"
            raise ValueError(f"{token!r} is not a special token of this tokenizer (it has: {known})")
        return self.special_tokens[token]

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """The ids of `text`. With `allow_special` a special token's name in the text becomes its one id."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, not {type(text).__name__}; decode bytes first")
        if not (allow_special and self.special_tokens):
            return self._encode_text(text)
        # the longest name first, in case one begins with another
        names = sorted(self.special_tokens, key=len, reverse=True)
        pieces = regex.split("(" + "|".join(map(regex.escape, names)) + ")", text)
        ids: list[int] = []
        for piece in pieces:
            ids += [self.special_tokens[piece]] if piece in self.special_tokens else self._encode_text(piece)
        return ids

    def _encode_text(self, text: str) -> list[int]:
        raise NotImplementedError

    def _checked(self, ids: Iterable[SupportsIndex]) -> list[int]:
        """`ids` (n,), a list, an array or a tensor, as a list of ids that are all in the vocabulary."""
        try:
            checked = [operator.index(token_id) for token_id in ids]
        except TypeError:
            raise TypeError(
                "ids must be whole numbers in one dimension: a list, an array, a tensor (n,)"
            ) from None
        if checked and not 0 <= min(checked) <= max(checked) < self.vocab_size:
            position = next(i for i, token_id in enumerate(checked) if not 0 <= token_id < self.vocab_size)
            raise ValueError(
                f"id {checked[position]} at position {position} is not in this tokenizer's vocabulary of "
                f"{self.vocab_size}; was it made by another tokenizer?"
            )
        return checked

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"


class CharacterTokenizer(_Specials):
    """One id a character, in the order of the sorted alphabet: simple, and the sequences are long."""

    def __init__(self, characters: Iterable[str], special_tokens: Sequence[str] = ()):
        """`characters`: the alphabet, a string or single characters in any order, without repeats."""
        alphabet = list(characters)
        wrong = next((c for c in alphabet if len(c) != 1), None)
        if not alphabet or wrong is not None or len(set(alphabet)) < len(alphabet):
            found = f"has the entry {wrong!r}" if wrong is not None else "is empty or repeats a character"
            raise ValueError(f"characters {found}; use CharacterTokenizer.from_text(text)")
        self.characters = "".join(sorted(alphabet))
        self._ids = {character: i for i, character in enumerate(self.characters)}
        super().__init__(special_tokens, len(self.characters))
        self._texts = [*self.characters, *self.special_tokens]

    @classmethod
    def from_text(cls, text: str, special_tokens: Sequence[str] = ()) -> "CharacterTokenizer":
        """The tokenizer whose alphabet is every character that `text` contains."""
        return cls(set(text), special_tokens)

    def _encode_text(self, text: str) -> list[int]:
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            position = next(i for i, character in enumerate(text) if character not in self._ids)
            unknown = text[position]
            raise ValueError(
                f"character {unknown!r} (U+{ord(unknown):04X}) at position {position} is not among this "
                f"tokenizer's {len(self.characters)} characters; leave it out, build the tokenizer from text "
                "that contains it, or use gpt2(), which takes any text"
            ) from None

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text of `ids` (n,). Raises ValueError for an id outside the vocabulary."""
        return "".join([self._texts[token_id] for token_id in self._checked(ids)])

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to build the tokenizer again, ready for JSON."""
        return {"kind": "characters", "characters": self.characters, "special_tokens": [*self.special_tokens]}


class BPETokenizer(_Specials):
    """Byte-level BPE: takes any text. Trained here, stored in tiktoken's format, run by tiktoken.

    `vocabulary[id]` is the bytes of a token; all 256 single bytes must be among them. `pattern` is the
    regular expression that cuts text into chunks; one of your own must leave no character out.
    """

    def __init__(
        self, vocabulary: Sequence[bytes], special_tokens: Sequence[str] = (), pattern: str = GPT2_PATTERN
    ):
        self.vocabulary = list(vocabulary)
        self.pattern = pattern
        self._ranks = {token: rank for rank, token in enumerate(self.vocabulary)}
        missing = [value for value in range(256) if bytes([value]) not in self._ranks]
        if missing:
            raise ValueError(
                f"vocabulary lacks the single byte {missing[0]} ({len(missing)} missing); it needs all 256"
            )
        if len(self._ranks) < len(self.vocabulary) or b"" in self._ranks:
            raise ValueError("vocabulary has an empty or repeated token; every id needs bytes of its own")
        super().__init__(special_tokens, len(self.vocabulary))

    @classmethod
    def train(
        cls, text: str, vocab_size: int, special_tokens: Sequence[str] = (), pattern: str = GPT2_PATTERN
    ) -> "BPETokenizer":
        """Learn `vocab_size` ids from `text`: the 256 bytes, then the merges, then the special tokens.

        Deterministic: the commonest pair is merged first, and the one with the smaller ids among equals.

        Raises:
            ValueError: `vocab_size` is too small for the bytes and special tokens, or too large for the text.
        """
        _refuse_surrogates(text)
        vocabulary = _bpe.train_fast(text, vocab_size - len(special_tokens), pattern)
        return BPETokenizer(vocabulary, special_tokens, pattern)

    @cached_property
    def encoding(self) -> "tiktoken.Encoding":
        """The same tokenizer as tiktoken's own object."""
        import tiktoken

        return tiktoken.Encoding(
            type(self).__name__,
            pat_str=self.pattern,
            mergeable_ranks=self._ranks,
            special_tokens=self.special_tokens,
            explicit_n_vocab=self.vocab_size,
        )

    def _encode_text(self, text: str) -> list[int]:
        _refuse_surrogates(text)
        blank = regex.search(rf"\s{{{LONGEST_BLANK}}}", text) if len(text) >= LONGEST_BLANK else None
        if blank:
            raise ValueError(
                f"the text has {LONGEST_BLANK:,} or more white-space characters in a row at position "
                f"{blank.start()}, more than tiktoken can cut; shorten them"
            )
        return self.encoding.encode_ordinary(text)

    def encode_plain(self, text: str) -> list[int]:
        """The same ids as `encode`, in Python that can be read (special tokens are text here).

        The two may part only at a character that is newer than one of their Unicode tables, where `regex` and
        tiktoken disagree on what is a letter. Neither loses text. A chunk of n bytes takes time in n².
        """
        _refuse_surrogates(text)
        chunks = _bpe.split(text, self.pattern)
        known = {chunk: _bpe.encode_chunk(chunk.encode(), self._ranks) for chunk in set(chunks)}
        return [token_id for chunk in chunks for token_id in known[chunk]]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token. They need not be whole characters: an emoji may be cut in two."""
        [token_id] = self._checked([token_id])
        return self.encoding.decode_single_token_bytes(token_id)

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text of `ids` (n,). Bytes that are not whole UTF-8 characters become U+FFFD, "�".

        A model can produce such ids; so can cutting what `encode` made in the middle of a character.
        Raises ValueError for an id outside the vocabulary.
        """
        return self.encoding.decode(self._checked(ids), errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to build the tokenizer again, ready for JSON."""
        ranks = [base64.b64encode(token).decode() for token in self.vocabulary]
        return {
            "kind": "bpe",
            "pattern": self.pattern,
            "vocabulary": ranks,
            "special_tokens": [*self.special_tokens],
        }

    def save(self, path: str | Path) -> None:
        """Write tiktoken's text format to `path`: a line a token, its bytes in base64 and its rank.

        The format has no place for the pattern and the special tokens: they go to `path` + ".json" beside it.
        """
        content = _bpe.write_ranks(self.vocabulary)
        settings = {
            "pattern": self.pattern,
            "special_tokens": [*self.special_tokens],
            "sha256": hashlib.sha256(content).hexdigest(),  # to notice a file of another tokenizer
        }
        with atomic_write(path) as file:
            file.write(content)
        with atomic_write(f"{path}.json") as file:
            file.write(json.dumps(settings, indent=2).encode())

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read what `save` wrote. Raises ValueError if it is damaged, FileNotFoundError if it is missing."""
        content = Path(path).read_bytes()
        settings_path = Path(f"{path}.json")
        if not settings_path.exists():
            raise FileNotFoundError(
                f"{settings_path} is missing; it holds the pattern and special tokens of {path}. "
                "For another project's file use BPETokenizer(read_ranks(path), special_tokens, pattern)"
            )
        try:
            settings = json.loads(settings_path.read_bytes())
            pattern, special_tokens = settings["pattern"], settings["special_tokens"]
            belongs = settings["sha256"] == hashlib.sha256(content).hexdigest()
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{settings_path} is not the settings file of a tokenizer ({error}); save it again"
            ) from None
        if not belongs:
            raise ValueError(f"{path} and {settings_path} do not belong together; save the tokenizer again")
        return BPETokenizer(_bpe.read_ranks(path), special_tokens, pattern)


class GPT2Tokenizer(BPETokenizer):
    """GPT-2's 50,256 tokens and "<|endoftext|>", with `chat` also the CHAT_TOKENS. Stored by name only."""

    def __init__(self, chat: bool = False):
        import tiktoken

        try:
            encoding = tiktoken.get_encoding("gpt2")
        except (OSError, ValueError) as error:
            raise ConnectionError(
                "GPT-2's vocabulary is not in tiktoken's cache and could not be downloaded "
                f"({type(error).__name__}); connect to the network once, or set TIKTOKEN_CACHE_DIR "
                "to a folder where tiktoken has cached it"
            ) from error
        vocabulary = [encoding.decode_single_token_bytes(rank) for rank in range(50_256)]
        super().__init__(vocabulary, ("<|endoftext|>", *(CHAT_TOKENS if chat else ())))
        self.chat = chat

    def to_dict(self) -> dict[str, Any]:
        """The name only: the vocabulary is published."""
        return {"kind": "gpt2", "chat": self.chat}


def gpt2(chat: bool = False) -> GPT2Tokenizer:
    """GPT-2's tokenizer, 50,257 ids, run by tiktoken; with `chat` the four CHAT_TOKENS follow: 50,261.

    Raises:
        ConnectionError: tiktoken has not cached the vocabulary yet and cannot download it.
    """
    return GPT2Tokenizer(chat)


def tokenizer_from_dict(description: dict[str, Any]) -> CharacterTokenizer | BPETokenizer:
    """Build a tokenizer again from its `to_dict()`. Raises ValueError for a description of nothing known."""
    match description:
        case {"kind": "characters", "characters": characters, "special_tokens": special_tokens}:
            return CharacterTokenizer(characters, special_tokens)
        case {"kind": "bpe", "vocabulary": ranks, "special_tokens": special_tokens, "pattern": pattern}:
            try:
                vocabulary = [base64.b64decode(token, validate=True) for token in ranks]
            except (ValueError, TypeError) as error:
                raise ValueError(f"the tokenizer's vocabulary is damaged: {error}") from None
            return BPETokenizer(vocabulary, special_tokens, pattern)
        case {"kind": "gpt2", "chat": bool(chat)}:
            return gpt2(chat)
    raise ValueError(
        f"no tokenizer is described here (kind {description.get('kind')!r}); expected what to_dict() made"
    )


def _refuse_surrogates(text: str) -> None:
    """A lone half of a UTF-16 pair has no UTF-8 bytes; tiktoken alone would silently change it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text has a lone surrogate, U+{ord(text[error.start]):04X}, at position {error.start}, "
            'which is not a character; remove it, for instance by text.encode("utf-8", "replace").decode()'
        ) from None
