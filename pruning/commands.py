"""`fewbits pruning`: prune a network of one's own into a file, and read such a file back."""

from __future__ import annotations

import argparse
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs
from pruning._prune import METHODS, Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("python -m pruning"), arguments)


def _compress(options: argparse.Namespace) -> None:
    from fewbits.coding.weights import sparse_code
    from pruning import _prune

    settings = Settings(
        options.method,
        options.strength,
        options.tolerance,
        options.epochs,
        options.fine_tune_epochs,
        options.seed,
    )
    _prune.check(settings)
    outputs.check_writable(options.output)
    params = _prune.from_arrays(_arrays(options.checkpoint))
    images, labels = _data(options.data)
    result = _prune.prune(params, images, labels, settings)
    data = sparse_code.write_sparse(result.params, {"*/bias": 8, "*": options.bits})
    container.save(options.output, data)
    total = sum(leaf.size for leaf in _leaves(params))
    print(
        f"{options.output}: {len(data):,} bytes, {result.n_kept:,} of {total:,} weights; "
        f"validation error {result.error_percent:.2f} % (before: "
        f"{result.error_before_percent:.2f} %), before rounding to {options.bits} bits"
    )


def _decompress(options: argparse.Namespace) -> None:
    from fewbits.coding.weights import sparse_code
    from fewbits.training import trees

    params = sparse_code.read_sparse(container.load_bytes(options.input))
    outputs.check_writable(options.output)
    temporary = options.output.with_name(options.output.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **trees.named_leaves(params))
        os.replace(temporary, options.output)
    finally:
        temporary.unlink(missing_ok=True)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is not an .npz file; save with numpy.savez")
            return {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as an .npz file: {error}") from error


def _data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels from an .npz file, or a data set known by name."""
    if name.endswith(".npz"):
        arrays = _arrays(Path(name))
        missing = [part for part in ("images", "labels") if part not in arrays]
        if missing:
            raise InputError(f"{name} has no array {missing[0]!r}; save images=..., labels=...")
        return arrays["images"], arrays["labels"]
    from fewbits.io import datasets

    try:
        images = datasets.load(name, "train")
    except ValueError as error:
        raise InputError(str(error)) from error
    return images.pixels, images.labels


def _leaves(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in _leaves(child)]
    return [tree]


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    compress = commands.add_parser(
        "compress",
        help="prune a trained network and write it as a small file",
        description="Prune a network given as CKPT.npz: arrays named layer/kernel and layer/bias, "
        "the layers conv1.., dense1.., output of a LeNet or an MLP with ReLUs.",
    )
    compress.add_argument("checkpoint", type=Path, metavar="CKPT.npz")
    compress.add_argument("output", type=Path, metavar="OUT")
    compress.add_argument(
        "--data", required=True, help="mnist, fashion_mnist, digits, or FILE.npz (images, labels)"
    )
    compress.add_argument("--method", default="pmmp_curvature", help=", ".join(METHODS))
    compress.add_argument("--strength", type=float, help="price of a weight; the method's own")
    compress.add_argument("--tolerance", type=float, default=0.1, help="share the loss may rise by")
    compress.add_argument("--epochs", type=int, default=30)
    compress.add_argument("--fine-tune-epochs", type=int, default=15)
    compress.add_argument("--bits", type=int, default=5, choices=range(2, 17), metavar="2..16")
    compress.add_argument("--seed", type=int, default=0)
    compress.set_defaults(run=_compress)
    decompress = commands.add_parser("decompress", help="write a file's parameters as .npz")
    decompress.add_argument("input", type=Path, metavar="FILE")
    decompress.add_argument("output", type=Path, metavar="OUT.npz")
    decompress.set_defaults(run=_decompress)
    return whole
