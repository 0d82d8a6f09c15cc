"""What a training run can be told: `TrainConfig`, one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from microgpt_ref.schedules import SCHEDULES
from microgpt_ref.torch.precision import Precision

NOT_NEGATIVE = (
    "learning_rate",
    "final_learning_rate",
    "muon_learning_rate",
    "weight_decay",
    "clip",
    "seed",
    "warmup_steps",
)
CHOICES = {
    "optimizer": ("adamw", "muon"),
    "schedule": tuple(SCHEDULES),
    "log_to": ("none", "tensorboard", "wandb"),
}


@dataclass(frozen=True)
class TrainConfig:
    """One run's recipe.

    Raises:
        ValueError: for a value out of range.
    """

    steps: int = 500
    """Updates in the whole run."""
    batch_size: int = 16
    """Sequences a micro-batch."""
    accumulate: int = 1
    """Micro-batches whose gradients are averaged into one update."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """adamw for all parameters, or muon for the matrices of the blocks and AdamW for the rest."""
    learning_rate: float = 4e-3
    """Peak learning rate of AdamW."""
    final_learning_rate: float = 0.0
    """Learning rate of AdamW at the end of the run; Muon's falls by the same factor."""
    schedule: Literal["cosine", "one_cycle", "wsd"] = "cosine"
    """How the learning rate moves: warm-up and cosine, one cycle, or warm-up, stable, decay."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises."""
    decay_share: float = 0.2
    """Share of the run over which it falls, used only with schedule wsd."""
    weight_decay: float = 0.1
    """Decay of the weights, on the matrices of linear layers only."""
    beta1: float = 0.9
    """AdamW's memory of the gradient."""
    beta2: float = 0.99
    """AdamW's memory of the squared gradient."""
    muon_learning_rate: float = 0.03
    """Peak learning rate of Muon: the size of its update's singular values, at any width."""
    muon_momentum: float = 0.95
    """Muon's memory of the gradient."""
    clip: float = 1.0
    """Largest allowed norm of the whole gradient; 0 switches clipping off."""
    precision: Precision = "auto"
    """Number format of the matrix products; auto takes what the hardware is fast at."""
    compile: bool = False
    """Whether torch.compile makes the step faster; its compilation takes up to a minute."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    evaluate_every: int = 250
    """Updates between two evaluations on the whole validation split; the last update is always evaluated."""
    save_every: int = 250
    """Updates between two checkpoints to resume from."""
    log_every: int = 10
    """Updates between two lines of the log."""
    log_to: Literal["none", "tensorboard", "wandb"] = "none"
    """Where the log goes besides log.jsonl: TensorBoard's event files, or Weights & Biases."""
    measure_peak: bool = False
    """Whether to time a matrix product first, so that the log can say which share of that speed is used."""
    seed: int = 0
    """Seed of the initial weights, the batches and dropout."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "evaluate_every", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; use 1 or more")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative; use 0 or more")
        for name in ("beta1", "beta2", "muon_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is outside [0, 1); use a value inside")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is not known; use one of {', '.join(allowed)}"
                )
        self.learning_rate_at(0)  # the schedule checks its own settings

    def learning_rate_at(self, step: int) -> float:
        """AdamW's learning rate in that update."""
        return self.scheduled(step, self.learning_rate, self.final_learning_rate)

    def muon_learning_rate_at(self, step: int) -> float:
        """Muon's learning rate in that update: the same curve, from its own peak."""
        final_share = self.final_learning_rate / self.learning_rate if self.learning_rate else 0.0
        return self.scheduled(step, self.muon_learning_rate, self.muon_learning_rate * final_share)

    def scheduled(self, step: int, peak: float, final: float) -> float:
        """The schedule's value in that update, for any peak and end."""
        options = {"decay_share": self.decay_share} if self.schedule == "wsd" else {}
        return SCHEDULES[self.schedule](step, self.steps, self.warmup_steps, peak, final, **options)
