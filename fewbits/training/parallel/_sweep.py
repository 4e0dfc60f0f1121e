"""One compiled program for a whole grid: hyperparameters x seeds, chunked and sharded.

Each pair of a hyperparameter point and a seed is one *run*. `vmap` computes runs side by
side, `shard_map` splits them over the devices of a mesh (no run reads another, so there are no
collectives), and chunks of runs follow one another where they do not all fit in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewbits.training.method import Hyperparameters, Key

RUNS = "runs"
"""Name of the mesh axis that runs are split over."""

DEFAULT_MEMORY_SHARE = 0.6
"""Share of a device's free memory that a chunk of runs may take."""


class RunFunction(Protocol):
    """One run: a pure function of a key, hyperparameters and shared data."""

    def __call__(self, key: Key, hyperparameters: Hyperparameters, data: Any, /) -> Any:
        """Returns a pytree of arrays; return little: the results of all runs are kept."""
        ...


def run_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh with the one axis `runs` over the given devices, by default those of this process."""
    return Mesh(np.array(jax.local_devices() if devices is None else devices), (RUNS,))


def side_by_side(function: Callable[[Any, Any], Any], mesh: Mesh, *, donate: bool = False) -> Any:
    """The jitted program of many runs, split over a mesh: what `sweep` compiles.

    Args:
      function: (what is a run's own, what all runs read) -> pytree of arrays, traceable.
      mesh: one axis named `runs`.
      donate: whether results may take the memory of the first argument.

    Returns:
      Jitted function of two pytrees; leaves of the first and of the result have a leading axis of
      runs, a multiple of the mesh's size.
    """
    mapped = jax.shard_map(
        jax.vmap(function, in_axes=(0, None)),
        mesh=mesh,
        in_specs=(P(RUNS), P()),
        out_specs=P(RUNS),
        check_vma=False,  # runs never communicate, and a run's loops start from constants
    )
    return jax.jit(mapped, donate_argnums=0 if donate else ())


def sweep(
    run: RunFunction,
    hyperparameters: Hyperparameters,
    seeds: Sequence[int],
    data: Any = None,
    *,
    mesh: Mesh | None = None,
    runs_per_chunk: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Runs every hyperparameter point with every seed in one compiled program.

    Where a `jax.distributed` job is to share one sweep, every process calls this with the same
    arguments and a mesh over `jax.devices()`, and every one gets the whole result.

    Args:
      run: (key, hyperparameters, data) -> pytree of arrays, traceable; see `RunFunction`.
      hyperparameters: pytree whose leaves have a common leading axis H; scalars among them are
        shared by all points.
      seeds: S integers in [0, 2^32); run (h, s) gets `jax.random.key(seeds[s])`.
      data: pytree of arrays that all runs read, copied to every device.
      mesh: one axis named `runs`; by default over the devices of this process.
      runs_per_chunk: runs side by side, over all devices together; by default as many
        as are estimated to fit in memory. Rounded up to a multiple of the number of devices.
      progress: called with (runs done, runs in all), first with 0 once the program is compiled,
        then after each chunk.

    Returns:
      The pytree that `run` returns, as NumPy arrays with leading axes (H, S).

    Raises:
      ValueError: leaves of different leading size, no seed or one out of range, a mesh without
        the axis `runs`.

    Example:
      Two learning rates and three seeds of gradient descent on x^2, in one program:

      >>> import jax
      >>> import jax.numpy as jnp
      >>> from fewbits.training import sweep
      >>> def final_x(key, learning_rate, data):
      ...     x = jax.random.normal(key)
      ...     return jax.lax.fori_loop(0, data, lambda _, x: x - learning_rate * 2 * x, x)
      >>> found = sweep(final_x, jnp.array([0.01, 0.1]), seeds=[0, 1, 2], data=100)
      >>> found.shape, bool((abs(found[1]) < abs(found[0])).all())
      ((2, 3), True)
    """
    mesh = run_mesh() if mesh is None else mesh
    if mesh.axis_names != (RUNS,):
        raise ValueError(f"the mesh needs the one axis {RUNS!r}, got {mesh.axis_names}")
    runs, n_points = _product(hyperparameters, seeds)
    n_runs = n_points * len(seeds)

    def one_run(point_and_seed: tuple[Hyperparameters, jax.Array], data: Any) -> Any:
        point, seed = point_and_seed
        return run(jax.random.key(seed), point, data)

    split, whole = NamedSharding(mesh, P(RUNS)), NamedSharding(mesh, P())
    program = side_by_side(one_run, mesh)
    shared = jax.tree.map(lambda a: _place(np.asarray(a), whole), data)
    compiled, chunk = _compile(program, runs, n_runs, shared, split, runs_per_chunk)
    if progress is not None:
        progress(0, n_runs)

    parts = []
    for first in range(0, n_runs, chunk):
        # The last chunk is filled up with repetitions of the last run, dropped below.
        wanted = np.minimum(np.arange(first, first + chunk), n_runs - 1)
        placed = jax.tree.map(lambda a, wanted=wanted: _place(a[wanted], split), runs)
        result = _fetch(compiled(placed, shared))
        n_new = min(chunk, n_runs - first)
        parts.append(jax.tree.map(lambda a, n=n_new: a[:n], result))
        if progress is not None:
            progress(first + n_new, n_runs)

    def join(*pieces: np.ndarray) -> np.ndarray:
        joined = np.concatenate(pieces)
        return joined.reshape(n_points, len(seeds), *joined.shape[1:])

    return jax.tree.map(join, *parts)


def _product(
    hyperparameters: Hyperparameters, seeds: Sequence[int]
) -> tuple[tuple[Any, np.ndarray], int]:
    """All runs, points slowest: ((points, seeds), each leaf [H * S, ...]), and H."""
    if len(seeds) == 0:
        raise ValueError(f"a sweep needs at least one seed, got {list(seeds)}")
    if min(seeds) < 0 or max(seeds) >= 2**32:
        raise ValueError(f"seeds must lie in [0, 2^32), got {list(seeds)}")
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(hyperparameters)]
    sizes = {leaf.shape[0] for leaf in leaves if leaf.ndim}
    if len(sizes) > 1:
        raise ValueError(f"hyperparameters need one common leading size, got {sorted(sizes)}")
    n_points = sizes.pop() if sizes else 1
    if n_points == 0:
        raise ValueError("a sweep needs at least one hyperparameter point, got an empty axis")

    def repeat(leaf: Any) -> np.ndarray:
        leaf = np.asarray(jnp.asarray(leaf))  # JAX's dtypes: float32 unless 64 bits are enabled
        points = leaf if leaf.ndim else np.broadcast_to(leaf, (n_points,))
        return np.repeat(points, len(seeds), axis=0)

    points = jax.tree.map(repeat, hyperparameters)
    return (points, np.tile(np.asarray(seeds, np.uint32), n_points)), n_points


