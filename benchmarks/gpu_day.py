"""What waits for an accelerator, by value: `python -m experiments devices gpu-day --out F`.

Every piece is a command of its own that goes on where it was stopped, with its state in F. A piece
gets at most nine minutes at a time; what is unfinished then is continued by the next call, so that
short loans of a machine without network add up to a day. `--smoke` takes small sizes, for a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runner.folder import write_json
from experiments.runner.records import REPOSITORY
from fewbits.flags import seconds

AT_ONCE_SECONDS = 9 * 60
SEEDS = (0, 1, 2, 3, 4)
_GRACE_SECONDS = 20


class Piece(NamedTuple):
    """A command that can be stopped and started again.

    Attributes:
      name: of its folder in F.
      command: words after `python -m`; `{out}` is the piece's folder.
      smoke: the same at small size.
      on_cpu: whether it runs on the machine's CPU, for comparison.
    """

    name: str
    command: tuple[str, ...]
    smoke: tuple[str, ...]
    on_cpu: bool = False


def _experiment(name: str, preset: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = ("experiments", name)
    return (*words, preset, "--out", "{out}/run"), (*words, "smoke", "--out", "{out}/run")


def _distil(seed: int) -> Piece:
    def command(data: str, budget: str, limit: str) -> tuple[str, ...]:
        return (
            "fewbits", "lgc", "distill", data, "{out}/distilled.fwb", "--budget-bytes", budget,
            "--time-limit", limit, "--seed", str(seed), "--force", "--quiet",
        )  # fmt: skip

    long, short = command("fashion_mnist", "8000", "8m"), command("digits", "2000", "5s")
    return Piece(f"distillation_{seed}", long, short)


_CONTRACT = ("pytest", "-q", "-n0", "-p", "no:cacheprovider", "-m", "", "tests/test_contract.py")
_SPEED = ("benchmarks.pruning_sweep",)
_SPEED_SMOKE = (*_SPEED, "--runs=4", "--steps=20", "--skip-lenet")
_EM, _RATE = (_experiment(name, "paper") for name in ("em_speed", "rd_speed"))

PIECES: tuple[Piece, ...] = (
    Piece("contract", _CONTRACT, (*_CONTRACT, "-k", "drr and finite")),
    Piece("sweeps", _SPEED, _SPEED_SMOKE),
    Piece("sweeps_cpu", _SPEED, _SPEED_SMOKE, on_cpu=True),
    Piece("em", *_EM),
    Piece("em_cpu", *_EM, on_cpu=True),
    Piece("rate_distortion", *_RATE),
    Piece("rate_distortion_cpu", *_RATE, on_cpu=True),
    Piece("vgg16", *_experiment("prune_vgg", "gpu")),
    Piece("text", *_experiment("text_description_length", "gpu")),
    *map(_distil, SEEDS),
)
"""In order of value."""


def main(arguments: list[str]) -> int:
    """Run what is not done yet until the time is over; returns the exit status."""
    parser = argparse.ArgumentParser("python -m experiments devices gpu-day", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="F", help="state and results")
    parser.add_argument(
        "--time-limit", type=seconds, default=14 * 60, metavar="T",
        help="such as 14m: begin or continue pieces for so long (default: 14m)",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=[p.name for p in PIECES], help="these alone")
    parser.add_argument("--smoke", action="store_true", help="small sizes, for a CPU")
    options = parser.parse_args(arguments)
    ends = time.monotonic() + options.time_limit
    state = _state(options.out, options.smoke)
    for piece in PIECES:
        left = ends - time.monotonic() - _GRACE_SECONDS
        mine = state["pieces"].setdefault(piece.name, {"status": "waiting", "seconds": 0.0})
        wanted = not options.only or piece.name in options.only
        if not wanted or mine["status"] == "done" or left <= 0:
            continue
        took, status = _run(piece, options.out, options.smoke, min(left, AT_ONCE_SECONDS))
        mine.update(status=status, seconds=mine["seconds"] + took)
        write_json(options.out / "state.json", state)
        print(f"{piece.name}: {status} after {mine['seconds']:.0f} s in all", flush=True)
    waiting = [name for name, mine in state["pieces"].items() if mine["status"] != "done"]
    waiting = [name for name in waiting if not options.only or name in options.only]
    print(f"not done: {', '.join(waiting)}; the same command goes on" if waiting else "all done")
    return 0


def _state(folder: Path, smoke: bool) -> dict[str, Any]:
    """What earlier calls have left; sizes are not mixed."""
    from experiments.runner.folder import RunError

    path = folder / "state.json"
    if not path.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise RunError(f"{folder} holds other files; choose a new folder")
        return {"smoke": smoke, "pieces": {}}
    state = json.loads(path.read_bytes())
    if state["smoke"] != smoke:
        raise RunError(f"{folder} holds pieces of another size; choose another folder")
    return state


def _run(piece: Piece, folder: Path, smoke: bool, limit: float) -> tuple[float, str]:
    """Seconds, and `done`, `unfinished` or `failed`; what was printed stays in its folder."""
    out = folder.resolve() / piece.name
    out.mkdir(parents=True, exist_ok=True)
    words = piece.smoke if smoke else piece.command
    command = [sys.executable, "-m", *(word.replace("{out}", str(out)) for word in words)]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if piece.on_cpu:
        environment["JAX_PLATFORMS"] = "cpu"
    began = time.monotonic()
    with (out / "stdout.txt").open("wb") as stdout, (out / "stderr.txt").open("wb") as stderr:
        running = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = "done" if running.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = "unfinished"
        finally:
            if running.poll() is None:
                _stop(running)
    return time.monotonic() - began, status


def _stop(running: subprocess.Popen) -> None:
    """As Ctrl-C does; a program that is busy in a compiler is killed. Its children go too."""
    os.killpg(running.pid, signal.SIGINT)
    try:
        running.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
