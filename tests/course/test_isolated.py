"""A process apart: its limits hold, nothing of it stays, and the small world shows only what it must."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from microgpt_ref.course import isolated
from microgpt_ref.course.isolated import GIB, SANDBOX, Limits, environment, namespaces, run, write_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nbgrader's grading needs a Unix")


def say(number: int, text: str) -> None:
    os.write(number, text.encode())


def test_a_result_comes_back(tmp_path: Path) -> None:
    outcome = run(lambda number: say(number, "done"), Limits(), tmp_path)
    assert (outcome.stopped, outcome.status, outcome.result) == (None, 0, b"done")


def test_nothing_of_the_environment_but_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")

    def look(number: int) -> None:
        say(
            number,
            json.dumps([dict(os.environ), str(Path.cwd()), str(Path.home()), os.getsid(0) == os.getpid()]),
        )

    variables, folder, home, leads = json.loads(run(look, Limits(), tmp_path).result)
    assert "secret" not in variables.values()
    assert (folder, home, leads) == (str(tmp_path), str(tmp_path / "home"), True)
    assert os.environ["HF_TOKEN"] == "secret"


def test_a_crash_is_told(tmp_path: Path) -> None:
    outcome = run(lambda _: os.kill(os.getpid(), 9), Limits(), tmp_path)
    assert (outcome.stopped, outcome.status, outcome.result) == (None, -9, b"")


def sleeper(number: int) -> None:
    """Starts a daemon that has left its parent and its session, tells its number, and sleeps."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say(number, str(os.getpid()))
            time.sleep(30)
        os._exit(0)
    os.wait()
    time.sleep(30)


def test_time_ends_it_with_its_daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "GRACE", 0.3)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    outcome = run(sleeper, Limits(seconds=1), tmp_path)
    assert outcome.stopped == "time"
    if sys.platform == "linux":
        assert not psutil.pid_exists(int(outcome.result))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_a_daemon_does_not_outlive_a_good_end(tmp_path: Path) -> None:
    def leave(number: int) -> None:
        if os.fork() == 0:
            os.setsid()
            say(number, str(os.getpid()))
            time.sleep(30)
        time.sleep(0.3)

    outcome = run(leave, Limits(), tmp_path)
    assert outcome.stopped is None
    assert not psutil.pid_exists(int(outcome.result))


def test_memory_of_all_together_ends_the_children_first(tmp_path: Path) -> None:
    """The worker goes on when what it started has been stopped, and can still write."""

    def hungry(number: int) -> None:
        child = os.fork()
        if child == 0:
            held = bytearray(GIB)
            held[::4096] = b"1" * len(held[::4096])
            time.sleep(30)
        os.waitpid(child, 0)
        say(number, "still here")

    resident = psutil.Process().memory_info().rss  # a fork counts what it shares, too
    outcome = run(hungry, Limits(memory=2 * resident + GIB // 2, seconds=60), tmp_path)
    assert (outcome.stopped, outcome.result) == ("memory", b"still here")


def test_too_many_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bomb(_: int) -> None:
        for _ in range(40):  # a bounded one: if the limit fails, the machine that runs the test must live
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            time.sleep(0.01)
        time.sleep(20)

    monkeypatch.setattr(isolated, "GRACE", 0.3)
    before = len(psutil.Process().children(recursive=True))
    assert run(bomb, Limits(processes=20, seconds=60), tmp_path).stopped == "processes"
    assert len(psutil.Process().children(recursive=True)) <= before


def in_the_small_world(folder: Path, code: str, limits: Limits | None = None, *, apart: bool = True) -> str:
    variables = environment(folder)
    plan = write_plan(folder, limits or Limits(), isolated=apart)
    command = [sys.executable, "-I", str(SANDBOX), str(plan), sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


apart_only = pytest.mark.skipif(not namespaces(), reason="this system gives no user namespaces")


@apart_only
def test_the_small_world_has_the_package_and_not_the_course(tmp_path: Path) -> None:
    root = Path(isolated.__file__).parents[2]
    code = f"""
import os, microgpt_ref
print(sorted(os.listdir({str(root)!r})), os.path.exists({str(tmp_path / "secret")!r}), os.listdir("."))
"""
    (tmp_path / "secret").write_text("x")
    shown = in_the_small_world(tmp_path, code)
    assert "'microgpt_ref'" in shown
    assert not any(word in shown for word in ("exercises", "tests", ".git'", "True"))
    assert shown.endswith("False []")


@apart_only
def test_the_small_world_cannot_be_left_or_changed(tmp_path: Path) -> None:
    """No network but its own, no writing to the package, nobody else's process, no capability."""
    code = """
import os, socket, subprocess, microgpt_ref
def fails(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "worked"
print(fails(lambda: socket.create_connection(("192.0.2.1", 80), 2)))
print(fails(lambda: open(microgpt_ref.__file__, "a")))
print([name for name in os.listdir("/proc") if name.isdigit()] if os.getpid() == 1 else "many")
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0].strip("0") or "none")
print(subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode != 0)
own = socket.create_server(("127.0.0.1", 0))
print(fails(lambda: socket.create_connection(own.getsockname(), 2)))
"""
    lines = in_the_small_world(tmp_path, code).splitlines()
    assert lines == ["OSError", "OSError", "['1']", "none", "True", "worked"]


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=apart_only)])
def test_limits_inside(tmp_path: Path, *, apart: bool) -> None:
    code = """
try:
    bytearray(10**9)
    print("memory")
except MemoryError:
    print("MemoryError")
import os
try:
    with open(os.path.join(os.environ["HOME"], "big"), "wb") as file:
        for _ in range(200):
            file.write(bytes(10**6))
    print("file")
except OSError as error:
    print("too large")
"""
    limits = Limits(memory=GIB // 2, file_size=50 * 10**6)
    shown = in_the_small_world(tmp_path, code, limits, apart=apart)
    assert shown.splitlines() == ["MemoryError", "too large"]
