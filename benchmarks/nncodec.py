"""A checkpoint's file against NNCodec's at equal mean squared error.

    NNCODEC_PYTHON=ENV/bin/python python -m benchmarks.nncodec CHECKPOINT [--max-mse E ...]

ENV is an environment of NNCodec's own: `python3 -m venv ENV && ENV/bin/pip install nncodec`.
Without --max-mse, our file has the default error and one of eight times that. Prints one JSON
object a line. With `--at-error E ...` it prints one list: NNCodec's bytes at these errors.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import nncodec_peer
from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.io import read_checkpoint
from fewbits.training.trees import named_leaves


def main() -> None:
    """Run one comparison."""
    parser = argparse.ArgumentParser(description="Our file against NNCodec's.")
    parser.add_argument("checkpoint", type=Path, help=".npz, .safetensors or an orbax folder")
    parser.add_argument("--max-mse", type=float, nargs="*", default=[], metavar="E")
    parser.add_argument("--at-error", type=float, nargs="*", default=[], metavar="E")
    options = parser.parse_args()
    tensors = {
        name.replace("/", "."): np.asarray(leaf, np.float32)
        for name, leaf in named_leaves(read_checkpoint(options.checkpoint)).items()
        if np.asarray(leaf).dtype.kind == "f"
    }
    if options.at_error:
        print(json.dumps(nncodec_bytes(tensors, options.at_error)))
        return
    count = sum(tensor.size for tensor in tensors.values())
    limits: list[float | None] = list(options.max_mse) or [None, None]
    error = None
    for limit in limits:
        if not options.max_mse and error is not None:
            limit = 8 * error
        start = time.process_time()
        data = params_to_bytes(tensors, max_mse=limit)
        middle = time.process_time()
        back = params_from_bytes(data)
        end = time.process_time()
        error = mean_squared_error(tensors, back)
        [peer] = nncodec_bytes(tensors, [error])
        row = {
            "max_mse": limit,
            "mse": error,
            "parameters": count,
            "bytes": len(data),
            "bits_per_weight": 8 * len(data) / count,
            "nncodec_bytes": round(peer),
            "ratio": len(data) / peer,
            "encode_cpu_seconds": middle - start,
            "decode_cpu_seconds": end - middle,
        }
        print(json.dumps(row))


def nncodec_bytes(tensors: Mapping[str, np.ndarray], errors: Sequence[float]) -> list[float]:
    """NNCodec's bytes at these mean squared errors, interpolated in logarithms.

    Raises:
      RuntimeError: there is no environment with NNCodec, or it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **tensors)  # type: ignore[arg-type]
        around = json.loads(run_peer("measure", str(arrays.resolve()), *map(repr, errors)))
    found = []
    for error, (finer, coarser) in zip(errors, around, strict=True):
        span = math.log(coarser["mse"] / finer["mse"])
        share = math.log(error / finer["mse"]) / span
        found.append(finer["bytes"] ** (1 - share) * coarser["bytes"] ** share)
    return found


def mean_squared_error(tensors: Mapping[str, np.ndarray], back: Any) -> float:
    """Over all parameters."""
    found = named_leaves(back)
    squares = [np.sum(np.square(found[name] - t, dtype=float)) for name, t in tensors.items()]
    return float(sum(squares)) / sum(tensor.size for tensor in tensors.values())


def run_peer(*arguments: str) -> str:
    """What `nncodec_peer` prints in NNCodec's environment.

    Raises:
      RuntimeError: as `nncodec_bytes`.
    """
    python = os.environ.get("NNCODEC_PYTHON")
    if python is None:
        raise RuntimeError(
            "set NNCODEC_PYTHON to the Python of an environment with nncodec: "
            "python3 -m venv ENV && ENV/bin/pip install nncodec"
        )
    script = str(Path(nncodec_peer.__file__))
    # Isolated: else `import nncodec` there would find this file, which lies beside the script.
    command = [python, "-I", script, *arguments]
    with tempfile.TemporaryDirectory() as folder:  # NNCodec leaves files where it runs
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"nncodec_peer {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
