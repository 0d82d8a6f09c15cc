"""What each part of the speedrun bought: a ladder of recipes, one change a rung.

    python -m benchmarks.speedrun_ladder           about half an hour
    python -m benchmarks.speedrun_ladder --quick   a toy, to see whether it runs; writes nothing

The lowest rung is a GPT-2 of the speedrun's size, trained in float32 as it comes. Each rung trains for the
speedrun's number of updates on batches of the same size, one seed, in a process of its own. A rung that
changes what is learned, and ends within 0.15 of the mark, also trains for half the updates: a straight line
through both losses over the logarithm of the updates says how many reach 1.4815. Where that lies beyond what
was run it is an extrapolation, and the file says so; from further away nothing is claimed. The file is
written after every rung; a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import Any

from benchmarks._common import RESULTS, machine, versions, write_result
from benchmarks._speedrun import PACKAGES, TEJAS, VALIDATION, train_apart
from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.speedrun import TWO_MINUTES, Recipe

NAME = "speedrun_ladder"
IN_SIGHT = 0.15  # nats
SIZE = {name: getattr(TWO_MINUTES.model, name) for name in ("context", "d_model", "n_layer", "n_head")}
GPT2 = TWO_MINUTES.replace(
    optimizer="adamw", schedule="cosine", learning_rate=3e-3, beta2=0.99, clip=1.0, precision="fp32",
    compile=False, attention="sdpa", ngrams={}, zero_init=False, epochs=False,
)  # fmt: skip

# name, what changes, whether it changes what is learned in a step (and not only the step's time)
MODERN = {name: getattr(TWO_MINUTES.model, name) for name in GPTConfig().to_dict()}
CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("GPT-2's parts, AdamW, float32", GPTConfig(**SIZE).to_dict(), True),
    ("bf16 products", {"precision": "auto"}, False),
    ("compiled", {"compile": True}, False),
    ("attention in blocks", {"attention": "blockwise"}, False),
    ("RoPE, RMSNorm, QK-norm, ReLU²", MODERN, True),
    ("Muon for the matrices", {"optimizer": "muon", "clip": 0.0, "beta2": 0.95, "learning_rate": 4e-3}, True),
    ("constant rate, then a straight line", {"schedule": "wsd"}, True),
    ("blocks and head begin at zero", {"zero_init": True}, True),
    ("each text once an epoch", {"epochs": True}, True),
    ("n-gram tables", {"ngrams": TWO_MINUTES.ngrams, "table_decay": 0.0}, True),
    ("the tables decay", {"table_decay": TWO_MINUTES.table_decay}, True),
]


def rungs() -> list[tuple[str, Recipe, bool]]:
    """Name, recipe, and whether it learns differently from the rung below; the last is the speedrun."""
    recipe, ladder = GPT2, []
    for name, changes, learns in CHANGES:
        recipe = recipe.replace(**changes)
        ladder.append((name, recipe, learns))
    return ladder


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Climb, and write benchmarks/results/speedrun_ladder.json after every rung; returns the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size, nothing written")
    quick = parser.parse_args(arguments).quick
    rows = [] if quick else unfinished()
    for name, recipe, learns in rungs()[len(rows) :]:
        run = train_apart(recipe, 0, quick)
        half = shorter(recipe, quick) if learns and run["validation"] < TEJAS + IN_SIGHT else None
        rows.append(row(name, run, half, rows[-1] if rows and not learns else None))
        steps = rows[-1]["steps_to_mark"]
        print(
            f"{name}: {run['validation']:.4f} after {run['steps']} updates, {run['seconds']:.1f} s; to "
            f"{TEJAS}: {steps or 'never'} updates",
            flush=True,
        )
        if not quick:
            write_result(NAME, result(rows), PACKAGES)
    return rows


def shorter(recipe: Recipe, quick: bool) -> dict[str, Any]:
    """The same recipe with half the updates, its schedule shortened with it."""
    return train_apart(recipe.replace(steps=recipe.training.steps // 2), 0, quick)


def row(
    name: str, run: dict[str, Any], half: dict[str, Any] | None, below: dict[str, Any] | None
) -> dict[str, Any]:
    """One rung: its loss, its time, its updates to the mark; if only faster, those of the one below."""
    seconds = run["seconds"] / run["steps"]
    steps = below["steps_to_mark"] if below else None
    if half is not None:
        steps = steps_to(TEJAS, (half["steps"], half["validation"]), (run["steps"], run["validation"]))
    return {
        "name": name,
        "steps": run["steps"],
        "validation": run["validation"],
        "train": run["train"],
        "seconds": run["seconds"],
        "seconds_a_step": seconds,
        "compile_seconds": run["compile_seconds"],
        "half": half and {key: half[key] for key in ("steps", "validation", "seconds")},
        "steps_to_mark": steps,
        "seconds_to_mark": steps and steps * seconds,
        "extrapolated": steps is not None and steps > run["steps"],
        "parameters": run["parameters"],
    }


def steps_to(mark: float, first: tuple[int, float], second: tuple[int, float]) -> int | None:
    """Where the line through two (steps, loss) reaches `mark`, over ln steps; None where it does not fall."""
    (steps, loss), (more, less) = first, second
    if not less < loss:
        return None
    slope = (loss - less) / math.log(more / steps)
    exponent = (less - mark) / slope
    return round(more * math.exp(exponent)) if exponent < 10 else None


def unfinished() -> list[dict[str, Any]]:
    """The rows of a file that was cut short on this machine, with these versions and this recipe."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        return []
    before = json.loads(path.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(result([]), ensure_ascii=False))
    same = before["machine"] == machine() and before["versions"] == versions(*PACKAGES)
    rows = before["rungs"]
    return rows if same and before["recipe"] == now["recipe"] and len(rows) < len(CHANGES) else []


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the file holds; the results page shows a row for each rung."""
    return {
        "title": "The speedrun's ladder: one change a rung",
        "command": "python -m benchmarks.speedrun_ladder",
        "about": f"Each rung adds one change to the one above it in this table and trains for the speedrun's "
        f"number of updates; one seed. Validation: {VALIDATION}. The time is that of training alone.",
        "recipe": asdict(TWO_MINUTES),
        "rungs": rows,
        "measured": [
            {
                "what": f"{'' if i == 0 else '+ '}{each['name']} ({each['seconds']:.0f} s)",
                "value": each["validation"],
                "unit": "nats a character",
                "digits": 4,
            }
            for i, each in enumerate(rows)
        ],
    }


if __name__ == "__main__":
    main()
