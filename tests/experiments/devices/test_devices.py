"""Programs for accelerators: declared once, lowered here, compiled where libtpu is installed."""

from __future__ import annotations

import importlib.util
import json
import math

import pytest

from experiments.devices import devices, estimates
from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from tests.experiments.compiled_text import COMPILED

FOUND = {
    "argument_bytes": 1_000, "output_bytes": 800, "aliased_bytes": 700, "temporary_bytes": 400,
    "shared_bytes": 300, "flops": 2e9, "bytes_accessed": 5e6, "optimal_seconds": 3e-5,
    "collectives": 0, "compile_cpu_seconds": 7.0,
}  # fmt: skip
CHIP = estimates.Chip(flops=1e14, bytes_per_second=1e12, memory_bytes=10_000.0)


def test_estimate_is_the_compilers_or_the_larger_of_operations_and_bytes():
    assert estimates.iteration(FOUND, CHIP) == (3e-5, "compiler")
    endless = FOUND | {"optimal_seconds": -2.0}
    assert estimates.iteration(endless, CHIP) == (2e9 / 1e14, "roofline")
    assert estimates.iteration(endless | {"bytes_accessed": 1e9}, CHIP) == (1e-3, "roofline")


def test_memory_counts_what_is_donated_once_and_what_is_shared_once():
    assert estimates.bytes_per_chip(FOUND) == 1_000 + 800 + 400 - 700
    # Four runs take 1,200 bytes of their own: 300 each beside 300 that all read, of 9,000.
    assert estimates.runs_that_fit(FOUND, 4, CHIP) == (9_000 - 300) // 300


def test_hours_of_a_sweep_are_those_of_whole_groups_on_each_chip():
    hours = estimates.sweep_hours(1e-3, runs=16, iterations=3_600, of=4_096, chips=4)
    assert math.isclose(hours, 64 * 1e-3)
    assert estimates.sweep_hours(1e-3, 16, 3_600, 4_096, 1_000) == 1e-3


def test_collectives_are_counted_in_a_compilers_text():
    from experiments.devices.compiling import collectives

    assert collectives(COMPILED) == ["all-reduce", "all-gather", "collective-permute"]


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
