"""Lanes of the LeNet experiment: trained at toy size, stored, chosen from, tabled."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.pruning import iterative, prune_choices, prune_lenet, prune_runs, prune_tables
from experiments.runner.records import Run, read_records, write_record
from fewbits.io import datasets
from fewbits.training import networks, trees

pytestmark = pytest.mark.slow


def parts(n: int = 300) -> dict[str, datasets.Images]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
    labels = (pixels[:, 0, 0, 0] > pixels[:, 3, 3, 0]).astype(np.int32)
    cuts = np.split(np.arange(n), [n // 2, 3 * n // 4])
    return {
        name: datasets.Images(pixels[rows], labels[rows], ("darker", "brighter"))
        for name, rows in zip(("train", "validation", "test"), cuts, strict=True)
    }


@pytest.fixture(scope="module")
def lanes() -> prune_runs.Lanes:
    grid = prune_runs.Grid("drr", (1e-4, 1e-3), (0.05,), (1e-2,), sharpnesses=(5.0, 10.0))
    training = prune_runs.Training(
        epochs=40, fine_tune_epochs=10, batch_size=50, fine_tune_rate=1e-2
    )
    network = networks.mlp((16, 8, 2))
    simplify = iterative.simplifier("lenet300", (4, 4, 1))
    return prune_runs.train(grid, training, network, simplify, parts(), (0, 1))


def test_lanes_learn_and_are_sparse(lanes):
    assert lanes.metrics["finite"].all()
    assert lanes.metrics["nonzeros"].shape == (4, 2)
    assert lanes.metrics["test_error"].mean() < 0.2
    strong = lanes.points["strength"] > 5e-4
    assert lanes.metrics["nonzeros"][strong].mean() < lanes.metrics["nonzeros"][~strong].mean()
    assert set(lanes.points["sharpness"]) == {5.0, 10.0}


def test_stored_lanes_come_back(lanes, tmp_path):
    prune_runs.save(tmp_path / "drr.npz", lanes)
    back = prune_runs.load(tmp_path / "drr.npz")
    assert back.points.keys() == lanes.points.keys()
    for name, values in lanes.metrics.items():
        np.testing.assert_array_equal(back.metrics[name], values)
    for a, b in zip(jax.tree.leaves(back.params), jax.tree.leaves(lanes.params), strict=True):
        np.testing.assert_array_equal(a, b)
    picked = prune_runs.params_of(back, 3, 1)
    assert trees.nonzeros(picked) == lanes.metrics["nonzeros"][3, 1]
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz"):
        prune_runs.load(tmp_path / "other.npz")


def test_choice_is_made_on_validation():
    metrics = {
        "validation_error": [[0.010, 0.012], [0.018, 0.019], [0.018, 0.021], [0.001, 0.001]],
        "test_error": [[0.02, 0.02], [0.03, 0.03], [0.01, 0.01], [0.0, 0.0]],
        "nonzeros": [[100, 110], [50, 60], [10, 10], [1, 1]],
        "finite": [[True, True], [True, True], [True, True], [True, False]],
    }
    choice = prune_choices.fewest_weights(metrics, 1.9)
    assert choice is not None
    assert choice.point == 1
    assert choice.nonzeros[0] == 55
    assert choice.test_error_percent[0] == pytest.approx(3.0)
    assert prune_choices.fewest_weights(metrics, 0.5) is None
    within = prune_choices.least_error(metrics, 60)
    assert within is not None
    assert within.point == 1
    assert prune_choices.least_error(metrics, 9) is None


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"method": "guess", "strengths": (1.0,)}, "'guess'"),
        ({"method": "rl1", "strengths": ()}, "rl1"),
        ({"method": "rl1", "strengths": (1.0,), "sharpnesses": (5.0,)}, "5.0"),
    ],
)
def test_bad_grids_are_named(settings, value):
    with pytest.raises(ValueError, match=value):
        prune_runs.Grid(**settings)


def test_records_make_tables_and_figures(lanes, tmp_path):
    run = Run("prune_lenet", "smoke", tmp_path, "command", None)
    config = dataclasses.replace(prune_lenet.PRESETS["smoke"][1], grids=())
    for method in ("drr", "pmmp_curvature"):
        metrics = {
            "method": method,
            "points": {name: values.tolist() for name, values in lanes.points.items()},
            "lanes": {name: values.tolist() for name, values in lanes.metrics.items()},
        }
        write_record(
            run, f"lenet300_{method}", config=config, seeds=(0, 1),
            seconds=prune_lenet.Seconds(1.0, 2.0), metrics=metrics, data="toy",
        )  # fmt: skip
    (tmp_path / "records").rename(tmp_path / "prune_lenet")
    records = read_records("prune_lenet", tmp_path)
    table, points = prune_tables.tables(records)
    assert len(table.rows) == 2 * 2 + len(prune_tables.ANCHORS["lenet300"])
    assert len(points.rows) == 2 * 4
    for found in (table, points):
        assert all(len(row) == len(found.columns) for row in found.rows)
    assert list(prune_tables.figures(records)) == ["lenet300_pareto"]


def test_methods_are_compared_at_the_least_error_that_both_keep():
    def metrics(*points):
        errors, nonzeros = zip(*points, strict=True)
        return {
            "validation_error": [[error, error] for error in errors],
            "test_error": [[error, error] for error in errors],
            "nonzeros": [[n, n] for n in nonzeros],
            "finite": [[True, True]] * len(points),
        }

    drr = metrics((0.020, 1000), (0.025, 500))
    exact = metrics((0.015, 900), (0.024, 400))
    found = prune_choices.exact_over_smooth({"drr": drr, "pmmp_curvature": exact}, 1.9)
    assert found == pytest.approx((0.9, 2.0))
    assert prune_choices.exact_over_smooth({"drr": drr, "magnitude": exact}, 1.9) is None


def test_every_preset_names_known_methods():
    for _, config in prune_lenet.PRESETS.values():
        assert config.network in prune_runs.NETWORKS
        for grid in config.grids:
            assert min(grid.points()["strength"]) > 0
