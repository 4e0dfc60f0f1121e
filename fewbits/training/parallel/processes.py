"""One command started in several processes: each does its share of the trials, into one folder.

JAX's runtime says which process this is and waits until all have started; it knows SLURM, GKE, TPU
pods and MPI. Then it is left: trials do not communicate, and a process that outlives another should
say so in one line instead of being ended by the runtime. From then on processes see each other by
small files in the folder, which has to be on storage that all of them share.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax._src.distributed import global_state

from fewbits.io.errors import InputError
from fewbits.io.outputs import open_output

T = TypeVar("T")

FOLDER = "processes"
BEAT_SECONDS = 2.0
LOST_AFTER_SECONDS = 30.0
"""A process whose file has not changed for so long has stopped."""
_STARTING, _RUNNING, _DONE, _FAILED = "starting", "running", "done", "failed"


class LostProcessError(InputError):
    """Another process has stopped before its trials were done."""


class Job:
    """This process's place among those that were started together.

    Attributes:
      index: number of this process, 0 for the one that writes what all have found.
      count: processes.
    """

    def __init__(self, index: int = 0, count: int = 1, folder: Path | None = None):
        self.index, self.count = index, count
        self._folder, self._state, self._beats = folder, _STARTING, 0
        self._lock, self._ended = threading.Lock(), threading.Event()

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have found."""
        return self.index == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """Every `count`-th item, from number `index` on: this process's."""
        return list(items[self.index :: self.count])

    def begin(self) -> None:
        """Say that the folder is in order (the first process), or wait until that is said.

        Raises:
          LostProcessError: the first process has stopped.
        """
        if self.is_first:
            self._say(_RUNNING)
            return
        self._wait({0}, (_RUNNING, _DONE))
        self._say(_RUNNING)

    def wait_for_others(self) -> None:
        """Return when all other shares are done; the first process then writes what was found.

        Raises:
          LostProcessError: one has stopped; its message names it.
        """
        self._say(_RUNNING if self.is_first else _DONE)
        others = set(range(self.count)) - {self.index}
        self._wait(others, (_DONE,))

    def _wait(self, processes: set[int], states: tuple[str, ...]) -> None:
        seen: dict[int, tuple[int, float]] = {}
        while processes:
            for number in sorted(processes):
                state, beats = self._read(number)
                if state in states:
                    processes = processes - {number}
                    continue
                before, since = seen.get(number, (-1, 0.0))
                now = time.monotonic()
                if beats != before:
                    seen[number] = (beats, now)
                elif now - since > LOST_AFTER_SECONDS:
                    state = _FAILED
                if state == _FAILED:
                    raise LostProcessError(
                        f"process {number} of {self.count} has stopped; what was finished is "
                        "stored, and the same command goes on"
                    )
            if processes:
                time.sleep(min(0.2, BEAT_SECONDS))

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / FOLDER / f"{number}.json"

    def _read(self, number: int) -> tuple[str, int]:
        try:
            found = json.loads(self._file(number).read_bytes())
            return found["state"], found["beats"]
        except (OSError, ValueError, KeyError):
            return _STARTING, -1

    def _say(self, state: str | None = None) -> None:
        if self._folder is None or self.count == 1:
            return
        with self._lock:
            self._state, self._beats = state or self._state, self._beats + 1
            with open_output(self._file(self.index), force=True) as file:
                file.write(json.dumps({"state": self._state, "beats": self._beats}).encode())

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk is the trials' to report
                self._say()


ALONE = Job()
"""A process that was started by itself."""


@contextlib.contextmanager
def joined(folder: Path, place: str | None = None) -> Iterator[Job]:
    """Meet the other processes of this job; must come before JAX is asked for its devices.

    Args:
      folder: of the run, the same and shared by all.
      place: `ADDRESS:PORT,COUNT,INDEX` of process 0 and of this one; None or empty asks JAX, which
        knows SLURM, GKE, TPU pods and MPI.

    Yields:
      The job. While it lasts a thread says in the folder that this process is alive.

    Raises:
      InputError: a place that is none, or JAX finds no cluster.
    """
    given: dict[str, Any] = _given(place) if place else {}
    try:
        jax.distributed.initialize(**given)
    except (ValueError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise InputError(
            f"JAX found no job of several processes ({first}); give --distributed "
            "ADDRESS:PORT,COUNT,INDEX"
        ) from None
    # `jax.process_index()` would start the backend as one of all processes.
    job = Job(global_state.process_id, global_state.num_processes, folder)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    job._say(_STARTING)
    # Waits for all: from here on, every process's file is of this job.
    jax.distributed.shutdown()
    thread = threading.Thread(target=job._beat, daemon=True)
    thread.start()
    try:
        yield job
    except LostProcessError:  # only the one that stopped is to be named
        job._ended.set()
        raise
    except BaseException:
        job._ended.set()
        job._say(_FAILED)
        raise
    job._ended.set()
    job._say(_DONE)


def _given(place: str) -> dict[str, Any]:
    try:
        address, count, index = place.split(",")
        found = {"num_processes": int(count), "process_id": int(index)}
        valid = ":" in address and 0 <= found["process_id"] < found["num_processes"]
    except ValueError:
        valid, address, found = False, "", {}
    if not valid:
        raise InputError(
            f"--distributed {place}; use ADDRESS:PORT,COUNT,INDEX, such as localhost:1234,4,0"
        )
    return {"coordinator_address": address, **found}
