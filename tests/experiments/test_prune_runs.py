"""Pruning experiments: training at toy size, choices on validation, small networks, mirroring."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.pruning import files, prune_convergence, prune_lenet, runs, training
from experiments.pruning.runs import File, Run
from experiments.pruning.training import Iterative, PruningStep, Training
from experiments.runner.folder import Data
from experiments.runner.rows import mean_over_seeds
from fewbits.training import trees
from pruning.procedures.classifiers import Grid

SHAPE = (16, 16, 1)


def run_of(method, step, seed, nonzeros, validation, test=0.0, finite=True) -> Run:
    return Run(
        "toy", method, step, 1e-3, 0.1, 1e-3, None, seed, None, nonzeros, test, validation, 0.0,
        finite,
    )  # fmt: skip


def test_choice_is_made_on_validation():
    found = [
        *(run_of("drr", 0, s, n, v, 2.0) for s, n, v in ((0, 100, 1.0), (1, 110, 1.2))),
        *(run_of("drr", 1, s, n, v, 3.0) for s, n, v in ((0, 50, 1.8), (1, 60, 1.9))),
        *(run_of("drr", 2, s, 10, v, 1.0) for s, v in ((0, 1.8), (1, 2.1))),
        *(run_of("drr", 3, s, 1, 0.1, 0.0, finite=s == 0) for s in (0, 1)),
    ]
    chosen = runs.best(found, "nonzeros", validation_error_percent=1.9)
    assert {run.step for run in chosen} == {1}
    assert mean_over_seeds(chosen, "nonzeros").mean == 55
    assert runs.best(found, "nonzeros", validation_error_percent=0.5) == []
    best = runs.best(found, "validation_error_percent", nonzeros=60)
    assert {run.step for run in best} == {1}
    assert runs.best(found, "validation_error_percent", nonzeros=9) == []


def test_methods_are_compared_at_the_least_error_that_both_keep():
    drr = [run_of("drr", step, 0, n, v) for step, (v, n) in enumerate([(2.0, 1000), (2.5, 500)])]
    exact = [(1.5, 900), (2.4, 400)]
    curvature = [run_of("pmmp_curvature", step, 0, n, v) for step, (v, n) in enumerate(exact)]
    found = runs.exact_over_drr([*drr, *curvature], 1.9)
    assert found == pytest.approx((0.9, 2.0))
    control = [run._replace(method="magnitude") for run in curvature]
    assert runs.exact_over_drr([*drr, *control], 1.9) is None


def test_the_claimed_method_is_chosen_on_validation_among_those_with_all_seeds():
    def file_of(method, seed, validation, test, size):
        ratios = (10, 5.0, size, 2.0)
        return File("toy", method, "3,000 bytes", seed, 1e-3, 0.1, 6, 8, *ratios, test, validation,
                    Path(f"{method}_{seed}.fb"))  # fmt: skip

    written = [
        *(file_of("drr", seed, 2.0, 1.0, 2000 + seed) for seed in (0, 1)),
        *(file_of("pmmp_curvature", seed, 1.9, 1.5, 2500) for seed in (0, 1)),
        file_of("magnitude", 0, 0.5, 0.5, 100),
    ]
    assert [row.method for row in runs.selected(written)] == ["pmmp_curvature"] * 2
    smallest = runs.selected(written, lambda row: row.bytes)
    assert [(row.method, row.seed) for row in smallest] == [("drr", 0), ("drr", 1)]
    assert smallest[0].at_target == "at_3000_bytes"


def test_a_target_is_met_on_average_with_the_least_validation_error(tmp_path):
    tried = [
        files.Candidate(0, (8, 10), [], np.array([3_000, 3_200]), np.array([80, 100]), np.ones(2)),
        files.Candidate(1, (6, 8), [], np.array([2_900]), np.array([50]), np.array([2.0])),
        files.Candidate(2, (5, 8), [], np.array([2_000]), np.array([40]), np.array([3.0])),
    ]
    config = prune_lenet.Config(ratios=(10,), file_bytes=(3_000, 100))
    targets = prune_lenet._targets(config, 1_000)
    assert [(target.title, target.name) for target in targets] == [
        ("10x", "ratio10"), ("3,000 bytes", "bytes3000"), ("100 bytes", "bytes100"),
    ]  # fmt: skip
    assert [getattr(target.best(tried), "point", None) for target in targets] == [0, 1, None]


@pytest.mark.nightly
def test_the_runs_of_a_grid_learn_and_are_sparse(tmp_path):
    grid = Grid("drr", (1e-4, 1e-3), (0.05,), sharpnesses=(5.0, 10.0))
    config = prune_convergence.Config(
        {}, training=Training(epochs=20, fine_tune_epochs=10, batch_size=100)
    )
    found = prune_convergence._train(config, grid, (0, 1), Data(tmp_path))
    assert [(run.step, run.seed) for run in found[:3]] == [(0, 0), (0, 1), (1, 0)]
    assert {run.sharpness for run in found} == {5.0, 10.0}
    assert all(run.finite for run in found)
    assert np.mean([run.test_error_percent for run in found]) < 20
    strong = [run.nonzeros for run in found if run.penalty_weight > 5e-4]
    assert np.mean(strong) < np.mean([run.nonzeros for run in found])


@pytest.mark.nightly
def test_iterative_pruning_removes_more_with_every_step(tmp_path):
    data = Data(tmp_path)
    parts = training.parts_of(data, "digits", 297)
    plan = Iterative("drr", 1e-4, (PruningStep(1.0, 20), PruningStep(3.0, 20, 10)))
    settings = Training(batch_size=100)
    trained = training.train_lenet("lenet300", plan, settings, parts, (0,), data)
    first, second = trained["metrics"]["nonzeros"][:, 0]
    assert second < first
    assert trained["metrics"]["test_error"].max() < 0.3
    assert [each.penalty_weight for each in plan.settings()] == pytest.approx([1e-4, 3e-4])
    picked = jax.tree.map(lambda leaf: leaf[1, 0], trained["params"])
    assert trees.nonzeros(picked) == second
    test = parts["test"]
    apply = training.lenet("lenet300", test).apply
    found = np.mean(np.argmax(apply(picked, test.pixels), axis=1) != test.labels)
    assert found == pytest.approx(trained["metrics"]["test_error"][1, 0], abs=2e-3)
