"""Compile one program for a TPU that is not here, or lower it for CUDA: `python -m` this module."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

from experiments.devices.programs import PROGRAMS
from fewbits.training.parallel import compile_only


def for_tpu(name: str, topology: str) -> dict[str, Any]:
    """Compile a program and read what the compiler knows about it."""
    one = PROGRAMS[name]
    return compile_only.compiled_for(
        topology, one.build(), runs=one.runs, split=one.split, effort=one.effort
    )


def for_cuda(name: str) -> dict[str, Any]:
    """Lower a program for one CUDA device; no compiler for it is at hand."""
    one, began = PROGRAMS[name], time.process_time()
    jitted, arguments = compile_only.over_devices(
        one.build(), jax.devices()[:1], runs=one.runs, split=one.split
    )
    exported = jax.export.export(jitted, platforms=["cuda"])(*arguments)
    return {
        "lower_cpu_seconds": time.process_time() - began,
        "program_bytes": len(exported.mlir_module_serialized),
    }


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
