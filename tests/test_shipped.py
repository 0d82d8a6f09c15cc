"""The checkpoint inside the package: small, loaded in one line, and as good as its JSON claims."""

import json
import math

import pytest
import torch

from microgpt_ref import checkpoint, count_parameters, stories
from microgpt_ref.evaluate import evaluate
from microgpt_ref.torch import generate

FOUR_MB = 4_000_000


def test_fits_into_four_megabytes() -> None:
    files = list(checkpoint.shipped().parent.iterdir())
    assert checkpoint.shipped() in files
    assert sum(file.stat().st_size for file in files) < FOUR_MB


@pytest.mark.slow
def test_the_claimed_loss_is_measured_again() -> None:
    claimed = checkpoint.load(checkpoint.shipped()).metrics
    which = claimed["validation_stories"]
    text = "".join(stories.generate(which["count"], seed=which["seed"], split="validation"))
    model, tokenizer = checkpoint.load_model()
    result = evaluate(model, tokenizer, text, stories=True)
    validation = claimed["validation"]
    assert result.tokens == validation["tokens"] == len(text)
    assert result.loss == pytest.approx(validation["loss"], abs=2e-4)
    assert result.floor == pytest.approx(validation["floor"], abs=1e-9)
    assert result.loss > validation["floor"]
    for name, part in result.categories.items():
        assert part.loss == pytest.approx(validation["categories"][name]["loss"], abs=1e-3), name
        assert part.characters == validation["categories"][name]["characters"]


def test_it_recalls() -> None:
    """Counts of the last eight characters lose 1.9 nats on recall; a model that looks back loses far less."""
    categories = checkpoint.load(checkpoint.shipped()).metrics["validation"]["categories"]
    assert categories["spelling"]["loss"] < 0.05
    assert categories["recall"]["loss"] < 0.5


@pytest.mark.slow
def test_it_tells_a_story() -> None:
    model, tokenizer = checkpoint.load_model()
    prompt = torch.tensor([tokenizer.encode("\n")])
    lines = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        tokens = generate(model, prompt, 460, temperature=0.5, generator=generator)
        lines.append(tokenizer.decode(tokens[0].tolist())[1:].split("\n")[0] + "\n")
    followed = [
        len(line) if stories.consistent(line) else stories.first_inconsistency(line).position
        for line in lines
    ]
    assert max(followed) > 100, lines


def test_the_history_belongs_to_it() -> None:
    history, saved = checkpoint.history(), checkpoint.load(checkpoint.shipped())
    assert history["recipe"] == {k: saved.training[k] for k in history["recipe"]}
    first, last = history["evaluations"][0], history["evaluations"][-1]
    assert first["step"] == 0
    assert first["loss"] == pytest.approx(math.log(saved.config.vocab_size), rel=0.03)
    assert last["step"] == saved.step == history["log"][-1]["step"]
    # float16 rounds the weights a little
    assert last["loss"] == pytest.approx(saved.metrics["validation"]["loss"], abs=2e-3)
    assert len(history["samples"]) == 5
    assert all(evaluation["loss"] > evaluation["floor"] for evaluation in history["evaluations"])


def test_the_json_beside_it_says_the_same() -> None:
    path = checkpoint.shipped()
    readable = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    del readable["sha256"]
    assert readable == checkpoint.load(path).describe()
    assert count_parameters(checkpoint.load(path).config) == sum(
        array.size for array in checkpoint.load(path).parameters.values()
    )


@pytest.mark.slow
def test_the_reader_is_as_good_as_it_claims() -> None:
    from benchmarks.reader_checkpoint import notes_right

    saved = checkpoint.load(checkpoint.shipped("reader"))
    model, tokenizer = saved.build_torch(), saved.build_tokenizer()
    which = saved.metrics["validation_stories"]
    text = "".join(stories.generate(which["count"], seed=which["seed"], split="validation"))
    result = evaluate(model, tokenizer, text, stories=True)
    assert result.loss == pytest.approx(saved.metrics["validation"]["loss"], abs=2e-3)
    assert result.loss > result.floor
    right = notes_right(model, tokenizer, saved.training["questions"])
    assert right["all"] == pytest.approx(saved.metrics["notes_right"]["all"], abs=0.02)


def test_the_reader_has_seen_no_conversation() -> None:
    tokenizer = checkpoint.load(checkpoint.shipped("reader")).build_tokenizer()
    assert not tokenizer.special_tokens
    assert tokenizer.decode(tokenizer.encode("Mara has the lantern.")) == "Mara has the lantern."
