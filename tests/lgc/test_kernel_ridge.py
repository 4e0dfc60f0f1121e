"""Kernel ridge distillation: images are drawn as a reader draws them, and cost or teach better."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.training import loop
from lgc.autoencoders import fitting
from lgc.coresets.downsampling import Downsampling, downsample, interpolate
from lgc.distillation import (
    distilled_file,
    distilled_images,
    kernel_ridge,
    pixel_rate,
    quantised_images,
)
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.kernel_ridge import Hyperparameters, KernelRidgeConfig
from tests.lgc.test_lossy_subset import blobs

CONFIG = KernelRidgeConfig(synthetic_batch=12, features_width=4, pool=2, pool_steps=20)
STEPS = 60


def small_set(count: int = 20):
    images, labels = blobs(count)
    return images, labels, quantised_images.quantise(images, labels, Downsampling(2, 2))


def test_the_start_rounds_to_the_images_that_were_given():
    images, _, small = small_set()
    params = kernel_ridge.start(downsample(images, 2), small, None)
    np.testing.assert_array_equal(kernel_ridge.rounded(params, small).pixels, small.pixels)
    assert np.abs(params["levels"] - small.pixels).max() <= 0.5


def test_interpolation_is_that_of_the_files():
    _, _, small = small_set()
    shown = kernel_ridge._interpolated(jnp.asarray(small.grey_levels(), jnp.float32), small)
    wanted = interpolate(small.grey_levels(), small.factor, *small.shape[:2])
    assert np.abs(np.asarray(shown) - wanted).max() <= 0.5 + 1e-3


def trained(key, small, low, price, hyperparameters: Hyperparameters):
    """Images initialised with `low`, distilled on discs."""
    images, labels, _ = small_set(200)
    method = kernel_ridge.build(CONFIG, small, NONE, price, STEPS)
    start = kernel_ridge.start(low, small, None)
    data = (jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    plan = loop.Plan(STEPS, 64, "replacement")
    return fitting.in_parts(method, plan, key, start, data, hyperparameters)


def dark_is_cheap(key, small):
    """Odds of 20 to 1 against every threshold, whatever is near."""
    price = pixel_rate.init(key, small.pixels.shape[1:], small.levels.size, len(small.labels))
    price = jax.tree.map(jnp.zeros_like, price)
    return {**price, "class_place": price["class_place"] - 3.0}


@pytest.mark.slow
def test_trained_noise_becomes_something_to_learn_from(key):
    _, labels, _ = small_set()
    noise = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1)).astype(np.uint8)
    whole = np.repeat(np.repeat(noise, 2, axis=1), 2, axis=2)
    small = quantised_images.quantise(whole, labels, Downsampling(2, 2))
    price = dark_is_cheap(key, small)
    frozen = trained(key, small, noise, price, Hyperparameters(0.0, 0.0))
    np.testing.assert_array_equal(kernel_ridge.rounded(frozen.params, small).pixels, small.pixels)
    free = trained(key, small, noise, price, Hyperparameters(0.1, 0.0, 0.01, 3.0))
    late = slice(-20, None)
    assert free.log.ridge_loss[late].mean() < 0.92 * frozen.log.ridge_loss[late].mean()


@pytest.mark.slow
def test_lambda_rises_until_the_rate_constraint_holds(key):
    images, _, small = small_set()
    price = dark_is_cheap(key, small)
    found = trained(key, small, downsample(images, 2), price, Hyperparameters(0.1, 0.0, 0.1, 0.5))
    assert found.finite
    assert found.log.bits_weight[-1] > found.log.bits_weight[0]
    assert found.log.bits_share[-1] < 0.8
    assert found.params["levels"].min() >= 0
    assert found.params["levels"].max() <= small.levels.size - 1


@pytest.mark.nightly
def test_a_distilled_file_stays_within_its_budget(key):
    images, labels = blobs(200)
    point = OperatingPoint(Downsampling(2, 2), 4, Augmentation(translation=4), 0.0)

    def made(steps: int) -> bytes:
        return distilled_file.write(
            images, labels, 700, point._replace(distillation_steps=steps), key, upsampler_steps=10
        )

    plain, distilled = made(0), made(10)
    assert len(distilled) <= 700
    assert plain != distilled
    before, after = distilled_images.read(plain).images, distilled_images.read(distilled).images
    assert after.labels.tolist() == before.labels.tolist()
    assert after.pixels.shape[0] >= 0.7 * before.pixels.shape[0]


def test_a_budget_that_is_too_small_is_refused_before_distilling(key):
    images, labels = blobs(40, side=16)
    point = OperatingPoint(Downsampling(1, 2), 0, NONE, 0.0, distillation_steps=10)
    with pytest.raises(InputError, match="too small"):
        distilled_file.write(images, labels, 60, point, jax.random.key(0))
