"""Data parallelism: each device holds all weights and takes a share of the batch.

The program is the one for a single device. Arrays carry their placement with them, and the compiler adds
the sum of the gradients over the devices where the placement asks for it. One CPU can play eight devices:
XLA_FLAGS=--xla_force_host_platform_device_count=8, set before JAX is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

Tree = TypeVar("Tree")


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A row of devices, named "data"; by default all there are, which may be one."""
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(devices),), ("data",), devices=devices, axis_types=(AxisType.Auto,))


def on_every_device(tree: Tree, mesh: Mesh) -> Tree:
    """A copy of all arrays on each device: parameters and optimizer state."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def share_batch(batch: Int[np.ndarray, "*micro B T"], mesh: Mesh) -> Int[Array, "*micro B T"]:
    """The rows of a batch, axis B, dealt out over the devices.

    Raises:
        ValueError: if the devices do not divide the batch.
    """
    B, devices = batch.shape[-2], mesh.size
    if B % devices:
        below = B // devices * devices
        choices = f"{below} or {below + devices}" if below else f"{devices}"
        raise ValueError(f"batch_size={B} is not divisible by the {devices} devices; use {choices}")
    rows = PartitionSpec(*[None] * (batch.ndim - 2), "data")
    return jax.device_put(batch, NamedSharding(mesh, rows))
