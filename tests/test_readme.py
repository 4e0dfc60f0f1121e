"""README says what CI does, and its Python runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_ci_runs_the_two_commands_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"## Two commands\n.*?```bash\n(.*?)```", readme, re.DOTALL)
    assert block, "README has no section 'Two commands' with a bash block"
    commands = [line for line in block[1].splitlines() if line and not line.startswith("#")]
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    for command in commands:
        assert command in ci, f".ci/run does not run: {command}"


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_python_of_the_readme_runs(tmp_path: Path):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block, "README has no Python"
    lines = [line for line in block[1].splitlines() if line]
    assert len(lines) <= 12
    done = subprocess.run(
        [sys.executable, "-c", block[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_dependencies_are_explained():
    explained = (ROOT / "CONTRIBUTING.md").read_text().lower()
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert listed
    for name in re.findall(r'"([A-Za-z0-9_-]+)', listed[1]):
        assert f"`{name.lower()}`" in explained, f"CONTRIBUTING gives no reason for {name}"


def test_constraints_hold_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line), line
