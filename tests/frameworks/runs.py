"""One case in each framework: logits, and the gradient of every parameter, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import torch
from torch.nn import functional

from microgpt_ref import numpy as in_numpy
from microgpt_ref.jax import gpt as in_jax
from microgpt_ref.torch import GPT
from tests.frameworks.cases import Case

Arrays = dict[str, np.ndarray]


@contextmanager
def precision(dtype: Any) -> Iterator[None]:
    """Let torch and jax calculate in float32 or float64; what was set before comes back."""
    double = np.dtype(dtype) == np.float64
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    try:
        with jax.enable_x64(double):
            yield
    finally:
        torch.set_default_dtype(before)


def cast(arrays: Arrays, dtype: Any) -> Arrays:
    return {name: array.astype(dtype) for name, array in arrays.items()}


def numpy_logits(case: Case, dtype: Any) -> np.ndarray:
    return in_numpy.forward(cast(case.parameters, dtype), case.tokens, case.config)[0]


def numpy_gradients(case: Case, dtype: Any) -> tuple[float, Arrays]:
    return in_numpy.loss_and_gradients(cast(case.parameters, dtype), case.tokens, case.targets, case.config)


def torch_model(case: Case, dtype: Any, attention: str) -> GPT:
    model = GPT(case.config, attention).eval()
    model.load_state_dict({name: torch.from_numpy(a) for name, a in cast(case.parameters, dtype).items()})
    return model


def torch_logits(case: Case, dtype: Any) -> np.ndarray:
    with precision(dtype), torch.inference_mode():
        return torch_model(case, dtype, "plain")(torch.from_numpy(case.tokens)).numpy()


def torch_gradients(case: Case, dtype: Any) -> tuple[float, Arrays]:
    """Through the fused attention; and not by `GPT.loss`, which works in float32 as training does."""
    with precision(dtype):
        model = torch_model(case, dtype, "sdpa")
        logits = model(torch.from_numpy(case.tokens))
        targets = torch.from_numpy(case.targets).flatten()
        loss = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=-1)
        loss.backward()
    zero = torch.zeros(())
    return loss.item(), {
        name: (zero.expand_as(p) if p.grad is None else p.grad).numpy()
        for name, p in model.named_parameters()
    }


def jax_logits(case: Case, dtype: Any) -> np.ndarray:
    with precision(dtype):
        parameters = {name: jax.numpy.asarray(a) for name, a in cast(case.parameters, dtype).items()}
        return np.asarray(in_jax.forward(parameters, jax.numpy.asarray(case.tokens), case.config))


def jax_gradients(case: Case, dtype: Any) -> tuple[float, Arrays]:
    with precision(dtype):
        parameters = {name: jax.numpy.asarray(a) for name, a in cast(case.parameters, dtype).items()}
        tokens, targets = jax.numpy.asarray(case.tokens), jax.numpy.asarray(case.targets)
        loss, gradients = jax.value_and_grad(in_jax.loss)(parameters, tokens, targets, case.config)
        return float(loss), {name: np.asarray(gradient) for name, gradient in gradients.items()}


LOGITS: dict[str, Callable[[Case, Any], np.ndarray]] = {
    "numpy": numpy_logits,
    "torch": torch_logits,
    "jax": jax_logits,
}
GRADIENTS: dict[str, Callable[[Case, Any], tuple[float, Arrays]]] = {
    "numpy": numpy_gradients,
    "torch": torch_gradients,
    "jax": jax_gradients,
}
ALL = tuple(LOGITS)
