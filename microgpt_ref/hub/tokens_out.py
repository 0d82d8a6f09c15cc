"""Our tokenizers as tokenizer.json, which the `tokenizers` library runs: the same ids for the same text.

A character tokenizer becomes a table of whole "words", each one character long. A character that is not in
the table is an error there too. Byte-level BPE becomes the table and its merges, found again from the ranks.

One thing differs: there a special token's name in a text becomes its id unless one asks for
`split_special_tokens=True`; here it is text unless one asks for `allow_special=True`.
"""

from __future__ import annotations

from typing import Any

from microgpt_ref.hub.errors import ExportError
from microgpt_ref.tokenizers import CHAT_TOKENS, GPT2_PATTERN, BPETokenizer, CharacterTokenizer, Tokenizer

END_OF_TEXT = "<|endoftext|>"
NO_WORD = "<unknown>"  # longer than a character, so never in the table: unknown characters are an error


def tokenizer_files(tokenizer: Tokenizer, context: int) -> dict[str, dict[str, Any]]:
    """The contents of tokenizer.json and tokenizer_config.json.

    Raises:
        ExportError: a kind of tokenizer, or a special token, that tokenizer.json cannot express.
    """
    if isinstance(tokenizer, CharacterTokenizer):
        pipeline = _characters(tokenizer)
    elif isinstance(tokenizer, BPETokenizer):
        pipeline = _bpe(tokenizer)
    else:
        raise ExportError(f"{type(tokenizer).__name__} has no equal in tokenizer.json; use characters or BPE")
    added = [
        {
            "id": token_id,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token, token_id in tokenizer.special_tokens.items()
    ]
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],  # transformers 4 would add token types
        "add_prefix_space": False,
    }
    if end := _end_token(tokenizer):
        settings |= {"eos_token": end, "pad_token": end}
    if END_OF_TEXT in tokenizer.special_tokens:
        settings["bos_token"] = END_OF_TEXT
    named = {settings.get(name) for name in ("eos_token", "bos_token")}
    if others := [token for token in tokenizer.special_tokens if token not in named]:
        settings["additional_special_tokens"] = others
    if _can_chat(tokenizer):
        from microgpt_ref.chat import CHAT_TEMPLATE

        settings["chat_template"] = CHAT_TEMPLATE
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None}
    return {
        "tokenizer.json": {**whole, "post_processor": None, **pipeline},
        "tokenizer_config.json": settings,
    }


def generation_ids(tokenizer: Tokenizer) -> dict[str, Any]:
    """What ends a generated text, begins one and fills a batch up; None where there is no such token."""
    special, end = tokenizer.special_tokens, _end_token(tokenizer)
    ends = sorted({special[token] for token in (end, END_OF_TEXT) if token in special})
    return {
        "bos_token_id": special.get(END_OF_TEXT),
        "eos_token_id": None if not ends else ends[0] if len(ends) == 1 else ends,
        "pad_token_id": special[end] if end else None,
    }


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in vocab.json (Radford et al. 2019, encoder.py)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(value if value in printable else next(others)) for value in range(256)]


def merges_of(vocabulary: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The pairs of tokens that join into a token, in the order of the ids that they make.

    A rank says which bytes become a token, and any two tokens that make these bytes join: so each way to cut
    a token in two is a merge.
    """
    ranks = {token: rank for rank, token in enumerate(vocabulary)}
    merges = []
    for token in vocabulary:
        cuts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [pair for pair in cuts if pair[0] in ranks and pair[1] in ranks]
        merges += sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return merges


def _characters(tokenizer: CharacterTokenizer) -> dict[str, Any]:
    return {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},  # any character, a newline too
            "behavior": "Isolated",
            "invert": False,
        },
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {character: token_id for token_id, character in enumerate(tokenizer.characters)},
            "unk_token": NO_WORD,
        },
    }


def _bpe(tokenizer: BPETokenizer) -> dict[str, Any]:
    characters = byte_characters()

    def written(token: bytes) -> str:
        return "".join(characters[value] for value in token)

    for token in tokenizer.special_tokens:
        if written(token.encode()) != token:
            raise ExportError(
                f"special token {token!r}: in tokenizer.json the special token of a byte-level tokenizer "
                "can only have ASCII letters, digits and signs in its name; train with another name"
            )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    pre_tokenizer: dict[str, Any] = byte_level
    if tokenizer.pattern != GPT2_PATTERN:
        split = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated"}
        steps = [{**split, "invert": False}, {**byte_level, "use_regex": False}]
        pre_tokenizer = {"type": "Sequence", "pretokenizers": steps}
    return {
        "pre_tokenizer": pre_tokenizer,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,  # a chunk that is a token is that token, as in tiktoken
            "vocab": {written(token): rank for rank, token in enumerate(tokenizer.vocabulary)},
            "merges": [[written(left), written(right)] for left, right in merges_of(tokenizer.vocabulary)],
        },
    }


def _can_chat(tokenizer: Tokenizer) -> bool:
    return all(token in tokenizer.special_tokens for token in CHAT_TOKENS)


def _end_token(tokenizer: Tokenizer) -> str | None:
    """What ends an answer, or a text."""
    if _can_chat(tokenizer):
        return CHAT_TOKENS[-1]
    return END_OF_TEXT if END_OF_TEXT in tokenizer.special_tokens else None
