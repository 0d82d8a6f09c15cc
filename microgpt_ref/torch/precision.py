"""Which device, and in which number format the matrix products run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def choose_device(device: str = "auto") -> torch.device:
    """The device of that name; "auto" takes a CUDA GPU, then Apple's MPS, then the CPU.

    Raises:
        ValueError: for a device this machine does not have.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used here ({reason}); use auto or cpu") from error
    return chosen


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the hardware itself multiplies bf16 matrices (PyTorch also counts slow emulation)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return bool(probe())
    return False


@dataclass(frozen=True)
class NumberFormat:
    """How one run computes: the autocast format, and the scaler that fp16 needs against underflow."""

    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Matrix products in `dtype`; sums, norms and the loss stay in float32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def choose_precision(precision: Precision, device: torch.device) -> NumberFormat:
    """The format of that name; "auto" takes bf16 where the hardware has it, fp16 on older GPUs, else fp32.

    Raises:
        ValueError: for fp16 on a CPU, where it is slow and its scaler has no purpose.
    """
    if precision == "auto":
        older_gpu = device.type == "cuda" and not has_fast_bf16(device)
        precision = "fp16" if older_gpu else "bf16" if has_fast_bf16(device) else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision='fp16' is for GPUs; use fp32 or bf16 on the CPU")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    return NumberFormat(device, dtype, scaler)
