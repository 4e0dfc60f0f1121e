"""`fewbits pruning compress`: the search on what a user gives; a file from its first trial on."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from fewbits import cli
from fewbits.coding import InputError
from fewbits.io import outputs
from fewbits.io.progress import Bar
from fewbits.training import trees
from pruning.search import _prune, given, report
from pruning.search.operating_points import Settings
from pruning.search.selection import Candidate, Goal, check_goal


def run(options: argparse.Namespace) -> cli.Result:
    """Prunes a checkpoint into a file, and writes picture and table where they are asked for."""
    started = time.monotonic()
    settings, goal = chosen(options)
    read = (options.checkpoint, options.data, options.validation)
    _check_distinct([options.output, options.plot, options.table])
    save = outputs.saver(options.output, inputs=read, force=options.force)
    plot, table = (_saver(options, name, read) for name in (options.plot, options.table))
    network = given.read(options)
    streams = outputs.is_stream(options.output)
    best: Candidate | None = None

    with Bar(f"prune {options.checkpoint}", quiet=options.quiet) as bar:

        def on_trial(done: int, of: int, found: Candidate | None) -> None:
            nonlocal best
            bar("penalty weights", done, of)
            best = found
            if found is not None and not streams:
                save(found.point.file)

        bar("penalty weights", 0, settings.trials)
        limit = math.inf if options.time_limit is None else started + options.time_limit
        try:
            found = _prune.search(
                network.apply, network.params, network.train, network.validation, network.state,
                goal, None, jax.random.key(options.seed), settings,
                held_out=network.held_out, deadline=limit, on_trial=on_trial,
            )  # fmt: skip
        except KeyboardInterrupt:
            if best is None:
                raise
            point = best.point
            raise KeyboardInterrupt(
                f"{options.output} holds the best file so far, {point.size_bytes:,} bytes at "
                f"{point.error_percent:.2f} % error"
            ) from None
        except InputError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from error
    save(found.pruned.file)
    for line in found.warnings:
        cli.warn(line)
    points, selected = found.pruned.points, found.selected
    if plot is not None:
        plot(report.picture(points, selected, found.given_error_percent, found.baseline))
    if table is not None:
        table(report.as_csv(points))
    return _result(options, found, network)


def chosen(options: argparse.Namespace) -> tuple[Settings, Goal]:
    """What the flags say.

    Raises:
      InputError: flags that cannot be.
    """
    names = {"strength": "strengths", "steps": "steps", "fine_tune_steps": "fine_tune_steps",
             "trials": "trials"}  # fmt: skip
    taken = {name: getattr(options, flag, None) for flag, name in names.items()}
    taken = {name: value for name, value in taken.items() if value is not None}
    if options.bits is not None:
        taken["bits"] = (options.bits,)
    if "strengths" in taken:
        taken["strengths"] = tuple(taken["strengths"])
    goal = Goal(*(getattr(options, name, None) for name in ("max_loss", "budget_bytes", "ratio")))
    try:
        check_goal(goal)
        settings = Settings(
            method=options.method, tolerance=options.tolerance,
            baseline=not getattr(options, "no_baseline", True), **taken,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from error
    return settings, goal


def _check_distinct(names: list[Path | None]) -> None:
    """Asserts that no file is to be written twice."""
    given = [name for name in names if name is not None]
    for number, name in enumerate(given):
        if os.path.realpath(name) in map(os.path.realpath, given[:number]):
            raise InputError(f"{name} is named twice; name another file")


def _saver(
    options: argparse.Namespace, name: Path | None, read: tuple[Any, ...]
) -> Callable[[bytes], None] | None:
    """What writes a file beside the network's own; None where none is asked for."""
    if name is None:
        return None
    return outputs.saver(name, inputs=(*read, options.output), force=options.force)


def _result(options: argparse.Namespace, found: _prune.Search, network: given.Given) -> cli.Result:
    selected, baseline = found.selected, found.baseline
    floats = [leaf for leaf in jax.tree.leaves(network.params) if leaf.dtype.kind != "i"]
    total = trees.size(floats)
    measured = "validation data" if network.held_out else "data, which it was trained on"
    lines = report.table(found.pruned.points, selected)
    if found.reference_percent < found.given_error_percent:
        lines.append(
            f"the network as given is nearer to chance than to perfect: it was trained first, and "
            f"losses count from {found.reference_percent:.2f} % error"
        )
    if baseline is not None:
        lines.append(
            f"a dense network of {baseline.size_bytes:,} bytes, trained as long: "
            f"{baseline.error_percent:.2f} % error"
        )
    lines.append(
        f"{options.output}: {selected.size_bytes:,} bytes, {selected.nonzeros:,} of {total:,} "
        f"weights; error {selected.error_percent:.2f} % (as given: "
        f"{found.given_error_percent:.2f} %) on the {measured}; "
        f"{4 * total / selected.size_bytes:.0f} times smaller than float32"
    )
    values = {
        "output": str(options.output),
        "network": network.said,
        "bytes": selected.size_bytes,
        "selected": report.values(selected),
        "given_error_percent": found.given_error_percent,
        "reference_percent": found.reference_percent,
        "held_out": network.held_out,
        "weights": total,
        "points": [report.values(point) for point in found.pruned.points],
        "baseline": report.values(baseline),
        "warnings": found.warnings,
    }
    return cli.Result(values, "\n".join(lines))
