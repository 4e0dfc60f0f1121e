"""What `list` says is read from docstrings, without importing any experiment."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from experiments.runner import experiment, registry

MODULE = '''"""Bits of a thing.

Longer words.

Cost: paper: an hour
  on one core; smoke: 1 min.
Data: mnist.
"""
EXPERIMENT = Experiment(Row, PRESETS, measure, name="thing", headline="a.b")
'''


def test_an_experiment_is_found_by_its_variable_and_described_by_its_docstring(tmp_path):
    folder = tmp_path / "lab/things"
    folder.mkdir(parents=True)
    (folder / "long_name.py").write_text(MODULE)
    (folder / "helper.py").write_text('"""Not one."""\nraise RuntimeError\n')
    entry = registry.Entry(
        "lab.things.long_name", "Bits of a thing", "paper: an hour on one core; smoke: 1 min",
        "mnist", "a.b",
    )  # fmt: skip
    assert registry.discover(tmp_path / "lab") == {"thing": entry}


@pytest.mark.parametrize("name", list(registry.EXPERIMENTS))
def test_every_experiment_says_what_it_reproduces_its_cost_and_its_data(name):
    entry = registry.EXPERIMENTS[name]
    assert entry.reproduces
    assert entry.cost
    assert entry.data
    module = registry.get(name)
    if hasattr(module, "EXPERIMENT"):
        assert module.EXPERIMENT.identifier == name
        assert "smoke" in module.EXPERIMENT.presets or len(module.EXPERIMENT.presets) == 1
    else:
        assert callable(module.run)


def test_names_are_unique_and_close_ones_are_suggested():
    modules = [entry.module for entry in registry.EXPERIMENTS.values()]
    assert len(set(modules)) == len(modules)
    with pytest.raises(registry.UnknownExperimentError, match="perhaps you meant 'envelope'"):
        registry.get("envelop")


def test_listing_imports_neither_jax_nor_an_experiment():
    program = "import sys; from experiments.runner import registry; registry.listing(); "
    program += "print([n for n in sys.modules if n in ('jax', 'matplotlib') or '.pruning' in n])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_experiment_takes_its_functions_from_its_module(monkeypatch):
    """Those defined there under their names; what is given comes first, what is imported is not."""
    module = types.ModuleType("made_up")
    exec(
        "from json import loads as recompute\n"
        "def measure(config, trials, data): return []\n"
        "def figures(records): return {}\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "made_up", module)
    given = {"figures": len, "name": "other"}
    found = experiment.of_module("made_up", int, {"smoke": None}, **given)
    assert (found.measure, found.figures) == (module.measure, len)
    assert (found.recompute, found.derive, found.identifier) == (None, None, "other")
    assert list(found.grid(types.SimpleNamespace(seeds=(3, 5)))) == [(3,), (5,)]
    assert list(found.grid(None)) == [()]
