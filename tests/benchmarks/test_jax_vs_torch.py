"""The benchmark of a step in JAX beside PyTorch's, at a toy size: it runs, compares, and can be shown."""

import pytest
import torch

from benchmarks import jax_vs_torch
from book.tools.results import _row, table

TOY = jax_vs_torch.TOY.replace(n_layer=1)


@pytest.fixture(autouse=True)
def threads():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_both_steps_are_timed_and_every_row_can_be_shown() -> None:
    result = {"batches": {"B4": jax_vs_torch.measure(TOY, batch=4, repeats=2)}}
    shown = table([_row("jax_vs_torch.json", result, row) for row in jax_vs_torch.rows("B4")])
    assert "batch 4 × 256" in shown
    assert "≤ 1.30" in shown
    assert result["batches"]["B4"]["times"]["jax"]["runs"] == 2


def test_steps_that_do_not_agree_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, loss in (("build_jax", 4.0), ("build_torch", 4.1)):
        monkeypatch.setattr(jax_vs_torch, name, lambda *arguments, loss=loss: lambda: loss)
    with pytest.raises(AssertionError, match=r"the losses differ by 1\.0e-01; the times cannot be compared"):
        jax_vs_torch.measure(TOY, batch=4, repeats=1)
