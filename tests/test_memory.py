"""Freed memory is kept: once a run is under way, the system has no new pages to hand out."""

import subprocess
import sys
from pathlib import Path

import pytest

from microgpt_ref import _memory as memory

FAULTS = """
import resource, sys
sys.path.insert(0, sys.argv[2])
import torch
from microgpt_ref.torch import train
from tests.torch.test_train import DATASET, MODEL, RECIPE, TOKENIZER
import dataclasses

torch.set_num_threads(1)
if sys.argv[1] != "keep":
    train.keep_freed_memory = lambda: False
kept = train.keep_freed_memory()
model = MODEL.replace(context=256, d_model=64)
run = train.Trainer(model, dataclasses.replace(RECIPE, steps=100, batch_size=16), DATASET, TOKENIZER)
run.train_until(20)  # the heap grows to what a step needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
run.train_until(40)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[str, int]:
    command = [sys.executable, "-c", FAULTS, how, str(Path(__file__).parents[1])]
    kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    return kept, int(count)


def test_a_step_under_way_asks_for_no_pages() -> None:
    kept, count = faults("keep")
    if kept == "False":
        pytest.skip("this C library is not glibc")
    assert faults("as it is")[1] > 5 * count


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
