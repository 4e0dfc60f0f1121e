"""Runs side by side against one after another, and what a penalty adds to a training step.

python -m benchmarks.pruning_sweep [--runs 64] [--steps 200] [--skip-lenet]

Both forms are compiled before they are timed, in one process; medians of interleaved repetitions.
Prints one JSON object; only ratios can be compared between machines. `runs_times_steps_per_second`
is this machine's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import gradient_descent, loop, losses, networks
from fewbits.training.method import Method, Params
from pruning import teacher_student
from pruning.minimax import pmmp_curvature
from pruning.penalties import drr, relaxed_lasso

REPEATS = 5


def seconds(*calls: Callable[[], Any]) -> list[float]:
    """Median seconds of each call, their repetitions interleaved so that noise hits all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        jax.block_until_ready(call())
    for _ in range(REPEATS):
        for call, mine in zip(calls, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(call())
            mine.append(time.perf_counter() - start)
    return [float(np.median(mine)) for mine in times]


def runs_against_sequence(
    method: Method,
    plan: loop.Plan,
    init: Callable[[jax.Array], Params],
    data: Any,
    strengths: jax.Array,
) -> dict[str, float]:
    """Time of all runs in one program over that of the same runs one after another."""

    def one_run(key: jax.Array, strength: jax.Array, data: Any) -> tuple[Params, jax.Array]:
        hyperparameters = drr.Hyperparameters(1e-3, strength)
        result = loop.run(method, plan, key, init(key), data, hyperparameters)
        return result.params, result.finite

    keys = jax.random.split(jax.random.key(0), len(strengths))
    alone, together = jax.jit(one_run), jax.jit(jax.vmap(one_run, in_axes=(0, 0, None)))

    def one_after_another() -> list[Any]:
        return [
            jax.block_until_ready(alone(k, s, data)) for k, s in zip(keys, strengths, strict=True)
        ]

    side_by_side, sequence = seconds(lambda: together(keys, strengths, data), one_after_another)
    return {
        "runs": len(strengths),
        "steps": plan.steps,
        "time_over_sequential": side_by_side / sequence,
        "runs_times_steps_per_second": len(strengths) * plan.steps / side_by_side,
    }


def teacher_student_runs(n_runs: int, steps: int, n_examples: int = 300) -> dict[str, float]:
    """DRR on the teacher-student network, full batch."""
    setting = teacher_student.Setting()
    network = teacher_student.student_network(setting)
    key = jax.random.key(1)
    teacher = teacher_student.draw_teacher(key, setting)
    examples = teacher_student.draw_examples(key, setting, teacher, n_examples)
    method = drr.build(drr.DrrConfig(), losses.squared_error(network.apply))
    plan = loop.Plan(steps, None, log_points=1)
    return runs_against_sequence(
        method, plan, network.init, tuple(examples), jnp.geomspace(1e-5, 1e-2, n_runs)
    )


def lenet_runs(n_runs: int, steps: int) -> dict[str, float]:
    """DRR on LeNet-300-100 at batch 500; random pixels cost what images cost."""
    network, data = networks.lenet_300_100(), _random_images()
    method = drr.build(drr.DrrConfig(), losses.cross_entropy(network.apply))
    plan = loop.Plan(steps, 500, log_points=1)
    return runs_against_sequence(
        method, plan, network.init, data, jnp.geomspace(1e-5, 1e-3, n_runs)
    )


def penalty_work(steps: int) -> dict[str, float]:
    """Seconds of a LeNet-300-100 step with each penalty over that of the plain step."""
    network, data = networks.lenet_300_100(), _random_images()
    loss, key = losses.cross_entropy(network.apply), jax.random.key(0)
    methods = {
        "plain": gradient_descent.build(gradient_descent.GradientDescentConfig(), loss),
        "drr": drr.build(drr.DrrConfig(), loss),
        "drr_proximal": drr.build(drr.DrrConfig(update="proximal"), loss),
        "rl1": relaxed_lasso.build(relaxed_lasso.Rl1Config(), loss),
        "rl1_proximal": relaxed_lasso.build(relaxed_lasso.Rl1Config(update="proximal"), loss),
        "pmmp_curvature": pmmp_curvature.build(pmmp_curvature.PmmpCurvatureConfig(), loss),
    }
    plan, params = loop.Plan(steps, 500, log_points=1), network.init(key)

    def program(method: Method) -> Callable[[], Any]:
        compiled = jax.jit(lambda k, p, d: loop.run(method, plan, k, p, d).params)
        return lambda: compiled(key, params, data)

    times = seconds(*(program(method) for method in methods.values()))
    return {name: t / times[0] for name, t in zip(methods, times, strict=True)}


def run(runs: int = 64, steps: int = 200, lenet: bool = True) -> dict[str, Any]:
    """All measurements; `runs` and `steps` are those of the teacher-student net."""
    found: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "teacher_student": teacher_student_runs(runs, steps),
    }
    if lenet:
        found["step_over_plain"] = penalty_work(20)
        found["lenet300"] = lenet_runs(16, 4)
    return found


def _random_images(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 28, 28, 1), dtype=np.uint8)
    return pixels, rng.integers(0, 10, n, dtype=np.int32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--skip-lenet", action="store_true")
    options = parser.parse_args()
    print(json.dumps(run(options.runs, options.steps, not options.skip_lenet), indent=1))
