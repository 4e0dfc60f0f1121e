"""An experiment of eight trials that several processes share, run by `test_distributed.py`.

python -m tests.experiments.distributed_job OUT [PLACE [TRIAL]]: where TRIAL is given, this process
hangs in that trial until it is killed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from experiments.runner import experiment as ex
from experiments.runner.run import run
from fewbits import cli
from fewbits.training import sweep
from fewbits.training.parallel import processes


class Row(NamedTuple):
    """T."""

    trial: Annotated[int, ex.Key]
    value: Annotated[float, ex.MeanOverSeeds("nats")]


@dataclass(frozen=True)
class Config:
    """Trials."""

    trials: int = 8


def descent(key, rate, data):
    """Forty steps of gradient descent on a random quadratic."""
    matrix = jax.random.normal(key, (16, 16))

    def step(number, x):
        return x - rate * (matrix.T @ (matrix @ x - data))

    return jnp.sum(jax.lax.fori_loop(0, 40, step, data) ** 2)


def measure(config: Config, trials, data: ex.Data) -> list[Row]:
    """One sweep of two rates and three seeds."""
    ((trial,),) = trials
    if sys.argv[3:] == [str(trial)]:
        data.path("hanging").touch()
        time.sleep(600)
    target = jnp.linspace(-1, 1, 16) * (trial + 1)
    found = sweep(descent, jnp.array([1e-3, 1e-2]), [0, 1, 2], target)
    return [Row(trial, float(value)) for value in found.ravel()]


EXPERIMENT = ex.Experiment(
    Row, {"paper": Config()}, measure, grid=lambda config: [(n,) for n in range(config.trials)],
    data="none", name="distributed_job",
)  # fmt: skip


def main() -> int:
    """Run it alone or as one of several."""
    out, *place = sys.argv[1:]
    processes.LOST_AFTER_SECONDS = 8.0
    try:
        run(EXPERIMENT, "paper", folder=Path(out), distributed=place[0] if place else None)
    except cli.InputError as error:
        return cli.fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
