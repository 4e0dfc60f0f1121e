"""Compiled loops: plain Python where numba cannot be used, and a cache that sees what changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fewbits.coding import compiled


def half(x):
    return x >> 1


def test_the_function_as_written_stays_at_hand():
    function = compiled.compiled(half)
    assert compiled.is_compiled()
    assert function is not half
    assert function(9) == function.py_func(9) == 4
    assert function.py_func.__qualname__ == "half"


@pytest.mark.parametrize("why", ["not installed", "disabled"])
def test_functions_stay_as_they_are_where_numba_cannot_be_used(monkeypatch, why):
    if why == "disabled":
        monkeypatch.setattr(compiled.numba_config, "DISABLE_JIT", 1)
    else:
        monkeypatch.setattr(compiled, "numba", None)
    assert not compiled.is_compiled()
    function = compiled.compiled(lambda x: x + 1)
    assert function(1) == function.py_func(1) == 2


@pytest.mark.slow
def test_a_changed_callee_is_compiled_anew(tmp_path: Path):
    package = tmp_path / "loops"
    package.mkdir()
    (package / "__init__.py").touch()
    header = "from fewbits.coding.compiled import compiled\n"
    (package / "outer.py").write_text(
        f"{header}from loops.inner import add\n@compiled\ndef twice(x):\n    return 2 * add(x)\n"
    )
    for more in (1, 5, 5):
        (package / "inner.py").write_text(
            f"{header}@compiled\ndef add(x):\n    return x + {more}\n"
        )
        program = (
            "from loops.outer import twice\nprint(twice(1), sum(twice.stats.cache_hits.values()))"
        )
        command = [sys.executable, "-B", "-c", program]  # no .pyc of a file changed within a second
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
        )
        result, hits = done.stdout.split()
        assert int(result) == 2 * (1 + more)
    assert int(hits) == 1
