"""Freed memory is kept: the second time an array is made, the system has no new pages to hand out."""

import subprocess
import sys

import pytest

from microgpt_ref import _memory as memory

FAULTS = """
import resource, sys
import torch
from microgpt_ref._memory import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):
    torch.ones(20_000_000)  # 80 MB; at first the heap grows
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(20_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[str, int]:
    command = [sys.executable, "-c", FAULTS, how]
    kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return kept, int(count)


def test_the_second_time_costs_no_pages() -> None:
    kept, count = faults("keep")
    if kept == "False":
        pytest.skip("this C library is not glibc")
    assert count < 2_000
    assert faults("as it is")[1] > 5 * count


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
