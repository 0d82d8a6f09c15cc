"""NumPy's forward and backward pass, written by hand, beside PyTorch's, in one process on one core.

    python -m benchmarks.numpy_backward

One model and one batch for both, in float32: the default GPTConfig (C=128, N=4, H=4, GELU, learned positions,
LayerNorm) at T=128, batch 8. `backward` begins with the gradient of the loss and ends with that of every
parameter. The gradients are compared before anything is timed. Times are CPU seconds, medians of runs in
turns; ratios are of times: below 1, NumPy is faster.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks._common import ratio, summary, use_one_core, write_result

BATCH, CONTEXT, REPEATS = 8, 128, 15
NAMES = ("numpy", "torch")


def main() -> None:
    """Measure, check that both agree, and write benchmarks/results/numpy_backward.json."""
    use_one_core()
    import torch

    torch.set_num_threads(1)
    steps = build_steps()
    largest = check(steps)
    seconds: dict[str, dict[str, list[float]]] = {
        part: {name: [] for name in NAMES} for part in ("forward", "backward", "both")
    }
    for turn in range(REPEATS + 1):
        for name in NAMES:
            forward, backward = steps[name]
            start = time.process_time()
            state = forward()
            middle = time.process_time()
            backward(state)
            end = time.process_time()
            if turn > 0:  # the first turn fills caches
                for part, taken in zip(seconds, (middle - start, end - middle, end - start), strict=True):
                    seconds[part][name].append(taken)
    times = {
        part: {name: summary(values) for name, values in of_part.items()} for part, of_part in seconds.items()
    }
    ratios = {part: ratio(row, "numpy", "torch") for part, row in times.items()}
    result: dict[str, Any] = {
        "what": "one training step without its update, NumPy by hand and PyTorch; CPU seconds on one core",
        "shape": {"B": BATCH, "T": CONTEXT, "C": 128, "N": 4, "H": 4, "dtype": "float32"},
        "largest_difference_of_gradients": largest,
        "times": times,
        "ratios": ratios,
    }
    path = write_result("numpy_backward", result, ("microgpt-ref", "numpy", "scipy", "torch"))
    print("NumPy's time as a multiple of torch's:", ratios)
    print(f"written: {path.relative_to(path.parents[2])}")


def build_steps() -> dict[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]]:
    """For each framework: forward, which gives the loss and what backward needs, and backward."""
    import numpy as np
    import torch
    from torch.nn import functional

    from microgpt_ref import numpy as in_numpy
    from microgpt_ref.config import GPTConfig
    from microgpt_ref.torch import GPT

    config = GPTConfig(context=CONTEXT)
    parameters = in_numpy.initialise(config)
    tokens, targets = np.random.default_rng(0).integers(0, config.vocab_size, (2, BATCH, CONTEXT))
    model = GPT(config)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in parameters.items()})
    torch_tokens, torch_targets = torch.from_numpy(tokens), torch.from_numpy(targets)

    def numpy_forward() -> Any:
        logits, saved = in_numpy.forward(parameters, tokens, config)
        return in_numpy.cross_entropy(logits, targets)[1], saved

    def numpy_backward(state: Any) -> dict[str, Any]:
        saved_loss, saved = state
        return in_numpy.backward(in_numpy.cross_entropy_backward(saved_loss), saved)

    def torch_forward() -> Any:
        return functional.cross_entropy(model(torch_tokens).flatten(0, 1), torch_targets.flatten())

    def torch_backward(loss: Any) -> dict[str, Any]:
        model.zero_grad()
        loss.backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    return {"numpy": (numpy_forward, numpy_backward), "torch": (torch_forward, torch_backward)}


def check(steps: dict[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]]) -> float:
    """The largest difference between the two gradients, as a share of each parameter's largest."""
    import numpy as np

    gradients = {name: backward(forward()) for name, (forward, backward) in steps.items()}
    differences = []
    for name, gradient in gradients["torch"].items():
        expected = gradient.numpy()
        differences.append(np.abs(gradients["numpy"][name] - expected).max() / np.abs(expected).max())
    largest = float(max(differences))
    if not largest < 1e-3:
        raise AssertionError(f"the gradients differ by {largest:.1e}; their times cannot be compared")
    return float(f"{largest:.2g}")


if __name__ == "__main__":
    main()
