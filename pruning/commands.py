"""`fewbits pruning`: prune a network of one's own into a file, and read such a file back."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli, flags
from fewbits.coding import InputError, container
from fewbits.io import outputs
from pruning.methods import METHODS
from pruning.search import _prune, checkpoint
from pruning.search.operating_points import Goal, PruningWarning, Settings, check_goal

_LEAST_ABOVE_CHANCE = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("python -m pruning"), arguments)


def _compress(options: argparse.Namespace) -> cli.Result:
    settings, goal = _chosen(options)
    read = (options.checkpoint, options.data, options.validation)
    save = outputs.saver(options.output, inputs=read, force=options.force)
    params = checkpoint.read(options.checkpoint)
    n_classes = len(params["output"]["bias"])
    data = [
        checkpoint.checked_images(*_data(name), n_classes)
        for name in (options.data, options.validation)
        if name is not None
    ]
    network = checkpoint.network_of(params, data[0][0].shape[1:])
    for images, _ in data[1:]:
        if images.shape[1:] != data[0][0].shape[1:]:
            raise InputError(f"validation images {images.shape[1:]}, not {data[0][0].shape[1:]}")
    _check_trained(network.apply, params, data[0])
    train, validation = data if len(data) == 2 else _split(data[0], options.seed)

    import jax

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PruningWarning)
        found = _prune.search(
            network.apply,
            params,
            train,
            validation,
            None,
            goal,
            None,
            jax.random.key(options.seed),
            settings,
            held_out=options.validation is not None,
        )
    save(found.pruned.file)
    for one in caught:
        if issubclass(one.category, PruningWarning):
            cli.warn(str(one.message))
    total = sum(leaf.size for leaf in jax.tree.leaves(params))
    return _report(options.output, found, total)


def _report(path: Path, found: _prune.Search, total: int) -> cli.Result:
    """The Pareto table, the selected point marked, and what was selected."""
    rows = [f"{'bytes':>9} {'nonzeros':>9} {'error':>9} {'bits':>5} {'penalty weight':>15}"]
    for point in found.pruned.points:
        rows.append(
            f"{point.size_bytes:>9,} {point.nonzeros:>9,} {point.error_percent:>7.2f} % "
            f"{point.bits:>9} {point.strength:>14.3g}{'  <' if point == found.selected else ''}"
        )
    chosen = found.selected
    rows.append(
        f"{path}: {chosen.size_bytes:,} bytes, {chosen.nonzeros:,} of {total:,} weights; "
        f"error {chosen.error_percent:.2f} % (as given: {found.given_error_percent:.2f} %), "
        f"{4 * total / chosen.size_bytes:.0f} times smaller than float32"
    )
    values = {
        "output": str(path),
        "bytes": chosen.size_bytes,
        "selected": chosen._asdict(),
        "given_error_percent": found.given_error_percent,
        "weights": total,
        "points": [point._asdict() for point in found.pruned.points],
    }
    return cli.Result(values, "\n".join(rows))


def _chosen(options: argparse.Namespace) -> tuple[Settings, Goal]:
    """What the flags say.

    Raises:
      InputError: flags that cannot be.
    """
    given: dict[str, Any] = {"method": options.method, "tolerance": options.tolerance}
    if options.strength is not None:
        given["strengths"] = tuple(options.strength)
    if options.bits is not None:
        given["bits"] = (options.bits,)
    for name in ("steps", "fine_tune_steps", "trials"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    goal = Goal(options.max_loss, options.budget_bytes, options.ratio)
    try:
        check_goal(goal)
        return Settings(**given), goal
    except ValueError as error:
        raise InputError(str(error)) from error


def _split(data: tuple[np.ndarray, np.ndarray], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and validation parts: nine tenths and one."""
    images, labels = data
    order = np.random.default_rng(seed).permutation(len(labels))
    held, kept = np.split(order, [max(len(labels) // 10, 1)])
    return [(images[rows], labels[rows]) for rows in (kept, held)]


def _check_trained(apply: Any, params: Any, data: tuple[np.ndarray, np.ndarray]) -> None:
    """Asserts that a network is better than chance on its data.

    Raises:
      InputError: it is not.
    """
    import jax.numpy as jnp

    from fewbits.training import evaluation

    right = float(evaluation.accuracy(apply, params, *map(jnp.asarray, data)))
    chance = _prune.chance(data[1])
    if right < chance + _LEAST_ABOVE_CHANCE * (1 - chance):
        raise InputError(
            f"the network has {100 * right:.1f} % of the data right, near chance "
            f"({100 * chance:.1f} %); does it expect other inputs (uint8 is scaled by 1/255), "
            "or is it untrained?"
        )


def _decompress(options: argparse.Namespace) -> cli.Result:
    from fewbits.coding import params_from_bytes
    from fewbits.training import trees

    with outputs.open_output(options.output, inputs=[options.input], force=options.force) as file:
        named = trees.named_leaves(params_from_bytes(container.load_bytes(options.input)))
        np.savez_compressed(file, **named)
    count = sum(leaf.size for leaf in named.values())
    return cli.Result(
        {"output": str(options.output), "tensors": len(named), "parameters": count},
        f"{options.output}: {count:,} parameters in {len(named)} tensors",
    )


def _data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels from an .npz file, or a data set known by name."""
    if name.endswith(".npz"):
        from fewbits.io.arrays import read_arrays

        arrays = read_arrays(Path(name))
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


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers()
    compress = commands.add_parser(
        "compress",
        help="prune a trained network and write it as a small file",
        description="Prune a LeNet or an MLP with ReLUs, given as a checkpoint with arrays named "
        "layer/kernel and layer/bias, the layers conv1.., dense1.., output. Several penalty "
        "weights are tried; the table lists the files that no other one beats in both size and "
        "error, and one of them is written: by default the smallest that loses at "
        "most half a point.",
    )
    compress.add_argument("checkpoint", type=Path, metavar="CKPT", help="the trained network, .npz")
    flags.add_output(compress, "output", metavar="OUT", help="the file to write")
    compress.add_argument(
        "--data",
        required=True,
        metavar="D",
        help="mnist, fashion_mnist, digits, or FILE.npz (images, labels)",
    )
    compress.add_argument(
        "--validation",
        metavar="V",
        help="likewise; data that the network was not trained on. Without, a tenth of --data "
        "decides the threshold, errors are measured on all of it, and only penalty weights below "
        "the method's default are tried for --max-loss",
    )
    goal = compress.add_mutually_exclusive_group()
    goal.add_argument(
        "--max-loss",
        type=float,
        metavar="P",
        help="points of accuracy that may be lost (default: 0.5)",
    )
    goal.add_argument(
        "--budget-bytes",
        type=int,
        metavar="N",
        help="largest size of the file instead (default: --max-loss)",
    )
    goal.add_argument(
        "--ratio",
        type=float,
        metavar="R",
        help="times smaller than float32 instead (default: --max-loss)",
    )
    compress.add_argument("--method", default="drr", metavar="M", help=", ".join(METHODS))
    compress.add_argument(
        "--strength",
        type=float,
        nargs="+",
        metavar="W",
        help="penalty weights to try, in the method's unit (default: the method's own)",
    )
    compress.add_argument(
        "--trials", type=int, metavar="N", help="how many penalty weights to try (default: 5)"
    )
    compress.add_argument(
        "--tolerance", type=float, default=0.1, metavar="S", help="share the loss may rise by"
    )
    compress.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="of the first phase (default: ten epochs, at least 6000)",
    )
    compress.add_argument(
        "--fine-tune-steps",
        type=int,
        metavar="N",
        help="of the last one (default: half of the first)",
    )
    compress.add_argument(
        "--bits",
        type=int,
        choices=range(2, 17),
        metavar="B",
        help="per weight, 2 to 16 (default: 5 to 8 are tried)",
    )
    flags.add_common(compress, seed="of every random choice")
    compress.set_defaults(run=_compress)
    purpose = "write a file's parameters as .npz"
    decompress = commands.add_parser("decompress", help=purpose, description=purpose)
    decompress.add_argument("input", type=Path, metavar="FILE", help="of compress")
    flags.add_output(decompress, "output", metavar="OUT.npz", help="the checkpoint to write")
    flags.add_common(decompress)
    decompress.set_defaults(run=_decompress)
    return whole
