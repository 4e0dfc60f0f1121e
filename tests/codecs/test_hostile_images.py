"""Files of images and of their model that someone wrote on purpose, right checksums and all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fewbits.codecs.latent_images import image_code, image_file, integer_vae, vae_file
from fewbits.codecs.latent_images.integer_vae import IntegerVae, Layer, Sizes
from fewbits.coding import FormatError, container
from tests.coding.mutants import Outcomes, campaign

SIZES = Sizes(n_latents=1, n_shades=2, wide=1, medium=2, narrow=1)


def tiny_model(sizes: Sizes = SIZES, reach: int = 63, shift: int = 7) -> IntegerVae:
    rng = np.random.default_rng(0)
    layers = {
        name: Layer(
            rng.integers(-reach, reach + 1, shape, np.int32),
            rng.integers(-99, 100, shape[-1], np.int32),
            shift,
        )
        for name, shape in integer_vae.layer_shapes(sizes).items()
    }
    # Steep histograms: few bits for each pixel, black or white.
    ramp = np.minimum(np.arange(256) // 2, 64)
    shades = np.resize(np.stack([ramp, ramp[::-1]]), (sizes.n_shades, 256))
    return IntegerVae(layers, shades.astype(np.int32))


def image_of(model: IntegerVae) -> bytes:
    """One image on top of a payload that is no label: one label is too little to borrow from."""
    pixels = np.zeros((1, 28, 28, 1), np.uint8)
    pixels[:, 7:20, 9:15] = 250
    stack = image_code.encode(model, pixels, 1, np.random.default_rng(0).bytes(12))
    sections = {"model": vae_file.write(model), "stack": stack.to_bytes()}
    return container.write_archive(image_file.KIND, {"count": 1, "lanes": 1}, sections)


def array_shapes(model: IntegerVae) -> list[tuple[int, ...]]:
    arrays = [part for layer in model.layers.values() for part in layer[:2]]
    return [array.shape for array in [*arrays, model.shades]]


def declared_shapes(archive: container.Archive) -> list[tuple[int, ...]]:
    sizes = Sizes(*archive.header["sizes"])
    shapes = integer_vae.layer_shapes(sizes).values()
    return [*(part for one in shapes for part in (one, one[-1:])), (sizes.n_shades, 256)]


def model_mutants(count: int) -> Outcomes:
    return campaign(
        count,
        [vae_file.write(tiny_model())],
        vae_file.read,
        declared_shapes,
        array_shapes,
        ["symbols", "symbols", "shifts", "numbers", "tables", "header"],
    )


def image_mutants(count: int) -> Outcomes:
    return campaign(
        count,
        [image_of(tiny_model())],
        image_file.read,
        lambda archive: (archive.header["count"], 28, 28, 1),
        lambda back: back[0].shape,
        ["stack", "model", "model", "header", "header"],
    )


def test_damaged_models_below_the_checksum():
    assert model_mutants(300).refused > 200


def test_the_undamaged_file_is_refused_for_its_payload_alone():
    with pytest.raises(FormatError, match="not labels"):
        image_file.read(image_of(tiny_model()))


def test_damaged_images_below_the_checksum():
    assert image_mutants(40).refused == 40


@pytest.mark.slow
def test_ten_thousand_damaged_models():
    outcomes = model_mutants(10_000)
    assert outcomes.refused > 7000


@pytest.mark.nightly
def test_ten_thousand_damaged_files_of_images():
    outcomes = image_mutants(10_000)
    assert outcomes.refused == 10_000


def test_the_largest_weights_are_exact():
    """Whole numbers at every limit at once: float64 gives what Python's integers give."""
    model = tiny_model(Sizes(1, 1, 1, 1, 128))
    layer = model.layers["encoder4"]
    limits = np.full(layer.kernel.shape, (1 << 15) - 1, np.int32)
    bias = np.full(layer.bias.shape, 1 << 20, np.int32)
    for shift in (0, 13, 24):
        changed = {**model.layers, "encoder4": Layer(limits, bias, shift)}
        x = np.full((1, layer.kernel.shape[0]), 1 << 20)
        x[0, ::2] -= 1
        total = int(x.sum()) * ((1 << 15) - 1) + (1 << 20) * (1 << 2 + shift)
        assert total < 1 << 49
        rounded = min((2 * total + (1 << shift)) >> shift + 1, 1 << 20)
        affine = integer_vae._affine(model._replace(layers=changed))
        np.testing.assert_array_equal(affine("encoder4", x.astype(np.float64)), [[rounded] * 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [1, 2, 1, 2, 129]}, "sizes are at most"),
        ({"sizes": [1, 33, 1, 2, 1]}, "sizes are at most"),
        ({"sizes": [1, 2, 1, 2]}, "sizes are at most"),
        ({"sizes": [1, True, 1, 2, 1]}, "sizes are at most"),
        ({"sizes": [1, 2, 1, 0, 1]}, "sizes are at most"),
        ({"sizes": 1 << 60}, "sizes are at most"),
        ({"sizes": [1, 2, 1, 2, 2]}, "does not end|exhausted"),
        ({"sizes": [128, 32, 128, 128, 128]}, "do not fit in the stream"),
        ({"shifts": bytes(8)}, "shifts"),
        ({"shifts": bytes([25] * 9)}, "shifts"),
        ({"numbers": bytes(20)}, "do not go together"),
        ({"tables": b""}, "do not go together"),
        ({"tables": 3}, "byte strings"),
        ({"more": 3}, "header has"),
    ],
)
def test_headers_that_make_no_model(changes, message):
    archive = container.read_archive(vae_file.write(tiny_model()))
    wrong = container.write_archive(vae_file.KIND, {**archive.header, **changes}, archive.sections)
    with pytest.raises(FormatError, match=message):
        vae_file.read(wrong)


