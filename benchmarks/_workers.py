"""One process a contestant: the parent says when to step, the child answers with seconds and loss."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import use_cores
from microgpt_ref.config import GPTConfig


@dataclass(frozen=True)
class Job:
    """What one contestant is asked to run."""

    contestant: str
    config: GPTConfig
    batch_size: int
    threads: int = 2
    peer: str = ""
    """Folder of the checkout, for code that is not ours."""

    def to_json(self) -> str:
        """One line, for the command of the process."""
        return json.dumps({**asdict(self), "config": self.config.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        return cls(**{**fields, "config": GPTConfig.from_dict(fields["config"])})

    def batch(self) -> tuple[Any, Any]:
        """The same random tokens and targets (B, T) for everybody."""
        shape = (self.batch_size, self.config.context + 1)
        windows = np.random.default_rng(0).integers(0, self.config.vocab_size, shape)
        return windows[:, :-1].copy(), windows[:, 1:].copy()


class Worker:
    """The process of one contestant; `step` runs one step in it and waits for the answer."""

    def __init__(self, job: Job) -> None:
        self.name = job.contestant
        command = [sys.executable, "-m", "benchmarks._workers", job.to_json()]
        settings = {"OMP_NUM_THREADS": str(job.threads), "TRANSFORMERS_VERBOSITY": "error"}
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.memory_gib = 0.0

    def step(self) -> None:
        """One step.

        Raises:
            RuntimeError: if the process ended; what went wrong stands on its stderr.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the line that does not come says it
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} stopped with exit status {self.process.wait()}")
        answer = json.loads(line)
        self.seconds.append(answer["seconds"])
        self.losses.append(answer["loss"])
        self.memory_gib = answer["memory_gib"]

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def serve(job: Job) -> None:
    """Build the step, then do one for each line of standard input and answer with one line of JSON."""
    from benchmarks._contestants import CONTESTANTS

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not mix with the answers
    use_cores(job.threads)
    run = CONTESTANTS[job.contestant].build(job)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = run()
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB, from KiB
        print(json.dumps({"seconds": seconds, "loss": loss, "memory_gib": memory}), file=answers, flush=True)


if __name__ == "__main__":
    serve(Job.from_json(sys.argv[1]))
