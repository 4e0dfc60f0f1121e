"""Compile a program for TPUs that are not here: what a sweep will need, known from a laptop.

libtpu (extra `tpu-compile`) compiles for a topology by its name, such as "v5e:2x2". It takes a lock
for the machine: one process compiles at a time. `estimates` makes a plan of what it finds.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewbits.training.parallel._sweep import RUNS, side_by_side
from fewbits.training.parallel.data_parallel import BATCH

_COLLECTIVE = re.compile(
    r"^\s*(?:ROOT )?%?\S+ = .*? (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    r"|collective-broadcast|ragged-all-to-all|send|recv)(?:-start)?\(",
    re.MULTILINE,
)
Split = Literal["runs", "batch"]
_WITHOUT_TPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no device is touched
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


class Built(NamedTuple):
    """A traceable function and the shapes of its two arguments.

    Attributes:
      function: split over runs, (what is one run's own, what all read) -> the run's new own part;
        split over a batch, (state, batch) -> new state.
      own: shapes (`jax.ShapeDtypeStruct`) of the first argument, of one run.
      shared: shapes of the second; the whole batch's, of one chip, where the batch is split.
    """

    function: Callable[[Any, Any], Any]
    own: Any
    shared: Any


def over_devices(
    built: Built, devices: Any, *, runs: int = 1, split: Split = "runs"
) -> tuple[Any, tuple[Any, Any]]:
    """The jitted program over all devices and the sharded shapes of its arguments.

    Args:
      built: the function.
      devices: an array of them, of a topology or of this machine.
      runs: side by side on each device, where runs are split.
      split: what the devices divide: independent runs as in `sweep`, or the batch of one run.
    """
    mesh = Mesh(np.array(devices).reshape(-1), (RUNS if split == "runs" else BATCH,))
    divided, whole = NamedSharding(mesh, P(mesh.axis_names[0])), NamedSharding(mesh, P())

    def placed(tree: Any, sharding: Any, lead: tuple[int, ...] = (), times: int = 1) -> Any:
        def shape(a: Any) -> Any:
            sizes = (*lead, times * a.shape[0], *a.shape[1:]) if a.shape else lead
            return jax.ShapeDtypeStruct(sizes, a.dtype, sharding=sharding)

        return jax.tree.map(shape, tree)

    if split == "runs":
        own = placed(built.own, divided, (runs * mesh.size,))
        program = side_by_side(built.function, mesh, donate=True)
        return program, (own, placed(built.shared, whole))
    wide = placed(built.shared, divided, times=mesh.size)
    return jax.jit(built.function, donate_argnums=0), (placed(built.own, whole), wide)


def compiled_for(
    topology: str,
    built: Built,
    *,
    runs: int = 1,
    split: Split = "runs",
    effort: float = 0.0,
) -> dict[str, Any]:
    """Compile for a topology, and read what the compiler knows about the program.

    In a process of its own with `JAX_PLATFORMS=cpu`: libtpu is told that there is no TPU.

    Args:
      topology: such as "v5e:2x2" or "v5e:16x16", chips by their arrangement.
      built: the function.
      runs: as `over_devices`, like split.
      split: what the chips divide.
      effort: `jax_exec_time_optimization_effort`, -1 to 1; -1 compiles several times as fast.

    Returns:
      Bytes of one chip, operations, the compiler's estimate of the time (negative for unknown),
      CPU seconds to compile, and the number of collectives, in which chips wait for one another.

    Raises:
      RuntimeError: libtpu is missing, or refuses the program.
    """
    from jax.experimental import topologies

    os.environ.update({name: os.environ.get(name, value) for name, value in _WITHOUT_TPU.items()})
    devices = topologies.get_topology_desc(topology, platform="tpu").devices
    began = time.process_time()
    jitted, arguments = over_devices(built, devices, runs=runs, split=split)
    options = {"exec_time_optimization_effort": effort} if effort else {}
    compiled = jitted.lower(*arguments).compile(compiler_options=options)
    seconds = time.process_time() - began
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    shared = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(arguments[1]))
    return {
        "compile_cpu_seconds": seconds,
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "aliased_bytes": memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "shared_bytes": shared if split == "runs" else 0,
        "flops": cost.get("flops"),
        "bytes_accessed": cost.get("bytes accessed"),
        "optimal_seconds": cost.get("optimal_seconds"),
        "collectives": len(collectives(compiled.as_text())),
    }


def collectives(text: str) -> list[str]:
    """Names of the operations of a compiled program in which chips wait for one another."""
    return [match[1] for match in _COLLECTIVE.finditer(text)]
