"""Evaluation: every token counted once, units that agree, and a floor that cannot be passed."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microgpt_ref import stories
from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.evaluate import by_category, evaluate, evaluate_split, token_losses
from microgpt_ref.tokenizers import BPETokenizer, CharacterTokenizer
from microgpt_ref.torch import GPT

TEXT = "the lantern is on the pier. who has the letter? mara has it. " * 20
CHARACTERS = CharacterTokenizer.from_text(TEXT)


class Uniform(nn.Module):
    """Every token equally likely."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, self.config.vocab_size)


class IdealReader(nn.Module):
    """The stories' own distribution, computed from the text so far."""

    def __init__(self, tokenizer: CharacterTokenizer) -> None:
        super().__init__()
        self.config = GPTConfig(vocab_size=tokenizer.vocab_size, context=512)
        self.tokenizer = tokenizer
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor) -> Tensor:
        logits = torch.full((*tokens.shape, self.config.vocab_size), -1e9)
        for b, row in enumerate(tokens.tolist()):
            text = self.tokenizer.decode(row)
            end = text.find("\n", 1)  # after the story there is padding only
            for t in range(len(text) if end < 0 else end):
                for character, p in stories.next_character_distribution(text[1 : t + 1]).items():
                    logits[b, t, self.tokenizer.encode(character)[0]] = math.log(p)
        return logits


def small_model(vocab_size: int, context: int = 16) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=vocab_size, context=context, d_model=16, n_layer=1, n_head=2)).eval()


def test_uniform_model_has_known_numbers() -> None:
    model = Uniform(GPTConfig(vocab_size=CHARACTERS.vocab_size, context=16))
    result = evaluate(model, CHARACTERS, TEXT)  # type: ignore[arg-type]
    V = CHARACTERS.vocab_size
    assert result.loss == pytest.approx(math.log(V), rel=1e-6)
    assert result.perplexity == pytest.approx(V, rel=1e-5)
    assert result.bits_per_character == pytest.approx(math.log2(V), rel=1e-6)
    assert result.tokens == result.characters == result.bytes == len(TEXT) - 1


@pytest.mark.parametrize("n", [2, 3, 16, 17, 18, 33, 100])
def test_every_token_but_the_first_is_predicted_once(n: int) -> None:
    """Against a loop that reads one window at a time."""
    model, ids = small_model(50), np.random.default_rng(0).integers(0, 50, n)
    expected = []
    for t in range(1, n):
        start = (t - 1) // 16 * 16
        log_p = model(torch.from_numpy(ids[start:t])[None]).log_softmax(-1)[0, -1]
        expected.append(-log_p[ids[t]].item())
    losses = token_losses(model, ids, batch_size=3)
    assert losses.shape == (n - 1,)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_bits_per_byte_do_not_depend_on_the_tokenizer() -> None:
    """A uniform model over bytes has 8 bits a byte, however its tokens are written down."""
    text = "Grüße, 漁師! " * 30
    tokenizer = BPETokenizer.train(text, 256)
    model = Uniform(GPTConfig(vocab_size=256, context=64))
    result = evaluate(model, tokenizer, text)  # type: ignore[arg-type]
    assert result.bits_per_byte == pytest.approx(8, rel=1e-6)
    assert result.bytes == len(text.encode()) - 1
    assert result.bits_per_character > 8


def test_model_is_left_as_it_was() -> None:
    model = small_model(CHARACTERS.vocab_size).train()
    evaluate(model, CHARACTERS, TEXT[:50])
    assert model.training


def test_too_short() -> None:
    with pytest.raises(ValueError, match="ids has 1 tokens; predicting needs at least 2"):
        evaluate(small_model(CHARACTERS.vocab_size), CHARACTERS, "t")


def test_the_ideal_reader_sits_on_the_floor() -> None:
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    text = "".join(stories.generate(2, seed=3, split="validation"))
    result = evaluate(IdealReader(tokenizer), tokenizer, text, stories=True)  # type: ignore[arg-type]
    assert result.floor is not None
    assert result.loss == pytest.approx(result.floor, abs=1e-5)
    total = -sum(map(stories.log_probability, text.splitlines(keepends=True)))
    assert result.floor * result.tokens == pytest.approx(total, rel=1e-9)
    assert set(result.categories) == set(stories.CATEGORIES)
    for name, part in result.categories.items():
        assert part.loss == pytest.approx(part.floor, abs=1e-5), name
        assert (part.floor > 0) == (name == "free")
    assert sum(part.characters for part in result.categories.values()) == len(text)


def test_no_model_beats_the_floor() -> None:
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    text = "".join(stories.generate(8, seed=4, split="validation"))
    for seed in range(3):
        torch.manual_seed(seed)
        model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, context=512, d_model=16, n_layer=1))
        result = evaluate(model, tokenizer, text, stories=True)
        assert result.floor is not None
        assert result.loss > result.floor


def test_a_story_longer_than_the_context_is_an_error() -> None:
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    model = small_model(tokenizer.vocab_size)
    with pytest.raises(ValueError, match="tokens but the model's context is 16"):
        evaluate(model, tokenizer, stories.generate(1)[0], stories=True)


def test_a_short_context_reads_stories_in_windows() -> None:
    tokenizer = CharacterTokenizer(stories.ALPHABET)
    text = "".join(stories.generate(3, split="validation"))
    dataset = Dataset("stories", text, text)
    short = evaluate_split(small_model(tokenizer.vocab_size), tokenizer, dataset)
    assert short.floor is None
    assert short.tokens == len(text) - 1
    long = evaluate_split(small_model(tokenizer.vocab_size, context=512), tokenizer, dataset, "train")
    assert long.floor is not None
    assert long.tokens == len(text)


def test_by_category_means() -> None:
    losses, floor = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.0, 0.5, 0.0, 1.5])
    parts = by_category(losses, floor, np.array([0, 2, 0, 2]))
    assert parts["spelling"].loss == 2.0
    assert parts["free"].floor == 1.0
    assert set(parts) == {"spelling", "free"}
