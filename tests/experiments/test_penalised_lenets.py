from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.weight_coding import penalised_lenets
from experiments.weight_coding.penalised_lenets import STEP, Config, Strengths
from fewbits.io import datasets
from fewbits.training.method import all_finite

pytestmark = pytest.mark.slow


def test_the_penalty_is_the_sum_of_three():
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}
    loss = penalised_lenets.penalised(
        lambda key, params, batch: (jnp.float32(0.0), {}), Strengths(0.1, 0.01, 0.001)
    )
    value, _ = loss(jax.random.key(0), params, None)
    flat = np.array([1.0, -2.0, 0.5])
    expected = 0.1 * (flat**2).sum() + 0.01 * np.abs(flat).sum()
    expected += 0.001 * (1 - np.exp(-5 * np.abs(flat))).sum()
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_points_name_every_network_once():
    config = Config(l2=(1.0, 2.0), l1=(3.0,), drr=())
    assert config.points == [("none", 0.0), ("l2", 1.0), ("l2", 2.0), ("l1", 3.0)]


def test_networks_are_trained_saved_and_loaded(tmp_path, monkeypatch):
    images = datasets.load("digits", "train")
    images = images._replace(pixels=images.pixels[:514], labels=images.labels[:514])
    config = replace(
        penalised_lenets.SMOKE, epochs=1, l2=(1.0,), l1=(), drr=(), seeds=(3,), batch_size=256
    )
    config = replace(config, validation=2)
    kept, _ = datasets.split_validation(images, config.validation)
    params, finite = penalised_lenets.train(config, kept.pixels, kept.labels)
    assert finite.shape == (2, 1)
    assert finite.all()
    assert bool(all_finite(params))
    trained = []
    folder = tmp_path / "networks"
    with monkeypatch.context() as patch:
        patch.setattr(penalised_lenets.datasets, "load", lambda *_, **__: images)
        penalised_lenets.run(config, folder, None, lambda *_: trained.append(1))
        assert trained
        trained.clear()
        penalised_lenets.run(config, folder, None, lambda *_: trained.append(1))
        assert not trained, "what is there is not trained again"
        with pytest.raises(datasets.DataError, match="another config"):
            penalised_lenets.run(replace(config, epochs=2), folder, None)
    assert penalised_lenets.trained_config(folder) == config
    back = penalised_lenets.load(folder, 3)
    assert back.penalty == ["none", "l2"]
    for number in range(2):
        for name in ("dense1", "dense2", "output"):
            found = back.params[number][name]["kernel"]
            np.testing.assert_allclose(found, params[name]["kernel"][number, 0], atol=STEP / 2)
    norms = [sum((x**2).sum() for x in jax.tree.leaves(p)) for p in back.params]
    assert norms[1] < norms[0]


def test_what_is_not_there_is_a_data_error(tmp_path):
    with pytest.raises(datasets.DataError, match="no trained networks"):
        penalised_lenets.load(tmp_path, 0)
    with pytest.raises(datasets.DataError, match="cifar10"):
        penalised_lenets.network(Config(data="cifar10"))
