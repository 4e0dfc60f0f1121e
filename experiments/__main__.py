"""`python -m experiments`: run, list, tables, verify, prepare, publish."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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


def main(arguments: list[str]) -> int:
    """Dispatch one command line; returns the exit status."""
    commands = {
        "list": _list,
        "tables": _tables,
        "verify": _verify,
        "prepare": _prepare,
        "publish": _publish,
    }
    if arguments and arguments[0] in ("-h", "--help"):
        print(_USAGE + "\n" + registry.listing())
        return 0
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    try:
        return _run(arguments)
    except (registry.UnknownExperimentError, datasets.DataError, RunError, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command with the same --out goes on", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    """NAME [PRESET] [--flags]; a first word that starts with a dash belongs to the main job."""
    distributed, arguments = _distributed(arguments)
    named = bool(arguments) and not arguments[0].startswith("-")
    name = arguments[0] if named else "digits"
    rest = arguments[1:] if named else arguments
    module = registry.get(name)
    verbs = getattr(module, "VERBS", {})
    if rest and rest[0] in verbs:
        return importlib.import_module(verbs[rest[0]]).main(rest[1:])

    import tyro

    from experiments.runner import run as runner

    experiment: Experiment = module.EXPERIMENT
    presets = dict(experiment.presets)
    default = next(iter(presets))
    preset = rest[0] if rest and not rest[0].startswith("-") else default
    rest = rest[1:] if rest and rest[0] == preset else rest
    if preset not in presets:
        known = ", ".join(presets)
        raise registry.UnknownExperimentError(f"{name} has no preset {preset!r}; it has {known}")

    out = tyro.conf.arg(help="folder of this run; runs/<time>-<name> if not given")
    data_dir = tyro.conf.arg(help="folder of prepared TFDS data sets, see `prepare --help`")
    fields: list[Any] = [
        ("config", Annotated[type(presets[preset]), tyro.conf.arg(name="")]),
        ("out", Annotated[str | None, out], None),
        ("data_dir", Annotated[str | None, data_dir], None),
    ]
    with_folders = dataclasses.make_dataclass("Arguments", fields, frozen=True)
    chosen = tyro.cli(
        with_folders,
        prog=f"python -m experiments {name} {preset}",
        description=f"{module.__doc__}\n\nPresets: {', '.join(presets)}.",
        args=rest,
        default=with_folders(config=presets[preset]),
    )
    # Where a run writes and finds its data is the machine's business, not part of what ran.
    command = shlex.join(["python", "-m", "experiments", name, preset, *_without_folders(rest)])
    where = Path(chosen.out) if chosen.out else runner.default_folder(name)
    if distributed is not None and not chosen.out:
        raise RunError("several processes need one folder: give --out")
    runner.run(
        experiment, preset, chosen.config, folder=where, data_dir=chosen.data_dir, command=command,
        distributed=distributed,
    )  # fmt: skip
    return 0


def _distributed(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The place that `--distributed [ADDRESS:PORT,COUNT,INDEX]` gives, and the other arguments."""
    for number, word in enumerate(arguments):
        flag, _, place = word.partition("=")
        if flag == "--distributed":
            rest = arguments[number + 1 :]
            if not place and rest and not rest[0].startswith("-"):
                place, *rest = rest
            return place, [*arguments[:number], *rest]
    return None, arguments


def _without_folders(flags: list[str]) -> list[str]:
    """The flags but --out and --data-dir and their values."""
    left, skip = [], False
    for flag in flags:
        if skip:
            skip = False
        elif flag.split("=")[0].replace("_", "-") in ("--out", "--data-dir"):
            skip = "=" not in flag
        else:
            left.append(flag)
    return left


def _list(arguments: list[str]) -> int:
    _parser("list", "Name every experiment, what it reproduces, its cost and data.").parse_args(
        arguments
    )
    print(registry.listing())
    return 0


def _tables(arguments: list[str]) -> int:
    parser = _parser("tables", "Rebuild reports, RESULTS.md, README's numbers, CSVs and figures.")
    parser.add_argument("--check", action="store_true", help="only say what is stale; status 1")
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="NAME", help="reports of these experiments"
    )
    options = parser.parse_args(arguments)
    from experiments.runner import report

    return report.main(check=options.check, only=options.only)


def _verify(arguments: list[str]) -> int:
    parser = _parser("verify", "Decode results/artifacts and recompute every claim that has one.")
    parser.add_argument("--only", metavar="ID", help="one claim")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    options = parser.parse_args(arguments)
    from experiments.runner import verify

    return verify.main(only=options.only, as_json=options.json, data_dir=options.data_dir)


def _prepare(arguments: list[str]) -> int:
    parser = _parser("prepare", "Make a data set loadable.")
    parser.add_argument("name", help=", ".join(datasets.SOURCES))
    parser.add_argument("--from-idx", metavar="DIR", help="read the four IDX files in this folder")
    parser.add_argument(
        "--accept-other", action="store_true", help="take IDX files that are not the original ones"
    )
    parser.add_argument("--data-dir", help="where TFDS prepares (its own default if not given)")
    options = parser.parse_args(arguments)
    try:
        if options.from_idx:
            lines = datasets.prepare_from_idx(
                options.name, options.from_idx, accept_other=options.accept_other
            )
            print("\n".join(lines))
        else:
            datasets.prepare_with_tfds(options.name, options.data_dir)
            print(f"{options.name} is prepared")
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _publish(arguments: list[str]) -> int:
    parser = _parser("publish", "Copy a run's records, artefacts and claims into results/.")
    parser.add_argument("folder", type=Path, help="runs/<time>-<name>")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(records.publish(options.folder)))
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"python -m experiments {command}", description=description)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
