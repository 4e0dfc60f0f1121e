from __future__ import annotations

import numpy as np
import pytest

from fewbits.coding import FormatError, read_archive, write_archive
from fewbits.io import datasets
from lgc.coresets import lossless_subset


@pytest.fixture(scope="module")
def images():
    return datasets.load("digits", "train")


def test_a_subset_comes_back_sorted_by_class(images):
    data = lossless_subset.write(images.pixels[:200], images.labels[:200])
    pixels, labels = lossless_subset.read(data)
    order = np.argsort(images.labels[:200], kind="stable")
    np.testing.assert_array_equal(pixels, images.pixels[:200][order])
    np.testing.assert_array_equal(labels, images.labels[:200][order])


def test_the_largest_subset_fits_and_one_more_image_does_not(images):
    data, count = lossless_subset.largest(images.pixels, images.labels, 3_000, seed=1)
    assert len(data) <= 3_000
    order = np.random.default_rng(1).permutation(len(images.labels))[: count + 1]
    assert len(lossless_subset.write(images.pixels[order], images.labels[order])) > 3_000


def test_a_budget_for_everything_takes_everything(images):
    few = images.first(9)
    assert lossless_subset.largest(few.pixels, few.labels, 10**6, seed=0)[1] == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1 << 20, 1 << 20, 1, 1]},
        {"shape": [10, 8, 8, 2]},
        {"counts": [3]},
        {"codec": "pickle"},
        {"shape": None},
    ],
)
def test_well_signed_nonsense_is_refused(images, changes):
    stored = read_archive(lossless_subset.write(images.pixels[:10], images.labels[:10]))
    with pytest.raises(FormatError):
        lossless_subset.read(write_archive("subset", {**stored.header, **changes}, stored.sections))


@pytest.mark.parametrize("codec", ["zlib", "bz2", "xz"])
def test_a_damaged_payload_is_refused(images, codec):
    packed = lossless_subset._PACK[codec](images.pixels[:10].tobytes())
    header = {"shape": [10, 8, 8, 1], "counts": [10], "codec": codec}
    intact = write_archive("subset", header, {"pixels": packed})
    np.testing.assert_array_equal(lossless_subset.read(intact)[0], images.pixels[:10])
    for damaged in (packed[:-3], packed + b"x", b""):
        with pytest.raises(FormatError):
            lossless_subset.read(write_archive("subset", header, {"pixels": damaged}))
