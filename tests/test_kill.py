"""A command that is killed leaves the old file or the new one, never a part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.killed_commands import LONG, QUICK
from tests.test_commands import WRITING

ROOT = Path(__file__).resolve().parents[1]


def killed(folder: Path, kills: int, names: list[str]) -> list[str]:
    command = [sys.executable, "-m", "tests.killed_commands", folder, "0", str(kills), *names]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_writing_commands_are_killed():
    assert set(QUICK) | set(LONG) == WRITING


@pytest.mark.slow
def test_one_kill_each(tmp_path: Path):
    assert killed(tmp_path, 1, list(QUICK)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("names", [list(QUICK), *([name] for name in LONG)], ids="-".join)
def test_five_kills_each(tmp_path: Path, names: list[str]):
    assert killed(tmp_path, 5, names) == []
