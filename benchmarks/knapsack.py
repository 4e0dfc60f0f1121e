"""Speed of the exact allocator against HiGHS's integer program, in the same run.

python -m benchmarks.knapsack

784 features x 9 depths; the knapsack answers every budget to 160, the integer program only
160. Prints one JSON object; only the ratio can be compared between machines.
"""

from __future__ import annotations

import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc.fitting import allocation, integer_program

N_FEATURES, N_DEPTHS, BUDGET_BITS, REPEATS = 784, 9, 160, 15


def measure(gain: np.ndarray) -> dict[str, float]:
    """Median seconds of both solvers on one instance, and how far their values differ."""
    with jax.enable_x64(True):
        solve = jax.jit(allocation.knapsack, static_argnums=1)
        device_gain = jnp.asarray(gain)
        solution = jax.block_until_ready(solve(device_gain, BUDGET_BITS))
        knapsack_seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            jax.block_until_ready(solve(device_gain, BUDGET_BITS))
            knapsack_seconds.append(time.perf_counter() - start)
    milp_seconds = []
    for _ in range(3):
        start = time.perf_counter()
        integer = integer_program.solve_integer_program(gain, BUDGET_BITS)
        milp_seconds.append(time.perf_counter() - start)
    knapsack, milp = np.median(knapsack_seconds), np.median(milp_seconds)
    return {
        "milliseconds": 1e3 * knapsack,
        "milp_milliseconds": 1e3 * milp,
        "speedup_vs_milp": milp / knapsack,
        "value_difference": abs(float(solution.value[BUDGET_BITS]) - integer.value),
    }


def run() -> dict[str, dict[str, float]]:
    """Measure a concave instance (the published baseline's gains) and an arbitrary one."""
    rng = np.random.default_rng(0)
    importance = rng.exponential(size=(N_FEATURES, 1))
    return {
        "concave": measure(importance * (1 - 4.0 ** -np.arange(N_DEPTHS))),
        "arbitrary": measure(rng.normal(size=(N_FEATURES, N_DEPTHS))),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
