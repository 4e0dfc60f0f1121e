"""Programs compiled without their chips: what is read from them, and the plan made of it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.parallel import compile_only, estimates
from tests.training.parallel.compiled_text import COMPILED

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
    assert compile_only.collectives(COMPILED) == ["all-reduce", "all-gather", "collective-permute"]


def test_a_program_over_the_devices_at_hand_does_what_the_function_does():
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    number = jax.ShapeDtypeStruct((), jnp.float32)
    built = compile_only.Built(lambda own, shared: own * shared.sum(), number, shape)
    jitted, (own, shared) = compile_only.over_devices(built, jax.devices()[:1], runs=4)
    assert (own.shape, shared.shape) == ((4,), (3,))
    scales, x = jnp.arange(4, dtype=jnp.float32), jnp.ones(3, jnp.float32)
    np.testing.assert_array_equal(jitted(scales, x), 3 * np.arange(4))

    built = compile_only.Built(lambda state, batch: state + batch.sum(), number, shape)
    jitted, (own, shared) = compile_only.over_devices(built, jax.devices()[:1], split="batch")
    assert (own.shape, shared.shape) == ((), (3,))
    assert jitted(jnp.float32(2), x) == 5
