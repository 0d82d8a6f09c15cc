"""Answers in batches are those given one by one, and the grading knows right from wrong."""

import pytest
import torch

from microgpt_ref import stories
from microgpt_ref.chat import Message, prompt
from microgpt_ref.config import GPTConfig
from microgpt_ref.stories import Question
from microgpt_ref.tokenizers import CHAT_TOKENS, CharacterTokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.answers import answers, ask, exact_match

TOKENIZER = CharacterTokenizer(stories.ALPHABET, CHAT_TOKENS)


@pytest.fixture(scope="module")
def model() -> GPT:
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=TOKENIZER.vocab_size, context=512, d_model=16, n_layer=1, n_head=2, tied_head=False
    )
    model = GPT(config).eval()
    with torch.no_grad():  # so that answers end, and at different places
        for parameter in model.parameters():
            parameter.normal_()
    return model


def test_a_batch_gives_what_each_conversation_gets_alone(model: GPT) -> None:
    questions = stories.questions(9, 0, "validation")
    together = ask(model, TOKENIZER, questions, batch_size=4)
    end = TOKENIZER.special("<|endassistant|>")
    for question, given in zip(questions, together, strict=True):
        talk = (Message("system", question.story.strip()), Message("user", question.question))
        ids = prompt(talk, TOKENIZER, 512)
        assert answers(model, TOKENIZER, [talk]) == [given]
        new: list[int] = []
        while len(new) < 64 and new[-1:] != [end] and len(ids) + len(new) < 512:
            logits = model(torch.tensor([ids + new]))
            new.append(int(logits[0, -1].argmax()))
        alone = TOKENIZER.decode(token for token in new if token != end)
        assert given.startswith(alone)
    assert len(set(together)) > 5


def test_exact_match_counts_letter_by_letter() -> None:
    questions = [
        Question("s", "q", "Mara has the ring.", "holder"),
        Question("s", "q", "Ben has the ring.", "holder"),
        Question("s", "q", "By the mill.", "where"),
    ]
    assert exact_match(questions, ["Mara has the ring.", "Mara has the ring.", "by the mill."]) == {
        "all": pytest.approx(1 / 3),
        "holder": 0.5,
        "where": 0.0,
    }


def test_a_model_without_chat_tokens_is_refused(model: GPT) -> None:
    with pytest.raises(ValueError, match="special token"):
        answers(model, CharacterTokenizer(stories.ALPHABET), [(Message("user", "Who?"),)])
