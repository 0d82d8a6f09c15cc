"""What each part of the speedrun bought: a ladder of recipes, one change a rung.

    python -m benchmarks.speedrun_ladder           a quarter of an hour
    python -m benchmarks.speedrun_ladder --quick   a toy, to see whether it runs; writes nothing

The lowest rung is a GPT-2 of the speedrun's size, trained in float32 as it comes. Each rung that changes what
is learned trains for half the speedrun's updates, with its schedule shortened, one seed, in a process of its
own. Rungs that only make a step cheaper are timed over a few updates; their loss is that of the next rung
that was trained, from which rounding alone parts them. The time of a step is that of the fastest ten updates.

What a better loss is worth in updates is estimated: the speedrun's recipe, trained for half its updates (the
last rung) and for all (speedrun.json, the same seed), gives the loss that a doubling buys. The file is
written after every rung; a second call goes on from there.

Two parts pay only where text comes back, which half the updates do not reach. They are taken out of the whole
speedrun, one at a time: `without` in the file.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from benchmarks._common import RESULTS, machine, versions, write_result
from benchmarks._speedrun import PACKAGES, TEJAS, VALIDATION, train_apart
from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.speedrun import TWO_MINUTES, Recipe

NAME = "speedrun_ladder"
IN_SIGHT = 6.0  # doublings; beyond them nothing is claimed
UPDATES, TIMED, BLOCK = TWO_MINUTES.training.steps // 2, 30, 10
SIZE = {name: getattr(TWO_MINUTES.model, name) for name in ("context", "d_model", "n_layer", "n_head")}
GPT2 = TWO_MINUTES.replace(
    optimizer="adamw", schedule="cosine", learning_rate=3e-3, beta2=0.99, clip=1.0, precision="fp32",
    compile=False, attention="sdpa", ngrams={}, zero_init=False, epochs=False,
)  # fmt: skip

# name, what changes, whether it is trained; the others change a step's time, and what it learns by rounding
MODERN = {name: getattr(TWO_MINUTES.model, name) for name in GPTConfig().to_dict()}
CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("GPT-2's parts, AdamW, float32", GPTConfig(**SIZE).to_dict(), False),
    ("bf16 products", {"precision": "auto"}, False),
    ("compiled", {"compile": True}, False),
    ("attention in blocks", {"attention": "blockwise"}, True),
    ("RoPE, RMSNorm, QK-norm, ReLU²", MODERN, True),
    ("Muon for the matrices", {"optimizer": "muon", "clip": 0.0, "beta2": 0.95, "learning_rate": 4e-3}, True),
    ("constant rate, then a straight line", {"schedule": "wsd"}, True),
    ("blocks and head begin at zero", {"zero_init": True}, True),
    ("each text once an epoch", {"epochs": True}, True),
    ("n-gram tables", {"ngrams": TWO_MINUTES.ngrams, "table_decay": 0.0}, True),
    ("the tables decay", {"table_decay": TWO_MINUTES.table_decay}, True),
]


WITHOUT: list[tuple[str, dict[str, Any]]] = [
    ("each text once an epoch", {"epochs": False}),
    ("the tables decay", {"table_decay": 0.0}),
]


def rungs() -> list[tuple[str, Recipe, bool]]:
    """Name, recipe, and whether it is trained; the last is the speedrun."""
    recipe, ladder = GPT2, []
    for name, changes, trained in CHANGES:
        recipe = recipe.replace(**changes)
        ladder.append((name, recipe, trained))
    return ladder


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Climb, and write benchmarks/results/speedrun_ladder.json after every rung; returns the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size, nothing written")
    quick = parser.parse_args(arguments).quick
    rows, apart = ([], []) if quick else unfinished()
    for name, recipe, trained in rungs()[len(rows) :]:
        steps = UPDATES if trained else TIMED
        run = train_apart(recipe.replace(steps=steps, log_every=BLOCK), 0, quick)
        rows.append(row(name, run, trained))
        print(
            f"{name}: {run['validation']:.4f} after {run['steps']} updates, {run['seconds']:.1f} s",
            flush=True,
        )
        if not quick:
            write_result(NAME, result(complete(rows, doubling(rows[-1])), apart), PACKAGES)
    for name, changes in WITHOUT[len(apart) :]:
        run = train_apart(TWO_MINUTES.replace(**changes), 0, quick)
        apart.append({"name": name, **{key: run[key] for key in ("steps", "validation", "train", "seconds")}})
        print(f"without: {name}: {run['validation']:.4f} after {run['steps']} updates", flush=True)
        if not quick:
            write_result(NAME, result(complete(rows, doubling(rows[-1])), apart), PACKAGES)
    return rows


def row(name: str, run: dict[str, Any], trained: bool) -> dict[str, Any]:
    """One rung; without training it has no loss of its own."""
    times = [0.0, *(seconds for _, seconds, _ in run["curve"])]
    steps = [0, *(step for step, _, _ in run["curve"])]
    blocks = [
        (later - sooner) / (step - before)
        for (before, step), (sooner, later) in zip(pairwise(steps), pairwise(times), strict=True)
    ]
    return {
        "name": name,
        "trained": trained,
        "steps": UPDATES,
        "validation": run["validation"] if trained else None,
        "train": run["train"] if trained else None,
        "seconds_a_step": min(blocks),
        "compile_seconds": run["compile_seconds"],
        "parameters": run["parameters"],
    }


def doubling(last: dict[str, Any]) -> float | None:
    """Nats that twice the updates buy the speedrun's recipe; None where the whole run is not there yet."""
    path = RESULTS / "speedrun.json"
    if last["name"] != CHANGES[-1][0] or not path.exists():
        return None
    whole = json.loads(path.read_text(encoding="utf-8"))["runs"][0]
    gained = last["validation"] - whole["validation"]
    return gained / math.log2(whole["steps"] / last["steps"]) if gained > 0 else None