def _compile(
    program: Any,
    runs: Any,
    n_runs: int,
    shared: Any,
    split: NamedSharding,
    runs_per_chunk: int | None,
) -> tuple[Any, int]:
    """The program for one chunk, and the number of runs in it."""
    n_devices = split.mesh.size

    def compile_for(chunk: int) -> Any:
        shapes = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((chunk, *a.shape[1:]), a.dtype, sharding=split), runs
        )
        return program.lower(shapes, shared).compile()

    def rounded_up(count: int) -> int:
        return -(-count // n_devices) * n_devices

    if runs_per_chunk is not None:
        if runs_per_chunk < 1:
            raise ValueError(f"runs_per_chunk must be at least 1, got {runs_per_chunk}")
        chunk = rounded_up(min(runs_per_chunk, n_runs))
        return compile_for(chunk), chunk

    chunk = rounded_up(n_runs)
    budget_bytes = free_memory_bytes(list(split.mesh.local_devices or ()))
    if split.mesh.is_multi_process:  # their chunks must have one size
        budget_bytes = float(np.min(multihost_utils.process_allgather(np.float32(budget_bytes))))
    budget_bytes *= DEFAULT_MEMORY_SHARE
    while True:
        compiled = compile_for(chunk)
        memory = compiled.memory_analysis()
        if memory is None or chunk == n_devices:
            return compiled, chunk
        needed_bytes = memory.temp_size_in_bytes + memory.output_size_in_bytes
        if needed_bytes <= budget_bytes:
            return compiled, chunk
        fitting = int(chunk * budget_bytes / needed_bytes) // n_devices * n_devices
        chunk = max(n_devices, min(fitting, chunk - n_devices))


def free_memory_bytes(devices: Sequence[Any]) -> float:
    """Free bytes for each of the given local devices; infinite where it cannot be known.

    Virtual CPU devices share the host's memory, an accelerator reports its own.
    """
    statistics = [device.memory_stats() for device in devices]
    if all(s is not None and "bytes_limit" in s for s in statistics):
        return min(s["bytes_limit"] - s.get("bytes_in_use", 0) for s in statistics if s)
    try:
        host_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return float("inf")
    return host_bytes / len(devices)


def _place(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A global array from a host array that every process holds whole."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _fetch(tree: Any) -> Any:
    """The whole of sharded arrays as NumPy arrays, in every process of their mesh."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.tree.map(np.asarray, tree)
    return multihost_utils.process_allgather(tree, tiled=True)
