"""Reading and writing users' files: checkpoints, labelled images, and errors of one line.

A checkpoint (.npz, .safetensors or an orbax folder) is a nested dict of arrays; `read_labelled`
reads images and labels from whatever a user has them in:

>>> import tempfile
>>> from pathlib import Path
>>> import numpy as np
>>> from fewbits import io
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "net.npz"
...     io.write_checkpoint(path, {"dense": {"kernel": np.ones((2, 3), np.float32)}})
...     io.read_checkpoint(path)["dense"]["kernel"].shape
(2, 3)
>>> io.datasets.load("digits", "train").pixels.shape
(1297, 8, 8, 1)

A file that is not what it says raises `FormatError`, a user's mistake `InputError`. Outputs are
whole or not there, and replace nothing that they were not told to (`open_output`).
"""

import typing

from fewbits.io.errors import FormatError, InputError, OutputError

if typing.TYPE_CHECKING:
    from fewbits.io import datasets, outputs
    from fewbits.io.checkpoints import read_checkpoint, write_checkpoint
    from fewbits.io.image_sets.labelled import Labelled, read_labelled
    from fewbits.io.outputs import open_output, open_output_folder

__all__ = [
    "FormatError",
    "InputError",
    "Labelled",
    "OutputError",
    "datasets",
    "open_output",
    "open_output_folder",
    "outputs",
    "read_checkpoint",
    "read_labelled",
    "write_checkpoint",
]


def __getattr__(name: str) -> object:
    """Imports on first use: the command line reads `errors` and must not wait for NumPy."""
    if name in ("read_checkpoint", "write_checkpoint"):
        from fewbits.io import checkpoints

        return getattr(checkpoints, name)
    if name in ("Labelled", "read_labelled"):
        from fewbits.io.image_sets import labelled

        return getattr(labelled, name)
    if name in ("open_output", "open_output_folder"):
        from fewbits.io import outputs

        return getattr(outputs, name)
    # `from fewbits.io import datasets` would ask this function again.
    if name == "datasets":
        import fewbits.io.datasets as datasets

        return datasets
    if name == "outputs":
        import fewbits.io.outputs as outputs

        return outputs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
