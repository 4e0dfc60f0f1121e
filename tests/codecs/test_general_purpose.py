"""General-purpose compressors: round trips, and sizes that are those of the files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.codecs import general_purpose


@pytest.mark.parametrize("name", general_purpose.CODECS)
@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=200))
@pytest.mark.slow
def test_what_was_compressed_comes_back(name, data):
    codec = general_purpose.CODECS[name]
    assert codec.decompress(codec.compress(data)) == data
    assert codec.compress(data) == codec.compress(data)


def test_repetition_shrinks_under_every_compressor():
    text = b"what repeats, repeats; " * 2000
    sizes = general_purpose.sizes(text)
    assert max(sizes.values()) < len(text) / 10
    for name, codec in general_purpose.CODECS.items():
        assert sizes[name] == len(codec.compress(text))


def test_images_without_loss_as_common_files():
    pixels = np.zeros((7, 12, 10, 1), np.uint8)
    pixels[:, 3:6] = np.random.default_rng(0).integers(0, 256, (7, 3, 10, 1))
    sizes = general_purpose.image_sizes(pixels)
    assert sizes["xz -9e"] == len(general_purpose.CODECS["xz -9e"].compress(pixels.tobytes()))
    assert sizes == general_purpose.image_sizes(pixels[..., 0])
    # Each PNG has a header and checksums of its own, 57 bytes in all.
    assert sizes["PNG, one file each"] > sizes["PNG, one file for all"] + 6 * 57 - 40
