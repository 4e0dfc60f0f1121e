"""Checkpoints as users have them: .npz, .npy, .safetensors or an orbax folder.

Every tensor comes as it is: name, dtype (bfloat16 and float8 included) and values; whole numbers
such as a step count too. What a file is, its first bytes say, not its name.

safetensors, orbax and ml_dtypes are imported only when such a file is read or written.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewbits.coding import container
from fewbits.io import npy, trees
from fewbits.io.arrays import read_arrays
from fewbits.io.errors import FormatError, InputError
from fewbits.io.npy import read_npy

SUFFIXES = (".npz", ".safetensors")

_SAFETENSORS_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16",
    "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64",
    "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLE_REMEDY = (
    "save the tensors alone: safetensors.torch.save_file(model.state_dict(), 'net.safetensors')"
)


def read_checkpoint(path: str | os.PathLike[str], *, like: Any = None) -> Any:
    """The tree of a checkpoint: every tensor with its name, dtype and values, as NumPy arrays.

    Args:
      path: an .npz, .npy or .safetensors file, or an orbax folder, written on any devices.
      like: a tree with the structure and shapes that are wanted, such as the user's own initial
        parameters: flax dicts, FrozenDict, nnx states, named tuples, lists. Leaves are matched by
        their paths.

    Returns:
      Without `like`, nested dicts by the slashes in the names; dots stay in names, so that
      "layer.0.weight" of a PyTorch state comes back as such. An orbax folder gives its own dicts
      and lists, an .npy file one array. With `like`, a tree of its structure and dtypes.

    Raises:
      FormatError, InputError: no such checkpoint, a damaged one, or one without arrays.
      ValueError: a leaf that the checkpoint or `like` lacks, or has in another shape; names it.
      OSError: it cannot be read.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> import numpy as np
      >>> from fewbits.io import read_checkpoint, write_checkpoint
      >>> state = {"bn.weight": np.ones(3, np.float16), "bn.num_batches_tracked": np.int64(7)}
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder) / "net.safetensors"
      ...     write_checkpoint(path, state)
      ...     back = read_checkpoint(path)
      >>> {name: str(tensor.dtype) for name, tensor in sorted(back.items())}
      {'bn.num_batches_tracked': 'int64', 'bn.weight': 'float16'}
    """
    path = Path(path)
    if str(path) == "-":
        raise InputError("-: a checkpoint is a file or folder with a suffix; name one")
    if path.is_dir():
        tree = _read_orbax(path)
    elif path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; name a checkpoint")
    else:
        tree = _read_file(path)
    named = trees.flatten(tree)[0]
    if not named:
        raise FormatError(f"{path} holds no arrays; save parameters in it", "checkpoint")
    return tree if like is None else trees.restore(dict(named), like, source=str(path))


def write_checkpoint(path: str | os.PathLike[str], tree: Any) -> None:
    """A tree as .npz, .safetensors, .npy (one array) or .orbax (a folder), whole or not at all.

    Names are paths with slashes. `npz` has no bfloat16 and float8, which are written as float32.

    Args:
      path: its suffix says what is written; a file that is there is replaced.
      tree: arrays in dicts, lists, tuples or nodes that JAX knows.

    Raises:
      InputError: another suffix, or a leaf that such a file cannot hold; names it.
      OSError: it cannot be written.
    """
    path = Path(path)
    if path.suffix == ".orbax":
        _write_orbax(path, tree)
    else:
        container.save(path, to_bytes(tree, path))


def to_bytes(tree: Any, path: str | os.PathLike[str]) -> bytes:
    """The bytes of a checkpoint file, of the kind that a path's suffix says.

    Raises:
      InputError: see `write_checkpoint`.
    """
    path = Path(path)
    try:
        named = {name: trees.as_array(leaf) for name, leaf in trees.flatten(tree)[0]}
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    for name, array in named.items():
        if array.dtype.kind == "O":
            raise InputError(f"{path}: {name} is no array of numbers")
    if path.suffix == ".safetensors":
        return _safetensors_bytes(named, path)
    if path.suffix not in (".npz", ".npy"):
        raise InputError(f"{path}: a checkpoint is written as {' or '.join(SUFFIXES)}")
    arrays: dict[str, Any] = {name: _for_numpy(array) for name, array in named.items()}
    buffer = io.BytesIO()
    if path.suffix == ".npz":
        _savez(buffer, arrays)
    elif len(arrays) == 1:
        np.save(buffer, next(iter(arrays.values())), allow_pickle=False)
    else:
        raise InputError(f"{path}: {len(arrays)} arrays; .npy holds one, take .npz")
    return buffer.getvalue()


def widened(tree: Any, path: str | os.PathLike[str]) -> list[str]:
    """Names of the tensors whose dtype a file of this suffix cannot keep."""
    if Path(path).suffix not in (".npz", ".npy"):
        return []
    return [
        name
        for name, leaf in trees.flatten(tree)[0]
        if trees.is_extended(trees.as_array(leaf).dtype)
    ]


def _read_file(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK"):
        if _is_torch(path):
            raise InputError(f"{path} is a pickle of PyTorch; {_PICKLE_REMEDY}")
        return _from_numpy(read_arrays(path), path)
    if start.startswith(npy.MAGIC):
        return _from_numpy({"array": read_npy(path)}, path)["array"]
    if start[8:9] == b"{":
        return trees.nested(_read_safetensors(path))
    if start.startswith(_HDF5):
        raise InputError(f"{path} is an HDF5 file; save the arrays with numpy.savez")
    if start[:1] == b"\x80":
        raise InputError(f"{path} is a pickle, which is never opened; {_PICKLE_REMEDY}")
    raise FormatError(
        f"{path} is no checkpoint; give {', '.join(SUFFIXES)}, .npy or an orbax folder",
        "checkpoint",
    )


def _is_torch(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False


def _from_numpy(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, Any]:
    """Two bytes without a meaning are what NumPy makes of bfloat16."""
    named = {}
    for name, array in arrays.items():
        if array.dtype == np.dtype("V2"):
            import ml_dtypes

            array = array.view(ml_dtypes.bfloat16)
        elif array.dtype.kind == "V":
            raise InputError(f"{path}: {name} has the dtype {array.dtype}; save numbers")
        named[name] = array
    return trees.nested(named)


def _for_numpy(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if trees.is_extended(array.dtype) else array


def _savez(buffer: io.BytesIO, arrays: Mapping[str, np.ndarray]) -> None:
    """`numpy.savez` for any names: a tensor may be called "file", as its own argument is."""
    import zipfile

    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of a fixed date: same tree, same bytes
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import safetensors

    try:
        found = safetensors.deserialize(path.read_bytes())
    except (safetensors.SafetensorError, ValueError) as error:
        reason = str(error).removeprefix("Error while deserializing: ")
        raise FormatError(
            f"{path} is damaged: {reason}; save it with safetensors again", "checkpoint"
        ) from error
    named = {}
    for name, tensor in found:
        dtype = _SAFETENSORS_DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise InputError(
                f"{path}: {name} has the dtype {tensor['dtype']}; known are "
                f"{', '.join(_SAFETENSORS_DTYPES)}"
            )
        # A copy: aligned, and writable as arrays from other files are.
        array = np.frombuffer(tensor["data"], _dtype(dtype)).copy()
        named[name] = array.reshape(tensor["shape"])
    return named


def _safetensors_bytes(named: Mapping[str, np.ndarray], path: Path) -> bytes:
    import safetensors.numpy

    known = set(_SAFETENSORS_DTYPES.values())
    for name, array in named.items():
        if array.dtype.name not in known:
            raise InputError(f"{path}: {name} has the dtype {array.dtype}; take .npz")
    # What libraries around PyTorch ask a file for.
    dotted = any("." in name for name in named) and not any("/" in name for name in named)
    tensors = {name: np.asarray(array, order="C") for name, array in named.items()}
    return safetensors.numpy.save(tensors, {"format": "pt"} if dotted else None)


def _dtype(name: str) -> np.dtype:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


def _read_orbax(path: Path) -> Any:
    """An orbax checkpoint in NumPy arrays, whatever devices it was written on."""
    import logging

    from orbax.checkpoint import v1 as ocp

    steps = sorted((p.name for p in path.iterdir() if p.name.isdecimal()), key=int)
    if steps and not any(p.is_file() for p in path.iterdir() if not p.name.startswith(".")):
        raise InputError(f"{path} holds {len(steps)} checkpoints; name one: {path / steps[-1]}")

    def abstract(leaf: Any) -> Any:
        if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
            return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
        return leaf

    import jax

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.ERROR)  # it logs what it then raises
            wanted = jax.tree.map(abstract, ocp.metadata(str(path.resolve())).metadata)
            return ocp.load(str(path.resolve()), wanted)
    except Exception as error:  # of many kinds, its own among them
        line = str(error).split("If you are")[0].splitlines()[0] if str(error) else ""
        reason = (line or type(error).__name__)[:200]
        raise FormatError(
            f"{path} is a folder, but no orbax checkpoint ({reason}); give one, or an .npz or "
            ".safetensors file",
            "checkpoint",
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _write_orbax(path: Path, tree: Any) -> None:
    import logging

    import jax
    from orbax.checkpoint import v1 as ocp

    def array(leaf: Any) -> Any:
        return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)

    for name, leaf in trees.flatten(tree)[0]:
        if np.size(leaf) == 0:
            raise InputError(
                f"orbax cannot write {name}, which is empty; write .npz or .safetensors"
            )
    try:
        logging.disable(logging.WARNING)
        ocp.save(str(path.resolve()), jax.tree.map(array, tree), overwrite=True)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"orbax cannot write it: {str(error).splitlines()[0]}; write .npz or .safetensors"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
