from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import checkpoints
from tests.training import killed_job

ROOT = Path(__file__).resolve().parents[2]


def launch(folder: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed_job", str(folder), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_killed_anywhere_and_resumed_the_bits_are_the_same(tmp_path):
    """SIGKILL three times, some checkpoints and a random moment after each start, then to the end.

    The moment falls into a chunk's arithmetic or into the writing of its checkpoint.
    """
    uninterrupted = killed_job.run(tmp_path / "uninterrupted")
    moments = random.Random(20)
    folder, out, stood = tmp_path / "killed", tmp_path / "out.npz", []
    for _ in range(3):
        with launch(folder, out) as job:
            assert job.stdout is not None
            stood.append(int(job.stdout.readline()))
            for _ in range(moments.randint(0, 2)):
                job.stdout.readline()
            time.sleep(moments.uniform(0, 0.15))
            job.kill()
        assert job.returncode == -signal.SIGKILL
        assert not out.exists()
    with launch(folder, out) as job:
        lines = job.communicate(timeout=180)[0].split()
    assert job.returncode == 0
    stood.append(int(lines[0]))
    assert stood == sorted(stood)
    assert 0 < stood[-1] < killed_job.PLAN.steps, "the last start resumed in the middle"
    with np.load(out) as resumed:
        assert set(resumed.files) == set(uninterrupted)
        for name, expected in uninterrupted.items():
            np.testing.assert_array_equal(resumed[name], expected)


class Tally(NamedTuple):
    """A carry with everything that could get lost: a typed key, a flag, an empty array."""

    key: jax.Array
    total: jax.Array
    flag: jax.Array
    nothing: jax.Array


def start() -> Tally:
    return Tally(jax.random.key(3), jnp.int32(0), jnp.array(True), jnp.zeros((0, 2)))


class Stopped(Exception):
    pass


def tally_run(folder: Path, stop_at: int | None = None, **options) -> tuple[Tally, list[int]]:
    """Sums 0 + ... + 9 in chunks of 3; the steps at which `advance` was called."""
    began = []

    def advance(carry: Tally, first: int, last: int) -> Tally:
        if first == stop_at:
            raise Stopped
        began.append(first)
        return carry._replace(total=carry.total + sum(range(first, last)))

    arguments = {"steps": 10, "chunk_steps": 3} | options
    return checkpoints.run_resumable(folder, start, advance, **arguments), began


def test_resumes_where_it_stood_and_keeps_types(tmp_path):
    with pytest.raises(Stopped):
        tally_run(tmp_path, stop_at=6)
    carry, began = tally_run(tmp_path)
    assert began == [6, 9]
    assert isinstance(carry, Tally)
    assert carry.total == 45
    assert carry.flag.dtype == bool
    assert carry.nothing.shape == (0, 2)
    assert carry.key.dtype == start().key.dtype
    assert jax.random.uniform(carry.key) == jax.random.uniform(start().key)


def test_a_finished_run_is_read_not_repeated(tmp_path):
    tally_run(tmp_path)
    seen = []
    carry, began = tally_run(
        tmp_path, progress=lambda done, steps, carry: seen.append((done, steps, int(carry.total)))
    )
    assert (carry.total, began, seen) == (45, [], [(10, 10, 45)])


def test_keeps_the_newest(tmp_path):
    tally_run(tmp_path, keep=2)
    assert sorted(int(p.name) for p in (tmp_path / "steps").iterdir()) == [9, 10]


def test_half_written_and_half_deleted_checkpoints_are_passed_over(tmp_path):
    """What a kill leaves: a temporary folder of the next step, an old step without its files."""
    with pytest.raises(Stopped):
        tally_run(tmp_path, stop_at=6)
    (tmp_path / "steps" / "9.orbax-checkpoint-tmp").mkdir()
    for file in (tmp_path / "steps" / "3").rglob("*"):
        if file.is_file():
            file.unlink()
    carry, began = tally_run(tmp_path)
    assert (carry.total, began) == (45, [6, 9])


@pytest.mark.parametrize("change", [{"identity": {"seed": 2}}, {"steps": 12}])
def test_another_run_does_not_resume_this_one(tmp_path, change):
    tally_run(tmp_path, identity={"seed": 1})
    with pytest.raises(ValueError, match="other settings"):
        tally_run(tmp_path, **({"identity": {"seed": 1}} | change))
    checkpoints.discard(tmp_path)
    assert tally_run(tmp_path, **change)[1][0] == 0


@pytest.mark.parametrize("name", ["steps", "chunk_steps", "keep"])
def test_refuses_counts_below_one(tmp_path, name):
    with pytest.raises(ValueError, match="at least 1.*0"):
        tally_run(tmp_path / "new", **{name: 0})
    assert not (tmp_path / "new").exists()


def test_tree_round_trip(tmp_path):
    tree = {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "key": jax.random.key(4)}
    checkpoints.save_tree(tmp_path / "tree", tree)
    back = checkpoints.load_tree(tmp_path / "tree", tree)
    np.testing.assert_array_equal(back["a"]["kernel"], tree["a"]["kernel"])
    assert back["key"] == tree["key"]
    with pytest.raises(ValueError, match="exists already"):
        checkpoints.save_tree(tmp_path / "tree", tree)
    with pytest.raises(ValueError, match="no checkpoint folder"):
        checkpoints.load_tree(tmp_path / "missing", tree)
