from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.codecs.latent_images import image_code, image_file, image_vae, integer_vae, vae_file
from fewbits.coding.bits_back.stream_stack import PRECISION, StreamStack

pytestmark = pytest.mark.slow

CONFIG = image_vae.Config(n_latents=2, n_shades=5, wide=8, medium=8, narrow=4)


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
    _, centres = integer_vae.latent_bins()
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
    cumulative = image_code.below(odds[:, None, :], counts, values)
    assert (np.diff(cumulative, axis=1) >= 1).all()
    assert (cumulative[:, 0] == 0).all()
    assert (cumulative[:, -1] == 1 << PRECISION).all()


def test_models_come_back(params):
    model = integer_vae.quantise(params, 7)
    back = vae_file.read(vae_file.write(model))
    for name, layer in model.layers.items():
        np.testing.assert_array_equal(back.layers[name].kernel, layer.kernel)
        np.testing.assert_array_equal(back.layers[name].bias, layer.bias)
        assert back.layers[name].shift == layer.shift
    np.testing.assert_array_equal(back.shades, model.shades)


@pytest.mark.parametrize("streams", [4, 14])
def test_images_come_back_and_so_does_the_payload(params, pixels, streams):
    model = integer_vae.quantise(params, 7)
    payload = np.random.default_rng(streams).bytes(4 * 14 * 16)
    stack = image_code.encode(model, pixels, streams, payload)
    received = StreamStack.from_bytes(stack.to_bytes(), streams)
    np.testing.assert_array_equal(image_code.decode(model, received, len(pixels)), pixels)
    assert received.payload() == payload


def test_the_stack_grows_by_the_ideal_length(params, pixels):
    """On average: what the first latents cost depends on the payload that chose them."""
    model = integer_vae.quantise(params, 7)
    payloads = [np.random.default_rng(seed).bytes(2000) for seed in range(16)]
    stacks = [image_code.encode(model, pixels, 7, payload) for payload in payloads]
    grown = np.mean([one.size_bits - 8 * 2000 for one in stacks])
    rngs = [np.random.default_rng(100 + seed) for seed in range(16)]
    ideal = np.mean([image_code.ideal_bits(model, pixels, rng) for rng in rngs])
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


def test_ten_thousand_labels_fit_in_a_number():
    labels = np.random.default_rng(0).integers(0, 10, 10_000)
    packed = image_file._pack_labels(labels)
    assert len(packed) == pytest.approx(10_000 * np.log2(10) / 8, abs=4)
    np.testing.assert_array_equal(image_file._unpack_labels(packed, 10_000), labels)


def test_shapes_are_those_of_the_architecture():
    config = image_vae.Config(n_latents=3, n_shades=5, wide=7, medium=6, narrow=4)
    shapes = jax.eval_shape(lambda key: image_vae.init(config, key), jax.random.key(0))
    expected = {name: one["kernel"].shape for name, one in shapes.items() if name != "shades"}
    assert integer_vae.layer_shapes(integer_vae.Sizes(3, 5, 7, 6, 4)) == expected
