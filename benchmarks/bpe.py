"""Byte-pair encoding, ours beside Hugging Face's `tokenizers` (Rust), in one process on one core.

    python -m benchmarks.bpe

Training: 1,000 merges on about a megabyte (500 on the stories, whose few words are used up soon after 700).
Encoding: the same text by the vocabulary that ours learned, in three ways that must give the same ids: our
plain Python, tiktoken (what the library uses), and Hugging Face, whose fast way leaves offsets out. Each gets
the whole text in one call. Times are CPU seconds, ratios are of times: below 1, ours is faster.
"""

import time
from typing import Any

from benchmarks._common import alternate, ratio, use_one_core, write_result

MERGES = {"stories": 500, "tinyshakespeare": 1000, "wikitext2_valid": 1000}
SMALL = 20_000  # characters on which the teaching version of training is timed too


def main() -> None:
    """Measure, check that all agree, and write benchmarks/results/bpe.json."""
    use_one_core()
    from microgpt_ref import datasets

    texts = {
        "stories": datasets.load("stories").train,
        "tinyshakespeare": datasets.read_text(datasets.fetch("tinyshakespeare")),
        "wikitext2_valid": datasets.read_text(datasets.fetch("wikitext2_valid")),
    }
    result: dict[str, Any] = {
        "what": "BPE on one core; CPU seconds, medians of alternating runs; ratios below 1: ours is faster",
        "texts": {name: measure(text, MERGES[name]) for name, text in texts.items()},
        "plain_training": measure_plain(texts["tinyshakespeare"][:SMALL]),
    }
    path = write_result("bpe", result, ("microgpt-ref", "tiktoken", "tokenizers", "regex"))
    for name, row in result["texts"].items():
        print(name, row["ratios"])
    print(f"written: {path.relative_to(path.parents[2])}")


def measure(text: str, merges: int) -> dict[str, Any]:
    """Times of training and encoding on one text."""
    from microgpt_ref.tokenizers import BPETokenizer

    training = alternate(
        {
            "ours": lambda: BPETokenizer.train(text, 256 + merges),
            "hugging_face": lambda: train_hugging_face(text, 256 + merges),
        },
        clock=time.process_time,
    )
    tokenizer = BPETokenizer.train(text, 256 + merges)
    twin = hugging_face_twin(tokenizer.vocabulary)
    ids = tokenizer.encode(text)
    if not ids == tokenizer.encode_plain(text) == twin.encode(text).ids:
        raise AssertionError("the contestants disagree about the ids; their times cannot be compared")
    encoding = alternate(
        {
            "ours_plain_python": lambda: tokenizer.encode_plain(text),
            "ours_by_tiktoken": lambda: tokenizer.encode(text),
            "hugging_face": lambda: twin.encode_batch_fast([text])[0].ids,
        },
        clock=time.process_time,
    )
    return {
        "merges": merges,
        "characters": len(text),
        "bytes": len(text.encode()),
        "tokens": len(ids),
        "bytes_per_token": round(len(text.encode()) / len(ids), 3),
        "training": training,
        "encoding": encoding,
        "same_ids": True,
        "ratios": {
            "training_ours_to_hugging_face": ratio(training, "ours", "hugging_face"),
            "encoding_tiktoken_to_hugging_face": ratio(encoding, "ours_by_tiktoken", "hugging_face"),
            "encoding_plain_to_hugging_face": ratio(encoding, "ours_plain_python", "hugging_face"),
            "encoding_plain_to_tiktoken": ratio(encoding, "ours_plain_python", "ours_by_tiktoken"),
        },
    }


def measure_plain(text: str) -> dict[str, Any]:
    """The teaching version of training beside the fast one, on a text small enough for it."""
    from microgpt_ref import _bpe

    times = alternate(
        {
            "plain": lambda: _bpe.train_plain(text, 256 + 100),
            "fast": lambda: _bpe.train_fast(text, 256 + 100),
        },
        repeats=3,
        clock=time.process_time,
    )
    return {"characters": len(text), "merges": 100, **times, "plain_to_fast": ratio(times, "plain", "fast")}


def train_hugging_face(text: str, vocab_size: int) -> Any:
    """Byte-level BPE with GPT-2's pattern, trained by `tokenizers`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def hugging_face_twin(vocabulary: list[bytes]) -> Any:
    """Our vocabulary in `tokenizers`: the same tokens, ids and merges."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from microgpt_ref import _bpe

    letters = gpt2_letters()
    written = ["".join(letters[value] for value in token) for token in vocabulary]
    ranks = {token: rank for rank, token in enumerate(vocabulary)}
    merges = []
    for rank, token in enumerate(vocabulary[256:], 256):
        del ranks[token]  # without its own rank the token falls into the two parts that were merged
        left, right = _bpe.encode_chunk(token, ranks)
        ranks[token] = rank
        merges.append((written[left], written[right]))
    tokenizer = Tokenizer(
        models.BPE(vocab={token: rank for rank, token in enumerate(written)}, merges=merges)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tokenizer


def gpt2_letters() -> list[str]:
    """The printable character that GPT-2's files write for each byte: itself, or one from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [value for value in range(256) if value not in printable]
    return [chr(value) if value in printable else chr(256 + others.index(value)) for value in range(256)]


if __name__ == "__main__":
    main()
