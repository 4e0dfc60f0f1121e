import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewbits.training import evaluation, loop, losses, networks, trees
from pruning.graphs import reachability
from pruning.minimax import pmmp_curvature
from pruning.penalties import drr
from pruning.procedures import _three_phase

NETWORK = networks.mlp((6, 16, 2))
LOSS = losses.cross_entropy(NETWORK.apply)


def problem(n: int = 400):
    """Two of six inputs decide the class."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int32)
    return (x[: n // 2], y[: n // 2]), (x[n // 2 :], y[n // 2 :])


def objective(params, data):
    return evaluation.mean_cross_entropy(NETWORK.apply, params, *data)


def simplify(key, params):
    del key
    return reachability.remove_unreachable(params)


def three_phases(method, search="rank", fine_tune=200):
    phases = _three_phase.Phases(
        loop.Plan(400, 50, log_points=4),
        loop.Plan(fine_tune, 50, log_points=2) if fine_tune else None,
        search=search,
    )

    def run(key, hyperparameters, data):
        key_params, key_run = jax.random.split(key)
        return _three_phase.run(
            phases,
            method,
            LOSS,
            objective,
            key_run,
            NETWORK.init(key_params),
            hyperparameters,
            *data,
            simplify,
        )

    return run


@functools.cache
def program():
    """All three phases of DRR on four runs, compiled once."""
    run = three_phases(drr.build(drr.DrrConfig(), LOSS, optax.sgd))
    return jax.jit(jax.vmap(run, in_axes=(None, 0, None)))


def points(learning_rates, strengths):
    four = jnp.ones(4)
    return _three_phase.Point(
        drr.Hyperparameters(jnp.array(learning_rates), jnp.array(strengths), 5 * four, 0 * four),
        0.05 * four,
        0.0 * four,
        0.003 * four,
    )


@functools.cache
def swept():
    return program()(jax.random.key(0), points([0.5] * 4, [0.0, 3e-3, 1e-2, 4e-2]), problem())


@pytest.mark.slow
def test_stronger_penalties_leave_fewer_weights():
    found = swept()
    assert found.finite.all()
    assert (jnp.diff(found.n_kept) < 0).all()
    assert found.n_kept[3] > 0


@pytest.mark.slow
def test_the_pruned_network_still_works():
    found = swept()
    validation = problem()[1]
    params = jax.tree.map(lambda leaf: leaf[3], found.params)
    accuracy = evaluation.accuracy(NETWORK.apply, params, *map(jnp.asarray, validation))
    assert accuracy > 0.95
    # Two of the six inputs decide the class; hardly anything reads the other four.
    read = jnp.abs(params["dense1"]["kernel"]).sum(axis=1)
    assert read[2:].sum() < 0.1 * read[:2].sum()


@pytest.mark.slow
def test_weights_outside_the_mask_stay_zero():
    found = swept()
    leaves, masks = jax.tree.leaves(found.params), jax.tree.leaves(found.mask)
    for leaf, kept in zip(leaves, masks, strict=True):
        assert not np.any(np.asarray(leaf)[~np.asarray(kept)])
    sizes = sum(kept.sum(axis=tuple(range(1, kept.ndim))) for kept in masks)
    np.testing.assert_array_equal(sizes, found.n_kept)


@pytest.mark.slow
def test_diverging_runs_say_so_and_leave_the_others_alone():
    """Penalty 1e6 at learning rate 10, and NaN: bit for bit, the first run does not notice."""
    broken = points([0.5, 10.0, 10.0, 0.5], [0.0, 1e6, 3e-3, jnp.nan])
    found = program()(jax.random.key(0), broken, problem())
    assert found.finite[0]
    assert not found.finite[3]
    # Plain descent may jump to where the ReLUs are dead and stay finite: then nothing is kept.
    assert not found.finite[1] or found.n_kept[1] == 0
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(swept()), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.slow
def test_broken_inputs_are_data():
    train, validation = problem()
    images = np.where(train[0] > 2, np.nan, train[0]).astype(np.float32)
    absurd = points([0.5, 10.0, 10.0, 0.5], [0.0, 1e6, 1e-3, 1e6])
    found = program()(jax.random.key(0), absurd, ((images, train[1]), validation))
    assert not found.finite.any()


@pytest.mark.slow
def test_exact_methods_need_no_fine_tuning_to_be_sparse():
    config = pmmp_curvature.PmmpCurvatureConfig(
        pmmp_curvature.Hyperparameters(1e-2, 3e-3, 0.05), curvature="fisher"
    )
    run = three_phases(pmmp_curvature.build(config, LOSS), "magnitude", fine_tune=0)
    point = _three_phase.Point(config.hyperparameters, 0.0)
    found = jax.jit(run)(jax.random.key(0), point, problem())
    assert found.fine_tune_log is None
    assert found.finite
    assert found.n_kept < 60
    assert found.n_regularised < trees.size(found.params)


def test_fine_tuning_masks_every_optimiser():
    """Weight decay and noise reach the weights outside the mask, and are undone."""
    params = {"w": jnp.array([1.0, 2.0, 3.0])}
    mask = {"w": jnp.array([True, False, True])}

    def loss(key, params, batch):
        del key
        return jnp.sum(batch * jnp.square(params["w"] - 5.0).reshape(1, 3)), {}

    def noisy(rate):
        return optax.chain(optax.add_noise(1.0, 0.5, 0), optax.adamw(rate, weight_decay=0.1))

    plan = loop.Plan(20, batch_size=None)
    result = _three_phase.fine_tune(
        plan, loss, jax.random.key(0), params, mask, jnp.ones((4, 3)), 0.1, noisy
    )
    assert result.params["w"][1] == 0
    assert result.params["w"][0] != 1


@pytest.mark.parametrize("settings", [{"search": "guess"}, {"probes": 0}])
def test_bad_phases_are_named(settings):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        _three_phase.Phases(loop.Plan(1, None), None, **settings)
