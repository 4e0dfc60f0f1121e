"""README says what CI does, and its numbers are those of the records."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.runner import report

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


def test_everything_made_from_records_is_up_to_date():
    assert report.rebuild(write=False) == []


def test_dependencies_are_explained_in_the_readme():
    readme = (ROOT / "README.md").read_text().lower()
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert listed
    for name in re.findall(r'"([A-Za-z0-9_-]+)', listed[1]):
        assert f"`{name.lower()}`" in readme, f"README gives no reason for {name}"


def test_constraints_hold_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line), line
