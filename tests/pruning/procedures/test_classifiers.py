"""A grid of runs is its runs one by one; steps that an earlier run has kept are not trained."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.training import evaluation, networks, trees
from pruning.graphs import reachability
from pruning.procedures import _iterative, classifiers
from pruning.procedures.classifiers import Grid, Lengths

NETWORK = networks.mlp((6, 12, 2))


def simplify(key, params):
    del key
    return reachability.remove_unreachable(params)


def parts() -> dict:
    x = np.random.default_rng(0).normal(size=(700, 6)).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(np.int32)  # four inputs mean nothing
    cuts = {"train": slice(0, 400), "validation": slice(400, 550), "test": slice(550, 700)}
    return {name: (x[cut], y[cut]) for name, cut in cuts.items()}


def test_a_grid_has_every_combination_and_points_its_numbers():
    grid = Grid("drr", (1e-4, 1e-3), (0.1,), (1e-3, 2e-3), (5.0,))
    settings = grid.settings()
    assert [each[:3] for each in settings] == [
        (1e-4, 0.1, 1e-3), (1e-4, 0.1, 2e-3), (1e-3, 0.1, 1e-3), (1e-3, 0.1, 2e-3),
    ]  # fmt: skip
    found = classifiers.points("drr", settings, 1e-3)
    np.testing.assert_allclose(found.method.strength, [1e-4, 1e-4, 1e-3, 1e-3])
    np.testing.assert_allclose(found.method.learning_rate, [1e-3, 2e-3, 1e-3, 2e-3])
    np.testing.assert_allclose(found.method.sharpness, 5.0)


@pytest.mark.nightly
def test_a_grid_is_its_runs_one_by_one():
    grid, lengths, data = Grid("drr", (1e-3, 1e-2), (0.1,)), Lengths(200, 50, 64), parts()
    found = classifiers.train_grid(grid, lengths, NETWORK, data, (0, 1), simplify=simplify)
    metrics = found["metrics"]
    assert metrics["nonzeros"].shape == (2, 2)
    assert metrics["nonzeros"][1].max() < metrics["nonzeros"][0].min()
    params = jax.tree.map(lambda leaf: leaf[1, 0], found["params"])
    assert trees.nonzeros(params) == metrics["nonzeros"][1, 0]
    right = evaluation.accuracy(NETWORK.apply, params, *data["test"])
    assert 1 - right == pytest.approx(metrics["test_error"][1, 0], abs=1e-6)
    alone = Grid("drr", (1e-2,), (0.1,))
    (again,) = classifiers.train_grid(alone, lengths, NETWORK, data, (0,), simplify=simplify)[
        "metrics"
    ]["nonzeros"]
    assert again == metrics["nonzeros"][1, 0]


@pytest.mark.slow
def test_steps_have_lengths_of_their_own_and_kept_ones_are_not_trained():
    data, kept, trained = parts(), {}, []

    def cached(number, compute):
        if number not in kept:
            trained.append(number)
            kept[number] = compute()
        return kept[number]

    grid = Grid("drr", (1e-3, 5e-3), (0.1,))
    arguments = (
        jax.random.key(0), NETWORK.init(jax.random.key(1)), data, grid.settings(),
        [Lengths(200, 0, 64), Lengths(100, 50, 64)],
    )  # fmt: skip
    others = {
        "method": "drr", "network": lambda widths: networks.mlp(widths).apply,
        "simplify": simplify, "fine_tune_rate": 2e-3, "cached": cached,
    }  # fmt: skip
    first, second = _iterative.run_steps(*arguments, **others)
    assert second["metrics"]["nonzeros"] < first["metrics"]["nonzeros"]
    assert int(second["trained"]) < int(first["trained"]) == trees.size(arguments[1])
    del kept[1]
    again = _iterative.run_steps(*arguments, **others)[1]
    assert trained == [0, 1, 1]
    jax.tree.map(np.testing.assert_array_equal, again, second)
