"""Every experiment, found by reading the modules of this package without importing them.

A module with `EXPERIMENT = Experiment(...)` at its top is an experiment (see
`experiments.runner.experiment`). What `list` says comes from its docstring: the first line, and the
paragraphs that begin with `Cost:` and `Data:`.
"""

import ast
import difflib
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from experiments.runner.tables import aligned

_PACKAGE = Path(__file__).resolve().parents[1]


class Entry(NamedTuple):
    """What `list` says about an experiment."""

    module: str
    reproduces: str
    cost: str
    data: str
    headline: str = ""
    """Id of the claim that the index shows; the first one where it is empty."""


def discover(package: Path = _PACKAGE) -> dict[str, Entry]:
    """Name -> entry of every module below a package that defines `EXPERIMENT`."""
    found = {}
    for path in sorted(package.glob("*/**/*.py")):
        source = path.read_text()
        _, made, call = source.partition("\nEXPERIMENT = ")
        if made:
            module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
            text = ast.get_docstring(ast.parse(source)) or ""
            given = dict(re.findall(r'\b(name|headline)="([^"]*)"', call))
            title, cost, data = text.partition("\n")[0], _said("Cost", text), _said("Data", text)
            entry = Entry(module, title.rstrip("."), cost, data, given.get("headline", ""))
            found[given.get("name", path.stem)] = entry
    return found


def _said(what: str, docstring: str) -> str:
    """The paragraph that begins with this word."""
    match = re.search(rf"^{what}: (.*?)(?=\n\n|\n\w+: |\Z)", docstring, re.DOTALL | re.MULTILINE)
    return " ".join(match[1].split()).rstrip(".") if match else ""


EXPERIMENTS = discover()


class UnknownExperimentError(Exception):
    """The name is not in the registry; the message suggests one that is."""


def get(name: str) -> ModuleType:
    """Import the experiment `name`."""
    if name not in EXPERIMENTS:
        close = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        hint = f"perhaps you meant {close[0]!r}?" if close else "see `python -m experiments list`."
        raise UnknownExperimentError(f"unknown experiment or command {name!r}; {hint}")
    return importlib.import_module(EXPERIMENTS[name].module)


def listing() -> str:
    """The table that `python -m experiments list` prints."""
    rows = [("name", "reproduces", "cost", "data")]
    rows += [(name, *entry[1:4]) for name, entry in EXPERIMENTS.items()]
    return aligned(rows)
