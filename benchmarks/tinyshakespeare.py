"""`microgpt train --data tinyshakespeare` with its default settings: how far it gets, in how long.

    python -m benchmarks.tinyshakespeare

The mark to beat is nanoGPT's recipe for a CPU: its README gives a validation loss of 1.88 after about three
minutes. Counted here is the wall clock of the whole command, imports and evaluations included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._common import write_result
from microgpt_ref import checkpoint, datasets
from microgpt_ref.evaluate import evaluate

MARK, SECONDS = 1.88, 180.0


def main() -> None:
    """Train, load what was kept, measure it again, and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["microgpt", "train", "--data", "tinyshakespeare"]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "microgpt_ref.cli", *command[1:], "--out", str(out)], check=True
        )
        seconds = time.perf_counter() - start
        saved = checkpoint.load(out)
        last = checkpoint.load(out / "last.safetensors")
    model, tokenizer = saved.build_torch(), saved.build_tokenizer()
    result = evaluate(model, tokenizer, datasets.load("tinyshakespeare").validation)
    write_result(
        "tinyshakespeare_default",
        {
            "title": "Tiny Shakespeare with the default settings",
            "command": "python -m benchmarks.tinyshakespeare",
            "about": f"`{' '.join(command)}`, nothing else running; the whole validation split in windows of "
            f"{saved.config.context} characters, every one but the first predicted once.",
            "seconds": round(seconds),
            "steps": last.step,
            "parameters": sum(array.size for array in saved.parameters.values()),
            "recipe": last.training["recipe"],
            "validation_loss": result.loss,
            "training_seconds": last.training["seconds"],
            "measured": [
                {
                    "what": "Validation loss, `microgpt train --data tinyshakespeare`, two CPU cores",
                    "value": result.loss,
                    "unit": "nats a character",
                    "digits": 4,
                    "target": MARK,
                    "better": "lower",
                    "source": "nanoGPT's README: 1.88 in about three minutes on a CPU",
                    "readme": True,
                },
                {
                    "what": "The whole command, from start to end",
                    "value": seconds,
                    "unit": "s",
                    "digits": 0,
                    "target": SECONDS,
                    "better": "lower",
                    "readme": True,
                },
                {
                    "what": "of which training steps",
                    "value": last.training["seconds"],
                    "unit": "s",
                    "digits": 0,
                },
            ],
        },
        ("microgpt-ref", "numpy", "torch"),
    )


if __name__ == "__main__":
    main()
