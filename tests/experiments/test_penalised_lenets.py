from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.weight_coding import penalised_lenets
from experiments.weight_coding.penalised_lenets import STEP, Config, Weights
from fewbits.io import datasets

pytestmark = pytest.mark.slow


def test_the_penalty_is_the_sum_of_three():
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}
    value = penalised_lenets.penalty(Weights(0.1, 0.01, 0.001), params)
    flat = np.array([1.0, -2.0, 0.5])
    expected = 0.1 * (flat**2).sum() + 0.01 * np.abs(flat).sum()
    expected += 0.001 * (1 - np.exp(-5 * np.abs(flat))).sum()
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_points_name_every_network_once():
    config = Config(l2=(1.0, 2.0), l1=(3.0,), drr=())
    assert config.points == [("none", 0.0), ("l2", 1.0), ("l2", 2.0), ("l1", 3.0)]


@pytest.mark.nightly
def test_networks_are_trained_on_a_grid():
    images = datasets.load("digits", "train")
    images = images._replace(pixels=images.pixels[:512], labels=images.labels[:512])
    config = Config("digits", epochs=1, l2=(1.0,), l1=(), drr=(), batch_size=256)
    params = penalised_lenets.train(config, 3, images)
    leaves = jax.tree.leaves(params)
    assert {len(leaf) for leaf in leaves} == {len(config.points)} == {2}
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}
    assert all(np.array_equal(leaf, np.rint(leaf / STEP) * STEP) for leaf in leaves)
    norms = sum((leaf.reshape(2, -1) ** 2).sum(axis=1) for leaf in leaves)
    assert norms[1] < norms[0]
