"""Run one submission's grading apart from everything else: its own folders, environment, limits and end.

Two fences. The grader (nbgrader's converter) is a subprocess with a clean environment in a temporary folder,
watched for time, memory and processes, and killed with all its children. The kernel that runs the student's
code is a child of it in `sandbox.py`'s small world, where the system allows that (Linux, user namespaces).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

import microgpt_ref

GIB = 2**30
SPARE_ADDRESS_SPACE = 6 * GIB  # torch and JAX reserve far more addresses than they use memory
SANDBOX = Path(__file__).with_name("sandbox.py")
GRACE = 20.0  # seconds for the grader to write down what was earned, once the notebook has been stopped
PATIENCE = 10.0  # seconds for stopping a crowd of processes
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")
FOLDERS = ("MICROGPT_DATA", "TIKTOKEN_CACHE_DIR")
FIXED = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "JAX_PLATFORMS": "cpu",
    "JUPYTER_PLATFORM_DIRS": "1",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore",  # nbgrader takes any word on stderr for a failure
    "TQDM_DISABLE": "1",
}


@dataclass(frozen=True)
class Limits:
    """Of one submission: wall time (seconds), resident memory, a file's size (bytes), processes at once."""

    seconds: float = 240.0
    memory: int = 4 * GIB
    file_size: int = 256 * 2**20
    processes: int = 256


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `stopped` is "time", "memory", "processes" or None; `result` what it wrote."""

    stopped: str | None
    status: int
    result: bytes
    log: str


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the lecturer's but paths and language: no tokens, another home."""
    kept = {name: os.environ[name] for name in (*KEPT, *FOLDERS) if name in os.environ}
    scripts = str(Path(sys.executable).parent)  # nbgrader calls alembic by its name
    kept["PATH"] = scripts + os.pathsep + kept.get("PATH", os.defpath)
    for name in ("home", "tmp", "run", "root"):
        (folder / name).mkdir(exist_ok=True)
    own = {"HOME": folder / "home", "TMPDIR": folder / "tmp", "JUPYTER_RUNTIME_DIR": folder / "run"}
    return kept | FIXED | {name: str(path) for name, path in own.items()}


def write_plan(folder: Path, limits: Limits, *, isolated: bool) -> Path:
    """The plan that `sandbox.py` follows, for a kernel whose connection files lie in `folder`/run."""
    package = Path(microgpt_ref.__file__).resolve().parent
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    named = [os.environ[name] for name in FOLDERS if name in os.environ]
    read = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix), str(package), *libraries, *named}
    users = sum(process.num_threads() for process in _own_processes())
    plan = {
        "isolated": isolated,
        "unshare": shutil.which("unshare") or "",
        "root": str(folder / "root"),
        "read": sorted(path for path in read if Path(path).is_absolute() and Path(path).exists()),
        "write": [str(folder / "run")],
        "home": "/tmp/home" if isolated else str(folder / "home"),
        "folder": "/tmp/work" if isolated else str(folder / "tmp"),
        "memory": int(0.9 * limits.memory),  # a cell meets a MemoryError before everything is stopped
        "address_space": limits.memory + SPARE_ADDRESS_SPACE,
        "file_size": limits.file_size,
        "processes": limits.processes + users,  # the system counts all that the user runs
    }
    path = folder / "run" / "plan.json"
    path.write_text(json.dumps(plan))
    return path


def _own_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and process.info["num_threads"] and uids.real == os.getuid():
            with contextlib.suppress(psutil.Error):
                yield process


@functools.cache
def namespaces() -> bool:
    """Whether this system lets an ordinary user build a small world; found out by building one."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="mg") as name:
        folder = Path(name)
        variables = environment(folder)
        plan = write_plan(folder, Limits(), isolated=True)
        command = [sys.executable, "-I", str(SANDBOX), str(plan), sys.executable, "-c", "import microgpt_ref"]
        done = subprocess.run(command, env=variables, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def run(work: Callable[[int], None], limits: Limits, folder: Path) -> Outcome:
    """Call `work` with the number of an open file for its result, in a process apart; nothing of it stays.

    The process is a fork, which has the grader's libraries at hand already: importing them takes longer than
    most notebooks. What overruns is stopped in two steps: first the children (the notebook's kernel), so that
    the grader can still write down what was earned before, then everything.
    """
    with _adopting() as strangers, tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as log:
        fork = multiprocessing.get_context("fork")
        worker = fork.Process(target=_enter, args=(work, result.fileno(), log.fileno(), folder))
        worker.start()
        try:
            stopped = _watch(worker, limits, strangers)
        finally:
            worker.kill()
            worker.join()
            _kill(strangers)
            strangers.bury()
        result.seek(0)
        log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
        return Outcome(stopped, worker.exitcode or 0, result.read(), log.read().decode(errors="replace"))


def _enter(work: Callable[[int], None], result: int, log: int, folder: Path) -> None:
    """The first steps of the new process: a session of its own, nothing of the old surroundings."""
    os.setsid()
    for number in (1, 2):
        os.dup2(log, number)
    variables = environment(folder)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    if sys.platform == "linux":  # other processes of this user may not look into this one
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    work(result)


def _watch(worker: BaseProcess, limits: Limits, strangers: _Strangers) -> str | None:
    """Wait for the worker; returns what was overrun, if anything."""
    stopped, last = None, time.monotonic() + limits.seconds
    while True:
        worker.join(timeout=0.1)
        if worker.exitcode is not None:
            return stopped
        overrun = _overrun(strangers(), limits) or ("time" if time.monotonic() > last else None)
        if overrun is None:
            continue
        if stopped is not None:
            return stopped
        stopped, last = overrun, time.monotonic() + GRACE
        _kill(strangers, but=worker.pid)


def _overrun(processes: list[psutil.Process], limits: Limits) -> str | None:
    if len(processes) > limits.processes:
        return "processes"
    memory = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
    return "memory" if memory > limits.memory else None


class _Strangers:
    """Calling it lists the living descendants of this process that were not there when it was made.

    Parents come before their children: whoever dies first is the one that could start more, and with a
    namespace's first process the whole namespace ends.
    """

    def __init__(self) -> None:
        self.own = {child.pid for child in psutil.Process().children(recursive=True)}

    def __call__(self, *, but: int | None = None) -> list[psutil.Process]:
        found = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.pid not in self.own | {but} and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
        return found

    def bury(self) -> None:
        """Take leave of adopted children that have ended; until then the system keeps their numbers."""
        for child in psutil.Process().children():
            if child.pid not in self.own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)


@contextlib.contextmanager
def _adopting() -> Iterator[_Strangers]:
    """On Linux, processes whose parent has ended become children of this one, and so cannot slip away."""
    adopt = ctypes.CDLL(None).prctl if sys.platform == "linux" else lambda *_: 0
    adopt(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield _Strangers()
    finally:
        adopt(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _kill(strangers: _Strangers, *, but: int | None = None) -> None:
    """Kill them all (but one), and those that were started meanwhile."""
    for _ in range(200):
        living = strangers(but=but)
        if not living:
            return
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)
