"""Does a file decode elsewhere? Other cores, devices, flags, processors and versions, tried here.

A decoder that computes with floats may give other bytes on another machine. `decodes` runs it in a
subprocess under one of `CONDITIONS`:

    from fewbits.codecs import portability, text

    path.write_bytes(text.compress(content))
    for condition in portability.CONDITIONS:
        print(condition.name, portability.decodes(condition, path, content, folder=scratch))
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import fewbits

_DECODE = """
import hashlib, sys
import jax
jax.numpy.ones(3).sum().block_until_ready()
from {module} import {name}
sys.stdout.write(hashlib.sha256({name}(open(sys.argv[1], "rb").read())).hexdigest())
"""
_WITHOUT_NUMBA = "import sys\nsys.modules['numba'] = None\n"


class Condition(NamedTuple):
    """Where a file is decoded.

    Attributes:
      name: for tables.
      cores: that the process may run on; None for all.
      variables: of the environment.
      versions: pip requirements of a virtual environment of the other Python; none for this one.
      numba: whether the compiled loops can be used.
    """

    name: str
    cores: int | None = None
    variables: Mapping[str, str] = {}
    versions: Sequence[str] = ()
    numba: bool = True


def _xla(flag: str, **variables: str) -> dict[str, str]:
    return {"XLA_FLAGS": f"--xla_{flag}", **variables}


_NEEDED = ("numba", "constriction", "jaxtyping")
CONDITIONS = (
    Condition("1 core", cores=1),
    Condition("2 cores", cores=2),
    Condition("1 device", variables=_xla("force_host_platform_device_count=1")),
    Condition("4 devices", variables=_xla("force_host_platform_device_count=4")),
    Condition("x64 off", variables={"JAX_ENABLE_X64": "0"}),
    Condition("x64 on", variables={"JAX_ENABLE_X64": "1"}),
    Condition(
        "SSE4.2",
        variables=_xla("cpu_max_isa=SSE4_2", NUMBA_CPU_NAME="nehalem", NUMBA_CPU_FEATURES=""),
    ),
    Condition(
        "AVX2", variables=_xla("cpu_max_isa=AVX2", NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="")
    ),
    Condition("fast-math", variables=_xla("cpu_enable_fast_math=true")),
    Condition(
        "optimisation level 0", variables=_xla("backend_optimization_level=0", NUMBA_OPT="0")
    ),
    Condition("another Python, JAX 0.10", versions=("jax==0.10.2", *_NEEDED)),
    Condition("another Python, JAX 0.11", versions=("jax==0.11.2", *_NEEDED)),
    Condition("without numba, 2 kB", numba=False),
)
"""Those of docs/text.md; the last one is slow, hence a small file."""


def decodes(
    condition: Condition,
    file: Path,
    content: bytes,
    *,
    decoder: str = "fewbits.codecs.text:decompress",
    python: str = "python3.12",
    folder: Path,
) -> bool:
    """Whether the file gives the content there.

    Args:
      condition: where.
      file: what is decoded.
      content: that it holds.
      decoder: module and function, (bytes of the file) -> bytes.
      python: command of another Python.
      folder: for its virtual environments.

    Raises:
      subprocess.CalledProcessError: the environment cannot be made.
    """
    command = sys.executable
    if condition.versions:
        command = str(_environment(python, condition.versions, folder))
    module, _, name = decoder.partition(":")
    code = _DECODE.format(module=module, name=name)

    def bind() -> None:
        if condition.cores is not None:
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, set(allowed[: condition.cores]))

    sources = Path(fewbits.__file__).parents[1]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(sources)}
    if "NUMBA_OPT" in condition.variables:
        # What numba has in its cache is optimised, and would be used.
        environment["NUMBA_CACHE_DIR"] = str(folder / "numba_unoptimised")
    done = subprocess.run(
        [command, "-c", code if condition.numba else _WITHOUT_NUMBA + code, str(file)],
        env={**environment, **condition.variables},
        preexec_fn=bind,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(f"{condition.name}: {done.stderr.strip()[-500:]}\n")
    return done.stdout == hashlib.sha256(content).hexdigest()


def _environment(python: str, versions: Sequence[str], folder: Path) -> Path:
    """The Python of a virtual environment, made when first asked for."""
    place = folder / f"venv_{hashlib.sha256(' '.join(versions).encode()).hexdigest()[:8]}"
    found = place / "bin" / "python"
    if not found.exists():
        subprocess.run([python, "-m", "venv", str(place)], check=True)
        subprocess.run([found, "-m", "pip", "install", "-q", *versions], check=True)
    return found
