"""A batch split over the devices of a mesh, parameters whole on each: data parallelism.

XLA's partitioner does the rest: every device computes the loss of its share, and the gradients,
being gradients of a mean, are summed across devices where they leave the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewbits.training.method import Batch, Key, Loss, Params

BATCH = "batch"
"""Name of the mesh axis that a batch's examples are split over."""


def batch_mesh(batch_size: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh with the one axis `batch`, over as many of the devices as divide a batch evenly.

    Args:
      batch_size: examples in each batch.
      devices: by default all of them.
    """
    devices = jax.devices() if devices is None else devices
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    return Mesh(np.array(devices[:count]), (BATCH,))


def split_batches(loss: Loss, mesh: Mesh) -> Loss:
    """The same loss, each device of the mesh computing it for a share of the batch's examples.

    Any `Method` can be built on it. The mean is over the whole batch as before; only the order of
    its sums differs, so runs on one and on several devices agree up to rounding.

    Args:
      loss: a mean over examples, which the leading axis of every array in a batch counts.
      mesh: one axis named `batch`, whose size divides the batch's.
    """
    split = NamedSharding(mesh, P(BATCH))

    def on_all_devices(key: Key, params: Params, batch: Batch) -> tuple[jax.Array, dict[str, Any]]:
        return loss(key, params, jax.lax.with_sharding_constraint(batch, split))

    return on_all_devices
