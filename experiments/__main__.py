"""`python -m experiments`: run, list, tables, verify, prepare, publish."""

import argparse
import importlib
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tyro.conf import Positional

from experiments.runner import records, registry
from experiments.runner.folder import RunError
from fewbits.io import datasets
from fewbits.io.errors import InputError

if TYPE_CHECKING:
    from experiments.runner.experiment import Experiment

_USAGE = """usage: python -m experiments [NAME [PRESET] [--flags] [--distributed [PLACE]]]
       python -m experiments list | tables | verify | prepare | publish   (--help for each)

Without arguments: the main job, on data that needs no download. --distributed: one of several
processes that share a run's trials and its --out, started by SLURM, GKE, MPI or on every host of a
TPU slice; elsewhere PLACE is ADDRESS:PORT,COUNT,INDEX.
"""
_FOLDERS = """--out: folder of this run; runs/<time>-<name> if not given.
--data-dir: folder of prepared TFDS data sets, see `prepare --help`."""


def main(arguments: list[str]) -> int:
    """Dispatch one command line; returns the exit status."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(_USAGE + "\n" + registry.listing())
        return 0
    try:
        if arguments and arguments[0] in _COMMANDS:
            command, rest = _COMMANDS[arguments[0]], arguments[1:]
            return tyro.cli(command(), prog=f"python -m experiments {arguments[0]}", args=rest) or 0
        return _run(arguments)
    except (registry.UnknownExperimentError, datasets.DataError, RunError, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command with the same --out goes on", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    """NAME [PRESET] [--flags]; a first word that starts with a dash belongs to the main job."""
    named = bool(arguments) and not arguments[0].startswith("-")
    name, rest = (arguments[0], arguments[1:]) if named else ("digits", arguments)
    module = registry.get(name)
    verbs = getattr(module, "VERBS", {})
    if rest and rest[0] in verbs:
        return importlib.import_module(verbs[rest[0]]).main(rest[1:])

    from experiments.runner import run as runner

    # Where a run writes and finds its data is the machine's business, not part of what ran.
    machine = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    machine.add_argument("--out", type=Path, default=None)
    machine.add_argument("--data-dir", "--data_dir")
    machine.add_argument("--distributed", nargs="?", const="")
    where, rest = machine.parse_known_args(rest)
    experiment: Experiment = module.EXPERIMENT
    presets = ", ".join(experiment.presets)
    preset = next(iter(experiment.presets))
    if rest and not rest[0].startswith("-"):
        preset, *rest = rest
    if preset not in experiment.presets:
        raise registry.UnknownExperimentError(f"{name} has no preset {preset!r}; it has {presets}")
    default = experiment.presets[preset]
    config = tyro.cli(
        type(default),
        prog=f"python -m experiments {name} {preset}",
        description=f"{module.__doc__}\n\nPresets: {presets}.\n\n{_FOLDERS}",
        args=rest,
        default=default,
    )
    if where.distributed is not None and not where.out:
        raise RunError("several processes need one folder: give --out")
    runner.run(
        experiment, preset, config,
        folder=where.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}",
        data_dir=where.data_dir, distributed=where.distributed,
        command=shlex.join(["python", "-m", "experiments", name, preset, *rest]),
    )  # fmt: skip
    return 0


def _list() -> None:
    """Name every experiment, what it reproduces, its cost and data."""
    print(registry.listing())


def _prepare(
    name: Positional[str],
    /,
    from_idx: str | None = None,
    accept_other: bool = False,
    data_dir: str | None = None,
) -> None:
    """Make a data set loadable.

    Args:
      name: of the data set.
      from_idx: read the four IDX files in this folder.
      accept_other: take IDX files that are not the original ones.
      data_dir: where TFDS prepares (its own default if not given).
    """
    if from_idx:
        print("\n".join(datasets.prepare_from_idx(name, from_idx, accept_other=accept_other)))
    else:
        datasets.prepare_with_tfds(name, data_dir)
        print(f"{name} is prepared")


def _publish(folder: Positional[Path], /) -> None:
    """Copy a run's records, artefacts and claims into results/.

    Args:
      folder: runs/<time>-<name>.
    """
    print("\n".join(records.publish(folder)))


def _main_of(module: str) -> Callable[[], Callable[..., int]]:
    return lambda: importlib.import_module(f"experiments.runner.{module}").main


_COMMANDS: dict[str, Callable[[], Callable[..., int | None]]] = {
    "list": lambda: _list,
    "tables": _main_of("report"),
    "verify": _main_of("verify"),
    "prepare": lambda: _prepare,
    "publish": lambda: _publish,
}
"""Name -> what imports the command: plots and solvers are not needed to list or publish."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
