"""Run the checks one after another, go on after a failure, and end in a plain summary.

python -m book.tools.checks all       what `make test` runs
python -m book.tools.checks quick     what `make quick` runs
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
PYTEST = [PYTHON, "-m", "pytest", "-q", "--no-header"]
# A file's tests stay on one worker: fixtures are built once, and a notebook runs from top to bottom.
TWO_WORKERS = ["-n", "2", "--dist", "loadscope"]
BOOK = [
    PYTHON,
    str(Path(PYTHON).with_name("jupyter-book")),
    "build",
    "--warningiserror",
    "--keep-going",
    "--quiet",
    ".",
]

LINT = {
    "lint": [PYTHON, "-m", "ruff", "check", "."],
    "format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "types": [PYTHON, "-m", "mypy"],
}
CHECKS = {
    "all": LINT
    | {
        "book": BOOK,
        "tests": [*PYTEST, *TWO_WORKERS, "tests", "--ignore=tests/course"],
        "homework": [*PYTEST, *TWO_WORKERS, "tests/course"],  # it forks: not after JAX, which has threads
        "notebooks": [*PYTEST, *TWO_WORKERS, "--nbval", "chapters"],
    },
    "quick": LINT | {"tests": [*PYTEST, "-n", "2", "--dist", "loadscope", "-m", "not slow", "tests"]},
}


def run(checks: dict[str, list[str]]) -> int:
    """Run every check and print a table; the number of those that failed."""
    outcomes = []
    for name, command in checks.items():
        print(f"\n== {name}: {' '.join(['python', *command[1:]]).replace(str(ROOT) + '/', '')}", flush=True)
        start = time.perf_counter()
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        outcomes.append((name, code, time.perf_counter() - start))
    print("\n== summary")
    for name, code, seconds in outcomes:
        print(f"{name:12s} {'passed' if code == 0 else f'FAILED ({code})':12s} {seconds:6.1f} s")
    failed = sum(code != 0 for _, code, _ in outcomes)
    total = sum(seconds for _, _, seconds in outcomes)
    print(f"{'everything passed' if not failed else f'{failed} of {len(outcomes)} failed'}, {total:.0f} s")
    return failed


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        print(f"usage: python -m book.tools.checks {{{'|'.join(CHECKS)}}}", file=sys.stderr)
        return 2
    return 1 if run(CHECKS[sys.argv[1]]) else 0


if __name__ == "__main__":
    sys.exit(main())
