"""A small sweep, run by `test_sweep.py` in its own process and in others with other devices.

python -m tests.training.parallel.sweep_job OUT.npz [PORT N_PROCESSES PROCESS]
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import gradient_descent, loop, losses, sweep
from fewbits.training.parallel._sweep import run_mesh

SEEDS = (3, 0, 11)
RATES = (1e-3, 1e-2, 1e-1, 3e-1)


def init(key: jax.Array) -> dict[str, jax.Array]:
    """A network of 20 parameters, with no framework to import."""
    key_hidden, key_output = jax.random.split(key)
    return {
        "hidden": jax.random.normal(key_hidden, (3, 4)),
        "output": jax.random.normal(key_output, (4, 2)),
    }


def apply(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Two logits for each input."""
    return jax.nn.relu(x @ params["hidden"]) @ params["output"]


def run_sweep(**options) -> dict[str, np.ndarray]:
    """4 rates x 3 seeds of a tiny classifier: parameters, log and finiteness, by name."""
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), losses.cross_entropy(apply)
    )
    plan = loop.Plan(steps=12, batch_size=8, log_points=4)
    inputs = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels = (inputs.sum(axis=1) > 0).astype(np.int32)

    def run(key, hyperparameters, data):
        key_params, key_run = jax.random.split(key)
        result = loop.run(method, plan, key_run, init(key_params), data, hyperparameters)
        return {
            "hidden": result.params["hidden"],
            "loss_nats": result.log.loss_nats,
            "finite": result.finite,
        }

    rates = gradient_descent.Hyperparameters(jnp.array(RATES))
    return sweep(run, rates, SEEDS, (inputs, labels), **options)


def main() -> None:
    """Runs the sweep on whatever devices there are and stores what comes back."""
    out, *cluster = sys.argv[1:]
    if cluster:
        port, n_processes, process = map(int, cluster)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            f"127.0.0.1:{port}", n_processes, process, initialization_timeout=120
        )
    everywhere = run_mesh(jax.devices())
    results = run_sweep(mesh=everywhere, runs_per_chunk=8 if cluster else None)  # 8, then 4 runs
    np.savez(out, **results, n_devices=jax.device_count(), n_processes=jax.process_count())


if __name__ == "__main__":
    main()
