"""Methods move as they did before some of them became optax transformations.

`trajectories.npz` holds parameters every twelve steps, as the code of before gave them. To record
them anew, after a change that is meant: `python -m tests.pruning.test_trajectories`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import losses
from fewbits.training.method import Method
from pruning.controls import gradual_magnitude, hard_concrete
from pruning.minimax import pmmp, pmmp_admm, pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from pruning.schedule import CosineDecay, Ramp, Schedule
from tests.contract import classification, steady_adam

STORED = Path(__file__).with_name("trajectories.npz")
EVERY, POINTS = 12, 6


def falling(step: jax.Array) -> jax.Array:
    """A factor without rounding, which grows where a weight flips about zero."""
    return jnp.where(step < 30, 1.0, 0.25)


SCHEDULE = Schedule(rate=falling, strength=Ramp(0, 16))

# Name -> (build, config); every one runs from `classification()` under Adam.
CASES: dict[str, tuple[Any, Any]] = {
    "drr_coupled": (
        drr.build,
        drr.DrrConfig(drr.Hyperparameters(0.02, 2e-3, 8.0, 1e-3), schedule=SCHEDULE),
    ),
    "drr_proximal": (
        drr.build,
        drr.DrrConfig(drr.Hyperparameters(0.02, 0.3), "proximal", SCHEDULE),
    ),
    "rl1_coupled": (
        relaxed_lasso.build,
        relaxed_lasso.Rl1Config(relaxed_lasso.Hyperparameters(0.02, 1e-2, 1e-3)),
    ),
    "rl1_proximal": (
        relaxed_lasso.build,
        relaxed_lasso.Rl1Config(
            relaxed_lasso.Hyperparameters(0.02, 3.0, 1e-3), "proximal", SCHEDULE
        ),
    ),
    "pmmp": (pmmp.build, pmmp.PmmpConfig(pmmp.Hyperparameters(0.02, 1e-2), schedule=SCHEDULE)),
    "fpp": (
        pmmp.build,
        pmmp.PmmpConfig(pmmp.Hyperparameters(0.02, 1e-2), averaging="mean", schedule=SCHEDULE),
    ),
    "pmmp_curvature": (
        pmmp_curvature.build,
        pmmp_curvature.PmmpCurvatureConfig(
            pmmp_curvature.Hyperparameters(0.02, 1e-2), anneal=CosineDecay(0, 60), schedule=SCHEDULE
        ),
    ),
    "pmmp_admm": (
        pmmp_admm.build,
        pmmp_admm.PmmpAdmmConfig(pmmp_admm.Hyperparameters(0.02, 0.2), steps_per_update=5),
    ),
    "magnitude": (
        gradual_magnitude.build,
        gradual_magnitude.MagnitudeConfig(
            gradual_magnitude.Hyperparameters(0.02, 0.3), Ramp(10, 60), SCHEDULE
        ),
    ),
    "hard_concrete": (
        hard_concrete.build,
        hard_concrete.HardConcreteConfig(
            hard_concrete.Hyperparameters(0.01, 20.0, 1e-2), schedule=SCHEDULE
        ),
    ),
}


def trajectory(name: str) -> np.ndarray:
    """Float[POINTS, parameters]: the finalised parameters every `EVERY` steps.

    In double precision, where what is left of a difference is not the compiler's rounding.
    """
    with jax.enable_x64(True):
        return _trajectory(name)


def _trajectory(name: str) -> np.ndarray:
    network, params, (inputs, labels) = classification()
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), params)
    data = (inputs.astype(np.float64), labels)
    build, config = CASES[name]
    method: Method = build(config, losses.cross_entropy(network.apply), steady_adam)
    step = jax.jit(method.step)
    state = method.init(jax.random.key(0), params)
    rows = []
    for number in range(EVERY * POINTS):
        state, info = step(jax.random.fold_in(jax.random.key(1), number), state, data)
        assert info.finite
        if (number + 1) % EVERY == 0:
            # The magnitude method's own last cut is by rank; what is compared is its way.
            found = state.params if name == "magnitude" else method.finalize(state)
            rows.append(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)]))
    return np.stack(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_method_moves_as_it_did(name: str):
    with np.load(STORED) as stored:
        np.testing.assert_allclose(trajectory(name), stored[name], rtol=1e-6, atol=1e-6)


if __name__ == "__main__":
    arrays: dict[str, Any] = {name: trajectory(name) for name in CASES}
    np.savez_compressed(STORED, **arrays)
