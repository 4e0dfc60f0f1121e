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
        made = re.search(r"^EXPERIMENT\b.*= ", source, re.MULTILINE)
        if made:
            module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
            docstring = ast.get_docstring(ast.parse(source)) or ""
            name, headline = (_keyword(source[made.start() :], n) for n in ("name", "headline"))
            found[name or path.stem] = describe(module, docstring)._replace(headline=headline)
    return found


def describe(module: str, docstring: str) -> Entry:
    """The entry of a module with this docstring."""

    def said(what: str) -> str:
        match = re.search(
            rf"^{what}: (.*?)(?=\n\n|\n\w+: |\Z)", docstring, re.DOTALL | re.MULTILINE
        )
        return " ".join(match[1].split()).rstrip(".") if match else ""

    return Entry(module, docstring.partition("\n")[0].rstrip("."), said("Cost"), said("Data"))


def _keyword(call: str, name: str) -> str:
    """The literal text that the call is given under this name."""
    match = re.search(rf'\b{name}="([^"]*)"', call)
    return match[1] if match else ""


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
