from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coding import FormatError, container
from coding.lane_stack import PRECISION, LaneStack
from experiments import image_file, image_vae, integer_vae

pytestmark = pytest.mark.slow

CONFIG = image_vae.Config(n_latents=2, n_shades=5, wide=8, narrow=4)


@pytest.fixture(scope="module")
def params():
    init = jax.jit(lambda key: image_vae.init(CONFIG, key))
    return jax.tree.map(np.asarray, init(jax.random.key(0)))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    y, x = np.mgrid[:28, :28]
    rng = np.random.default_rng(0)
    centres = rng.uniform(8, 20, (14, 2, 1, 1))
    distance = np.hypot(y - centres[:, 0], x - centres[:, 1])
    return np.clip(300 - 40 * distance, 0, 255).astype(np.uint8)[..., None]


def test_rearranging_pixels_is_invertible():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    gathered = image_vae.gather_pixels(x)
    assert gathered.shape == (2, 2, 3, 12)
    assert set(gathered[0, 0, 0]) == set(x[0, :2, :2].ravel())
    np.testing.assert_array_equal(image_vae.spread_pixels(gathered), x)


def test_whole_numbers_follow_the_floats(params, pixels):
    model = integer_vae.quantise(params, 12)
    floats = jax.jit(image_vae.encode)(params, jnp.asarray(pixels))
    rows = integer_vae.posterior(model, pixels)
    means = np.stack([row.mean for row in rows], axis=1) / 2**16
    np.testing.assert_allclose(means, floats.mean, atol=0.02)
    scales = 2.0**16 / np.stack([np.asarray(row.inverse_scale) for row in rows], axis=1)
    np.testing.assert_allclose(np.log(scales), floats.log_scale, atol=0.04)
    bins = np.random.default_rng(1).integers(0, 4096, (14, 2))
    _, centres = integer_vae._latent_bins()
    latents = jnp.asarray(centres[bins] / 2**16, jnp.float32)
    logits = jax.jit(image_vae.decode)(params, latents)
    logits = np.asarray(logits).reshape(14, 784, -1)
    expected = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(integer_vae.pixel_odds(model, bins) / 2**16, expected, atol=0.06)


def test_the_order_of_summation_does_not_matter(params, pixels):
    """Whole numbers in float64: any order of the inputs gives the very same outputs."""
    model = integer_vae.quantise(params, 9)
    order = np.random.default_rng(2).permutation(49 * CONFIG.narrow)
    layer = model.layers["encoder4"]
    shuffled = layer._replace(kernel=layer.kernel[order])
    x = np.random.default_rng(3).integers(-5000, 5000, (3, order.size)).astype(np.float64)
    whole = integer_vae._affine(model)("encoder4", x)
    again = integer_vae._affine(model._replace(layers={"encoder4": shuffled}))
    np.testing.assert_array_equal(whole, again("encoder4", x[:, order]))


def test_every_grey_value_can_be_coded(params):
    model = integer_vae.quantise(params, 7)
    counts = integer_vae.shade_counts(model)
    assert counts.shape == (257, CONFIG.n_shades)
    odds = np.random.default_rng(0).integers(0, 65537, (20, CONFIG.n_shades))
    odds[:, 0] = 65536
    values = np.tile(np.arange(257), (20, 1))
    cumulative = integer_vae._below(odds[:, None, :], counts, values)
    assert (np.diff(cumulative, axis=1) >= 1).all()
    assert (cumulative[:, 0] == 0).all()
    assert (cumulative[:, -1] == 1 << PRECISION).all()


def test_models_come_back(params):
    model = integer_vae.quantise(params, 7)
    back = integer_vae.read(integer_vae.write(model))
    for name, layer in model.layers.items():
        np.testing.assert_array_equal(back.layers[name].kernel, layer.kernel)
        np.testing.assert_array_equal(back.layers[name].bias, layer.bias)
        assert back.layers[name].shift == layer.shift
    np.testing.assert_array_equal(back.shades, model.shades)


@pytest.mark.parametrize("lanes", [4, 14])
def test_images_come_back_and_so_does_the_payload(params, pixels, lanes):
    model = integer_vae.quantise(params, 7)
    payload = np.random.default_rng(lanes).bytes(4 * 14 * 16)
    stack = integer_vae.encode(model, pixels, lanes, payload)
    received = LaneStack.from_bytes(stack.to_bytes(), lanes)
    np.testing.assert_array_equal(integer_vae.decode(model, received, len(pixels)), pixels)
    assert received.payload() == payload


def test_the_stack_grows_by_the_ideal_length(params, pixels):
    model = integer_vae.quantise(params, 7)
    payload = np.random.default_rng(0).bytes(2000)
    grown = integer_vae.encode(model, pixels, 7, payload).size_bits - 8 * len(payload)
    ideal = integer_vae.ideal_bits(model, pixels, np.random.default_rng(1))
    assert grown == pytest.approx(ideal, rel=0.03)


def test_files_of_images_and_labels(params, pixels):
    model = integer_vae.quantise(params, 7)
    labels = np.arange(len(pixels)) % 10
    data = image_file.write(model, pixels, labels, 1)
    back, back_labels = image_file.read(data)
    np.testing.assert_array_equal(back, pixels)
    np.testing.assert_array_equal(back_labels, labels)
    sizes = image_file.sizes(data)
    assert sizes.total == len(data)
    assert sizes.model + sizes.images < sizes.total < sizes.model + sizes.images + 100


@pytest.mark.slow
def test_damage_below_the_checksum_ends_in_a_format_error(params, pixels):
    model = integer_vae.quantise(params, 7)
    labels = np.arange(14) % 10
    data = image_file.write(model, pixels, labels, 1)
    archive = container.read_archive(data, kind=image_file.KIND)
    rng = np.random.default_rng(0)
    for _ in range(4):
        sections = {name: bytearray(body) for name, body in archive.sections.items()}
        damaged = sections["stack"]
        for _ in range(rng.integers(1, 4)):
            damaged[int(rng.integers(len(damaged)))] ^= int(rng.integers(1, 256))
        again = container.write_archive(image_file.KIND, archive.header, sections)
        with pytest.raises(FormatError):
            image_file.read(again)
    with pytest.raises(FormatError, match="too few"):
        image_file.write(model, pixels[:1], labels[:1], 9)
