"""The throughput benchmark at toy size: everybody trains, the rows are right, what is not here is said so."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import throughput
from benchmarks._contestants import CONTESTANTS, definitions, which_peer
from benchmarks._workers import Job, Worker
from book.tools import results
from microgpt_ref import roofline
from microgpt_ref.config import GPTConfig
from tests.benchmarks.standins import FILES, TEJAS, checkout

CONFIG = GPTConfig(vocab_size=9, context=8, d_model=16, n_layer=1, n_head=2)
# what the compiler makes of a model is the package's and torch's business
EAGER = [name for name in CONTESTANTS if "compiled" not in name]
SLOW = {name: pytest.mark.slow for name in EAGER if name.startswith(("jax", "hugging_face"))}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in EAGER])
def test_a_contestant_trains(name, tmp_path, monkeypatch):
    """The loss on the one batch falls; ours draws new random batches, where nothing can be learned."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for module in [name for name in sys.modules if name.startswith("mingpt")]:
        monkeypatch.delitem(sys.modules, module)
    peer = CONTESTANTS[name].peer
    step = CONTESTANTS[name].build(Job(name, CONFIG, 4, 1, checkout(tmp_path, peer) if peer else ""))
    first, *_, last = [step() for _ in range(30)]
    assert first == pytest.approx(2.2, abs=0.7)
    assert last < first or name.startswith("ours")


def test_micro_batches_make_one_update_of_the_whole_batch(monkeypatch):
    from microgpt_ref.torch import train

    made = []
    monkeypatch.setattr(train, "Trainer", lambda *args: made.append(args[1]) or SimpleNamespace())
    for name in ("ours_bf16_compiled", "ours_bf16_compiled_by_8"):
        CONTESTANTS[name].build(Job(name, CONFIG, 64))
    whole, parts = made
    assert (whole.batch_size, whole.accumulate) == (64, 1)
    assert (parts.batch_size, parts.accumulate) == (8, 8)
    assert whole.compile
    assert parts.compile
    assert whole.precision == parts.precision == "bf16"


@pytest.mark.parametrize("peer", FILES)
def test_a_checkout_is_known_by_its_files(peer, tmp_path):
    assert which_peer(checkout(tmp_path, peer)) == peer


def test_what_is_no_checkout_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"has none of .*mingpt/model.py \(minGPT\).*root of a checkout"):
        which_peer(str(tmp_path))
    with pytest.raises(ValueError, match="only='nobody' is not known"):
        throughput.Settings(only=("nobody",))


def test_of_a_script_only_the_definitions_are_run():
    names = definitions(TEJAS)
    exec(names["code"], names)
    assert "GPTLanguageModel" in names
    assert "text" not in names


@pytest.mark.slow
def test_processes_step_when_told_and_a_peers_print_is_no_answer(tmp_path, capfd):
    folder = checkout(tmp_path, "nanoGPT")
    settings = throughput.Settings(peer=(folder,), only=("nanogpt_fp32",), quick=True, threads=1)
    job = settings.job()
    workers = throughput.run(settings, job, 0.0)
    assert list(workers) == ["nanogpt_fp32"]
    assert len(workers["nanogpt_fp32"].seconds) == 3
    assert "a peer may print" in capfd.readouterr().err
    assert workers["nanogpt_fp32"].process.poll() is not None
    row = throughput.row_of("nanogpt_fp32", job, workers["nanogpt_fp32"], {0: 1e9, 16: 1e9})
    assert row["runs"] == 2
    assert row["tokens_per_second"] > 0


@pytest.mark.slow
def test_a_process_that_fails_is_an_error_with_its_name(tmp_path):
    broken = checkout(tmp_path, "nanoGPT")
    (Path(broken) / "model.py").write_text("raise ImportError('broken')", encoding="utf-8")
    worker = Worker(Job("nanogpt_fp32", CONFIG, 2, 1, broken))
    with pytest.raises(RuntimeError, match="nanogpt_fp32 stopped with exit status 1"):
        worker.step()
    worker.close()


