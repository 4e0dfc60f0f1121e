"""Kills commands at random moments: `python -m tests.killed_commands FOLDER SEED KILLS NAME...`.

One process imports everything and forks for each run, before JAX has started its threads, so that
imports are paid once. Odd runs are killed at a random time, even ones when the file is complete and
about to get its name. Prints a JSON list of what is wrong: nothing, one hopes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import select
import signal
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np

from fewbits import cli
from fewbits.coding import container
from fewbits.io import atomic, outputs
from tests import command_files

QUICK = {
    "weights encode": "net.npz OUT",
    "weights decode": "pruned OUT",
    "pruning decompress": "pruned OUT",
    "lgc decompress": "lgc OUT",
    "ratedist decode": "quantised OUT",
    "bitalloc encode": "model mnist.npz OUT",
    "bitalloc decode": "model messages OUT",
    "text compress": "text OUT",
    "text decompress": "text.fwb OUT",
}
LONG = {
    "lgc compress": "images.npz OUT --epochs 1 --components 1",
    "lgc distill": "images.npz OUT --budget-bytes 400 --time-limit 1s",
    "pruning compress": "dense.npz OUT --data dense_data.npz --steps 100 --fine-tune-steps 50 "
    "--strength 1e-3 --trials 1 --max-loss 100",
    "ratedist encode": "samples.npz OUT --distortion 0.5",
    "ratedist curve": "samples.npz --points 3 --output OUT",
    "bitalloc fit": "images.npz OUT --bits 2 --no-networks",
    "bitalloc curve": "images.npz --bits 1,2 --no-networks --output OUT",
}
SUFFIX = {"weights decode": ".npz"}
OLD = b"what was there before"
_LONG_SECONDS = 6.0
_PATIENCE_SECONDS = 300


def prepare(folder: Path) -> None:
    """Small inputs of every command."""
    command_files.write(folder)
    labels = np.arange(60) % 3
    # The mean of each class's column as a linear network: it is right without any training.
    images = np.eye(3, dtype=np.float32)[labels].repeat(3, axis=1).reshape(60, 3, 3, 1)
    hidden = {"dense1/kernel": np.eye(9, dtype=np.float32), "dense1/bias": np.zeros(9, np.float32)}
    out = np.eye(3, dtype=np.float32).repeat(3, axis=0)
    np.savez(
        folder / "dense.npz",
        **hidden,
        **{"output/kernel": out, "output/bias": np.zeros(3, np.float32)},
    )
    np.savez(folder / "dense_data.npz", images=images, labels=labels)


def run(folder: Path, words: list[str], pipe: int | None = None) -> int:
    """Starts a command in a forked process; a byte goes into the pipe when its file is complete.

    Returns:
      The process's number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        if pipe is not None:
            os.dup2(nowhere, 2)
            finish = atomic.finish

            def announced(*arguments):
                os.write(pipe, b"!")
                return finish(*arguments)

            outputs.finish = announced
        status = cli.main(words)
    finally:
        os._exit(status)


def killed(folder: Path, words: list[str], at_end: bool, seconds: float) -> None:
    """Runs a command and kills it: at its end, or within the time."""
    read, write = os.pipe()
    child = run(folder, words, write)
    os.close(write)
    if at_end:
        select.select([read], [], [], _PATIENCE_SECONDS)
        time.sleep(seconds / 1000)
    else:
        time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)


def is_whole(data: bytes) -> bool:
    """Whether bytes are a complete file of the kinds that commands write."""
    if data.startswith(container.MAGIC):
        container.read_archive(data)
        return True
    if data.startswith(b"PK"):
        with np.load(io.BytesIO(data)) as stored:
            return all(stored[name].size >= 0 for name in stored.files)
    if data.startswith(b"\x89PNG"):
        return data.endswith(b"IEND\xaeB`\x82")
    # A table, or the text of no bytes.
    return data == b"" or (data.count(b"\n") >= 2 and data.endswith(b"\n"))


def check(folder: Path, name: str, line: str, kills: int, seed: int) -> list[str]:
    """What is wrong after some kills of one command."""
    place = folder / name.replace(" ", "_")
    place.mkdir()
    out = place / f"out{SUFFIX.get(name, '')}"
    words = [*name.split(), *line.replace("OUT", str(out)).split(), "--force"]
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    wrong = []
    chance = random.Random(f"{seed} {name}")
    seconds = _LONG_SECONDS
    if name in QUICK or kills > 1:  # undisturbed, for how long it takes and whether it works at all
        began = time.monotonic()
        status = os.waitstatus_to_exitcode(os.waitpid(run(folder, words), 0)[1])
        seconds = time.monotonic() - began
        if status != 0 or not is_whole(out.read_bytes()):
            wrong.append(f"{name}: status {status} when it is not killed")
    for number in range(kills):
        out.write_bytes(OLD)
        killed(folder, words, bool(number % 2) != (name in QUICK), chance.uniform(0, seconds))
        found = {p.name: p.read_bytes() for p in place.iterdir()}
        data = found.pop(out.name, None)
        try:
            good = data is not None and (data == OLD or is_whole(data))
        except Exception as error:
            good = False
            wrong.append(repr(error))
        if not good:
            wrong.append(f"{name}: the output is {data!r:.80}")
        wrong += [
            f"{name}: {left} is left"
            for left in found
            if not (left.startswith(".") and left.endswith(".tmp"))
        ]
        for left in found:
            (place / left).unlink()
    if {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} != before:
        wrong.append(f"{name}: inputs changed")
    return wrong


def race(folder: Path) -> list[str]:
    """Two runs on one output: one makes it, the other says that it is there."""
    place = folder / "race"
    place.mkdir()
    words = f"weights encode net.npz {place / 'out'}".split()
    children = [run(folder, words) for _ in range(2)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    wrong = [] if codes == [0, 2] else [f"race: statuses {codes}"]
    return wrong + [
        f"race: {path} is damaged" for path in place.iterdir() if not is_whole(path.read_bytes())
    ]


def main(folder: Path, seed: int, kills: int, names: list[str]) -> None:
    """Prints what is wrong."""
    for tool in cli.TOOLS:
        (entry,) = metadata.entry_points(group=cli.COMMAND_GROUP, name=tool)
        entry.load()
    for package in ("bitalloc", "lgc", "pruning", "ratedist", "safetensors.numpy"):
        importlib.import_module(package)
    prepare(folder)
    for line in ("bitalloc encode model mnist.npz messages", "text compress text text.fwb"):
        child = run(folder, line.split())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, line
    lines = QUICK | LONG
    wrong = [each for name in names for each in check(folder, name, lines[name], kills, seed)]
    sys.stdout.write(json.dumps(wrong + race(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
