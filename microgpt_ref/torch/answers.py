"""What a model answers, and how often that is right: greedy answers in batches, graded by program."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from microgpt_ref.chat import Conversation, Message, prompt
from microgpt_ref.sampling import PAD
from microgpt_ref.stories import Question
from microgpt_ref.tokenizers import CHAT_TOKENS, Tokenizer
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.sample import stream

LONGEST_ANSWER = 64  # tokens; as characters, too, no story's answer has more


def answers(
    model: GPT,
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    max_new_tokens: int = LONGEST_ANSWER,
    batch_size: int = 50,
) -> list[str]:
    """The likeliest answer, token by token, to each conversation; it may be cut at `max_new_tokens`.

    Args:
        conversations: each ends with the user's turn.
        batch_size: conversations at a time; those of similar length go together.

    Raises:
        ValueError: if a conversation does not fit into the context, or the tokenizer lacks the chat tokens.
    """
    device = next(model.parameters()).device
    end = tokenizer.special(CHAT_TOKENS[-1])
    prompts = [prompt(each, tokenizer, model.config.context) for each in conversations]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        lengths = [len(prompts[i]) for i in chosen]
        padded = [prompts[i] + [0] * (max(lengths) - len(prompts[i])) for i in chosen]
        tokens = torch.tensor(padded, device=device)
        steps = stream(model, tokens, max_new_tokens, temperature=0, stop=[end], lengths=lengths)
        new = torch.cat([*steps], dim=1).tolist()
        for i, row in zip(chosen, new, strict=True):
            texts[i] = tokenizer.decode(token for token in row if token not in (end, PAD))
    return texts


def ask(model: GPT, tokenizer: Tokenizer, questions: Sequence[Question], batch_size: int = 50) -> list[str]:
    """The model's answers to questions about stories, each in a conversation of its own."""
    conversations = [
        (Message("system", each.story.strip()), Message("user", each.question)) for each in questions
    ]
    return answers(model, tokenizer, conversations, LONGEST_ANSWER, batch_size)


def exact_match(questions: Sequence[Question], given: Sequence[str]) -> dict[str, float]:
    """The share of answers that are the right sentence, letter for letter: "all", then by kind.

    White space around an answer does not count.
    """
    right: dict[str, list[bool]] = {"all": []}
    for question, answer in zip(questions, given, strict=True):
        for name in ("all", question.kind):
            right.setdefault(name, []).append(answer.strip() == question.answer)
    return {name: sum(values) / len(values) for name, values in right.items()}