def test_models_beyond_the_limits_are_not_written():
    model = tiny_model()
    layer = model.layers["decoder2"]
    heavy = layer._replace(kernel=np.full_like(layer.kernel, 1 << 15))
    wrong = [
        tiny_model(shift=25),
        tiny_model(Sizes(1, 33, 1, 1, 1)),
        model._replace(layers={**model.layers, "decoder2": heavy}),
        model._replace(shades=model.shades + 300),
    ]
    for one in wrong:
        with pytest.raises(ValueError, match="no file can hold"):
            vae_file.write(one)
    other = layer._replace(kernel=layer.kernel[..., :-1])
    with pytest.raises(ValueError, match="decoder2 is"):
        vae_file.write(model._replace(layers={**model.layers, "decoder2": other}))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"count": 257, "lanes": 1}, "images are 1 to"),
        ({"count": 1 << 40, "lanes": 1}, "images are 1 to"),
        ({"count": 0, "lanes": 1}, "images are 1 to"),
        ({"count": True, "lanes": 1}, "images are 1 to"),
        ({"count": 1, "lanes": 257}, "streams are 1 to"),
        ({"count": 1, "lanes": -1}, "streams are 1 to"),
        ({"count": 1, "lanes": "1"}, "streams are 1 to"),
        ({"count": 1}, "has count"),
        ({"count": 1, "lanes": 200}, "bytes for 200 streams"),
        ({"count": 2, "lanes": 1}, "exhausted|not labels|does not end"),
    ],
)
def test_headers_that_make_no_images(header, message):
    archive = container.read_archive(image_of(tiny_model()))
    with pytest.raises(FormatError, match=message):
        image_file.read(container.write_archive(image_file.KIND, header, archive.sections))


@pytest.mark.parametrize(
    ("count", "labels", "streams", "message"),
    [
        (2, [1], 1, "with 1 labels"),
        (1, [10], 1, "labels are 0 to 9"),
        (1, [1], 0, "streams"),
        (1, [1], 2, "too few for 2 streams"),
        (257, [1] * 257, 1, "257 images"),
    ],
)
def test_images_that_cannot_be_written(count, labels, streams, message):
    pixels = np.zeros((count, 28, 28, 1), np.uint8)
    with pytest.raises(ValueError, match=message):
        image_file.write(tiny_model(), pixels, np.array(labels), streams)


def test_the_bounds_in_words():
    assert math.prod((49 * 128, 1 << 20, 1 << 15)) + (1 << 46) < 1 << 49
    assert 32 * (1 << 16) * (1 << 14) * ((1 << 28) - 256) < 1 << 63
