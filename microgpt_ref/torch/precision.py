"""Which device, and in which number format the matrix products run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


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


class Together:
    """Several optimisers as one for the scaler: if any gradient overflowed, none of them makes a step."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        """One update by each."""
        for optimizer in self.optimizers:
            optimizer.step()


@dataclass(frozen=True)
class NumberFormat:
    """How one run computes: the autocast format, and the scaler that fp16 needs against underflow."""

    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler
    tf32: bool = False

    @contextlib.contextmanager
    def float32_products(self) -> Iterator[None]:
        """What a float32 product means inside: all 24 bits of the mantissa, or with tf32 only 11.

        PyTorch keeps this in one switch for the whole process, so it is put back afterwards.
        """
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Matrix products in `dtype`; sums, norms and the loss stay in float32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def clip_and_step(
        self, optimizer: torch.optim.Optimizer | Together, parameters: list[nn.Parameter], clip: float
    ) -> Float[Tensor, ""]:
        """One update from the scaled gradients; returns their norm, unscaled and before clipping.

        Unscale, clip, step, in this order: a limit on scaled gradients would mean nothing. Where one of them
        overflowed the scaler leaves the update out and halves its factor.
        """
        self.scaler.unscale_(cast(torch.optim.Optimizer, optimizer))
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip or float("inf"))
        self.scaler.step(cast(torch.optim.Optimizer, optimizer))
        self.scaler.update()
        return norm


def choose_precision(precision: Precision, device: torch.device) -> NumberFormat:
    """The format of that name; "auto" takes bf16 where the hardware has it, fp16 on older GPUs, else fp32.

    fp32 is float32 throughout. tf32 keeps numbers in float32 and rounds the factors of each product to 11
    bits (NVIDIA's TensorFloat-32, compute capability 8 or more): faster, and never taken unasked.

    Raises:
        ValueError: for fp16 on a CPU, where it is slow and its scaler has no purpose, or tf32 where no
            hardware has it.
    """
    if precision == "auto":
        older_gpu = device.type == "cuda" and not has_fast_bf16(device)
        precision = "fp16" if older_gpu else "bf16" if has_fast_bf16(device) else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision='fp16' is for GPUs; use fp32 or bf16 on the CPU")
    if precision == "tf32" and not (device.type == "cuda" and has_fast_bf16(device)):
        raise ValueError("precision='tf32' is for NVIDIA GPUs of compute capability 8 or more; use fp32 here")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    return NumberFormat(device, dtype, scaler, tf32=precision == "tf32")
