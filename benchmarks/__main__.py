"""`make bench`: measure again what benchmarks/results holds, one module after another.

    python -m benchmarks                    all
    python -m benchmarks tinyshakespeare    one

The checkpoint that ships with the package and the bands of a healthy run are not among them: those make files
of the package, not figures.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
MAKE_FILES = ("health", "reader_checkpoint", "shipped_checkpoint")
NAMES = sorted(p.stem for p in FOLDER.glob("[a-z]*.py") if p.stem not in MAKE_FILES)


def main(chosen: list[str]) -> int:
    """Run the benchmarks of these names, or all; 1 if one of them failed."""
    if unknown := sorted(set(chosen) - set(NAMES)):
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = []
    for name in chosen or NAMES:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, check=False)
        print(f"== {name}: {time.perf_counter() - start:.0f} s", flush=True)
        failed += [name] if result.returncode else []
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
