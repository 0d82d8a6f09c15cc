"""What changes the weights: a recipe, the learning rate over time, and optax's optimizer of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp

try:
    import optax
except ImportError as error:
    raise ImportError(
        "training with JAX needs optax; install it with: pip install 'microgpt-ref[jax]'"
    ) from error

from microgpt_ref.jax.basics import Parameters

Decay = Literal["matrices", "all"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """All that one update depends on. It is frozen and can be hashed, so that `jit` compiles once a recipe.

    The defaults are those of `microgpt_ref.torch.TrainConfig`: the same recipe gives the same weights there.

    Raises:
        ValueError: for a value out of range.
    """

    steps: int = 500
    """Updates in the whole run."""
    batch_size: int = 16
    """Sequences a micro-batch."""
    accumulate: int = 1
    """Micro-batches whose gradients are averaged into one update."""
    learning_rate: float = 4e-3
    """Peak learning rate."""
    final_learning_rate: float = 0.0
    """Learning rate at the end of the cosine."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises."""
    warmup_from_zero: bool = False
    """Whether the rise begins at 0, so that the first update changes nothing, or at peak / warmup_steps."""
    weight_decay: float = 0.1
    """AdamW's decay."""
    decay: Decay = "matrices"
    """What decays: the matrices of linear layers, or all parameters as optax.adamw does by itself."""
    beta1: float = 0.9
    """AdamW's memory of the gradient."""
    beta2: float = 0.99
    """AdamW's memory of the squared gradient."""
    clip: float = 1.0
    """Largest allowed norm of the whole gradient; 0 switches clipping off."""
    precision: Precision = "fp32"
    """Number format of the matrix products; weights, norms, softmax and loss stay in float32."""
    scan_layers: bool = False
    """Whether one compiled block serves all layers: a deep model compiles much faster."""
    frozen: tuple[str, ...] = ()
    """Names, or beginnings of names such as "embedding" or "blocks.0", that do not learn."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; use 1 or more")
        for name in ("learning_rate", "final_learning_rate", "weight_decay", "clip", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative; use 0 or more")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is outside [0, 1); AdamW needs one inside")
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup_steps={self.warmup_steps} is more than steps={self.steps}; use {self.steps} or fewer"
            )
        for name, known in (("decay", DECAYS), ("precision", ("fp32", "bf16"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is not known; use {' or '.join(known)}")
        if isinstance(self.frozen, str):
            raise ValueError(f"frozen={self.frozen!r} is one word; use a tuple, ({self.frozen!r},)")


def learning_rate_schedule(recipe: Recipe) -> optax.Schedule:
    """Step → learning rate: a straight line up, then half a cosine down to `final_learning_rate`.

    With `warmup_from_zero` this is `optax.warmup_cosine_decay_schedule`, without it
    `microgpt_ref.schedules.warmup_cosine`.
    """
    peak, rise = recipe.learning_rate, recipe.warmup_steps
    first = 0 if recipe.warmup_from_zero else 1
    up = optax.linear_schedule(peak * first / max(1, rise), peak, rise - first)
    alpha = recipe.final_learning_rate / peak if peak else 0.0
    down = optax.cosine_decay_schedule(peak, max(1, recipe.steps - rise), alpha)
    both = optax.join_schedules([up, down], [rise])
    return lambda step: both(jnp.asarray(step, float))  # in float64 where JAX is told to use it


def decays(parameters: Parameters) -> dict[str, bool]:
    """Matrices of linear layers decay; embeddings, positions, norms and biases do not.

    Decay pulls every weight towards zero at each step. A row of the embedding gets a gradient only when its
    token appears, so decay would wear rare tokens away; a norm's scale has no reason to be small.
    """
    tables = ("embedding.weight", "position.weight")
    return {name: jnp.ndim(array) >= 2 and name not in tables for name, array in parameters.items()}


DECAYS: dict[str, Callable[[Parameters], dict[str, bool]] | None] = {"matrices": decays, "all": None}


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Clip the gradient to a norm, then AdamW (Loshchilov & Hutter 2019, algorithm 2) with the schedule.

    It sees the trained parameters only (`split_frozen`), so frozen ones have no moments.
    """
    adamw = optax.adamw(
        learning_rate_schedule(recipe),
        recipe.beta1,
        recipe.beta2,
        weight_decay=recipe.weight_decay,
        mask=DECAYS[recipe.decay],
    )
    return optax.chain(optax.clip_by_global_norm(recipe.clip), adamw) if recipe.clip else adamw


def split_frozen(parameters: Parameters, frozen: tuple[str, ...]) -> tuple[Parameters, Parameters]:
    """The parameters that learn, and those whose name is in `frozen` or begins with one of it and a dot.

    Raises:
        ValueError: if an entry names no parameter, or nothing is left to learn.
    """
    for entry in frozen:
        if not any(_is_in(name, entry) for name in parameters):
            parts = sorted({".".join(name.split(".")[: entry.count(".") + 1]) for name in parameters})
            raise ValueError(f"frozen={entry!r} names no parameter; use one of {', '.join(parts)}")
    still = {name: a for name, a in parameters.items() if any(_is_in(name, entry) for entry in frozen)}
    learning = {name: a for name, a in parameters.items() if name not in still}
    if not learning:
        raise ValueError(f"frozen={frozen} leaves nothing to learn; take one of them out")
    return learning, still


def _is_in(name: str, entry: str) -> bool:
    return name == entry or name.startswith(entry + ".")


KANDARPA_17M = Recipe(
    # github.com/kandarpa02/microGPT, micro_gpt_4, for about 1 GB of OpenWebText on a TPU v3-8:
    # clip_by_global_norm(1.0), then adamw(warmup_cosine_decay 0 → 5e-4 in 100 steps → 1e-5 at 7,600).
    # The rest are optax's defaults: every parameter decays, β₂ = 0.999.
    steps=7600,
    batch_size=128,
    learning_rate=5e-4,
    final_learning_rate=1e-5,
    warmup_steps=100,
    warmup_from_zero=True,
    weight_decay=0.01,
    decay="all",
    beta2=0.999,
    precision="bf16",
)

RECIPES: dict[str, Recipe] = {"kandarpa-17m": KANDARPA_17M}
