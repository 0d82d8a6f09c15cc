"""Tokens a second of one training step at tejas-10m's shape: ours beside other people's, in turns.

    python -m benchmarks.throughput
    python -m benchmarks.throughput --peer ../nanoGPT --peer ../minGPT --peer ../microGPT
    python -m benchmarks.throughput --quick            a toy size, to see that it runs; writes nothing

A step is forward, backward and update of a batch of 64 × 256 tokens, without dropout, on two cores. Each
contestant lives in a process of its own and waits; they step in turns, so that a busy moment of the machine
hits all alike. The first step, in which a compiler works, is timed apart. `--peer` names a checkout of
nanoGPT, minGPT or tejas-10m's own code (github.com/TejasKalsait/microGPT); without it their rows say "not
measured". FLOP/s are given by our own count (products only, of attention the causal half) and by the rule of
six. The peak is what a matrix product reaches here in bf16: on the shapes that the model multiplies, forward
and backward, each weighted by its FLOPs; and on one large square.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tyro

from benchmarks._common import RESULTS, summary, use_cores, write_result
from benchmarks._contestants import CONTESTANTS, which_peer
from benchmarks._workers import Job, Worker
from microgpt_ref import roofline
from microgpt_ref.presets import preset

NOT_MEASURED = "not measured"
FASTEST = 3.0  # times Hugging Face in fp32
SHARE = 0.6  # of the peak on the same shapes
JAX = 1.3  # times PyTorch's time, fp32
OURS = ("ours_bf16_compiled", "ours_bf16_compiled_by_16", "ours_bf16_compiled_by_8")


@dataclass(frozen=True)
class Settings:
    """Measure training steps side by side."""

    peer: tuple[str, ...] = ()
    """Folders of checkouts."""
    turns: int = 5
    """Timed steps of each contestant at most."""
    minutes: float = 12.0
    """After this long no further turn begins; three are always done."""
    threads: int = 2
    """Cores, and threads of each contestant."""
    only: tuple[str, ...] = ()
    """Names of contestants, to leave the others out; nothing is written then."""
    quick: bool = False
    """A toy size, two turns, nothing written."""
    peers: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.only) - set(CONTESTANTS)):
            raise ValueError(f"only={unknown[0]!r} is not known; use some of {', '.join(CONTESTANTS)}")
        self.peers.update({which_peer(folder): str(Path(folder).resolve()) for folder in self.peer})

    def job(self) -> Job:
        """What all contestants run; without dropout, which they have in different places."""
        config = preset("tejas-10m").replace(dropout=0.0)
        if self.quick:
            config = config.replace(context=16, d_model=48, n_layer=1)
        return Job("", config, 16 if self.quick else 64, self.threads)


def main(settings: Settings) -> None:
    """Measure, and write benchmarks/results/throughput.json."""
    use_cores(settings.threads)
    start = time.perf_counter()
    job = settings.job()
    peaks = measure_peaks(job)
    workers = run(settings, job, start)
    result = describe(settings, job, workers, peaks)
    for row in result["rows"].values():
        print(f"{row['label']:42} {row.get('tokens_per_second', row.get('state'))}", flush=True)
    if settings.quick or settings.only:
        return
    path = write_result("throughput", result, ("microgpt-ref", "torch", "jax", "transformers"))
    print(f"written: {path.relative_to(RESULTS.parents[1])}")


def run(settings: Settings, job: Job, start: float) -> dict[str, Worker]:
    """Start everybody that is here, let each do its first step, then take turns."""
    workers: dict[str, Worker] = {}
    try:
        for name in present(settings):
            folder = settings.peers.get(CONTESTANTS[name].peer, "")
            workers[name] = Worker(replace(job, contestant=name, peer=folder))
            workers[name].step()
            print(f"{name}: first step {workers[name].seconds[0]:.1f} s", flush=True)
        for turn in range(2 if settings.quick else settings.turns):
            if turn >= 3 and time.perf_counter() - start > 60 * settings.minutes:
                break
            for worker in workers.values():
                worker.step()
            print(f"turn {turn + 1}: {time.perf_counter() - start:.0f} s", flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return workers


def present(settings: Settings) -> Iterable[str]:
    """The contestants that can run here."""
    for name, contestant in CONTESTANTS.items():
        if settings.only and name not in settings.only:
            continue
        if not contestant.peer or contestant.peer in settings.peers:
            yield name


def measure_peaks(job: Job) -> dict[int, float]:
    """FLOP/s of bf16 products on the model's shapes, by the number of sequences; at 0 on a square."""
    import torch

    torch.set_num_threads(job.threads)
    batches = {c.micro_batch or job.batch_size for c in CONTESTANTS.values()}
    side = 256 if job.batch_size < 64 else 2048
    square = roofline.measured_peak("cpu", "bfloat16", (side, side, side))
    return {0: square} | {B: peak_on_shapes(job, min(B, job.batch_size)) for B in sorted(batches)}


def peak_on_shapes(job: Job, B: int) -> float:
    """All FLOPs of a step over the time that its products would take, each at its own peak."""
    flops = seconds = 0.0
    T = job.config.context
    for product in roofline.products(job.config, B):
        counted = (T + 1) / (2 * T) if product.part in ("scores", "mix") else 1.0
        for each in (product, *product.backward()):
            peak = roofline.measured_peak("cpu", "bfloat16", (each.m, each.k, each.n), each.batch)
            flops += counted * each.flops
            seconds += counted * each.flops / peak
    return flops / seconds


