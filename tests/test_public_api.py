"""The public names of every package: they exist, say what they do, and show how they are used."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import pytest

_BUILD = Path(__file__).resolve().parents[1] / "docs" / "build.py"
_LIST = re.search(r"(?s)^PACKAGES = (\(.*?\))", _BUILD.read_text(), re.M)
assert _LIST
PACKAGES: tuple[str, ...] = ast.literal_eval(_LIST[1])
"""Those that the reference shows."""
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _names(package: str) -> list[tuple[str, str, Any]]:
    module = importlib.import_module(package)
    return [(package, name, getattr(module, name)) for name in module.__all__]


PUBLIC = [one for package in PACKAGES for one in _names(package)]
IDS = [f"{package}.{name}" for package, name, _ in PUBLIC]


def _doc(value: Any) -> str:
    return inspect.getdoc(value) or ""


def _examples(text: str) -> str:
    """The lines of code in a docstring's examples."""
    return "\n".join(example.source for example in doctest.DocTestParser().get_examples(text))


def _signature(value: Any) -> str:
    """What a function or class says of its arguments and results, as text."""
    if isinstance(value, type):
        return str(getattr(value, "__annotations__", ""))
    return str(getattr(value, "__annotations__", ""))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_what_it_exports(package: str):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    assert ">>>" in _doc(module), f"{package}: no example in the package's docstring"
    reexported = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert reexported <= set(module.__all__), reexported - set(module.__all__)


@pytest.mark.parametrize(("package", "name", "value"), PUBLIC, ids=IDS)
def test_a_public_name_is_documented_and_shown(package: str, name: str, value: Any):
    assert _doc(value), f"{package}.{name} has no docstring"
    if ">>>" in _doc(value):
        return
    siblings = [importlib.import_module(package)] + [one for _, _, one in _names(package)]
    shown = "\n".join(_examples(_doc(one)) for one in siblings)
    if re.search(rf"\b{name}\b", shown):
        return
    takers = [one for one in siblings[1:] if _examples(_doc(one))]
    assert any(re.search(rf"\b{name}\b", _signature(one)) for one in takers), (
        f"{package}.{name}: no example, and no public name with an example takes or returns it"
    )


def _with_examples() -> list[Any]:
    values = {package: importlib.import_module(package) for package in PACKAGES}
    values |= {label: value for label, (_, _, value) in zip(IDS, PUBLIC, strict=True)}
    return [pytest.param(label, value, id=label) for label, value in values.items()]


@pytest.mark.parametrize(("label", "value"), _with_examples())
def test_examples_run(label: str, value: Any):
    """As a user types them: without the stricter settings of these tests."""
    found = doctest.DocTestFinder(recurse=isinstance(value, type)).find(value, label)
    runner = doctest.DocTestRunner(optionflags=_FLAGS)
    before = jax.config.jax_numpy_rank_promotion
    jax.config.update("jax_numpy_rank_promotion", "allow")
    try:
        for test in found:
            runner.run(test)
    finally:
        jax.config.update("jax_numpy_rank_promotion", before)
    assert runner.failures == 0
