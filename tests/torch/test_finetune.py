"""Fine-tuning: the loss on answers alone, old rows untouched, exact resuming, and a usable model."""

import dataclasses
import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from microgpt_ref import chat, checkpoint
from microgpt_ref.chat import Dialogues, Message
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.lora import LoRAConfig
from microgpt_ref.parameters import initial_parameters, parameter_shapes
from microgpt_ref.tokenizers import CHAT_TOKENS, CharacterTokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.finetune import FinetuneConfig, Finetuner
from microgpt_ref.torch.lora import load_adapter, remove_lora
from microgpt_ref.torch.resuming import rewind_log

NAMES, THINGS = ("mara", "ben", "ada", "nell"), ("lantern", "letter", "key", "coin")
TALKS = [
    (Message("user", f"{name} has the {thing}. who has it?"), Message("assistant", name))
    for name, thing in itertools.product(NAMES, THINGS)
]
DIALOGUES = Dialogues(TALKS[:12], TALKS[12:], Counter())
TEXT = " ".join(f"{name} has the {thing}." for name, thing in itertools.product(NAMES, THINGS)) * 3
TOKENIZER = CharacterTokenizer.from_text(TEXT + "who has it?")
MODEL = GPTConfig(
    vocab_size=TOKENIZER.vocab_size, context=48, d_model=16, n_layer=2, n_head=2, position="rotary"
)
LORA = LoRAConfig(rank=4, alpha=8)
RECIPE = FinetuneConfig(
    steps=8, batch_size=4, warmup_steps=2, evaluate_every=4, save_every=3, log_every=2, precision="fp32"
)


def base(**changes: object) -> Checkpoint:
    config = MODEL.replace(**changes)
    arrays = {name: array.astype(np.float32) for name, array in initial_parameters(config, 5).items()}
    arrays["embedding.weight"] *= 20  # the frozen table of a trained model can say something
    return Checkpoint(config, arrays, TOKENIZER.to_dict())


def tuner(out: Path | None = None, replay: str = TEXT, tied: bool = True, **changes: object) -> Finetuner:
    recipe = dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]
    return Finetuner(base(tied_head=tied), recipe, LORA, DIALOGUES, replay, out)


def test_batches_hold_conversations_and_a_share_of_plain_text() -> None:
    run = tuner(replay=TEXT, batch_size=8)
    inputs, targets = run.batch(0)
    assert inputs.shape == targets.shape == (8, 48)
    end = run.tokenizer.special(CHAT_TOKENS[-1])
    plain = [i for i in range(8) if (targets[i] >= 0).all()]
    assert len(plain) == 1  # an eighth of 8
    assert TOKENIZER.decode(inputs[plain[0]].tolist()) in TEXT
    for i in set(range(8)) - set(plain):
        answers = run.tokenizer.decode(targets[i][targets[i] >= 0].tolist())
        assert set(answers.split(CHAT_TOKENS[-1])[:-1]) <= set(NAMES)
        assert end in targets[i]


def test_an_epoch_deals_every_conversation_once_and_a_batch_depends_on_its_step_alone() -> None:
    run = tuner(replay="", batch_size=3)
    rows = len(run.batches.inputs)  # type: ignore[attr-defined]
    dealt = [tuple(row.tolist()) for step in range(rows) for row in run.batch(step)[0]]
    assert Counter(dealt[:rows]) == Counter(dealt[rows : 2 * rows]) == Counter(dealt[2 * rows :])
    assert dealt[:rows] != dealt[rows : 2 * rows]  # in another order
    assert torch.equal(run.batch(5)[0], tuner(replay="", batch_size=3).batch(5)[0])
    assert not torch.equal(run.batch(5)[0], tuner(replay="", batch_size=3, seed=1).batch(5)[0])


def test_the_gradient_is_that_of_all_answers_however_the_batch_is_cut() -> None:
    """Micro-batches have different numbers of answers: a mean of their means would be another loss."""
    run = tuner(replay="", batch_size=3, accumulate=2)
    whole = [torch.cat(parts) for parts in zip(run.batch(0, 0), run.batch(0, 1), strict=True)]
    counts = [int((run.batch(0, i)[1] >= 0).sum()) for i in range(2)]
    assert counts[0] != counts[1]
    logits = run.model(whole[0]).flatten(0, 1)
    loss = functional.cross_entropy(logits, whole[1].flatten(), ignore_index=-1)
    expected = torch.autograd.grad(loss, [p for p in run.model.parameters() if p.requires_grad])
    run.config = dataclasses.replace(run.config, learning_rate=0.0)
    for parameter in run.model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda p: gradients.__setitem__(p, p.grad.clone()))
    gradients: dict[torch.Tensor, torch.Tensor] = {}
    mean, _ = run.train_step()
    assert mean.item() == pytest.approx(loss.item(), rel=1e-5)
    seen = [gradients[p] for p in run.model.parameters() if p.requires_grad]
    for mine, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_lora_leaves_every_old_number_as_it_was(tied: bool) -> None:
    run = tuner(tied=tied, weight_decay=0.1)
    run.run()
    result, old = run.result(), base(tied_head=tied)
    assert {name: a.shape for name, a in result.parameters.items()} == parameter_shapes(result.config)
    V = old.config.vocab_size
    assert result.config.vocab_size == V + len(CHAT_TOKENS)
    for name in ("embedding.weight", *(() if tied else ("head.weight",))):
        assert np.array_equal(result.parameters[name][:V], old.parameters[name])
        assert not np.array_equal(
            result.parameters[name][V:], np.repeat(old.parameters[name].mean(0)[None], 4, 0)
        )
    for name, array in old.parameters.items():
        if name.endswith(("norm.weight", "norm.bias", ".bias")):
            assert np.array_equal(result.parameters[name], array), name
    changed = [n for n in result.parameters if n.endswith(("qkv.weight", "up.weight"))]
    assert all(not np.array_equal(result.parameters[n], old.parameters[n]) for n in changed)


