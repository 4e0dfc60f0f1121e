"""`python -m experiments devices gpu-day`: pieces that are stopped, continued and done once."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import gpu_day
from experiments.__main__ import main

WORK = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
for number in range(3):
    if not (folder / str(number)).exists():
        (folder / str(number)).touch()
        if number == 1:
            time.sleep(600)
print("{\\"value\\": 1}")
"""


@pytest.fixture
def pieces(monkeypatch, tmp_path):
    """One that hangs the first time, one that fails, one that is done at once."""
    for name, text in (("slow", WORK), ("bad", "raise SystemExit(3)"), ("quick", "")):
        (tmp_path / f"{name}_piece.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = {name: (f"{name}_piece", "{out}") for name in ("slow", "bad", "quick")}
    made = tuple(gpu_day.Piece(name, each, each) for name, each in words.items())
    monkeypatch.setattr(gpu_day, "PIECES", made)
    monkeypatch.setattr(gpu_day, "AT_ONCE_SECONDS", 5)
    return tmp_path / "state"


def call(folder, *flags):
    return main(["devices", "gpu-day", "--out", str(folder), "--time-limit", "90s", *flags])


def statuses(folder):
    found = json.loads((folder / "state.json").read_text())["pieces"]
    return {name: each["status"] for name, each in found.items()}


@pytest.mark.slow
def test_goes_on_with_what_was_stopped_and_repeats_nothing(pieces, capsys):
    assert call(pieces, "--smoke") == 0
    assert statuses(pieces) == {"slow": "unfinished", "bad": "failed", "quick": "done"}
    assert "not done: slow, bad" in capsys.readouterr().out
    assert call(pieces, "--smoke", "--only", "slow") == 0
    assert statuses(pieces)["slow"] == "done"
    assert json.loads((pieces / "slow/stdout.txt").read_text()) == {"value": 1}
    assert "all done" in capsys.readouterr().out
    assert call(pieces) == 2
    assert "another size" in capsys.readouterr().err


def test_every_piece_is_a_module_and_fits_nine_minutes():
    assert len({piece.name for piece in gpu_day.PIECES}) == len(gpu_day.PIECES)
    assert gpu_day.AT_ONCE_SECONDS <= 9 * 60
    for piece in gpu_day.PIECES:
        assert piece.command[0].partition(".")[0] in {
            "pytest",
            "benchmarks",
            "experiments",
            "fewbits",
        }


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_dry_run_of_all_pieces_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert (
        main(["devices", "gpu-day", "--out", str(tmp_path), "--smoke", "--time-limit", "2h"]) == 0
    )
    assert "all done" in capsys.readouterr().out
    assert set(statuses(tmp_path).values()) == {"done"}
