"""Every example runs as a user would run it, in an empty folder."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.nightly  # .ci/run runs them through docs/build.py
@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_runs_prints_and_draws(path: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert done.stdout.strip()
    assert (tmp_path / f"{path.stem}.png").stat().st_size > 1000


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_short(path: Path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 90
    assert re.match(r'"""[^\n]+[.]\n\n', path.read_text()), "begin with a title and an empty line"


def test_every_example_is_a_tutorial(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    build = importlib.import_module("build")
    assert sorted(build.TUTORIALS) == [path.stem for path in EXAMPLES]
