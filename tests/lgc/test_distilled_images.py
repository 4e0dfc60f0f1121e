"""Files of distilled images: what comes back, sets drawn from them, and damage."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewbits.coding import FormatError, read_archive, write_archive
from lgc.coresets.downsampling import Downsampling, interpolate
from lgc.distillation import distilled_images, quantised_images, upsampler
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_images import Contents
from tests.lgc.test_lossy_subset import blobs


def contents(factor: int = 2, width: int = 3, augmentation: Augmentation = NONE) -> Contents:
    images, labels = blobs(14, side=9)
    small = quantised_images.quantise(images, labels + 5, Downsampling(factor, 2))
    params = upsampler.init(jax.random.key(0), width, factor, 1)
    return Contents(small, distilled_images.on_grid(params, 4), augmentation)


@pytest.fixture(scope="module")
def file() -> bytes:
    return distilled_images.write(contents(augmentation=Augmentation(rotation=5)))


@pytest.mark.parametrize("ranges", [{}, {"brightness": 20}, {"blur": 8}])
def test_ranges_come_back_and_files_without_blur_are_as_before(ranges):
    augmentation = Augmentation(rotation=5, **ranges)
    data = distilled_images.write(contents(augmentation=augmentation))
    assert distilled_images.read(data).augmentation == augmentation
    stored = read_archive(data).header["moves"]
    assert len(stored) == (8 if augmentation.blur else 7 if augmentation.brightness else 6)


def test_a_file_gives_back_what_was_written(file):
    before, after = contents(augmentation=Augmentation(rotation=5)), distilled_images.read(file)
    assert after.augmentation == before.augmentation
    jax.tree.map(np.testing.assert_array_equal, after.upsampler, before.upsampler)
    np.testing.assert_array_equal(np.sort(after.images.classes), np.sort(before.images.classes))
    found = distilled_images.upsampled(after.images, after.upsampler)
    wanted = distilled_images.upsampled(before.images, before.upsampler)
    np.testing.assert_array_equal(np.sort(found.sum((1, 2, 3))), np.sort(wanted.sum((1, 2, 3))))


def test_without_an_upsampler_it_is_a_lossy_subset():
    plain = contents()._replace(upsampler=None)
    after = distilled_images.read(distilled_images.write(plain))
    assert after.upsampler is None
    wanted = interpolate(after.images.grey_levels(), 2, 9, 9)
    np.testing.assert_array_equal(distilled_images.upsampled(after.images, None), wanted)


def test_a_drawn_set_is_of_any_size_and_depends_on_the_seed(file):
    after = distilled_images.read(file)
    images, labels = distilled_images.sample(after, per_class=30, seed=1)
    others, _ = distilled_images.sample(after, per_class=30, seed=2)
    assert images.shape == (90, 9, 9, 1)
    assert np.unique(labels).tolist() == [5, 6, 7]
    assert (images != others).any()
    whole, found = distilled_images.sample(after, per_class=None, seed=0)
    assert len(whole) == len(found) == 14


def test_pixels_land_in_the_square_of_their_low_resolution_pixel():
    """With kernels of zero a pixel is a function of its low-resolution pixel alone."""
    params = jax.tree.map(jnp.zeros_like, upsampler.init(jax.random.key(0), 2, 3, 2))
    small = np.random.default_rng(0).uniform(0, 1, (2, 3, 2, 2)).astype(np.float32)
    found = upsampler.logits(params, small, (8, 5, 2))
    wanted = 6 * (small.repeat(3, axis=1).repeat(3, axis=2)[:, :8, :5] - 0.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_training_draws_edges_that_interpolation_blurs():
    images, labels = blobs(200)
    images = np.where(images > 60, 255, 0).astype(np.uint8)  # sharp discs
    small = quantised_images.quantise(images, labels, Downsampling(2, 2)).grey_levels()
    loss = upsampler.loss((12, 12, 1), lambda path: 5)
    params, optimizer = upsampler.init(jax.random.key(0), 6, 2, 1), optax.adam(1e-2)

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            slope = jax.grad(lambda p: loss(jax.random.key(0), p, (small, images))[0])(params)
            updates, state = optimizer.update(slope, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), length=150)[0][0]

    drawn = jax.nn.sigmoid(upsampler.logits(train(params), small / 255.0, (12, 12, 1)))
    error = np.square(np.asarray(drawn) - images / 255).mean()
    blurred = np.square(interpolate(small, 2, 12, 12) / 255 - images / 255).mean()
    assert error < 0.5 * blurred


def test_damage_is_a_format_error(file):
    for place in range(0, len(file), 3):
        damaged = bytearray(file)
        damaged[place] ^= 4
        with pytest.raises(FormatError):
            distilled_images.read(bytes(damaged))
    for size in range(0, len(file), 5):
        with pytest.raises(FormatError):
            distilled_images.read(file[:size])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("moves", [0, 0, 0]),
        ("moves", [0, 0, 0, 0, 0, 0, 201]),
        ("moves", [0, 0, 0, 0, 0, 0, 0, 51]),
        ("moves", [0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("moves", [200, 0, 0, 0, 0, 0]),
        ("moves", "none"),
        ("factor", 3),
        ("enlarger", {}),
        ("shape", [9, 9, 3]),
    ],
)
def test_parts_that_do_not_fit_are_refused(file, field, value):
    archive = read_archive(file)
    lie = write_archive(distilled_images.KIND, {**archive.header, field: value}, archive.sections)
    with pytest.raises(FormatError):
        distilled_images.read(lie)


def test_sections_that_nothing_asks_for_are_refused(file):
    archive = read_archive(file)
    header = {name: value for name, value in archive.header.items() if name != "enlarger"}
    with pytest.raises(FormatError):
        distilled_images.read(write_archive(distilled_images.KIND, header, archive.sections))


def test_contrast_comes_back_and_makes_edges_steeper():
    plain = contents()._replace(upsampler=None)
    sharp = plain._replace(images=plain.images.with_contrast(200))
    data = distilled_images.write(sharp)
    assert len(data) <= len(distilled_images.write(plain)) + 12
    after = distilled_images.read(data).images
    assert after.contrast == 200
    np.testing.assert_array_equal(after.levels[[0, -1]], [0, 255])
    linear = interpolate(after.grey_levels(), 2, 9, 9).astype(float)
    wanted = np.clip(np.floor(127.5 + (linear - 127.5) * 2 + 0.5), 0, 255)
    np.testing.assert_array_equal(after.interpolated(), wanted)
    grey = [((x > 0) & (x < 255)).mean() for x in (after.interpolated(), linear)]
    assert grey[0] < grey[1]


@pytest.mark.parametrize("percent", [99, 1_601, "200", None])
def test_contrast_out_of_its_range_is_no_file(percent):
    plain = contents()._replace(upsampler=None)
    stored = read_archive(distilled_images.write(plain))
    data = write_archive(stored.kind, {**stored.header, "contrast": percent}, stored.sections)
    with pytest.raises(FormatError):
        distilled_images.read(data)
