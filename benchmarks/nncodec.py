"""A checkpoint's file against NNCodec's at equal mean squared error.

    NNCODEC_PYTHON=ENV/bin/python python -m benchmarks.nncodec CHECKPOINT [--max-mse E ...]

ENV is an environment of NNCodec's own: `python3 -m venv ENV && ENV/bin/pip install nncodec`.
Without --max-mse, our file has the default error and one of eight times that. Prints one JSON
object a line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from experiments.weight_coding import nncodec_files
from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.io import read_checkpoint
from fewbits.training.trees import named_leaves


def main() -> None:
    """Run one comparison."""
    parser = argparse.ArgumentParser(description="Our file against NNCodec's.")
    parser.add_argument("checkpoint", type=Path, help=".npz, .safetensors or an orbax folder")
    parser.add_argument("--max-mse", type=float, nargs="*", default=[], metavar="E")
    options = parser.parse_args()
    tensors = {
        name.replace("/", "."): np.asarray(leaf, np.float32)
        for name, leaf in named_leaves(read_checkpoint(options.checkpoint)).items()
        if np.asarray(leaf).dtype.kind == "f"
    }
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
        error = nncodec_files.mean_squared_error(tensors, back)
        [peer] = nncodec_files.nncodec_bytes(tensors, [error])
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


if __name__ == "__main__":
    main()
