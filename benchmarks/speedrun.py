"""The speedrun: tejas-10m's and nanoGPT's validation loss on tiny Shakespeare, on this machine's processor.

    python -m benchmarks.speedrun           three seeds
    python -m benchmarks.speedrun --quick   a toy, to see whether it runs; writes nothing

One recipe for both marks, `TWO_MINUTES` of microgpt_ref.torch.speedrun: training text only, no pre-training.
Training is timed from the first step to the last; compilation stands apart, evaluation is not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from benchmarks._common import write_result
from benchmarks._speedrun import MARKS, NANOGPT, PACKAGES, TEJAS, VALIDATION, train_apart
from microgpt_ref.torch.speedrun import TWO_MINUTES

SEEDS = (0, 1, 2)
LIMITS = {TEJAS: 120.0, NANOGPT: 180.0}


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Train with each seed, and write benchmarks/results/speedrun.json; returns the runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size, one seed, nothing written")
    quick = parser.parse_args(arguments).quick
    runs = []
    for seed in SEEDS[:1] if quick else SEEDS:
        runs.append(train_apart(TWO_MINUTES, seed, quick))
        print(
            f"seed {seed}: validation {runs[-1]['validation']:.4f} after {runs[-1]['seconds']:.1f} s of "
            f"training ({runs[-1]['steps']} steps; compilation {runs[-1]['compile_seconds']:.0f} s)",
            flush=True,
        )
    if not quick:
        path = write_result("speedrun", result(runs), PACKAGES)
        print(f"written: {path.relative_to(path.parents[2])}")
    return runs


def result(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs, and the figures that the results page shows: of three seeds, the worst."""
    worst, longest = max(run["validation"] for run in runs), max(run["seconds"] for run in runs)
    return {
        "title": "The speedrun on tiny Shakespeare",
        "command": "python -m benchmarks.speedrun",
        "about": f"One recipe, {len(runs)} seeds, nothing else running. Validation: {VALIDATION}. The worst "
        f"of the seeds is given. Compilation ({max(run['compile_seconds'] for run in runs):.0f} s at most) "
        f"and evaluation are not in the time.",
        "recipe": asdict(TWO_MINUTES),
        "runs": runs,
        "marks": {str(mark): {"source": text, "limit_s": LIMITS[mark]} for mark, text in MARKS.items()},
        "measured": [
            {
                "what": "Speedrun: validation loss on tiny Shakespeare, worst of three seeds",
                "value": worst,
                "unit": "nats a character",
                "digits": 4,
                "target": NANOGPT,
                "better": "lower",
                "source": "nanoGPT's README: 1.4697; tejas-10m's published loss is 1.4815",
                "readme": True,
            },
            {
                "what": "Speedrun: training time on two CPU cores, longest of three seeds",
                "value": longest,
                "unit": "s",
                "digits": 0,
                "target": LIMITS[TEJAS],
                "better": "lower",
                "source": "the limit for 1.4815; for 1.4697 it is 180 s",
                "readme": True,
            },
        ],
    }


if __name__ == "__main__":
    main()
