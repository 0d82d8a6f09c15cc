"""What a step of training has to compute and to move, and how fast this machine can do either.

One list, `products`, holds every matrix product of the model; FLOPs and bytes are read off it. A roofline
(Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model") sets them against
the machine: a part does at most `peak` operations a second, and at most `bandwidth` bytes a second arrive.

Of attention's two products only what a causal kernel computes is counted: a position meets itself and those
before it, T(T + 1)/2 pairs. Chapter 7, torch's FlopCounterMode and most published figures count the whole
square T²; `masked=True` does so too. The smaller count gives the smaller, stricter utilisation.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from microgpt_ref.config import GPTConfig, count_parameters

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes a number in each format."""

PARTS = ("qkv", "scores", "mix", "out", "ffn", "head")
"""Where a forward pass multiplies: scores is q kᵀ, mix is weights · v."""

# Operations on each number where nothing is multiplied by a matrix. Roughly: these parts wait for memory.
NORM, SOFTMAX, ACTIVATION, ROTATE, ADD = 6, 5, 4, 3, 1


class Product(NamedTuple):
    """`times` products of `batch` pairs of matrices each: (m, k) @ (k, n). `part` is one of `PARTS`."""

    part: str
    times: int
    batch: int
    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each of m · k · n, whole squares included."""
        return 2 * self.times * self.batch * self.m * self.k * self.n

    @property
    def numbers(self) -> int:
        """Numbers read and written when each matrix is touched once."""
        return self.times * self.batch * (self.m * self.k + self.k * self.n + self.m * self.n)

    def backward(self) -> tuple[Product, Product]:
        """The products of the backward pass: d_left = d_out @ rightᵀ and d_right = leftᵀ @ d_out."""
        return self._replace(k=self.n, n=self.k), self._replace(m=self.k, k=self.m)


class Work(NamedTuple):
    """What one part of a block costs: operations, and bytes between memory and processor."""

    flops: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: operations for each byte moved."""
        return self.flops / self.bytes


def products(config: GPTConfig, B: int = 1, T: int | None = None) -> list[Product]:
    """The matrix products of one forward pass over B sequences of T tokens (default: the whole context)."""
    T, rows = _length(config, T), B * _length(config, T)
    C, D, F, H, N = config.d_model, config.head_width, config.ffn_width, config.n_head, config.n_layer
    into_hidden = 2 if config.activation == "swiglu" else 1
    return [
        Product("qkv", N, 1, rows, C, C + 2 * config.kv_heads * D),
        Product("scores", N, B * H, T, D, T),
        Product("mix", N, B * H, T, T, D),
        Product("out", N, 1, rows, C, C),
        Product("ffn", N * into_hidden, 1, rows, C, F),
        Product("ffn", N, 1, rows, F, C),
        Product("head", 1, 1, rows, C, config.vocab_size),
    ]


def forward_flops(
    config: GPTConfig, T: int | None = None, B: int = 1, masked: bool = False
) -> dict[str, int]:
    """FLOPs of a forward pass over B sequences of T tokens, for each of `PARTS`.

    Args:
        masked: whether the masked half of attention's squares counts as work.
    """
    T, flops = _length(config, T), dict.fromkeys(PARTS, 0)
    for product in products(config, B, T):
        in_attention = product.part in ("scores", "mix")
        # T(T + 1)/2 of T² pairs; product.flops holds a factor T², so the division leaves no rest
        flops[product.part] += (
            product.flops * (T + 1) // (2 * T) if in_attention and not masked else product.flops
        )
    return flops


def training_flops_per_token(config: GPTConfig, context: int | None = None, masked: bool = False) -> int:
    """FLOPs of training on one token, forward and backward, in sequences of `context` tokens.

    Backward has two products for each of forward's, so the sum is three times forward. Lookups, norms,
    activations, the loss and the update are left out: they are not what a matrix unit is bought for.
    """
    T = _length(config, context)
    return 3 * sum(forward_flops(config, T, masked=masked).values()) // T


def rule_of_six(config: GPTConfig) -> int:
    """6 FLOPs a parameter and token (Kaplan et al. 2020, section 2.1): the figure that most others publish.

    It counts lookup tables as work, and leaves attention's own products out.
    """
    return 6 * count_parameters(config)


def utilisation(
    tokens_per_second: float, config: GPTConfig, peak: float, context: int | None = None
) -> float:
    """Model FLOPs utilisation (Chowdhery et al. 2022, PaLM, appendix B): the share of `peak` put to use.

    Args:
        peak: FLOP/s that the machine could do, for instance `measured_peak("cpu", "bfloat16")`.
    """
    return tokens_per_second * training_flops_per_token(config, context) / peak


