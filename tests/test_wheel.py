"""What is installed: five packages, typed, that no folder of a user's own can break."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"fewbits", "lgc", "pruning", "ratedist", "bitalloc"}
USERS_OWN = ("training", "coding", "codecs", "io_tools", "experiments", "tests", "runner", "common")
PROGRAM = """
import numpy as np
import bitalloc, fewbits.coding, fewbits.training, lgc, pruning, ratedist
assert all("site" in m.__file__ for m in (bitalloc, fewbits, lgc, pruning, ratedist))
tree = {"w": np.eye(4, dtype=np.float32)}
data = fewbits.coding.params_to_bytes(tree)
assert fewbits.coding.params_from_bytes(data)["w"].shape == (4, 4)
assert abs(float(ratedist.rate([0.5, 0.5], [[0, 1], [1, 0]], 0.11)) - 0.5) < 1e-2
assert pruning.drr(1e-3).init({"w": np.zeros(2)}) is not None
for package in (lgc, bitalloc):
    for name in package.__all__:
        getattr(package, name)
from fewbits import cli
for tool in cli.TOOLS:
    try:
        cli.main([tool, "--help"])
    except SystemExit as stopped:
        assert stopped.code == 0, tool
print("ran")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built with what is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_five_typed_packages_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_folders_of_the_users_own_break_nothing(wheel: Path, tmp_path: Path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    here = tmp_path / "project"
    for name in USERS_OWN:
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise ImportError('the user\\'s own')\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=here,
        # Loops that are compiled for a new folder would take most of the time.
        env={**os.environ, "PYTHONPATH": str(site), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ran\n")
