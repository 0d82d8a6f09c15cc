"""Eight devices, played by one CPU, train as one does; nothing in the program says how many there are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EIGHT = """
import sys

sys.path.insert(0, sys.argv[1])
import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
from microgpt_ref.jax.gpt import initialise
from microgpt_ref.jax.mesh import make_mesh
from tests.jax.training import MODEL, assert_close, changed, trainer

assert len(jax.devices()) == 8
recipe = changed(batch_size=16, accumulate=2, learning_rate=1e-2)
start = initialise(MODEL, dtype=np.float64)
runs = {n: trainer(recipe=recipe, parameters=start, mesh=make_mesh(jax.devices()[:n])) for n in (1, 8)}
for n, run in runs.items():
    inputs, _ = run.batch(0)
    assert {shard.data.shape for shard in inputs.addressable_shards} == {(2, 16 // n, 16)}
    losses = [float(run.train_step()["loss"]) for _ in range(5)]
    held = run.state.parameters["embedding.weight"]
    assert len(held.addressable_shards) == n
    assert {shard.data.shape for shard in held.addressable_shards} == {held.shape}
    print(n, *losses)
assert_close(dict(runs[8].state.parameters), dict(runs[1].state.parameters), rtol=1e-6, atol=1e-9)
assert not np.allclose(runs[8].state.parameters["embedding.weight"], start["embedding.weight"])
one, eight = (run.evaluate().loss for run in runs.values())
assert abs(one - eight) < 1e-9
assert trainer(recipe=recipe).mesh.size == 8  # all there are
for batch_size, ways_out in ((12, "8 or 16"), (4, "8")):
    try:
        trainer(recipe=changed(batch_size=batch_size))
    except ValueError as error:
        assert str(error) == f"batch_size={batch_size} is not divisible by the 8 devices; use {ways_out}"
    else:
        raise AssertionError("a batch of 12 was dealt out to 8")
print("done")
"""


@pytest.mark.slow
def test_eight_devices_are_one_to_rounding_in_float64() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", EIGHT, str(ROOT)], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-1] == "done"
