"""What bounds a step of the teacher-student network on a CPU: its parts, each alone.

python -m benchmarks.teacher_student_bound [--repeats 7]

64 runs of one example set; least process time (all threads) of each part, in microseconds for one
run and step. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fewbits.training import loop, losses
from pruning import teacher_student
from pruning.penalties import drr

RUNS, STEPS, EXAMPLES = 64, 100, 300
FLOPS = 6 * EXAMPLES * sum(a * b for a, b in ((2, 25), (25, 25), (25, 1)))
"""Of a step's products, forward and backward; the first layer's inputs need no gradient."""
TANGENTS = 2 * 25 * EXAMPLES


def parts() -> dict[str, tuple[Callable[[], Any], int]]:
    """Name -> (what is timed, runs x steps in it)."""
    setting = teacher_student.Setting()
    network = teacher_student.student_network(setting)
    key = jax.random.key(1)
    teacher = teacher_student.draw_teacher(key, setting)
    data = tuple(teacher_student.draw_examples(key, setting, teacher, EXAMPLES))
    method = drr.build(drr.DrrConfig(), losses.squared_error(network.apply))
    plan = loop.Plan(STEPS, None, log_points=1)

    def run(key: jax.Array, strength: jax.Array) -> Any:
        numbers = drr.Hyperparameters(1e-3, strength)
        return loop.run(method, plan, key, network.init(key), data, numbers).params

    keys, strengths = jax.random.split(key, RUNS), jnp.geomspace(1e-5, 1e-2, RUNS)
    alone, together = jax.jit(run), jax.jit(jax.vmap(run))

    def in_groups(size: int) -> Callable[[], Any]:
        return lambda: [
            jax.block_until_ready(together(keys[i : i + size], strengths[i : i + size]))
            for i in range(0, RUNS, size)
        ]

    def repeated(step: Callable[[Any], Any], start: Any) -> Callable[[], Any]:
        whole = jax.jit(lambda x: jax.lax.fori_loop(0, STEPS, lambda _, x: step(x), x))
        return lambda: jax.block_until_ready(whole(start))

    def products(carry: Any) -> Any:
        """The seven products of a step, each reading what another wrote; numbers stay finite."""
        x, h1, h2, w1, w2, w3 = carry
        h1 = 0.5 * h1 + 0.01 * (x @ w1)
        h2 = 0.5 * h2 + 0.01 * (h1 @ w2)
        out = h2 @ w3
        w3 = 0.5 * w3 + 1e-3 * (h2.T @ out)
        back = out @ w3.T
        w2 = 0.5 * w2 + 1e-3 * (h1.T @ back)
        w1 = 0.5 * w1 + 1e-3 * (x.T @ (back @ w2.T))
        return x, h1, h2, w1, w2, w3

    def normal(*shape: int) -> jax.Array:
        return jax.random.normal(key, shape)

    n = EXAMPLES
    one = (normal(n, 2), normal(n, 25), normal(n, 25), normal(2, 25), normal(25, 25), normal(25, 1))
    many = jax.tree.map(lambda a: jnp.broadcast_to(a, (8, *a.shape)), one)
    fused = normal(8 * n, 25), normal(25, 25)
    return {
        "step, one run after another": (
            lambda: [jax.block_until_ready(alone(k, s)) for k, s in zip(keys, strengths)],  # noqa: B905
            RUNS * STEPS,
        ),
        "step, 64 runs side by side": (in_groups(64), RUNS * STEPS),
        "step, 8 runs side by side": (in_groups(8), RUNS * STEPS),
        "products alone, one run": (repeated(products, one), STEPS),
        "products alone, 8 runs": (repeated(jax.vmap(products), many), 8 * STEPS),
        "hyperbolic tangents alone, 8 runs": (
            repeated(lambda h: jnp.tanh(1.01 * h), normal(8, 2, n, 25)),
            8 * STEPS,
        ),
        "products as if all runs had one network": (
            # As many operations as seven products: 3 x 725 / 625 of a 25 x 25 layer's one.
            repeated(lambda h: 0.9 * h + 0.01 * (h @ fused[1]), fused[0]),
            round(8 * STEPS * 625 / (3 * 700)),
        ),
    }


def measure(repeats: int) -> dict[str, float]:
    """Microseconds of each part, interleaved."""
    made = parts()
    least = dict.fromkeys(made, float("inf"))
    for call, _ in made.values():
        call()
    for _ in range(repeats):
        for name, (call, _) in made.items():
            began = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - began)
    return {name: 1e6 * seconds / made[name][1] for name, seconds in least.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    found = measure(parser.parse_args().repeats)
    print(json.dumps({"flops": FLOPS, "tangents": TANGENTS, "microseconds": found}, indent=1))
