"""A tokenizer that transformers wrote (tokenizer.json, or vocab.json with merges.txt), as one of ours.

Read are byte-level BPE, whose ids must be in the order of its merges as GPT-2's are, and our own characters.
What a post-processor adds around a text, such as a first token, is left out: here `encode` adds nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microgpt_ref._bpe import encode_chunk
from microgpt_ref.hub.errors import HubError
from microgpt_ref.hub.files import read_json
from microgpt_ref.hub.tokens_out import byte_characters
from microgpt_ref.tokenizers import GPT2_PATTERN, BPETokenizer, CharacterTokenizer

WAY_OUT = "load(folder, tokenizer=False) reads the model alone"


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """The description (`to_dict`) of the tokenizer in a folder; empty where there is none.

    Raises:
        HubError: it is of a kind that ours cannot express.
    """
    if (folder / "tokenizer.json").is_file():
        return _from_pipeline(read_json(folder / "tokenizer.json"))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        vocab = read_json(folder / "vocab.json")
        letters, joined = set(byte_characters()), {"".join(pair) for pair in merges}
        special = sorted((token for token in vocab if token not in letters | joined), key=vocab.__getitem__)
        return _bpe(vocab, merges, {token: vocab[token] for token in special}, GPT2_PATTERN, False)
    return {}


def _from_pipeline(pipeline: dict[str, Any]) -> dict[str, Any]:
    model = pipeline.get("model") or {}
    vocab = model.get("vocab") or {}
    special = {token["content"]: token["id"] for token in pipeline.get("added_tokens") or []}
    if pipeline.get("normalizer"):
        raise HubError(f"tokenizer.json changes the text before it cuts it (normalizer); {WAY_OUT}")
    if model.get("type") == "WordLevel":
        return _characters({token: i for token, i in vocab.items() if token not in special}, special)
    if model.get("type") == "BPE":
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        pattern = _pattern(pipeline.get("pre_tokenizer") or {})
        return _bpe(vocab, merges, special, pattern, bool(model.get("ignore_merges")))
    raise HubError(
        f"tokenizer.json holds a {model.get('type')!r} model, which is not byte-level BPE; {WAY_OUT}"
    )


def _pattern(step: dict[str, Any]) -> str:
    """The regular expression that cuts the text."""
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, **rest} if rest.get("use_regex", True):
            return GPT2_PATTERN
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return str(pattern)
    raise HubError(f"tokenizer.json cuts text in a way that is not byte-level BPE's; {WAY_OUT}")


def _bpe(
    vocab: dict[str, int], merges: list[list[str]], special: dict[str, int], pattern: str, whole: bool
) -> dict[str, Any]:
    """`whole`: a chunk that is a token is that token, whatever the merges say, as tiktoken has it."""
    ordinary = {token: i for token, i in vocab.items() if token not in special}
    _check_ids(ordinary, special)
    values = {character: value for value, character in enumerate(byte_characters())}
    try:
        vocabulary = [bytes(values[c] for c in token) for token in sorted(ordinary, key=ordinary.__getitem__)]
        made = [ordinary["".join(pair)] for pair in merges]
    except KeyError as error:
        raise HubError(
            f"tokenizer.json has a token that is not byte-level BPE's ({error}); {WAY_OUT}"
        ) from None
    if made != sorted(made):
        raise HubError(f"the tokenizer's ids are not in the order of its merges; {WAY_OUT}")
    ranks = {token: rank for rank, token in enumerate(vocabulary)}
    # tiktoken takes a chunk that is a token as it is; merges alone must come to the same
    if not whole and any(encode_chunk(token, ranks) != [rank] for token, rank in ranks.items()):
        raise HubError(f"the tokenizer has a token that its merges never make; {WAY_OUT}")
    try:
        return BPETokenizer(vocabulary, list(special), pattern).to_dict()
    except ValueError as error:
        raise HubError(f"the tokenizer is not byte-level BPE ({error}); {WAY_OUT}") from None


def _characters(vocab: dict[str, int], special: dict[str, int]) -> dict[str, Any]:
    _check_ids(vocab, special)
    characters = sorted(vocab, key=vocab.__getitem__)
    if characters != sorted(characters) or any(len(character) != 1 for character in characters):
        raise HubError(f"tokenizer.json holds words, or characters out of order; {WAY_OUT}")
    return CharacterTokenizer(characters, list(special)).to_dict()


def _check_ids(ordinary: dict[str, int], special: dict[str, int]) -> None:
    ids = sorted(ordinary.values()) + list(special.values())
    if ids != list(range(len(ids))):
        raise HubError(
            f"the tokenizer's special tokens do not follow its ordinary ones without gaps; {WAY_OUT}"
        )
