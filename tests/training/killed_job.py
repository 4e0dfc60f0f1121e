"""A resumable run for `test_checkpoints.py` to kill: says each step it has stored.

python -m tests.training.killed_job FOLDER OUT.npz
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training import checkpoints, gradient_descent, loop, losses, trees

PLAN = loop.Plan(steps=5_000, batch_size=7, log_points=13)
CHUNK_STEPS = 450  # divides neither the run nor an epoch of 5 steps nor a row of the log


def apply(params: Any, x: jax.Array) -> jax.Array:
    """A network of 64 parameters, with no framework to import."""
    return jnp.tanh(x @ params["hidden"]) @ params["output"]


def noisy_loss(key: jax.Array, params: Any, batch: Any) -> Any:
    """Cross-entropy on jittered inputs: a resumed run must also draw the same numbers."""
    x, y = batch
    jittered = x + 0.1 * jax.random.normal(key, x.shape)
    return losses.cross_entropy(apply)(key, params, (jittered, y))


METHOD = gradient_descent.build(gradient_descent.GradientDescentConfig(), noisy_loss, optax.adam)


def run(folder: Any, progress: Any = None) -> dict[str, np.ndarray]:
    """The run, from wherever its folder stands, and all numbers that it ends with."""
    generator = np.random.default_rng(5)
    x = jnp.asarray(generator.normal(size=(36, 8)), jnp.float32)
    y = jnp.asarray(generator.integers(0, 4, size=36), jnp.int32)
    params = {
        "hidden": jnp.asarray(generator.normal(size=(8, 6)), jnp.float32),
        "output": jnp.asarray(generator.normal(size=(6, 4)), jnp.float32),
    }
    key = jax.random.key(1)
    carry = checkpoints.run_resumable(
        folder,
        lambda: loop.start(METHOD, PLAN, key, params, (x, y)),
        jax.jit(lambda carry, a, b: loop.advance(METHOD, PLAN, carry, (x, y), a, b)),
        steps=PLAN.steps,
        chunk_steps=CHUNK_STEPS,
        identity={"seed": 1},
        progress=progress,
    )
    result = loop.finish(METHOD, carry)
    return {name.replace("/", "."): np.asarray(a) for name, a in trees.named_leaves(result).items()}


def main() -> None:
    """Runs to the end, unless killed."""
    folder, out = sys.argv[1:]

    def tell(done: int, steps: int, carry: Any) -> None:
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()

    np.savez(out, **run(folder, tell))


if __name__ == "__main__":
    main()
