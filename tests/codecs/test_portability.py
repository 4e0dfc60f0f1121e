"""One file decodes under other cores, devices, flags, processors and versions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fewbits.codecs import portability, text
from fewbits.codecs.portability import Condition
from fewbits.codecs.text import mixed
from fewbits.io import wikipedia

# A condition sets its cores in the child between fork and exec, of which JAX warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]

CHEAP = (
    Condition("1 core, 4 devices", 1, {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}),
    Condition("2 cores, x64", 2, {"JAX_ENABLE_X64": "1"}),
)


@pytest.mark.slow
@pytest.mark.parametrize("condition", CHEAP, ids=lambda condition: condition.name)
def test_a_file_decodes_under_other_cores_devices_and_x64(condition: Condition, tmp_path: Path):
    data = wikipedia.made_up(20_000)
    path = tmp_path / "text.fwb"
    path.write_bytes(text.compress(data))
    assert portability.decodes(condition, path, data, folder=tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("condition", portability.CONDITIONS, ids=lambda c: c.name)
def test_a_file_decodes_in_the_whole_matrix(condition: Condition, tmp_path: Path):
    python = shutil.which("python3.12")
    if condition.versions and (python is None or subprocess.call([python, "-V"]) != 0):
        pytest.skip("no other Python")
    data = wikipedia.made_up(50_000)
    if not condition.numba:
        data = data[:2000]
    path = tmp_path / "text.fwb"
    path.write_bytes(mixed.compress(data, prior=condition.numba))
    assert portability.decodes(condition, path, data, python=str(python), folder=tmp_path)
