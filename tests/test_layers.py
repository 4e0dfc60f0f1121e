"""Imports run down the layers only, without cycles, and importing a package is light."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "fewbits": 0,
    "lgc": 1,
    "pruning": 1,
    "ratedist": 1,
    "bitalloc": 1,
    "experiments": 2,
    "benchmarks": 3,
    "tests": 4,
}
INSTALLED = [name for name, layer in LAYERS.items() if layer < 2]
HEAVY = ("cvxpy", "highspy", "tensorflow", "tensorflow_datasets")
_RUNS_MODULES = ("import_module", "__import__", "run_module")


def _files(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


@cache
def _imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of every import, also of modules named in texts given to importlib."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            first = node.args[0]
            if name in _RUNS_MODULES and isinstance(first, ast.Constant):
                found.append((node.lineno, str(first.value)))
    return tuple(found)


def _dynamic(path: Path) -> list[int]:
    """Lines that import a module whose name is computed."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in _RUNS_MODULES
        and not (node.args and isinstance(node.args[0], ast.Constant))
    ]


def test_imports_run_downwards():
    arrows = []
    for package, layer in LAYERS.items():
        for path in _files(package):
            for line, name in _imports(path):
                target = name.split(".")[0]
                if target != package and LAYERS.get(target, -1) >= layer:
                    arrows.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not arrows, "\n".join(arrows)


def test_installed_packages_compute_no_module_names():
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in INSTALLED
        for path in _files(package)
        for line in _dynamic(path)
    ]
    assert not places, "\n".join(places)


def test_entry_points_are_the_only_way_up():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(project["entry-points"]) == ["fewbits.commands"]
    users = [
        path.relative_to(ROOT).as_posix()
        for package in INSTALLED
        for path in _files(package)
        if "entry_points" in path.read_text()
    ]
    assert users == ["fewbits/cli.py"]


def _module(dotted: str, modules: dict[str, Path]) -> str:
    """The module that `from a import b` reads: a.b if that is one, else a."""
    return dotted if dotted in modules else dotted.rpartition(".")[0]


def test_no_import_cycles():
    modules = {}
    for package in LAYERS:
        for path in _files(package):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            modules[name.removesuffix(".__init__")] = path
    arrows = {
        name: {_module(dotted, modules) for _, dotted in _imports(path)} & modules.keys() - {name}
        for name, path in modules.items()
    }
    while free := [name for name, targets in arrows.items() if not targets]:
        for name in free:
            del arrows[name]
        for targets in arrows.values():
            targets.difference_update(free)
    assert not arrows, f"on a cycle, or above one: {sorted(arrows)}"


def test_no_file_is_over_400_lines():
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for package in LAYERS
        for path in _files(package)
        if (count := len(path.read_text().splitlines())) > 400
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize(("framework", "most"), [("flax", 2), ("orbax", 2)])
def test_frameworks_stay_behind_few_files(framework: str, most: int):
    users = {
        path.relative_to(ROOT).as_posix()
        for package in LAYERS
        if package != "tests"
        for path in _files(package)
        if any(name.split(".")[0] == framework for _, name in _imports(path))
    }
    assert len(users) <= most, users


def test_importing_is_light():
    """One process for all packages: none brings in a solver or a reader of data sets."""
    program = f"import sys, {', '.join(INSTALLED)}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_help_imports_no_tool():
    program = (
        "import sys; from fewbits import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'jax', 'numpy', 'lgc', 'pruning'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for tool in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "fewbits.commands"
    ]:
        assert f"\n  {tool} " in done.stdout
