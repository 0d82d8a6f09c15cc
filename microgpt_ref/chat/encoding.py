"""Conversations as token ids: with the assistant's marked, to train on, or open at the end, to answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Int

from microgpt_ref.chat.template import Message, Refused, exchanges, user_text
from microgpt_ref.tokenizers import (
    CHAT_TOKENS,
    BPETokenizer,
    CharacterTokenizer,
    GPT2Tokenizer,
    Tokenizer,
    gpt2,
)

T = TypeVar("T", bound=Tokenizer)


class Encoded(NamedTuple):
    """A conversation's token ids (n,). `answers[i]`: token i is the assistant's, its text or its end mark.

    The loss is taken where such a token is predicted: the model learns to answer, not to ask.
    """

    ids: Int[np.ndarray, " n"]
    answers: Bool[np.ndarray, " n"]


class _Exchange(NamedTuple):
    """Ids of a question and its answer; the first `asked` of them are not the assistant's."""

    ids: list[int]
    asked: int


def encode(conversation: Sequence[Message], tokenizer: Tokenizer, context: int) -> Encoded:
    """At most `context` + 1 ids, which is `context` predictions; what is too much goes from the left.

    The oldest question goes together with its answer, and so on; the system's text moves to the first
    question that stays. If the newest two do not fit alone, the beginning of the question's text goes.

    Raises:
        Refused: the last answer is so long that nothing of its question fits, or the tokenizer cannot
            encode a text. Half an answer would teach to stop, or to begin, in the middle.
        ValueError: the conversation does not end with an answer, or `tokenizer` lacks the chat tokens.
    """
    if context < 1:
        raise ValueError(f"context={context} is too small; use the model's context, such as 512")
    system, pairs = exchanges(conversation)
    if pairs[-1][1] is None:
        raise ValueError("conversation ends with the user's turn; add the answer, or use prompt()")
    kept = _newest(system, pairs, tokenizer, context + 1)
    if not kept:
        kept = [_cut(_exchange(system, *pairs[-1], tokenizer), context + 1)]
    ids = np.array([token_id for each in kept for token_id in each.ids])
    answers = np.concatenate([np.arange(len(each.ids)) >= each.asked for each in kept])
    return Encoded(ids, answers)


def encode_all(
    conversations: Iterable[Sequence[Message]], tokenizer: Tokenizer, context: int
) -> tuple[list[Encoded], Counter[str]]:
    """`encode` each; those it refuses are left out and their reasons counted."""
    encoded: list[Encoded] = []
    refused: Counter[str] = Counter()
    for conversation in conversations:
        try:
            encoded.append(encode(conversation, tokenizer, context))
        except Refused as error:
            refused[error.reason] += 1
    return encoded, refused


def prompt(
    conversation: Sequence[Message], tokenizer: Tokenizer, context: int, reserve: int = 0
) -> list[int]:
    """The ids of a conversation that ends with the user's turn, and "<|assistant|>": the model goes on.

    At most `context` − `reserve` ids, so that `reserve` new tokens fit. The oldest question goes together
    with its answer, and so on; the system's text stays.

    Raises:
        ValueError: the system's text and the newest message alone are too long, the conversation ends with
            an answer, `reserve` is negative, or `tokenizer` lacks the chat tokens or a character.
    """
    if reserve < 0:
        raise ValueError(f"reserve={reserve} is negative; use 0 or the number of new tokens")
    system, pairs = exchanges(conversation)
    if pairs[-1][1] is not None:
        raise ValueError("conversation ends with an answer; add the user's next message")
    kept = _newest(system, pairs, tokenizer, context - reserve)
    if not kept:
        needed = len(_exchange(system, *pairs[-1], tokenizer).ids)
        besides = " and the system message" if system else ""
        raise ValueError(
            f"the newest message{besides} takes {needed} tokens, but context={context} with "
            f"reserve={reserve} leaves {context - reserve}; shorten it or reserve fewer"
        )
    return [token_id for each in kept for token_id in each.ids]


def with_chat_tokens(tokenizer: T) -> T:
    """The same tokenizer with the CHAT_TOKENS it lacks after its own; the ids it had stay what they were.

    Raises TypeError for a tokenizer of another kind than the package's.
    """
    missing = [token for token in CHAT_TOKENS if token not in tokenizer.special_tokens]
    if not missing:
        return tokenizer
    tokens = [*tokenizer.special_tokens, *missing]
    longer: Tokenizer
    match tokenizer:
        case GPT2Tokenizer():
            longer = gpt2(chat=True)
        case BPETokenizer():
            longer = BPETokenizer(tokenizer.vocabulary, tokens, tokenizer.pattern)
        case CharacterTokenizer():
            longer = CharacterTokenizer(tokenizer.characters, tokens)
        case _:
            raise TypeError(
                f"tokenizer is a {type(tokenizer).__name__}, which cannot be extended here; build it with "
                f"special_tokens={CHAT_TOKENS}"
            )
    return longer  # type: ignore[return-value]  # of the class it was given


def _exchange(system: str, question: str, answer: str | None, tokenizer: Tokenizer) -> _Exchange:
    if missing := [token for token in CHAT_TOKENS if token not in tokenizer.special_tokens]:
        raise ValueError(f"tokenizer has no {missing[0]!r}; use chat.with_chat_tokens(tokenizer)")
    user, end_user, assistant, end_assistant = map(tokenizer.special, CHAT_TOKENS)
    ids = [user, *_text_ids(user_text(system, question), tokenizer), end_user, assistant]
    asked = len(ids)
    if answer is not None:
        ids += [*_text_ids(answer, tokenizer), end_assistant]
    return _Exchange(ids, asked)


def _text_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """A text's ids; marks that somebody typed are text."""
    try:
        return tokenizer.encode(text)
    except ValueError as error:
        raise Refused("a text that the tokenizer cannot encode", str(error)) from None


def _newest(
    system: str, pairs: list[tuple[str, str | None]], tokenizer: Tokenizer, limit: int
) -> list[_Exchange]:
    """The newest exchanges that fit into `limit` ids with the system's text before the first; may be none."""
    fitting: list[_Exchange] = []
    later: list[_Exchange] = []  # those behind the one tried, without the system's text
    room = limit
    for pair in reversed(pairs):
        first = _exchange(system, *pair, tokenizer)
        if len(first.ids) > room:
            break
        fitting = [first, *later]
        plain = _exchange("", *pair, tokenizer) if system else first
        later = [plain, *later]
        room -= len(plain.ids)
    return fitting


def _cut(exchange: _Exchange, limit: int) -> _Exchange:
    """The exchange without the beginning of the user's text; at least one token of that stays."""
    excess, text = len(exchange.ids) - limit, exchange.asked - 3
    if excess >= text:
        raise Refused(
            "the last answer fills the context",
            f"the last answer takes {len(exchange.ids) - exchange.asked} tokens of {limit}, which leaves no "
            "room for its question; use a longer context or leave this conversation out",
        )
    return _Exchange([exchange.ids[0], *exchange.ids[1 + excess :]], exchange.asked - excess)
