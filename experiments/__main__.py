"""`python -m experiments`: run, list, tables, verify, prepare, publish."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
            options = _parser().parse_args(arguments)
            return _COMMANDS[options.command](options)
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

    import tyro

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
        experiment, preset, config, folder=where.out or runner.default_folder(name),
        data_dir=where.data_dir, distributed=where.distributed,
        command=shlex.join(["python", "-m", "experiments", name, preset, *rest]),
    )  # fmt: skip
    return 0


def _list(options: argparse.Namespace) -> int:
    print(registry.listing())
    return 0


def _tables(options: argparse.Namespace) -> int:
    from experiments.runner import report

    return report.main(check=options.check, only=options.only)


def _verify(options: argparse.Namespace) -> int:
    from experiments.runner import verify

    return verify.main(only=options.only, as_json=options.json, data_dir=options.data_dir)


def _prepare(options: argparse.Namespace) -> int:
    if options.from_idx:
        said = datasets.prepare_from_idx(
            options.name, options.from_idx, accept_other=options.accept_other
        )
        print("\n".join(said))
    else:
        datasets.prepare_with_tfds(options.name, options.data_dir)
        print(f"{options.name} is prepared")
    return 0


def _publish(options: argparse.Namespace) -> int:
    print("\n".join(records.publish(options.folder)))
    return 0


_COMMANDS = {
    "list": _list,
    "tables": _tables,
    "verify": _verify,
    "prepare": _prepare,
    "publish": _publish,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, description=description)

    command("list", "Name every experiment, what it reproduces, its cost and data.")
    tables = command("tables", "Rebuild reports, RESULTS.md, README's numbers, CSVs and figures.")
    tables.add_argument("--check", action="store_true", help="only say what is stale; status 1")
    tables.add_argument(
        "--only", nargs="+", default=(), metavar="NAME", help="reports of these experiments"
    )
    verify = command("verify", "Decode results/artifacts and recompute every claim that has one.")
    verify.add_argument("--only", metavar="ID", help="one claim")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    prepare = command("prepare", "Make a data set loadable.")
    prepare.add_argument("name", help=", ".join(datasets.SOURCES))
    prepare.add_argument("--from-idx", metavar="DIR", help="read the four IDX files in this folder")
    prepare.add_argument(
        "--accept-other", action="store_true", help="take IDX files that are not the original ones"
    )
    prepare.add_argument("--data-dir", help="where TFDS prepares (its own default if not given)")
    publish = command("publish", "Copy a run's records, artefacts and claims into results/.")
    publish.add_argument("folder", type=Path, help="runs/<time>-<name>")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
