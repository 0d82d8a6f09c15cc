"""What every benchmark shares: the machine in words, versions, fair timing, whole files."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from microgpt_ref._files import atomic_write

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The processor, cores this process may use, memory and system; no names of hosts, users or folders."""
    described: dict[str, Any] = {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
    return described


def usable_cores() -> int:
    """Cores that this process may run on; `taskset` can make them fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_one_core() -> None:
    """Keep this process, and the libraries it has yet to load, on one core."""
    use_cores(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def use_cores(count: int) -> None:
    """Keep this process on `count` cores, and give as many threads to the libraries it has yet to load."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(count)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of `packages`, by default of those every run uses; "absent" for a missing one."""
    found = {}
    for package in packages or ("microgpt-ref", "numpy", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def today() -> str:
    """The date in UTC, for instance "2026-11-20"."""
    return datetime.now(UTC).date().isoformat()


def alternate(
    contestants: Mapping[str, Callable[[], object]],
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Any]]:
    """Seconds of each contestant, run in turns so that a busy moment of the machine hits all of them alike.

    `clock` may be `time.process_time` for work on one core: a busy neighbour then counts for nothing.
    Returns for each name the median, fastest and slowest of `repeats` runs, after one that is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            started = clock()
            run()
            if turn > 0:  # the first turn fills caches
                seconds[name].append(clock() - started)
    return {name: summary(times) for name, times in seconds.items()}


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """The median, fastest and slowest run, and how many they were."""
    return {
        "median_s": round(statistics.median(seconds), 5),
        "fastest_s": round(min(seconds), 5),
        "slowest_s": round(max(seconds), 5),
        "runs": len(seconds),
    }


def ratio(times: Mapping[str, Mapping[str, Any]], ours: str, theirs: str) -> float:
    """How many times longer `ours` takes than `theirs`, by the medians; below 1 we are faster."""
    return round(times[ours]["median_s"] / times[theirs]["median_s"], 3)


def write_result(name: str, result: Mapping[str, Any], packages: tuple[str, ...] = ()) -> Path:
    """Write `benchmarks/results/<name>.json`: date, machine, versions, then `result`. Returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"date": today(), "machine": machine(), "versions": versions(*packages), **result}
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    return path


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
