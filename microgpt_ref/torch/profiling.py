"""Where the time of a training step goes, by kind of work: the profiler's long list in six lines."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

KINDS = ("matmul", "attention", "elementwise", "optimizer", "data", "other")
"""matmul: products with a weight, and those of the plain attention. attention: the fused one. elementwise:
norms, activations, loss, copies, whatever torch.compile fused. other: Python, PyTorch's own bookkeeping,
and on a GPU the time in which it waits."""

STEP = "profiled step"
MATMUL = re.compile(
    r"aten::(b?mm|addmm|baddbmm|_addmm_activation|_scaled_mm)$|mkldnn::_linear|mkl::_mkl_linear"
)
# what these call belongs to them, whatever it is
ATTENTION = re.compile(
    r"scaled_dot_?product|flash_attention|efficient_attention|flex_attention", re.IGNORECASE
)
OPTIMIZER = re.compile(r"Optimizer\.(step|zero_grad)#|aten::_foreach_|clip_grad")
DATA = re.compile(r"data\b|enumerate\(DataLoader\)")
# views, which move nothing, and memory that is only asked for
BOOKKEEPING = re.compile(
    r"aten::(_?reshape_?\w*|view|t|transpose|permute|as_strided|expand|slice|select|split\w*|chunk|unbind|narrow"
    r"|(un)?squeeze|detach\w*|alias|empty\w*|result_type|to|linear|matmul|flatten|resize_|set_|lift_fresh)$"
)
COMPILED = re.compile(r"Call CompiledFxGraph|cpp_fused|triton_")

KERNELS = {
    "attention": re.compile(r"flash|fmha|attention|cudnn_generated.*sdpa", re.IGNORECASE),
    "matmul": re.compile(r"gemm|cutlass|nvjet|cublas|splitk|xmma|_mm_", re.IGNORECASE),
    "optimizer": re.compile(r"multi_tensor_apply", re.IGNORECASE),
    "data": re.compile(r"Memcpy HtoD"),
}


@dataclass(frozen=True)
class Profile:
    """One step: `print` shows it as a table."""

    seconds: float
    """Median of a step, unwatched."""
    kinds: dict[str, float]
    """Seconds of a step for each of `KINDS`, under the profiler, which makes many small calls slower."""
    memory: int
    """Bytes that a step had, at its peak, on top of what was there before: activations and gradients."""

    @property
    def watched_seconds(self) -> float:
        """A step under the profiler: the sum of its kinds."""
        return sum(self.kinds.values())

    def share(self, kind: str) -> float:
        """Part of the step, 0 … 1, that was work of this kind."""
        return self.kinds[kind] / self.watched_seconds

    def __str__(self) -> str:
        lines = [f"{'work':12} {'ms':>9} {'share':>6}"]
        for kind, seconds in self.kinds.items():
            lines.append(f"{kind:12} {1000 * seconds:9,.2f} {self.share(kind):6.1%}")
        whole = f"{'a step':12} {1000 * self.watched_seconds:9,.2f}"
        lines.append(f"{whole}  without the profiler {1000 * self.seconds:,.2f}")
        return "\n".join([*lines, f"its memory   {self.memory / 2**20:9,.1f} MiB"])


def profile_step(step: Callable[[], object], repeats: int = 3, warmup: int = 2) -> Profile:
    """Run `step` a few times, unwatched and then watched, and say where its time went.

    Args:
        step: does one step, for instance `Trainer(...).train_step`. What it does inside
            `torch.profiler.record_function("data")` counts as data.
        repeats: how many steps are averaged.
        warmup: steps before anything is timed: compilation, first allocations.

    Raises:
        ValueError: for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats} is below 1; use 1 or more")
    for _ in range(warmup):
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        _whole(step)
        seconds.append(time.perf_counter() - start)
    kinds, watched = dict.fromkeys(KINDS, 0.0), 0.0
    with _profiler() as profiler:
        start = time.perf_counter()
        for _ in range(repeats):
            with record_function(STEP):
                _whole(step)
        watched = time.perf_counter() - start
    for kind, taken in _by_kind(profiler.events()).items():
        kinds[kind] += taken / repeats
    kinds["other"] += max(0.0, watched / repeats - sum(kinds.values()))
    return Profile(statistics.median(seconds), kinds, _peak_memory(step))


def kind_of(name: str, callers: tuple[str, ...] = ()) -> str:
    """The kind of what an event did itself, by its name and the names of those that called it."""
    for kind, pattern in (("optimizer", OPTIMIZER), ("attention", ATTENTION), ("data", DATA)):
        if any(pattern.search(each) if kind != "data" else pattern.match(each) for each in (name, *callers)):
            return kind
    if MATMUL.search(name):
        return "matmul"
    moves = name.startswith(("aten::", "torch::autograd::AccumulateGrad")) and not BOOKKEEPING.match(name)
    return "elementwise" if moves or COMPILED.search(name) else "other"


def kind_of_kernel(name: str) -> str:
    """The kind of a GPU kernel, by its name alone; an optimizer's own products count as matmul."""
    return next((kind for kind, pattern in KERNELS.items() if pattern.search(name)), "elementwise")


def _by_kind(events: Any) -> Mapping[str, float]:
    """Seconds by kind: of the GPU's kernels if there are any, else of the processor's calls."""
    kinds = dict.fromkeys(KINDS, 0.0)
    kernels = [event for event in events if event.device_type != torch.autograd.DeviceType.CPU]
    for event in kernels:
        # the range of `record_function` comes back as an event of the device; it is not a kernel
        if event.name != STEP and not getattr(event, "is_user_annotation", False):
            kinds[kind_of_kernel(event.name)] += event.self_device_time_total / 1e6
    if kernels:
        return kinds
    for event in events:
        callers, caller = [], event.cpu_parent
        while caller is not None:
            callers.append(caller.name)
            caller = caller.cpu_parent
        kinds[kind_of(event.name, tuple(callers))] += event.self_cpu_time_total / 1e6
    return kinds


def _peak_memory(step: Callable[[], object]) -> int:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _whole(step)
        if most := torch.cuda.max_memory_allocated() - before:
            return most
    with _profiler(profile_memory=True) as profiler:
        _whole(step)
    held = most = 0
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()  # negative where memory is given back
        most = max(most, held)
    return most


def _profiler(**options: Any) -> Any:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # no line on stderr for each start and stop
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    return profile(activities=activities, **options)


def _whole(step: Callable[[], object]) -> None:
    """The step, with the work that it left running on a GPU."""
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
