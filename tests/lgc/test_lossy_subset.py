"""The file of a reduced subset: what it gives back, how large it is, and damage."""

from __future__ import annotations

import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.codecs.pixels import pixel_code
from fewbits.coding import FormatError, container, read_archive, write_archive
from lgc.coresets import downsampling, lossy_subset
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import quantised_images


def blobs(count: int, side: int = 12, channels: int = 1, seed: int = 0):
    """Smooth pictures on black, one place and width for each of three classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    y, x = np.mgrid[:side, :side] / side
    middle = 0.3 + 0.2 * labels[:, None, None] + rng.normal(0, 0.05, (2, count, 1, 1))
    distance = (y - middle[0]) ** 2 + (x - middle[1]) ** 2
    bright = (
        400 * np.exp(-distance / 0.02)[..., None] * rng.uniform(0.5, 1, (count, 1, 1, channels))
    )
    return np.clip(bright - 30, 0, 255).astype(np.uint8), labels


def mixed_order(labels: np.ndarray) -> np.ndarray:
    """The documented order: image i of m of class c at (2 i + 1) / (2 m)."""
    rank = np.array([np.count_nonzero(labels[:n] == label) for n, label in enumerate(labels)])
    counts = np.array([np.count_nonzero(labels == label) for label in labels])
    return np.lexsort((labels, (2 * rank + 1) / (2 * counts)))


@pytest.mark.parametrize("channels", [1, 3])
def test_factor_one_and_eight_bits_lose_nothing(channels):
    images, labels = blobs(8, side=5, channels=channels)
    decoded, found = lossy_subset.read(lossy_subset.write(images, labels - 7, LOSSLESS))
    order = mixed_order(labels)
    np.testing.assert_array_equal(decoded, images[order])
    np.testing.assert_array_equal(found, labels[order] - 7)


@pytest.mark.parametrize(
    ("factor", "bits", "shape"), [(2, 2, (12, 12)), (3, 1, (7, 5)), (5, 4, (4, 9))]
)
def test_the_decoder_draws_the_enlarged_levels(factor, bits, shape):
    images, labels = blobs(30)
    images = images[:, : shape[0], : shape[1]]
    decoded, _ = lossy_subset.read(lossy_subset.write(images, labels, Downsampling(factor, bits)))
    small = downsampling.downsample(images[mixed_order(labels)], factor)
    levels = downsampling.fit_levels(small, bits).astype(int)
    assert len(levels) <= 2**bits
    nearest = levels[np.abs(small[..., None].astype(int) - levels).argmin(-1)].astype(np.uint8)
    np.testing.assert_array_equal(decoded, downsampling.interpolate(nearest, factor, *shape))


def test_means_and_interpolation_in_closed_form():
    ramp = np.arange(0, 96, 8, dtype=np.uint8)[None, None, :, None].repeat(4, axis=1)
    small = downsampling.downsample(ramp, 2)
    np.testing.assert_array_equal(small[0, 0, :, 0], [4, 20, 36, 52, 68, 84])
    # A ramp comes back as it was, but for half a square at both ends.
    large = downsampling.interpolate(small, 2, 4, 12)
    np.testing.assert_array_equal(large[0, 0, :, 0], [4, *range(8, 88, 8), 84])
    odd = downsampling.downsample(ramp[:, :3, :5], 2)
    np.testing.assert_array_equal(odd[0, :, :, 0], [[4, 20, 32]] * 2)
    assert downsampling.interpolate(odd, 2, 3, 5).shape == (1, 3, 5, 1)
    one = np.full((2, 1, 1, 1), 77, np.uint8)
    assert (downsampling.interpolate(one, 8, 7, 8) == 77).all()


def test_levels_beat_even_ones_and_keep_few_greys():
    images, _ = blobs(50)
    levels = downsampling.fit_levels(images, 2).astype(float)
    greys = images.reshape(-1, 1).astype(float)
    error = ((greys - levels) ** 2).min(axis=1).mean()
    even = ((greys - np.array([0, 85, 170, 255])) ** 2).min(axis=1).mean()
    assert error < 0.95 * even
    for level in levels:
        members = greys[np.abs(greys - levels).argmin(axis=1) == list(levels).index(level)]
        assert abs(members.mean() - level) <= 0.51
    few = np.array([3, 3, 200], np.uint8)
    np.testing.assert_array_equal(downsampling.fit_levels(few, 2), [3, 200])


def test_the_code_is_as_long_as_it_says_and_beats_general_compressors():
    images, labels = blobs(200)
    small = downsampling.downsample(images, 2)
    levels = downsampling.fit_levels(small, 2)
    pixels = np.abs(small[..., None].astype(int) - levels.astype(int)).argmin(-1).astype(np.uint8)
    stream = pixel_code.encode(pixels, labels, 4)
    bits = pixel_code.cost_bits(pixels, labels, 4).sum()
    assert bits / 8 <= len(stream) <= bits / 8 + 4
    packed = np.packbits(np.unpackbits(pixels[..., None], axis=-1)[..., -2:])
    assert len(stream) < 0.7 * len(lzma.compress(packed.tobytes(), preset=9))


def test_noise_costs_hardly_more_than_it_is_worth():
    pixels = np.random.default_rng(0).integers(0, 4, (60, 9, 9, 1)).astype(np.uint8)
    bits = pixel_code.cost_bits(pixels, np.zeros(60, int), 4).sum()
    assert 2 * pixels.size <= bits < 2.15 * pixels.size


@pytest.mark.slow
def test_the_largest_file_fits_and_one_more_image_does_not():
    images, labels = blobs(150)
    images = np.maximum(images, np.random.default_rng(1).integers(0, 256, images.shape, np.uint8))
    fitted = lossy_subset.largest(images, labels, 900, Downsampling())
    assert len(fitted.data) <= 900
    count = fitted.n_images
    assert 20 < count < 150
    assert len(lossy_subset.read(fitted.data)[1]) == count
    small = quantised_images.quantise(images, labels, Downsampling()).subset(slice(count + 1))
    assert len(quantised_images.pack(small)[1]) + 100 > 900
    assert len(lossy_subset.largest(images, labels, 900 + 60, Downsampling()).data) > 900


def test_a_budget_for_all_takes_all_and_a_hopeless_one_takes_one():
    images, labels = blobs(12, side=6)
    assert lossy_subset.largest(images, labels, 10_000, Downsampling()).n_images == 12
    assert lossy_subset.largest(images, labels, 10, Downsampling()).n_images == 1


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=2_000),
    st.integers(0, 1_000),
    st.integers(1, 30_000),
)
def test_the_search_for_the_largest_file_leaves_at_most_a_two_thousandth(costs, header, budget):
    ends = np.cumsum([header, *costs])
    found = quantised_images.largest(lambda count: bytes(ends[count]), len(costs), budget)
    assert len(found.data) == ends[found.n_images]
    exact = max(1, int(np.searchsorted(ends, budget, side="right")) - 1)
    if found.n_images != min(exact, len(costs)):
        assert 0 <= budget - ends[found.n_images] < budget / 2_000


def test_the_search_for_the_largest_file_writes_few_files():
    rng = np.random.default_rng(0)
    ends = np.cumsum([150, *rng.integers(8, 20, 50_000)])
    written = []
    quantised_images.largest(
        lambda count: bytes(written.append(count) or ends[count]), 50_000, 200_000
    )
    large = [count for count in written if count > 5_000]
    assert len(large) <= 4
    assert ends[max(c for c in written if ends[c] <= 200_000)] > 199_900


@pytest.fixture(scope="module")
def file() -> bytes:
    images, labels = blobs(12, side=6)
    return lossy_subset.write(images, labels, Downsampling())


def test_damage_is_a_format_error(file):
    for place in range(len(file)):
        damaged = bytearray(file)
        damaged[place] ^= 4
        with pytest.raises(FormatError):
            lossy_subset.read(bytes(damaged))
    for size in range(len(file)):
        with pytest.raises(FormatError):
            lossy_subset.read(file[:size])
    with pytest.raises(FormatError, match="kind"):
        lossy_subset.read(write_archive("model", {}, {}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shape", [6, 6]),
        ("shape", [6, 6, 0]),
        ("shape", [4096, 4096, 1]),
        ("shape", [6, 6.0, 1]),
        ("factor", 0),
        ("factor", 65),
        ("factor", True),
        ("levels", b"\3\2"),
        ("levels", "ab"),
        ("labels", [0, 0, 2]),
        ("labels", [0, 1]),
        ("counts", [1, 2, -3]),
        ("counts", [1 << 24, 1, 1]),
        ("counts", [500_000, 500_000, 500_000]),
        ("counts", None),
    ],
)
def test_headers_that_lie_are_format_errors(file, field, value):
    archive = read_archive(file)
    lie = write_archive(lossy_subset.KIND, {**archive.header, field: value}, archive.sections)
    with pytest.raises(FormatError):
        lossy_subset.read(lie)


@pytest.mark.slow
def test_streams_that_lie_are_refused_or_decode_to_what_the_header_says(file):
    archive = read_archive(file)
    rng = np.random.default_rng(0)
    for _ in range(40):
        stream = bytearray(archive.sections["pixels"])
        stream[rng.integers(len(stream))] ^= 1 << int(rng.integers(8))
        lie = container.write_archive(lossy_subset.KIND, archive.header, {"pixels": stream})
        try:
            images, labels = lossy_subset.read(lie)
        except FormatError:
            continue
        assert images.shape == (12, 6, 6, 1)
        assert labels.shape == (12,)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.float32), [0, 1], "float32"),
        (np.zeros((0, 4, 4), np.uint8), [], "shape"),
        (np.zeros((2, 4, 4), np.uint8), [0], "labels"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1 << 40], "int32"),
        (np.zeros((1, 1, 5000), np.uint8), [0], "4096"),
    ],
)
def test_what_cannot_be_stored_is_named(images, labels, message):
    with pytest.raises(ValueError, match=message):
        lossy_subset.write(images, np.array(labels, np.int64), Downsampling())


@pytest.mark.parametrize(("factor", "bits"), [(0, 2), (65, 2), (2, 0), (2, 9)])
def test_reductions_that_cannot_be(factor, bits):
    with pytest.raises(ValueError, match=str(factor if bits == 2 else bits)):
        Downsampling(factor, bits)


@pytest.mark.parametrize("percent", [100, 200, 1_600])
@pytest.mark.parametrize("levels", [[5, 192], [3, 4, 5, 6], [0, 90, 100, 255], list(range(64))])
def test_levels_for_contrast_are_black_white_and_what_they_were(levels, percent):
    before = np.array(levels, np.uint8)
    found = downsampling.levels_for_contrast(before, percent)
    assert (np.diff(found.astype(int)) > 0).all()
    shown = downsampling.more_contrast(found, percent).astype(int)
    assert shown[[0, -1]].tolist() == [0, 255]
    if percent <= 200 and len(levels) == 4 and levels[-1] == 255:
        assert np.abs(shown - levels).max() <= 1


def test_images_in_one_level_or_in_all_have_no_more_contrast():
    images, labels = blobs(20)
    for stored in (
        quantised_images.quantise(images, labels, Downsampling(1, 8)),
        quantised_images.quantise(0 * images, labels, Downsampling(1, 2)),
    ):
        assert stored.with_contrast(200) is stored