def describe(
    settings: Settings, job: Job, workers: dict[str, Worker], peaks: dict[int, float]
) -> dict[str, Any]:
    """The result as it is written."""
    rows = {name: row_of(name, job, workers.get(name), peaks) for name in CONTESTANTS}
    best = max((n for n in OURS if n in workers), key=lambda n: rows[n]["tokens_per_second"], default=None)
    result: dict[str, Any] = {
        "title": "A training step, beside others",
        "about": f"Forward, backward and update at tejas-10m's shape without dropout, batch "
        f"{job.batch_size} × {job.config.context}, {settings.threads} threads; medians of steps in turns. "
        f"The first one, with its compilation, is left out.",
        "shape": {"preset": "tejas-10m", "B": job.batch_size, "T": job.config.context, "dropout": 0.0},
        "threads": settings.threads,
        "flops_per_token": roofline.training_flops_per_token(job.config),
        "rule_of_six": roofline.rule_of_six(job.config),
        "bf16_peak_gflops": {
            "square": round(peaks[0] / 1e9, 1),
            **{f"shapes_of_{B}": round(peak / 1e9, 1) for B, peak in peaks.items() if B},
        },
        "rows": rows,
        "best": best,
        "not_measured": NOT_MEASURED,
    }
    if best:
        result["ratios"] = ratios(rows, best)
        result["measured"] = measured(rows, best, result["ratios"])
    return result


def row_of(name: str, job: Job, worker: Worker | None, peaks: dict[int, float]) -> dict[str, Any]:
    """One contestant's numbers."""
    contestant = CONTESTANTS[name]
    if worker is None:
        return {"label": contestant.label, "state": NOT_MEASURED}
    if not all(0 < loss < 3 * math.log(job.config.vocab_size) for loss in worker.losses):
        raise AssertionError(f"{name} gave losses {worker.losses}; what it does is no training step")
    times = summary(worker.seconds[1:])
    speed = job.batch_size * job.config.context / times["median_s"]
    by_count = speed * roofline.training_flops_per_token(job.config)
    B = min(contestant.micro_batch or job.batch_size, job.batch_size)
    return {
        "label": contestant.label,
        "first_step_s": round(worker.seconds[0], 2),
        **times,
        "tokens_per_second": round(speed, 1),
        "gflops": round(by_count / 1e9, 1),
        "gflops_by_six": round(speed * roofline.rule_of_six(job.config) / 1e9, 1),
        "share_of_peak_on_the_same_shapes": round(by_count / peaks[B], 4),
        "share_of_square_peak": round(by_count / peaks[0], 4),
        "memory_gib": round(worker.memory_gib, 2),
    }


def ratios(rows: dict[str, dict[str, Any]], best: str) -> dict[str, float | None]:
    """The comparisons that have a target; None where one side was not measured."""

    def of(name: str, other: str, key: str = "tokens_per_second") -> float | None:
        known = key in rows[name] and key in rows[other]
        return round(rows[name][key] / rows[other][key], 3) if known else None

    return {
        "best_to_hugging_face_fp32": of(best, "hugging_face_fp32"),
        "fp32_to_nanogpt_fp32": of("ours_fp32", "nanogpt_fp32"),
        "jax_seconds_to_torch_fp32": of("jax_fp32", "ours_fp32", "median_s"),
    }


def measured(
    rows: dict[str, dict[str, Any]], best: str, compared: dict[str, float | None]
) -> list[dict[str, Any]]:
    """The rows of the results page; the first two are README's too."""
    aims = [
        (
            "Our fastest setting, as a multiple of Hugging Face GPT-2 in fp32",
            "best_to_hugging_face_fp32",
            FASTEST,
        ),
        ("Ours in fp32, as a multiple of nanoGPT in fp32", "fp32_to_nanogpt_fp32", 1.0),
        ("JAX's time as a multiple of PyTorch's, both ours in fp32", "jax_seconds_to_torch_fp32", JAX),
    ]
    lines: list[dict[str, Any]] = [
        {
            "what": f"{label_of(rows, best)}: share of the bf16 matmul peak on the same shapes",
            "value": 100 * rows[best]["share_of_peak_on_the_same_shapes"],
            "unit": "%",
            "digits": 0,
            "target": 100 * SHARE,
            "better": "higher",
            "readme": True,
        }
    ]
    for what, key, target in aims:
        better = "lower" if "seconds" in key else "higher"
        aim = {"target": target, "better": better} if compared[key] is not None else {}
        value = "not_measured" if compared[key] is None else compared[key]
        readme = {"readme": True} if key == "best_to_hugging_face_fp32" else {}
        lines.append({"what": what, "value": value, "unit": "×", "digits": 2, **aim, **readme})
    for name, row in rows.items():
        known = "tokens_per_second" in row
        value = row["tokens_per_second"] if known else "not_measured"
        unit = {"unit": "tokens/s", "digits": 0} if known else {}
        source = {"source": of_peak(row)} if known else {}
        lines.append({"what": label_of(rows, name), "value": value, **unit, **source})
    return lines


def label_of(rows: dict[str, dict[str, Any]], name: str) -> str:
    """A label that stands by itself."""
    return str(rows[name]["label"]).replace("The same", "Ours, PyTorch, bf16, compiled,")


def of_peak(row: dict[str, Any]) -> str:
    """What else a row says."""
    share = 100 * row["share_of_peak_on_the_same_shapes"]
    return f"{row['gflops']:.0f} GFLOP/s, {share:.0f} % of the bf16 peak on its shapes"


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
