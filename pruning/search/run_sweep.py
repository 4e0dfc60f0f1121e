"""`fewbits pruning sweep`: every penalty weight with every seed, resumable, on all devices."""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs
from fewbits.io.progress import Bar
from fewbits.training.parallel import processes
from pruning.search import _prune, given, report, selection
from pruning.search import operating_points as points
from pruning.search.run_compress import chosen
from pruning.search.selection import Candidate, Point

_SWEEP = "sweep.json"


def run(options: argparse.Namespace) -> cli.Result | None:
    """Trials into a folder: a record and the files of each, then the Pareto set of all.

    None in all but the first of several processes.
    """
    if outputs.is_stream(options.output):
        raise InputError("a sweep makes several files; name a folder, not -")
    if options.distributed is None:
        return _run(options, processes.ALONE)
    with processes.joined(options.output, options.distributed) as job:
        return _run(options, job)


def _run(options: argparse.Namespace, job: processes.Job) -> cli.Result | None:
    settings, _ = chosen(options)
    try:
        settings = settings.__class__(
            **{**vars(settings), "strengths": tuple(options.strengths), "baseline": False}
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    for seed in options.seeds:
        if not 0 <= seed < 2**32:
            raise InputError(f"--seeds {seed}; use 0 to 2^32 - 1")
    folder = options.output
    options.seed = 0
    network = given.read(options)
    identity = _identity(network, settings)
    if job.is_first:
        _open(folder, identity)
    job.begin()
    todo: queue.Queue[tuple[float, int]] = queue.Queue()
    trials = [(weight, seed) for weight in options.strengths for seed in options.seeds]
    mine = job.share(trials)
    for trial in mine:
        if not _record(folder, *trial).exists():
            todo.put(trial)
    done, lock = len(mine) - todo.qsize(), threading.Lock()
    stopped = threading.Event()

    with Bar(f"sweep {options.checkpoint}", quiet=options.quiet or not job.is_first) as bar:
        bar("trials", done, len(mine))

        def work(device: Any) -> None:
            nonlocal done
            with jax.default_device(device):
                problem = _prune.problem_of(
                    network.apply, network.params, network.train, network.validation,
                    network.state, None, settings, network.held_out,
                )  # fmt: skip
                weights = problem.model.weights(network.params)
                while not stopped.is_set():
                    try:
                        weight, seed = todo.get_nowait()
                    except queue.Empty:
                        return
                    made = problem.trial(jax.random.key(seed), weights, weight)
                    _write(folder, weight, seed, [one.point for one in made.candidates])
                    with lock:
                        done += 1
                        bar("trials", done, len(mine))

        devices = jax.local_devices()[: max(todo.qsize(), 1)]
        try:
            with ThreadPoolExecutor(len(devices)) as pool:
                for finished in [pool.submit(work, device) for device in devices]:
                    try:
                        finished.result()
                    except KeyboardInterrupt:
                        stopped.set()
                        raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{folder} holds {done} of {len(mine)} trials; the same command goes on"
            ) from None
    job.wait_for_others()
    return _result(folder, trials, network) if job.is_first else None


def _identity(network: given.Given, settings: points.Settings) -> str:
    """A hash of all that a trial depends on but its penalty weight and seed."""
    found = hashlib.sha256(repr({**vars(settings), "strengths": None}).encode())
    for leaf in jax.tree.leaves((network.params, network.state, network.train, network.validation)):
        found.update(np.ascontiguousarray(leaf).tobytes())
    found.update(network.said.encode())
    return found.hexdigest()


def _open(folder: Path, identity: str) -> None:
    """A new folder, or that of the same sweep.

    Raises:
      InputError: it holds something else.
    """
    stored = folder / _SWEEP
    if stored.is_file():
        if json.loads(stored.read_text()).get("identity") != identity:
            raise InputError(f"{folder} holds another sweep; name another folder")
        return
    if folder.exists() and (
        not folder.is_dir() or any(each.name != processes.FOLDER for each in folder.iterdir())
    ):
        raise InputError(f"{folder} exists and holds no sweep; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder}: the folder {folder.parent} does not exist; make it first")
    folder.mkdir(exist_ok=True)
    stored.write_text(json.dumps({"identity": identity}))


def _name(weight: float, seed: int) -> str:
    return f"weight_{weight:g}_seed_{seed}"


def _record(folder: Path, weight: float, seed: int) -> Path:
    return folder / f"{_name(weight, seed)}.json"


def _write(folder: Path, weight: float, seed: int, made: list[Point]) -> None:
    """The files first, the record last: a trial with a record is complete."""
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(made):
        name = f"{_name(weight, seed)}_{number}.fwb"
        container.save(folder / name, point.file)
        rows.append({**(report.values(point) or {}), "file": name})
    with outputs.open_output(_record(folder, weight, seed), force=True) as file:
        file.write(json.dumps(rows, indent=1).encode())


def _result(folder: Path, trials: list[tuple[float, int]], network: given.Given) -> cli.Result:
    found: list[tuple[Point, int, str]] = []
    diverged = 0
    for weight, seed in trials:
        rows = json.loads(_record(folder, weight, seed).read_text())
        diverged += not rows
        for row in rows:
            name = row.pop("file")
            found.append((Point(**row, file=(folder / name).read_bytes()), seed, name))
    best = selection.pareto([Candidate(point, None, None) for point, _, _ in found])
    front = [one.point for one in best]
    if front:
        right = _accuracy(network)
        for name, data in (
            ("pareto.csv", report.as_csv(front)),
            ("pareto.png", report.picture(front, None, 100 * (1 - right))),
        ):
            with outputs.open_output(folder / name, force=True) as file:
                file.write(data)
    names = {point.file: name for point, _, name in found}
    lines = report.table(front, None)
    lines = [lines[0] + "  file"] + [
        f"{line}  {names[point.file]}" for line, point in zip(lines[1:], front, strict=True)
    ]
    lines.append(f"{folder}: {len(trials)} trials, {diverged} diverged, {len(found)} files")
    values = {
        "output": str(folder),
        "trials": len(trials),
        "diverged": diverged,
        "points": [{**(report.values(p) or {}), "file": names[p.file]} for p in front],
    }
    return cli.Result(values, "\n".join(lines))


def _accuracy(network: given.Given) -> float:
    from fewbits.training import evaluation

    apply, state = network.apply, network.state
    logits = apply if state is None else lambda p, x: apply(p, state, x)
    data = map(jnp.asarray, network.validation)
    return float(evaluation.accuracy(logits, network.params, *data))
