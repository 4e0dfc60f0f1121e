"""Joint training: what is trained is what the file holds, and its price falls with lambda."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.io import datasets
from lgc import archive, files, images
from lgc.autoencoders import fitting, rate_constrained_compression
from lgc.autoencoders.rate_constrained import (
    Hyperparameters,
    RateConstrainedInfo,
    RateConstrainedState,
)
from lgc.autoencoders.rate_constrained_compression import Config

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = Config(steps=40, batch_size=50, latent=4, components=2, widths=(8, 8, 4), features_width=4)


@pytest.fixture(scope="module")
def digits():
    train = datasets.load("digits", "train")
    return train.pixels[:600], train.labels[:600]


@pytest.mark.slow
def test_a_file_holds_what_was_trained_on_its_grids(digits, key):
    checked = images.check(*digits)
    method, plan, start = rate_constrained_compression.training(CONFIG, checked)
    data = (jnp.asarray(checked.pixels), jnp.asarray(checked.classes, jnp.int32))
    result = fitting.in_parts(method, plan, key, start(key), data)
    params = result.params
    hot = replace(CONFIG, temperature=2.0)
    cold = archive.read(rate_constrained_compression.write(params, CONFIG, checked))
    warm = archive.read(rate_constrained_compression.write(params, hot, checked))
    for name, layer in params["decoder"].items():
        # Biases have six bits, kernels four: half a step of either.
        for part, steps in (("kernel", 14), ("bias", 62)):
            reach = float(np.abs(layer[part]).max())
            error = np.abs(cold.decoder[name][part] - layer[part]).max()
            assert error <= reach / steps * 1.001
    np.testing.assert_array_equal(cold.means, warm.means)
    assert 1.7 < np.median(warm.factors / cold.factors) < 2.3
    assert cold.components == (2,) * 10
    # Forty steps do not teach it to draw digits, but the real ones' likelihood has to rise.
    distortion = result.log.distortion
    assert distortion[-1] < 0.8 * distortion[0]


@pytest.mark.nightly
def test_a_program_without_the_utility_is_one_in_which_it_weighs_nothing(digits, key):
    checked = images.check(*digits)
    batch = (jnp.asarray(checked.pixels[:20]), jnp.asarray(checked.classes[:20], jnp.int32))
    weightless = Hyperparameters(bits_weight=1e-5, utility_weight=0.0)

    def stepped(config: Config) -> tuple[RateConstrainedState, RateConstrainedInfo]:
        method, _, start = rate_constrained_compression.training(config, checked)
        # Past the steps in which the utility is left out anyhow.
        state = method.init(key, start(key), weightless)._replace(step=jnp.int32(10_000))
        return jax.jit(method.step)(key, state, batch)

    with_pool, told = stepped(CONFIG)
    without, silent = stepped(replace(CONFIG, hyperparameters=weightless))
    assert told.utility > 0 == silent.utility
    np.testing.assert_allclose(told.loss_nats, silent.loss_nats, rtol=1e-6)
    for one, other in zip(*map(jax.tree.leaves, (with_pool.params, without.params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.nightly
def test_lambda_buys_bytes(digits, key):
    def made(bits_weight: float) -> bytes:
        costly = Hyperparameters(bits_weight=bits_weight, utility_weight=0.0)
        config = replace(CONFIG, steps=200, hyperparameters=costly)
        return rate_constrained_compression.compress(*digits, config=config, key=key)

    dear, cheap = made(1e-3), made(0.0)
    assert len(dear) < 0.9 * len(cheap)
    drawn, labels = files.sample(cheap, per_class=3, seed=0)
    assert drawn.shape == (30, 8, 8, 1)
    assert drawn.dtype == np.uint8
    assert labels.tolist() == sorted([*range(10)] * 3)


def test_mistakes_name_the_remedy(digits, key):
    pixels, labels = digits
    with pytest.raises(InputError, match="temperature is 0; use"):
        replace(CONFIG, temperature=0)
    with pytest.raises(InputError, match="each side needs 8 pixels"):
        rate_constrained_compression.compress(pixels[:, :6, :6], labels, config=CONFIG, key=key)


@pytest.mark.slow
def test_one_program_makes_an_archive_for_each_weight_of_the_bits(digits):
    config = replace(CONFIG, hyperparameters=Hyperparameters(utility_weight=0.0))
    made = rate_constrained_compression.compress_each(*digits, (0.0, 1e-3), config=config)
    assert len(made) == 2
    assert len(made[1]) < len(made[0])
    assert all(archive.read(each).components == (2,) * 10 for each in made)
