"""Checkpoints as users have them: an .npz, a .safetensors file or an orbax folder.

Names of tensors are paths: "dense1/kernel" becomes {"dense1": {"kernel": ...}}. Dots separate as
well where no name has a slash, as in other frameworks' files. Half and double precision become
float32; whole numbers, such as a step count, are no parameters and are left out by name.

safetensors and orbax are imported only when such a file is read or written.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewbits.coding import container
from fewbits.coding.weights import parameter_tree
from fewbits.io.errors import FormatError, InputError

SUFFIXES = (".npz", ".safetensors")


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The parameter tree of a file or folder, float32 NumPy arrays in nested dicts.

    Raises:
      FormatError: neither an npz, nor a safetensors file, nor an orbax folder, or a damaged one, or
        one without parameters.
      OSError: it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        named = _read_orbax(path)
    elif path.suffix == ".safetensors":
        named = _read_safetensors(path)
    elif path.suffix == ".npz":
        named = _read_npz(path)
    else:
        known = ", ".join(SUFFIXES)
        raise FormatError(f"{path.name}: a checkpoint is {known} or an orbax folder", "checkpoint")
    floats = {
        name: np.asarray(tensor, np.float32)
        for name, tensor in named.items()
        if tensor.dtype.kind == "f" or tensor.dtype.name == "bfloat16"
    }
    if not floats:
        raise FormatError(f"{path.name} holds no arrays of floats", "checkpoint")
    return _nested(floats)


def write_checkpoint(path: str | os.PathLike[str], tree: Any) -> None:
    """A parameter tree as .npz or .safetensors, whole or not at all.

    Raises:
      InputError: another suffix.
      OSError: it cannot be written.
    """
    path = Path(path)
    named = {name.replace("\\", "/"): tensor for name, tensor in parameter_tree.tensors(tree)}
    if path.suffix == ".npz":
        buffer = io.BytesIO()
        arrays: dict[str, Any] = dict(named)
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
    elif path.suffix == ".safetensors":
        import safetensors.numpy

        data = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in named.items()})
    else:
        raise InputError(f"{path.name}: decoding writes {' or '.join(SUFFIXES)}")
    container.save(path, data)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # An open file of our own: NumPy leaves the one it opens open when it finds damage.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise FormatError(f"{path.name}: {error}", "checkpoint") from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise FormatError(f"{path.name}: {error}", "checkpoint") from error


def _read_orbax(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an orbax checkpoint, without typed keys and leaves that are no arrays."""
    import jax
    import jax.numpy as jnp
    from orbax.checkpoint import v1 as ocp

    try:
        with warnings.catch_warnings():
            # It takes the arrays' shardings from the checkpoint, and says so at length.
            warnings.filterwarnings("ignore", message="Sharding info not provided")
            tree = ocp.load(str(path.resolve()))
    except (ValueError, FileNotFoundError, KeyError, NotImplementedError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path.name} is no orbax checkpoint: {line}", "checkpoint") from error
    named = {}
    for keys, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(keys, simple=True, separator="/")
        if hasattr(leaf, "dtype") and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            named[name] = np.asarray(leaf)
    return named


def _nested(named: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Nested dicts from paths."""
    separator = "/" if any("/" in name for name in named) else "."
    tree: dict[str, Any] = {}
    for name, tensor in named.items():
        *folders, last = name.split(separator)
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {}) if isinstance(node, dict) else None
            if node is None:
                break
        if not isinstance(node, dict) or last in node or not all((*folders, last)):
            raise FormatError(f"a tensor's name is {name!r}", "checkpoint")
        node[last] = tensor
    return tree
