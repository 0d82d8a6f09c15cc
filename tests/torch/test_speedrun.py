"""The speedrun: its tables know n-grams, its start is a flat guess, and its run is the course's trainer's."""

import dataclasses

import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.datasets import Dataset
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CharacterTokenizer
from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.muon import Muon
from microgpt_ref.torch.speedrun import TWO_MINUTES, NgramTables, SpeedrunGPT, SpeedrunTrainer, run

TEXT = "mara has the lantern. ben has the letter. who has the key? ada has it.\n" * 40
DATASET = Dataset("test", TEXT, TEXT[:500])
TOKENIZER = CharacterTokenizer.from_text(TEXT)
SMALL = TWO_MINUTES.replace(
    d_model=16, n_layer=1, n_head=2, context=16, batch_size=4, steps=12, warmup_steps=2, log_every=4,
    compile=False, precision="fp32", ngrams={2: 23**2, 3: 100},
)  # fmt: skip


def test_an_ngram_is_its_last_tokens_and_nothing_else() -> None:
    """Two positions read the same row exactly when their last n tokens are the same."""
    tables = NgramTables(5, 3, {2: 25, 3: 125})
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, (4, 50), generator=generator)
    for n, count in ((2, 25), (3, 125)):
        rows = tables.row(tokens, n, count)
        assert rows.shape == tokens.shape
        padded = torch.nn.functional.pad(tokens, (n - 1, 0))
        grams = padded.unfold(1, n, 1).reshape(-1, n).tolist()
        seen: dict[tuple[int, ...], int] = {}
        for gram, row in zip(map(tuple, grams), rows.flatten().tolist(), strict=True):
            assert 0 <= row < count
            assert seen.setdefault(gram, row) == row
        assert len(set(seen.values())) == len(seen)


def test_hashed_ngrams_spread_over_the_table() -> None:
    tables = NgramTables(65, 2, {4: 1000})
    tokens = torch.randint(65, (20, 500), generator=torch.Generator().manual_seed(0))
    rows = tables.row(tokens, 4, 1000).flatten()
    assert rows.min() >= 0
    assert rows.max() < 1000
    counts = rows.bincount(minlength=1000)
    assert counts.max() < 5 * counts.float().mean()
    assert (counts == 0).sum() < 20


def test_the_sum_of_the_tables() -> None:
    tables = NgramTables(5, 3, {2: 25, 3: 10})
    tokens = torch.tensor([[4, 0, 3]])
    by_hand = [
        tables.tables["2"].weight[4 * 5 + 0],
        tables.tables["3"].weight[tables.row(tokens, 3, 10)[0, 0]],
    ]
    torch.testing.assert_close(tables(tokens)[0, 0], by_hand[0] + by_hand[1])  # 4, and 0 before it


def test_ngrams_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="ngrams has n=6"):
        NgramTables(65, 8, {6: 100})
    with pytest.raises(ValueError, match="ngrams has n=1"):
        NgramTables(65, 8, {1: 100})


def test_it_begins_with_a_flat_guess_and_every_parameter_can_learn() -> None:
    config = preset("tiny").replace(vocab_size=11, context=16)
    torch.manual_seed(0)
    model = SpeedrunGPT(config, {2: 121})
    tokens, targets = torch.randint(11, (2, 3, 16))
    assert model.loss(tokens, targets).item() == pytest.approx(torch.tensor(11.0).log().item(), abs=1e-6)
    for _ in range(3):  # what is behind a zero matrix gets its first gradient when that has moved
        model.zero_grad()
        model.loss(tokens, targets).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_without_its_own_choices_it_is_the_plain_gpt() -> None:
    config = GPTConfig(vocab_size=11, context=16, d_model=16, n_head=2)
    tokens = torch.randint(11, (2, 16))
    outputs = []
    for build in (GPT, lambda c: SpeedrunGPT(c, zero_init=False)):
        torch.manual_seed(0)
        outputs.append(build(config)(tokens))
    torch.testing.assert_close(*outputs)


def test_no_position_sees_a_later_one() -> None:
    model = SpeedrunGPT(SMALL.model.replace(vocab_size=23), {2: 529, 3: 100})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    tokens = torch.randint(23, (1, 12))
    before = model(tokens)
    for t in range(1, 12):
        changed = tokens.clone()
        changed[:, t:] = (changed[:, t:] + 1) % 23
        after = model(changed)
        torch.testing.assert_close(after[:, :t], before[:, :t])
        assert not torch.allclose(after[:, t], before[:, t])


def test_each_parameter_has_one_optimiser_and_the_tables_their_own_settings() -> None:
    trainer = SpeedrunTrainer(SMALL, DATASET, TOKENIZER)
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    everyone = [id(p) for group in groups for p in group["params"]]
    assert sorted(everyone) == sorted(id(p) for p in trainer.model.parameters())
    tables = {id(p) for p in trainer.model.ngrams.parameters()}
    trainer.train_step()
    for group in groups:
        if tables & {id(p) for p in group["params"]}:
            assert group["weight_decay"] == SMALL.table_decay
            assert group["lr"] == pytest.approx(SMALL.table_scale * trainer.learning_rate_at(0))
    assert any(isinstance(optimizer, Muon) for optimizer in trainer.optimizers)


def test_a_run_learns_and_tells_what_it_measured() -> None:
    lines: list[dict[str, float]] = []
    result, trainer = run(SMALL, DATASET, TOKENIZER, seed=3, progress=lines.append)
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert result.validation < 3.0
    assert result.seed == trainer.config.seed == 3
    assert result.seconds > 0
    assert result.compile_seconds == 0
    assert result.tokens_per_second == pytest.approx(12 * 4 * 16 / result.seconds)
    assert result.parameters == sum(p.numel() for p in trainer.model.parameters())


def test_compiling_first_changes_nothing() -> None:
    """With a stand-in for the compiler: the batch, the dice and the weights of step 0 are untouched."""
    runs = [SpeedrunTrainer(SMALL, DATASET, TOKENIZER) for _ in range(2)]
    assert runs[0].compile() > 0
    for one in runs:
        one.train_until(3)
    for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_recipe_changes_its_parts_by_name() -> None:
    changed = TWO_MINUTES.replace(steps=7, warmup_steps=1, d_model=64, table_decay=0.0)
    assert (changed.training.steps, changed.model.d_model, changed.table_decay) == (7, 64, 0.0)
    with pytest.raises(TypeError):
        TWO_MINUTES.replace(stepz=7)
    assert dataclasses.replace(changed) == changed
