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
    loss = penalised_lenets.penalised(
        lambda key, params, batch: (jnp.float32(0.0), {}), Weights(0.1, 0.01, 0.001)
    )
    value, _ = loss(jax.random.key(0), params, None)
    flat = np.array([1.0, -2.0, 0.5])
    expected = 0.1 * (flat**2).sum() + 0.01 * np.abs(flat).sum()
    expected += 0.001 * (1 - np.exp(-5 * np.abs(flat))).sum()
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_points_name_every_network_once():
    config = Config(l2=(1.0, 2.0), l1=(3.0,), drr=())
    assert config.points == [("none", 0.0), ("l2", 1.0), ("l2", 2.0), ("l1", 3.0)]


def test_networks_are_trained_saved_and_loaded(tmp_path):
    images = datasets.load("digits", "train")
    images = images._replace(pixels=images.pixels[:512], labels=images.labels[:512])
    config = Config("digits", epochs=1, l2=(1.0,), l1=(), drr=(), batch_size=256)
    params = penalised_lenets.train(config, 3, images)
    penalised_lenets.save(tmp_path / "seed3.npz", params)
    back = penalised_lenets.load(tmp_path / "seed3.npz")
    assert len(back) == len(config.points) == 2
    for number, found in enumerate(back):
        for name in ("dense1", "dense2", "output"):
            expected = params[name]["kernel"][number]
            np.testing.assert_allclose(found[name]["kernel"], expected, atol=STEP / 2)
    norms = [sum((x**2).sum() for x in jax.tree.leaves(found)) for found in back]
    assert norms[1] < norms[0]
    with pytest.raises(ValueError, match="does not fit"):
        penalised_lenets.save(tmp_path / "large.npz", {"a": np.array([9.0])})
