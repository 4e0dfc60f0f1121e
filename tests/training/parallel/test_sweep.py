from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from fewbits.training import sweep
from fewbits.training.parallel import _sweep
from tests.training.parallel import virtual_devices
from tests.training.parallel.sweep_job import RATES, SEEDS, run_sweep

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def one_device() -> dict[str, np.ndarray]:
    return run_sweep()


def launch(out: Path, n_devices: int, *cluster: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.parallel.sweep_job", str(out), *map(str, cluster)],
        cwd=ROOT,
        env=virtual_devices.environment(n_devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_eight_devices_and_two_processes_agree_with_one_device(one_device, tmp_path):
    """One device here; eight virtual ones in a process; two processes of two devices each.

    Twelve runs do not fill eight devices evenly, so padding is under test too, and the two
    processes run them in two chunks.
    """
    port = free_port()
    eight, first, second = (tmp_path / f"{name}.npz" for name in ("eight", "first", "second"))
    jobs = [launch(eight, 8), launch(first, 2, port, 2, 0), launch(second, 2, port, 2, 1)]
    try:
        outputs = [job.communicate(timeout=180)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    for job, output in zip(jobs, outputs, strict=True):
        assert job.returncode == 0, output
    for path, shape in [(eight, (8, 1)), (first, (4, 2)), (second, (4, 2))]:
        with np.load(path) as stored:
            assert (stored["n_devices"], stored["n_processes"]) == shape
            for name, expected in one_device.items():
                np.testing.assert_allclose(stored[name], expected, rtol=1e-5, atol=1e-5)


def test_axes_are_points_then_seeds(one_device):
    shape = (len(RATES), len(SEEDS))
    assert one_device["hidden"].shape == (*shape, 3, 4)
    assert one_device["loss_nats"].shape == (*shape, 4)
    assert one_device["finite"].all()
    # The first loss is taken before any step: it knows the seed but not the rate.
    assert np.unique(one_device["loss_nats"][0]).size == 12
    assert np.ptp(one_device["hidden"], axis=0).max() > 0.1


def one_run(key, point, data):
    return point["a"] * 100 + point["b"] * 10 + jax.random.key_data(key)[1] + data.sum()


def test_scalars_are_shared_and_data_reach_every_run():
    points = {"a": np.array([1, 2]), "b": 3}
    result = sweep(one_run, points, [4, 5], np.array([1000, 1000]))
    np.testing.assert_array_equal(result, [[2134, 2135], [2234, 2235]])


def test_chunks_change_nothing():
    seen, points, data = [], {"a": np.arange(4), "b": 3}, np.array([1000, 1000])
    chunked = sweep(
        one_run, points, [4, 5, 6], data, runs_per_chunk=5,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(0, 12), (5, 12), (10, 12), (12, 12)]
    np.testing.assert_array_equal(chunked, sweep(one_run, points, [4, 5, 6], data))


def test_only_scalars_are_one_point():
    assert sweep(one_run, {"a": 1, "b": 2}, [7], np.zeros(1, int)).tolist() == [[127]]


def test_chunks_are_estimated_from_memory(monkeypatch):
    """With memory for a third of the runs the program is compiled for a third or less."""

    def greedy(key, point, data):
        square = jax.random.normal(key, (256, 256))
        return jnp.sum(square @ square.T @ square) * 0 + point

    total_bytes = 16 * 256 * 256 * 4
    monkeypatch.setattr(_sweep, "free_memory_bytes", lambda devices: total_bytes)
    seen = []
    result = sweep(greedy, jnp.arange(16.0), [0], progress=lambda done, total: seen.append(done))
    np.testing.assert_array_equal(result[:, 0], np.arange(16))
    assert seen[0] == 0
    assert len(seen) > 3


def test_one_run_that_does_not_fit_is_still_tried(monkeypatch):
    monkeypatch.setattr(_sweep, "free_memory_bytes", lambda devices: 1.0)
    seen = []
    sweep(lambda key, point, data: point + jnp.ones(4), jnp.arange(3.0), [0],
                progress=lambda done, total: seen.append(done))  # fmt: skip
    assert seen == [0, 1, 2, 3]


def test_free_memory_is_known_here():
    assert 1e7 < _sweep.free_memory_bytes(jax.local_devices()) < 1e14


@pytest.mark.parametrize(
    ("points", "seeds", "options", "words"),
    [
        ({"a": np.zeros(2), "b": np.zeros(3)}, [0], {}, r"\[2, 3\]"),
        ({"a": np.zeros(0), "b": 1}, [0], {}, "empty"),
        ({"a": 1, "b": 1}, [], {}, r"\[\]"),
        ({"a": 1, "b": 1}, [0], {"runs_per_chunk": 0}, "runs_per_chunk.*0"),
        ({"a": 1, "b": 1}, [-1], {}, "-1"),
        ({"a": 1, "b": 1}, [0], {"mesh": Mesh(np.array(jax.devices()), ("x",))}, "runs.*'x'"),
    ],
)
def test_refuses(points, seeds, options, words):
    with pytest.raises(ValueError, match=words):
        sweep(one_run, points, seeds, np.zeros(1), **options)