def block_work(
    config: GPTConfig, B: int, T: int | None = None, dtype: str = "float32", fused: bool = True
) -> dict[str, Work]:
    """What each part of one block costs, forward, when each array is read or written once.

    Args:
        dtype: format of all numbers; bf16 autocast keeps some in float32 and so moves a little more.
        fused: whether attention keeps its T × T weights out of memory (Dao et al. 2022) and skips what is
            masked; the plain formula writes and reads them, masked or not.

    Raises:
        ValueError: for an unknown format.
    """
    size, T = _bytes_of(dtype), _length(config, T)
    C, F, pairs = config.d_model, config.ffn_width, B * config.n_head * T * T
    stream, qk = B * T * C, B * T * (C + config.kv_heads * config.head_width)
    flops = {part: n // config.n_layer for part, n in forward_flops(config, T, B, masked=not fused).items()}
    numbers = dict.fromkeys(PARTS, 0)
    for product in products(config, B, T):
        numbers[product.part] += product.numbers // config.n_layer
    work = {"norm": Work(NORM * stream, 2 * stream * size), "qkv": Work(flops["qkv"], numbers["qkv"] * size)}
    if config.position == "rotary":
        work["rotary"] = Work(ROTATE * qk, 2 * qk * size)
    if config.qk_norm:
        work["q, k norm"] = Work(NORM * qk, 2 * qk * size)
    if fused:  # q, k, v in, their mix out
        work["attention"] = Work(flops["scores"] + flops["mix"], 2 * qk * size)
    else:
        work["scores"] = Work(flops["scores"], numbers["scores"] * size)
        work["softmax"] = Work(SOFTMAX * pairs, 2 * pairs * size)
        work["mix"] = Work(flops["mix"], numbers["mix"] * size)
    gates = 2 if config.activation == "swiglu" else 1
    hidden = B * T * F
    work["out"] = Work(flops["out"], numbers["out"] * size)
    work["ffn"] = Work(flops["ffn"], numbers["ffn"] * size)
    work["activation"] = Work((ACTIVATION + gates - 1) * hidden, (gates + 1) * hidden * size)
    work["residual"] = Work(ADD * stream, 3 * stream * size)
    return work


@dataclass(frozen=True)
class Roofline:
    """Two limits of a machine: FLOP/s at most, and bytes/s at most."""

    peak: float
    bandwidth: float

    def __post_init__(self) -> None:
        for name in ("peak", "bandwidth"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} is not above 0; use a measured rate")

    @classmethod
    def measure(cls, device: str = "cpu", dtype: str = "float32") -> Roofline:
        """This machine's, in that number format."""
        return cls(measured_peak(device, dtype), measured_bandwidth(device))

    @property
    def ridge(self) -> float:
        """FLOPs a byte from which on the processor is the limit, and below which memory is."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """FLOP/s that work of this intensity can reach: min(peak, bandwidth · intensity)."""
        return min(self.peak, self.bandwidth * intensity)

    def predicted_seconds(self, flops: float, bytes: float) -> float:
        """The least time: computing and moving overlap, so the longer of the two counts."""
        return max(flops / self.peak, bytes / self.bandwidth)


def measured_peak(
    device: str = "cpu", dtype: str = "float32", shape: tuple[int, int, int] | None = None, batch: int = 1
) -> float:
    """FLOP/s of one matrix product in PyTorch, with the threads it has now; measured once a process.

    Args:
        dtype: "float32", "bfloat16" or "float16".
        shape: (m, k, n). None takes square matrices, large enough to reach the peak.
        batch: how many such products there are in one call.

    Raises:
        ValueError: for an unknown format.
    """
    import torch

    _bytes_of(dtype)
    side = 2048 if torch.device(device).type == "cpu" else 8192
    return _peak(device, dtype, shape or (side, side, side), batch, torch.get_num_threads())


def measured_bandwidth(device: str = "cpu", size: int = 2**28) -> float:
    """Bytes/s between memory and processor when an array is copied; each byte is read once and written once.

    Args:
        size: bytes of the array. It must be many times the cache, or the cache is what is measured.
    """
    import torch

    return _bandwidth(device, size, torch.get_num_threads())


@functools.cache
def _peak(device: str, dtype: str, shape: tuple[int, int, int], batch: int, threads: int) -> float:
    import torch

    m, k, n = shape
    lead = (batch,) if batch > 1 else ()
    left = torch.randn(*lead, m, k, device=device).to(getattr(torch, dtype))
    right = torch.randn(*lead, k, n, device=device).to(getattr(torch, dtype))
    out = torch.empty(*lead, m, n, device=device, dtype=left.dtype)
    return 2 * batch * m * k * n / _fastest(lambda: torch.matmul(left, right, out=out), device)


@functools.cache
def _bandwidth(device: str, size: int, threads: int) -> float:
    import torch

    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _fastest(lambda: target.copy_(source), device)


def _fastest(run: Callable[[], Any], device: str, seconds: float = 0.3, at_least: int = 5) -> float:
    """Seconds of the fastest run: whatever else the machine does can only make one slower."""
    import torch

    def timed() -> float:
        start = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    with torch.no_grad():
        timed()  # the first one allocates, and chooses its routine
        taken, end = [timed()], time.perf_counter() + seconds
        while len(taken) < at_least or time.perf_counter() < end:
            taken.append(timed())
    return min(taken)


def _length(config: GPTConfig, T: int | None) -> int:
    return config.context if T is None else T


def _bytes_of(dtype: str) -> int:
    if dtype not in BYTES:
        raise ValueError(f"dtype={dtype!r} is not known; use one of {', '.join(BYTES)}")
    return BYTES[dtype]
