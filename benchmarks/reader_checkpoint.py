"""Train the model that ships for fine-tuning: a small GPT that has read stories with notes.

    python -m benchmarks.reader_checkpoint               the real one
    python -m benchmarks.reader_checkpoint --steps 50 --out /tmp/try --assets /tmp/try    a trial

The storyteller (`stories.safetensors`) never needs to know where a story began, so it does not, and three
minutes of fine-tuning are too few to learn it. This model has read the same kind of stories, each followed by
a line of notes: questions and their answers as plain text, as pages of the web have them. It has no chat
tokens and has seen no conversation. Its tokens are those of BPE: a story is 78 of them instead of 331
characters, so that it learns to look back several times as fast. A killed run goes on where it was when the
same command is given again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks._common import machine, today, versions
from microgpt_ref import checkpoint, datasets, stories
from microgpt_ref._files import atomic_write
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.evaluate import evaluate
from microgpt_ref.presets import preset
from microgpt_ref.sampling import PAD
from microgpt_ref.tokenizers import BPETokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.answers import exact_match
from microgpt_ref.torch.sample import generate
from microgpt_ref.torch.train import TrainConfig, Trainer

ASSETS = Path(checkpoint.__file__).parent / "assets"


@dataclass(frozen=True)
class Run:
    """Train the reader."""

    steps: int = 6000
    """Updates of the weights."""
    batch_size: int = 8
    """Stories with their notes in each."""
    documents: int = 40_000
    """Different stories with notes; with more steps they come again, in another order."""
    vocab_size: int = 1024
    """Tokens, learned by BPE from the first thousands of them."""
    context: int = 256
    """Tokens: nearly every story fits with ten notes."""
    notes: int = 10
    """Questions answered after each story, at most."""
    learning_rate: float = 4e-3
    """Peak learning rate."""
    compile: bool = True
    """Whether to compile the model."""
    stories: int = 300
    """Validation stories that the finished model is measured on."""
    questions: int = 300
    """Validation questions that it is asked."""
    evaluations: int = 8
    """How often on the way."""
    out: Path = Path("runs/reader")
    """Folder of the run, for resuming."""
    assets: Path = ASSETS
    """Where the finished files go."""


def documents(count: int, split: str, notes: int) -> list[str]:
    """Stories of the split, each with a line of notes: questions, answers, in the order of a fixed dice."""
    return [
        quiz[0].story + " ".join(f"{each.question} {each.answer}" for each in quiz) + "\n"
        for quiz in stories.quizzes(count, 1, split, notes)
    ]


class WholeDocuments(Trainer):
    """Every batch is a few whole documents, each from the newline before it; every token counts."""

    rows: np.ndarray  # (documents, T + 1), padded

    def order(self, epoch: int) -> np.ndarray:
        """The order of the documents in that epoch."""
        return np.random.default_rng([self.config.seed, epoch]).permutation(len(self.rows))

    def batch(self, step: int, micro_batch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (B, T), padded where a document is shorter."""
        B, n = self.config.batch_size, len(self.rows)
        numbers = np.arange(step * B, (step + 1) * B)  # (B,)
        chosen = [self.order(epoch)[numbers[numbers // n == epoch] % n] for epoch in np.unique(numbers // n)]
        tokens = torch.from_numpy(self.rows[np.concatenate(chosen)]).to(self.device)  # (B, T + 1)
        return tokens[:, :-1].clamp(min=0), tokens[:, 1:]


def notes_right(model: GPT, tokenizer: BPETokenizer, count: int) -> dict[str, float]:
    """How many questions about unseen stories the model answers when it goes on with story and question."""
    questions = sorted(stories.questions(count, 0, "validation"), key=lambda each: len(each.story))
    stop = [tokenizer.encode(".")]
    given = []
    for start in range(0, count, 50):
        prompts = [tokenizer.encode(f"\n{q.story}{q.question}") for q in questions[start : start + 50]]
        lengths = [len(prompt) for prompt in prompts]
        tokens = torch.tensor([prompt + [0] * (max(lengths) - len(prompt)) for prompt in prompts])
        new = generate(model, tokens, 64, temperature=0, stop=stop, lengths=lengths)[:, tokens.shape[1] :]
        given += [tokenizer.decode(token for token in row if token != PAD).strip() for row in new.tolist()]
    return exact_match(questions, given)


def build(run: Run) -> tuple[WholeDocuments, BPETokenizer, str]:
    """The trainer, its tokenizer and the validation stories."""
    text = "".join(stories.generate(run.stories, seed=0, split="validation"))
    texts = documents(run.documents, "train", run.notes)
    tokenizer = BPETokenizer.train("".join(texts[:3000]), run.vocab_size)
    recipe = TrainConfig(
        steps=run.steps,
        batch_size=run.batch_size,
        learning_rate=run.learning_rate,
        warmup_steps=min(100, run.steps // 4),
        save_every=run.steps,
        evaluate_every=run.steps,
        compile=run.compile,
    )

    dataset = datasets.Dataset("stories", "".join(texts[:3000]), text)
    config = preset("stories").replace(vocab_size=tokenizer.vocab_size, context=run.context)
    trainer = WholeDocuments(config, recipe, dataset, tokenizer, run.out)
    trainer.rows = np.full((len(texts), run.context + 1), PAD, np.int64)
    for row, document in zip(trainer.rows, texts, strict=True):
        ids = tokenizer.encode("\n" + document)[: run.context + 1]
        row[: len(ids)] = ids
    return trainer, tokenizer, text


def train(run: Run) -> None:
    """The run, with the questions asked on the way."""
    trainer, tokenizer, text = build(run)
    trainer.resume()
    history_file = run.out / "history.json"
    evaluations = json.loads(history_file.read_text(encoding="utf-8")) if trainer.step else []
    due = sorted({round(run.steps * (i + 1) / run.evaluations) for i in range(run.evaluations)})
    for stop in due:
        if stop <= trainer.step:
            continue
        loss = trainer.train_until(stop)
        trainer.model.eval()
        right = notes_right(trainer.model, tokenizer, 100)
        evaluations.append({"step": stop, "seconds": trainer.seconds, "loss": loss, "right": right})
        trainer.save_last()
        with atomic_write(history_file) as file:
            file.write(json.dumps(evaluations).encode())
        print(
            stop,
            round(trainer.seconds),
            round(loss, 4),
            {k: round(v, 2) for k, v in right.items()},
            flush=True,
        )
    finish(run, trainer, tokenizer, text, evaluations)


def finish(run: Run, trainer: Trainer, tokenizer: BPETokenizer, text: str, history: list) -> None:
    """Round to float16, measure what was rounded, and write the files."""
    half = {name: p.detach().half().numpy() for name, p in trainer.model.named_parameters()}
    rounded = Checkpoint(trainer.model.config, half).build_torch()
    result = evaluate(rounded, tokenizer, text, stories=True)
    right = notes_right(rounded, tokenizer, run.questions)
    made = {name: value for name, value in asdict(run).items() if name not in ("out", "assets")}
    made |= {"threads": torch.get_num_threads(), "training_seconds": round(trainer.seconds)}
    shipped = Checkpoint(
        config=trainer.model.config,
        parameters=half,
        tokenizer=tokenizer.to_dict(),
        step=trainer.step,
        metrics={
            "validation": result.to_dict(),
            "validation_stories": {"count": run.stories, "seed": 0},
            "notes_right": right,
        },
        training={"script": "benchmarks/reader_checkpoint.py", "dataset": "stories", **made},
    )
    checkpoint.save(run.assets / "reader.safetensors", shipped)
    about = {"recipe": made, "machine": machine(), "versions": versions(), "date": today()}
    with atomic_write(run.assets / "reader.history.json") as file:
        file.write((json.dumps({**about, "evaluations": history}, indent=1) + "\n").encode())
    print(f"loss on stories {result.loss:.4f}, notes right {right}, written to {run.assets}")


if __name__ == "__main__":
    train(tyro.cli(Run))
