"""Networks out of files, decoded in a process of its own: what may be called a size.

`python -m experiments.common.decoded_networks OUT.npz FILE ...` decodes files of any kind that
holds parameters, and writes all tensors under the files' numbers.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import subprocesses
from fewbits.coding import FormatError, container, params_from_bytes
from fewbits.training.trees import from_named, named_leaves


def decode(path: Path) -> Any:
    """The parameters of one file, decoded in a fresh process: nested dicts of float32."""
    with tempfile.TemporaryDirectory() as folder:
        decoded = Path(folder) / "decoded.npz"
        subprocesses.python("experiments.common.decoded_networks", [decoded, path])
        with np.load(decoded) as arrays:
            return from_named({name.partition("/")[2]: arrays[name] for name in arrays})


def check(files: Sequence[tuple[Path, Any]]) -> None:
    """One fresh process decodes all files to the given parameters.

    Raises:
      ValueError: one of them to others.
    """
    with tempfile.TemporaryDirectory() as folder:
        decoded = Path(folder) / "decoded.npz"
        subprocesses.python(
            "experiments.common.decoded_networks", [decoded, *(path for path, _ in files)]
        )
        with np.load(decoded) as arrays:
            for number, (path, params) in enumerate(files):
                expected = named_leaves(params)
                found = {
                    name.partition("/")[2]: arrays[name]
                    for name in arrays
                    if name.partition("/")[0] == str(number)
                }
                same = found.keys() == expected.keys() and all(
                    np.array_equal(found[name], expected[name]) for name in expected
                )
                if not same:
                    raise ValueError(f"{path.name} does not decode to what was written")


def main(arguments: list[str]) -> int:
    """`OUT.npz FILE ...`."""
    if len(arguments) < 2:
        print(
            "usage: python -m experiments.common.decoded_networks OUT.npz FILE ...", file=sys.stderr
        )
        return 2
    arrays: dict[str, Any] = {}
    for number, name in enumerate(arguments[1:]):
        try:
            params = params_from_bytes(container.load_bytes(name))
        except (FormatError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2
        arrays.update({f"{number}/{k}": leaf for k, leaf in named_leaves(params).items()})
    np.savez(Path(arguments[0]), **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
