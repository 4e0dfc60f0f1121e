"""`fewbits pruning`: prune a network of one's own into a file, and read such a file back."""

from __future__ import annotations

import argparse
from pathlib import Path

from fewbits import cli, flags
from fewbits.io import outputs

METHOD_NAMES = (
    "drr", "drr_proximal", "rl1", "rl1_proximal", "pmmp", "fpp", "pmmp_curvature", "pmmp_admm",
    "magnitude", "hard_concrete",
)  # fmt: skip
"""Those of `pruning.methods.METHODS`; written here, so that help imports no JAX."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("python -m pruning"), arguments)


def _compress(options: argparse.Namespace) -> cli.Result:
    from pruning.search import run_compress

    return run_compress.run(options)


def _sweep(options: argparse.Namespace) -> cli.Result | None:
    from pruning.search import run_sweep

    return run_sweep.run(options)


def _decompress(options: argparse.Namespace) -> cli.Result:
    import numpy as np

    from fewbits.coding import params_from_bytes
    from fewbits.io import inputs
    from fewbits.training import trees

    with outputs.open_output(options.output, inputs=[options.input], force=options.force) as file:
        named = trees.named_leaves(params_from_bytes(inputs.read_file(options.input)))
        np.savez_compressed(file, **named)
    count = sum(leaf.size for leaf in named.values())
    return cli.Result(
        {"output": str(options.output), "tensors": len(named), "parameters": count},
        f"{options.output}: {count:,} parameters in {len(named)} tensors",
    )


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    commands = whole.add_subparsers()
    compress = commands.add_parser(
        "compress",
        help="prune a trained network and write it as a small file",
        description="Prune a trained classifier. Several penalty weights are tried; the table "
        "lists the files that no other one beats in both size and expected error (the larger of "
        "its own and the mean of its penalty weight), and one of them is written. Dense layers, "
        "and convolutions before them, are recognised by their shapes, in the layouts of flax and "
        "PyTorch; any other network is named by --model.",
    )
    _add_network(compress)
    flags.add_output(compress, "output", metavar="OUT", help="the file to write")
    _add_data(compress)
    goal = compress.add_mutually_exclusive_group()
    goal.add_argument(
        "--max-loss", type=float, metavar="P",
        help="points of accuracy that may be lost (default: 0.5)",
    )  # fmt: skip
    goal.add_argument(
        "--budget-bytes", type=int, metavar="N",
        help="largest size of the file instead (default: --max-loss)",
    )  # fmt: skip
    goal.add_argument(
        "--ratio", type=float, metavar="R",
        help="times smaller than float32 instead (default: --max-loss)",
    )  # fmt: skip
    _add_method(compress)
    compress.add_argument(
        "--strength", type=float, nargs="+", metavar="W",
        help="penalty weights to try, in the method's unit (default: a search)",
    )  # fmt: skip
    compress.add_argument(
        "--trials", type=int, metavar="N", help="how many penalty weights to try (default: 5)"
    )
    compress.add_argument(
        "--no-baseline", action="store_true",
        help="train no dense network of the same bytes to compare with",
    )  # fmt: skip
    flags.add_output(
        compress, "--plot", metavar="FILE.png",
        help="picture of error against bytes to write as well (default: none)",
    )  # fmt: skip
    flags.add_output(
        compress, "--table", metavar="FILE.csv",
        help="the table to write as well (default: none)",
    )  # fmt: skip
    flags.add_common(
        compress, seed="of every random choice", quiet=True,
        time_limit="end after about this time; OUT holds the best file so far from the first "
        "penalty weight on",
    )  # fmt: skip
    compress.set_defaults(run=_compress)

    sweep = commands.add_parser(
        "sweep",
        help="try every penalty weight with every seed, on all devices",
        description="Try every penalty weight with every seed. OUT is a folder with a record and "
        "the files of each trial, and the Pareto set of all. The same command goes on where an "
        "interrupted one ended. Where there are several devices, each works on trials of its own.",
    )
    _add_network(sweep)
    sweep.add_argument("output", type=Path, metavar="OUT", help="the folder to write into")
    _add_data(sweep)
    sweep.add_argument(
        "--strengths", type=float, nargs="+", required=True, metavar="W",
        help="penalty weights, in the method's unit",
    )  # fmt: skip
    sweep.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="S", help="of the batches' order"
    )
    _add_method(sweep)
    flags.add_distributed(sweep)
    flags.add_common(sweep, quiet=True)
    sweep.set_defaults(run=_sweep)

    purpose = "write a file's parameters as .npz"
    decompress = commands.add_parser("decompress", help=purpose, description=purpose)
    decompress.add_argument("input", type=Path, metavar="FILE", help="of compress; - for stdin")
    flags.add_output(decompress, "output", metavar="OUT.npz", help="the checkpoint to write")
    flags.add_common(decompress)
    decompress.set_defaults(run=_decompress)
    return whole


def _add_network(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "checkpoint", type=Path, metavar="CKPT",
        help="the trained network: .npz, .safetensors or an orbax folder",
    )  # fmt: skip
    command.add_argument(
        "--model", metavar="MODULE:FUNCTION",
        help="a function of (params, x), or of (params, state, x), that gives logits; the state "
        "is what the checkpoint holds beside 'params' (default: recognised by shapes)",
    )  # fmt: skip


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, metavar="D", help=flags.SET_HELP)
    command.add_argument(
        "--validation", metavar="V",
        help="likewise; data that the network was not trained on. Without, a tenth of --data "
        "decides the threshold, errors are measured on all of it, and only penalty weights below "
        "the method's default are tried for --max-loss",
    )  # fmt: skip
    flags.add_image_set(command)
    for name, what in (("--mean", "subtracted from"), ("--std", "divides")):
        command.add_argument(
            name, type=flags.numbers, metavar="X[,Y,Z]",
            help=f"number, or one per channel, that is {what} the inputs, uint8 pixels after "
            "1/255 (default: none)".replace("is divides", "divides"),
        )  # fmt: skip


def _add_method(command: argparse.ArgumentParser) -> None:
    command.add_argument("--method", default="drr", metavar="M", help=", ".join(METHOD_NAMES))
    command.add_argument(
        "--tolerance", type=float, default=0.1, metavar="S", help="share the loss may rise by"
    )
    command.add_argument(
        "--steps", type=int, metavar="N",
        help="of the first phase (default: ten epochs, at least 6000)",
    )  # fmt: skip
    command.add_argument(
        "--fine-tune-steps", type=int, metavar="N",
        help="of the last one (default: half of the first)",
    )  # fmt: skip
    command.add_argument(
        "--bits", type=int, choices=range(2, 17), metavar="B",
        help="per weight, 2 to 16 (default: 5 to 8 are tried)",
    )  # fmt: skip
