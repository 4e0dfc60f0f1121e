"""Other images in the form of an image set: equal values give equal levels, others an error."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits.io.errors import InputError
from fewbits.io.image_sets import conforming, forms

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64", "bool"])
@pytest.mark.parametrize("layout", ["nhwc", "nhw", "nchw"])
def test_the_images_of_the_set_itself_are_its_levels(dtype, layout):
    values = RNG.integers(0, 2 if dtype == "bool" else 250, (5, 8, 9, 3))
    images = values.astype(dtype) / np.dtype(dtype).type(250) if "f" in dtype else values
    images = images.astype(dtype)
    images = {"nhwc": images, "nhw": images[..., 0], "nchw": np.moveaxis(images, -1, 1)}[layout]
    own, form = forms.with_channels(images, "nchw" if layout == "nchw" else "nhwc")
    found = conforming.levels(images, form, own.shape[1:])
    assert (found == forms.as_levels(own, form)).all()
    with pytest.raises(InputError, match=r"give a batch, images\[None\]"):
        conforming.levels(images[0], form, own.shape[1:])


def made(images):
    own, form = forms.with_channels(images)
    return form, own.shape[1:]


BYTES = RNG.integers(0, 256, (4, 8, 8), dtype=np.uint8)
UNIT = (BYTES / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("of", "given", "message"),
    [
        (BYTES, UNIT, "images are float32; this file's are uint8"),
        (UNIT, BYTES, "images are uint8; this file's are float32"),
        (UNIT, 255 * UNIT, "reach from 0 to 255"),
        (255 * UNIT, UNIT, "reach from 0 to 1; this file's are float32 .* 0 to 255"),
        (BYTES, BYTES > 7, "images are bool"),
        (BYTES, BYTES[:, :7], r"shape \(4, 7, 8\)"),
        (BYTES, BYTES.astype(str), "images are <U"),
        (UNIT, np.full_like(UNIT, np.nan), "NaN"),
    ],
)
def test_another_unit_is_an_error(of, given, message):
    with pytest.raises(InputError, match=message):
        conforming.levels(given, *made(of))


def test_a_value_a_little_beyond_the_range_counts_as_its_end():
    form, shape = made(3 * UNIT)
    assert form.high == pytest.approx(3 * UNIT.max())
    assert conforming.levels(3.3 * UNIT, form, shape).max() == 255
    assert not conforming.levels(np.zeros_like(BYTES), *made(BYTES)).any()