def test_the_peak_on_the_shapes_is_the_time_of_all_products(monkeypatch):
    monkeypatch.setattr(roofline, "measured_peak", lambda *_: 5e9)
    job = Job("", CONFIG, 4)
    assert throughput.peak_on_shapes(job, 4) == pytest.approx(5e9)
    # the head's three products at half the speed: their share of the time doubles
    monkeypatch.setattr(
        roofline, "measured_peak", lambda device, dtype, shape, batch: 2.5e9 if 9 in shape else 5e9
    )
    flops = roofline.forward_flops(CONFIG, B=4)
    share = flops["head"] / sum(flops.values())
    assert throughput.peak_on_shapes(job, 4) == pytest.approx(5e9 / (1 + share))


def finished(seconds: list[float]) -> SimpleNamespace:
    """What is left of a worker after its steps."""
    return SimpleNamespace(seconds=seconds, losses=[4.2] * len(seconds), memory_gib=1.5)


@pytest.fixture
def described():
    job = throughput.Settings().job()
    workers = {
        "ours_fp32": finished([30.0, 10.0, 11.0, 9.0]),
        "ours_bf16_compiled": finished([60.0, 5.0, 4.0, 4.5]),
        "ours_bf16_compiled_by_8": finished([60.0, 4.0, 4.0, 4.0]),
        "jax_fp32": finished([40.0, 12.0, 12.0, 12.0]),
        "hugging_face_fp32": finished([16.0, 16.0, 16.0, 16.0]),
    }
    return throughput.describe(throughput.Settings(), job, workers, {0: 4e11, 64: 3e11, 8: 3.5e11, 16: 3e11})


def test_a_row_leaves_the_first_step_out_and_counts_tokens_and_flops(described):
    row = described["rows"]["ours_fp32"]
    assert row["first_step_s"] == 30
    assert row["median_s"] == 10
    assert row["tokens_per_second"] == pytest.approx(64 * 256 / 10, abs=0.1)
    assert row["gflops_by_six"] == pytest.approx(1638.4 * 6 * 10_788_929 / 1e9, abs=0.1)
    assert row["gflops"] == pytest.approx(1638.4 * described["flops_per_token"] / 1e9, abs=0.1)
    assert row["share_of_square_peak"] == pytest.approx(row["gflops"] / 400, abs=1e-3)
    assert row["share_of_peak_on_the_same_shapes"] == pytest.approx(row["gflops"] / 300, abs=1e-3)
    by_8 = described["rows"]["ours_bf16_compiled_by_8"]
    assert by_8["share_of_peak_on_the_same_shapes"] == pytest.approx(by_8["gflops"] / 350, abs=1e-3)


def test_the_comparisons_are_of_the_fastest_of_ours(described):
    assert described["best"] == "ours_bf16_compiled_by_8"
    assert described["ratios"] == {
        "best_to_hugging_face_fp32": 4.0,
        "fp32_to_nanogpt_fp32": None,
        "jax_seconds_to_torch_fp32": 1.2,
    }


def test_the_results_page_shows_what_was_measured_and_what_was_not(described):
    rows = [results._row("throughput.json", described, row) for row in described["measured"]]
    table = results.table(rows)
    assert "| minGPT, fp32 | not measured |" in table
    assert "as a multiple of Hugging Face GPT-2 in fp32 | 4.00 × | ≥ 3.00 met |" in table
    assert "Ours, PyTorch, bf16, compiled, in micro-batches of 8 | 4,096 tokens/s |" in table
    assert "Ours in fp32, as a multiple of nanoGPT in fp32 | not measured" in table


def test_a_contestant_that_does_not_train_is_refused():
    job = throughput.Settings().job()
    worker = SimpleNamespace(seconds=[1.0, 1.0], losses=[4.2, float("nan")], memory_gib=1.0)
    with pytest.raises(AssertionError, match="ours_fp32 gave losses"):
        throughput.row_of("ours_fp32", job, worker, {0: 1.0, 64: 1.0})


def test_toy_runs_and_parts_write_nothing(monkeypatch):
    monkeypatch.setattr(throughput, "use_cores", lambda count: None)
    monkeypatch.setattr(throughput, "measure_peaks", lambda job: {0: 1e9})
    monkeypatch.setattr(throughput, "run", lambda *_: {})
    monkeypatch.setattr(throughput, "write_result", lambda *_: pytest.fail("written"))
    throughput.main(throughput.Settings(quick=True))
    throughput.main(throughput.Settings(only=("ours_fp32",)))


def test_help_says_what_peers_are():
    command = [sys.executable, "-m", "benchmarks.throughput", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--peer" in shown