def complete(rows: list[dict[str, Any]], gain: float | None) -> list[dict[str, Any]]:
    """The rows with the losses of those that were only timed, and the way that is left to the mark.

    Args:
        gain: nats a doubling of the updates buys; None leaves the estimates out.
    """
    whole: list[dict[str, Any]] = []
    for i, each in enumerate(rows):
        source = next((later for later in rows[i:] if later["trained"]), each)
        loss, seconds = source["validation"], each["seconds_a_step"]
        steps = None
        if gain and loss is not None and (loss - TEJAS) / gain < IN_SIGHT:
            steps = round(each["steps"] * 2 ** ((loss - TEJAS) / gain))
        whole.append(
            {
                **each,
                "validation": loss,
                "train": source["train"],
                "seconds": each["steps"] * seconds,
                "steps_to_mark": steps,
                "seconds_to_mark": steps and steps * seconds,
                "extrapolated": steps is not None and steps > each["steps"],
            }
        )
    return whole


def unfinished() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a file holds that was cut short on this machine, with these versions and this recipe."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        return [], []
    before = json.loads(path.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(result([], []), ensure_ascii=False))
    same = before["machine"] == machine() and before["versions"] == versions(*PACKAGES)
    rows, apart = before["rungs"], before.get("without", [])
    cut_short = len(rows) < len(CHANGES) or len(apart) < len(WITHOUT)
    return (rows, apart) if same and before["recipe"] == now["recipe"] and cut_short else ([], [])


def result(rows: list[dict[str, Any]], apart: list[dict[str, Any]]) -> dict[str, Any]:
    """What the file holds; the results page shows a row for each rung."""
    return {
        "title": "The speedrun's ladder: one change a rung",
        "command": "python -m benchmarks.speedrun_ladder",
        "about": f"Each rung adds one change to the one above it in this table; {UPDATES} updates, half the "
        f"speedrun's; one seed. In brackets, the milliseconds of a step at its fastest. Validation: "
        f"{VALIDATION}. The first three were only timed, and have the loss of the fourth.",
        "recipe": asdict(TWO_MINUTES),
        "rungs": rows,
        "without": apart,
        "measured": [
            {
                "what": f"{'' if i == 0 else '+ '}{each['name']} ({1000 * each['seconds_a_step']:.0f} ms)",
                "value": each["validation"],
                "unit": "nats a character",
                "digits": 4,
            }
            for i, each in enumerate(rows)
            if each["validation"] is not None
        ]
        + [
            {
                "what": f"The whole speedrun without: {each['name']} ({each['steps']} updates)",
                "value": each["validation"],
                "unit": "nats a character",
                "digits": 4,
            }
            for each in apart
        ],
    }


if __name__ == "__main__":
    main()
