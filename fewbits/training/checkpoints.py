"""Long runs that survive being killed: chunks of a run, a checkpoint after each, resume.

The only file that imports orbax. A checkpoint is written under a temporary name and renamed when it
is whole, so that whatever moment a process dies at, the newest checkpoint with a proper name is
complete. A run's later steps depend on nothing but its carry, its data and the step's number
(`fewbits.training.loop`), and so a resumed run ends with the same bits as an uninterrupted one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
from orbax.checkpoint import v1 as ocp

from fewbits.io.outputs import open_output

T = TypeVar("T")

IDENTITY_FILE = "identity.json"
"""Beside the checkpoints: what the run is, so that another one does not resume it."""


def run_resumable(
    folder: Path | str,
    start: Callable[[], T],
    advance: Callable[[T, int, int], T],
    *,
    steps: int,
    chunk_steps: int,
    identity: Mapping[str, Any] | None = None,
    keep: int = 2,
    progress: Callable[[int, int, T], None] | None = None,
) -> T:
    """Advances a run to its last step, resuming from the newest complete checkpoint in `folder`.

    With `fewbits.training.loop`::

        advance = jax.jit(lambda carry, first, last:
            loop.advance(method, plan, carry, data, first, last))
        carry = run_resumable(folder, lambda: loop.start(method, plan, key, params, data), advance,
            steps=plan.steps, chunk_steps=1_000, identity={"plan": asdict(plan), "seed": seed})
        result = loop.finish(method, carry)

    Args:
      folder: holds this run's checkpoints and nothing else; made where missing.
      start: makes the carry before step 0, a pytree of arrays (typed keys included); called also
        on resuming, for the carry's structure, shapes and shardings.
      advance: (carry, first_step, last_step) -> carry; jitted with traced steps, so that every
        chunk goes through one program.
      steps: the run's number of steps.
      chunk_steps: steps from one checkpoint to the next.
      identity: what makes the run what it is (config, seed, data), JSON values; stored on starting
        and compared on resuming.
      keep: checkpoints kept, the newest ones.
      progress: called with (steps done, steps, carry) at the start, where a resumed run stands,
        and after each checkpoint.

    Returns:
      The carry after the last step; at once, from its checkpoint, where the run had ended.

    Raises:
      ValueError: no steps, or a folder that holds another run.
    """
    if steps < 1 or chunk_steps < 1 or keep < 1:
        raise ValueError(
            f"steps, chunk_steps and keep must be at least 1, got {steps}, {chunk_steps}, {keep}"
        )
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, {"steps": steps, "identity": dict(identity or {})})
    carry = start()
    with ocp.training.Checkpointer(
        str(folder / "steps"),
        # orbax's own policy does not fit the types of its own protocol
        preservation_policy=ocp.training.preservation_policies.LatestN(keep),  # pyright: ignore
        cleanup_tmp_directories=True,
    ) as checkpointer:
        done = 0
        if checkpointer.latest is not None:
            done = checkpointer.latest.step
            carry = _with_empty_leaves(checkpointer.load(done, abstract(carry)), carry)
        if progress is not None:
            progress(done, steps, carry)
        while done < steps:
            last = min(steps, done + chunk_steps)
            carry = advance(carry, done, last)
            checkpointer.save(last, _without_empty_leaves(carry), force=True)
            done = last
            if progress is not None:
                progress(done, steps, carry)
    return carry


def save_tree(path: Path | str, tree: Any) -> None:
    """Writes one pytree of arrays to a new folder `path`; a temporary name first, then a rename.

    Raises:
      ValueError: the path exists.
    """
    path = Path(path).resolve()
    if path.exists():
        raise ValueError(f"{path} exists already; choose another name or remove it")
    ocp.save(str(path), _without_empty_leaves(tree))


def load_tree(path: Path | str, like: Any) -> Any:
    """Reads a pytree that `save_tree` wrote.

    Args:
      path: the folder.
      like: a tree of the same structure, shapes, dtypes and shardings; its values are not read.

    Returns:
      The stored tree.

    Raises:
      ValueError: no such folder.
    """
    path = Path(path).resolve()
    if not path.is_dir():
        raise ValueError(f"{path} is no checkpoint folder")
    return _with_empty_leaves(ocp.load(str(path), abstract(like)), like)


def discard(folder: Path | str) -> None:
    """Removes a run's checkpoints, finished or not; no error where there are none."""
    shutil.rmtree(Path(folder).resolve(), ignore_errors=True)


def abstract(tree: Any) -> Any:
    """Shapes, dtypes and shardings of what is stored of a tree of JAX arrays.

    Without them orbax returns plain dicts and guesses where arrays go.
    """
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        _without_empty_leaves(tree),
    )


def _without_empty_leaves(tree: Any) -> Any:
    """Arrays of size 0, which orbax refuses to store, replaced by None."""
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, tree)


def _with_empty_leaves(stored: Any, like: T) -> T:
    """The inverse of `_without_empty_leaves`."""
    return jax.tree.map(lambda leaf, found: leaf if found is None else found, like, stored)


def _claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Writes what the run is into its folder, or refuses a folder that holds another run."""
    text = json.dumps(identity, sort_keys=True, indent=1)
    file = folder / IDENTITY_FILE
    if file.exists():
        if file.read_text() != text:
            raise ValueError(f"{folder} holds a run with other settings; remove it or name another")
        return
    with open_output(file, force=True) as written:
        written.write(text.encode())
