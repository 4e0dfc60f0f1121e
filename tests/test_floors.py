"""Imports run down the floors only, and importing a room brings in nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "coding": 0,
    "training": 0,
    "lgc": 1,
    "pruning": 1,
    "ratedist": 1,
    "bitalloc": 1,
    "textcodec": 1,
    "experiments": 2,
    "benchmarks": 3,
    "tests": 3,
}
HEAVY = ("cvxpy", "highspy", "tensorflow", "tensorflow_datasets")


def _imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.append((node.lineno, node.module.split(".")[0]))
    return found


def test_imports_run_downwards():
    arrows = []
    for room, floor in FLOORS.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            for line, target in _imports(path):
                if target == room or target not in FLOORS:
                    continue
                if FLOORS[target] >= floor:
                    arrows.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not arrows, "\n".join(arrows)


def test_no_file_is_over_400_lines():
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for room in FLOORS
        for path in (ROOT / room).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("importers", [("flax", 2), ("orbax", 2)])
def test_frameworks_stay_behind_few_files(importers: tuple[str, int]):
    framework, most = importers
    users = {
        str(path.relative_to(ROOT))
        for room in FLOORS
        if room != "tests"
        for path in (ROOT / room).rglob("*.py")
        if any(target == framework for _, target in _imports(path))
    }
    assert len(users) <= most, users


@pytest.mark.parametrize("room", ["coding", "training", "lgc", "pruning", "textcodec"])
def test_importing_a_room_is_light(room: str):
    if not (ROOT / room / "__init__.py").is_file():
        pytest.skip(f"{room} has nothing to import yet")
    program = f"import sys, {room}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
