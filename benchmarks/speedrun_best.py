"""The lowest loss on tiny Shakespeare within a quarter of an hour of training, on this machine's processor.

python -m benchmarks.speedrun_best           one run, about twenty minutes with its compilation
python -m benchmarks.speedrun_best --quick   a toy, to see whether it runs; writes nothing
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from benchmarks._common import write_result
from benchmarks._speedrun import NANOGPT, PACKAGES, VALIDATION, train_apart
from microgpt_ref.torch.speedrun import FIFTEEN_MINUTES

LIMIT = 900.0


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train once, and write benchmarks/results/speedrun_best.json; returns the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size, nothing written")
    quick = parser.parse_args(arguments).quick
    run = train_apart(FIFTEEN_MINUTES, 0, quick)
    print(
        f"validation {run['validation']:.4f} after {run['seconds']:.0f} s of training ({run['steps']} steps)"
    )
    if not quick:
        path = write_result("speedrun_best", result(run), PACKAGES)
        print(f"written: {path.relative_to(path.parents[2])}")
    return run


def result(run: dict[str, Any]) -> dict[str, Any]:
    """The run, and the figures that the results page shows."""
    return {
        "title": "The lowest loss within fifteen minutes",
        "command": "python -m benchmarks.speedrun_best",
        "about": f"One seed. Validation: {VALIDATION}. Compilation, {run['compile_seconds']:.0f} s, and "
        f"evaluation are not in the time.",
        "recipe": asdict(FIFTEEN_MINUTES),
        "run": run,
        "measured": [
            {
                "what": "Validation loss on tiny Shakespeare within fifteen minutes, two CPU cores",
                "value": run["validation"],
                "unit": "nats a character",
                "digits": 4,
                "target": NANOGPT,
                "better": "lower",
                "source": "nanoGPT's README, an A100 and about three minutes",
                "readme": True,
            },
            {
                "what": "Its training time",
                "value": run["seconds"],
                "unit": "s",
                "digits": 0,
                "target": LIMIT,
                "better": "lower",
            },
        ],
    }


if __name__ == "__main__":
    main()