def test_it_learns_to_answer_and_what_is_saved_answers_the_same(tmp_path: Path) -> None:
    # what it is asked is what it was taught: so small a model learns by heart
    recipe = dataclasses.replace(RECIPE, steps=100, learning_rate=2e-2, evaluate_every=50, save_every=50)
    by_heart = Dialogues(TALKS[:4], TALKS[:4], Counter())
    run = Finetuner(base(), recipe, LORA, by_heart, TEXT, tmp_path)
    before = run.evaluate().loss
    run.run()
    assert run.history[-1]["validation"]["loss"] < 0.3 * before
    assert run.best is not None
    model, tokenizer = checkpoint.load_model(tmp_path)
    assert tokenizer.vocab_size == model.config.vocab_size
    inputs, targets = (torch.from_numpy(each) for each in chat.rows(run.validation, 48))
    logits = model(inputs).flatten(0, 1)
    loss = functional.cross_entropy(logits, targets.flatten(), ignore_index=-1).item()
    assert loss == pytest.approx(run.best, rel=1e-4)
    adapted = remove_lora(load_adapter(base().build_torch(), tmp_path / "adapter"))
    torch.testing.assert_close(adapted(inputs), model(inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, method: str) -> None:
    whole = tuner(method=method)
    whole.run()
    run = tuner(tmp_path / "a", method=method)
    run.train_until(3)
    run.save_last()
    run.train_until(5)  # lost
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = tuner(tmp_path / "b", method=method)
    assert again.resume()
    assert again.step == 3
    again.run()
    for (name, a), (_, b) in zip(whole.model.named_parameters(), again.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert len(rewind_log(tmp_path / "b" / "log.jsonl", 8)) == len(again.history)


def test_a_run_of_other_conversations_is_not_resumed(tmp_path: Path) -> None:
    run = tuner(tmp_path)
    run.train_until(2)
    run.save_last()
    other = Dialogues(TALKS[1:12], TALKS[12:], Counter())
    with pytest.raises(checkpoint.CheckpointError, match="dataset_sha256"):
        Finetuner(base(), RECIPE, LORA, other, TEXT, tmp_path).resume()


def test_full_fine_tuning_trains_everything() -> None:
    run = tuner(method="full")
    assert isinstance(run.model, GPT)
    assert all(p.requires_grad for p in run.model.parameters())
    assert [name for name, _ in run.model.named_parameters()] == list(parameter_shapes(run.model.config))


def test_the_evaluation_is_the_mean_over_the_answers_tokens() -> None:
    run = tuner()
    total, count = 0.0, 0
    for talk in DIALOGUES.validation:
        ids, answers = chat.encode(talk, run.tokenizer, 48)
        logits = run.model(torch.from_numpy(ids[None, :-1]))[0].log_softmax(-1)
        chosen = logits[torch.arange(len(ids) - 1), torch.from_numpy(ids[1:])]
        total -= chosen[torch.from_numpy(answers[1:])].sum().item()
        count += int(answers[1:].sum())
    measured = run.evaluate()
    assert measured.tokens == count
    assert measured.loss == pytest.approx(total / count, rel=1e-5)
    inputs, targets = chat.rows(run.validation, 48)
    logits = run.model(torch.from_numpy(inputs)).flatten(0, 1)
    by_rows = functional.cross_entropy(logits, torch.from_numpy(targets).flatten(), ignore_index=-1)
    assert by_rows.item() == pytest.approx(total / count, rel=1e-5)


def test_what_does_not_fit_is_counted_and_nothing_left_is_an_error() -> None:
    long = (Message("user", "who has it?"), Message("assistant", "mara " * 20))
    mixed = Dialogues([*TALKS[:12], long], TALKS[12:], Counter({"no answer at the end": 2}))
    run = Finetuner(base(), RECIPE, LORA, mixed, TEXT)
    assert run.refused == {"no answer at the end": 2, "the last answer fills the context": 1}
    with pytest.raises(ValueError, match=r"no conversation is left .* \(1 × the last answer fills"):
        Finetuner(base(), RECIPE, LORA, Dialogues([long], TALKS, Counter()), TEXT)
    with pytest.raises(ValueError, match=r"there is none.*give ten or more"):
        Finetuner(base(), RECIPE, LORA, Dialogues(TALKS, [], Counter()), TEXT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay": 1.0}, r"replay=1.0 is outside \[0, 1\)"),
        ({"steps": 0}, "steps=0 is below 1"),
    ],
)
def test_a_bad_recipe_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]


def test_a_batch_of_plain_text_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no conversation in a batch of 2"):
        Finetuner(base(), dataclasses.replace(RECIPE, batch_size=2, replay=0.8), LORA, DIALOGUES, TEXT)
