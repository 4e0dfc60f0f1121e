"""Programs for accelerators: declared once, lowered here, compiled where libtpu is installed."""

from __future__ import annotations

import importlib.util
import json

import pytest

from experiments.devices import devices
from experiments.runner import experiment as ex
from experiments.runner import subprocesses

FOUND = {
    "argument_bytes": 1_000, "output_bytes": 800, "aliased_bytes": 700, "temporary_bytes": 400,
    "shared_bytes": 300, "flops": 2e9, "bytes_accessed": 5e6, "optimal_seconds": 3e-5,
    "collectives": 0, "compile_cpu_seconds": 7.0,
}  # fmt: skip


def test_what_the_compiler_refuses_is_a_row(tmp_path):
    (tmp_path / "compiled").mkdir()
    trials = [("drr_teacher_student", target) for target in (devices.SMALL, devices.CUDA)]
    for (name, target), found in zip(trials, (FOUND, {"error": "no"}), strict=True):
        (tmp_path / f"compiled/{name}@{target}.json").write_text(json.dumps(found))
    compiled, lowered = devices.measure(devices.Config(), trials, ex.Data(tmp_path))
    assert (compiled.compiled, compiled.microseconds, compiled.error) == (1, pytest.approx(30), "")
    assert (lowered.lowered, lowered.error) == (0, "no")


@pytest.mark.slow
def test_a_step_and_a_loop_in_single_precision_are_lowered_for_cuda(tmp_path):
    pairs = ("drr_teacher_student@cuda", "rate_distortion@cuda")
    assert subprocesses.python("experiments.devices.compiling", [tmp_path, *pairs]) == ""
    for pair in pairs:
        found = json.loads((tmp_path / f"{pair}.json").read_text())
        assert found["program_bytes"] > 1_000


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu")
def test_a_handful_compiles_for_four_chips_in_one_process(tmp_path):
    names = ("drr_teacher_student", "drr_lenet300", "bit_allocation", "autoencoder")
    pairs = [f"{name}@{devices.SMALL}" for name in names]
    subprocesses.python("experiments.devices.compiling", [tmp_path, *pairs])
    for pair in pairs:
        found = json.loads((tmp_path / f"{pair}.json").read_text())
        assert "error" not in found, found
        assert found["collectives"] == 0
        assert found["compile_cpu_seconds"] < 90
