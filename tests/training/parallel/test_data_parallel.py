from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fewbits.training.parallel import data_parallel
from tests.training.parallel import virtual_devices

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_transformer_on_three_devices_learns_what_it_learns_on_one():
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.parallel.data_parallel_job"],
        cwd=ROOT,
        env=virtual_devices.environment(4),
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 3
    np.testing.assert_allclose(found["losses"]["split"], found["losses"]["one"], rtol=1e-5)
    assert found["losses"]["one"][-1] < found["losses"]["one"][0]
    # Gradients are summed across devices in one program, and only in that one.
    assert found["all_reduce"] == {"one": False, "split": True}


@pytest.mark.parametrize(("batch_size", "used"), [(1, 1), (6, 3), (7, 1), (16, 4)])
def test_a_mesh_has_as_many_devices_as_divide_the_batch(batch_size, used):
    mesh = data_parallel.batch_mesh(batch_size, ["a", "b", "c", "d"])
    assert mesh.axis_names == ("batch",)
    assert mesh.size == used
