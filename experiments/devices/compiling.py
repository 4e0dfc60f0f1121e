"""Compile one program for a TPU that is not here, or lower it for CUDA: `python -m` this module.

libtpu (extra `tpu-compile`) compiles for a topology by its name; it takes a lock for the machine,
so one process compiles at a time.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # no device is touched
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("TPU_WORKER_ID", "0")

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.devices.programs import PROGRAMS, Program
from fewbits.training.parallel._sweep import RUNS, side_by_side
from fewbits.training.parallel.data_parallel import BATCH

_COLLECTIVE = re.compile(
    r"^\s*(?:ROOT )?%?\S+ = .*? (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    r"|collective-broadcast|ragged-all-to-all|send|recv)(?:-start)?\(",
    re.MULTILINE,
)


def program_and_arguments(program: Program, devices: Any) -> tuple[Any, tuple[Any, Any]]:
    """The jitted program over all devices and the sharded shapes of its arguments."""
    built = program.build()
    split_runs = program.split == "runs"
    mesh = Mesh(np.array(devices).reshape(-1), (RUNS if split_runs else BATCH,))
    split, whole = NamedSharding(mesh, P(mesh.axis_names[0])), NamedSharding(mesh, P())

    def placed(tree: Any, sharding: Any, lead: int | None = None) -> Any:
        def shape(a: Any) -> Any:
            sizes = a.shape if lead is None else (lead, *a.shape)
            return jax.ShapeDtypeStruct(sizes, a.dtype, sharding=sharding)

        return jax.tree.map(shape, tree)

    if split_runs:
        count = program.runs * mesh.size
        own, shared = placed(built.own, split, count), placed(built.shared, whole)
        return side_by_side(built.function, mesh, donate=True), (own, shared)
    wide = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((mesh.size * a.shape[0], *a.shape[1:]), a.dtype),
        built.shared,
    )
    return jax.jit(built.function, donate_argnums=0), (
        placed(built.own, whole),
        placed(wide, split),
    )


def for_tpu(name: str, topology: str) -> dict[str, Any]:
    """Compile a program and read what the compiler knows about it."""
    program = PROGRAMS[name]
    devices = topologies.get_topology_desc(topology, platform="tpu").devices
    began = time.process_time()
    jitted, arguments = program_and_arguments(program, devices)
    options = {"exec_time_optimization_effort": program.effort} if program.effort else {}
    compiled = jitted.lower(*arguments).compile(compiler_options=options)
    seconds = time.process_time() - began
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return {
        "compile_cpu_seconds": seconds,
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "aliased_bytes": memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "shared_bytes": _bytes(arguments[1]) if program.split == "runs" else 0,
        "flops": cost.get("flops"),
        "bytes_accessed": cost.get("bytes accessed"),
        "optimal_seconds": cost.get("optimal_seconds"),
        "collectives": len(collectives(compiled.as_text())),
    }


def collectives(text: str) -> list[str]:
    """Names of the operations of a compiled program in which chips wait for one another."""
    return [match[1] for match in _COLLECTIVE.finditer(text)]


def for_cuda(name: str) -> dict[str, Any]:
    """Lower a program for one CUDA device; no compiler for it is at hand."""
    began = time.process_time()
    jitted, arguments = program_and_arguments(PROGRAMS[name], jax.devices()[:1])
    exported = jax.export.export(jitted, platforms=["cuda"])(*arguments)
    return {
        "lower_cpu_seconds": time.process_time() - began,
        "program_bytes": len(exported.mlir_module_serialized),
    }


def _bytes(tree: Any) -> int:
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(tree))


def main(folder: str, *pairs: str) -> int:
    """Compile each `PROGRAM@TARGET` that the folder does not hold yet, one file for each.

    A compiler's refusal is a finding too, and so is an end of the process in two attempts.
    """
    for pair in pairs:
        path = Path(folder) / f"{pair}.json"
        if path.exists():
            continue
        name, _, target = pair.partition("@")
        attempts = path.with_suffix(".attempts")
        before = len(attempts.read_bytes()) if attempts.exists() else 0
        attempts.write_bytes(b"." * (before + 1))
        try:
            if before > 1:
                raise RuntimeError("the compiler ended the process")
            found = for_cuda(name) if target == "cuda" else for_tpu(name, target)
        except Exception as error:  # whatever a compiler raises: the message is recorded
            if "libtpu_lockfile" in str(error):
                attempts.unlink()
                raise  # another process compiles, or has left its lock
            said = str(error).partition("\n")[0][:300]
            found = {"error": f"{type(error).__name__}: {said}"}
        path.write_text(json.dumps(found))
        attempts.unlink()
        print(f"{pair}: {found.get('error') or 'done'}", file=sys.stderr, flush=True)
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
