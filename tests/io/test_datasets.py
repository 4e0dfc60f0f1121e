from __future__ import annotations

import gzip
import sys
import time

import numpy as np
import pytest

from fewbits.io import datasets
from fewbits.io.datasets import DataError
from fewbits.io.image_sets import idx


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWBITS_CACHE", str(tmp_path / "cache"))


def test_digits_are_embedded_and_split():
    train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
    assert train.pixels.shape == (1297, 8, 8, 1)
    assert test.pixels.shape == (500, 8, 8, 1)
    assert train.pixels.dtype == np.uint8
    assert train.pixels.max() == 255
    assert len(np.unique(train.pixels)) == 17
    assert set(test.labels) == set(range(10))


def test_the_validation_part_is_disjoint_and_reproducible():
    images = datasets.load("digits", "train")
    images = images._replace(labels=np.arange(len(images.labels), dtype=np.int32))
    kept, held = datasets.split_validation(images, 297)
    assert len(kept.labels) == 1000
    assert sorted([*kept.labels, *held.labels]) == list(range(1297))
    np.testing.assert_array_equal(held.labels, datasets.split_validation(images, 297)[1].labels)
    with pytest.raises(DataError, match="1297"):
        datasets.split_validation(images, 1297)


@pytest.mark.parametrize(("name", "split"), [("mnits", "train"), ("digits", "validation")])
def test_unknown_names_are_refused(name, split):
    with pytest.raises(DataError, match=name if name != "digits" else split):
        datasets.load(name, split)


def test_data_that_is_not_prepared_names_three_ways(tmp_path):
    with pytest.raises(DataError) as refused:
        datasets.load("mnist", "train", data_dir=tmp_path)
    said = str(refused.value)
    assert "prepare_from_idx" in said
    assert "TFDS_DATA_DIR" in said
    assert said.count("\n") == 3


def _write_idx(folder, split, pixels, labels, zipped=False):
    stem = {"train": "train", "test": "t10k"}[split]
    for name, array, rank in (("images-idx3", pixels, 3), ("labels-idx1", labels, 1)):
        header = bytes([0, 0, 8, rank]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        data = header + array.astype(np.uint8).tobytes()
        if zipped:
            (folder / f"{stem}-{name}-ubyte.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{stem}-{name}-ubyte").write_bytes(data)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_prepared_and_then_loaded(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    rng = np.random.default_rng(0)
    parts = {}
    for split, count in (("train", 50), ("test", 20)):
        parts[split] = (rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count))
        _write_idx(tmp_path, split, *parts[split], zipped=zipped)
    with pytest.raises(DataError, match="--accept-other"):
        datasets.prepare_from_idx("mnist", tmp_path)
    lines = datasets.prepare_from_idx("mnist", tmp_path, accept_other=True)
    assert [("50 images" in lines[0]), ("20 images" in lines[1])] == [True, True]
    assert all("NOT the original" in line for line in lines)
    for split, (pixels, labels) in parts.items():
        loaded = datasets.load("mnist", split)
        np.testing.assert_array_equal(loaded.pixels[..., 0], pixels)
        np.testing.assert_array_equal(loaded.labels, labels)


def test_nothing_is_prepared_from_three_good_files(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        _write_idx(tmp_path, split, rng.integers(0, 256, (5, 28, 28)), rng.integers(0, 10, 5))
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(DataError, match="t10k-labels"):
        datasets.prepare_from_idx("mnist", tmp_path)
    assert not (tmp_path / "cache").exists()
    labels.unlink()
    with pytest.raises(DataError, match="t10k-labels"):
        datasets.prepare_from_idx("mnist", tmp_path)
    with pytest.raises(DataError, match="cifar10"):
        datasets.prepare_from_idx("cifar10", tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08\x03", b"\0\0\x09\x01" + bytes(5), b"\0\0\x08\x01" + b"\xff" * 4]
)
def test_files_that_are_not_idx_are_refused(data):
    with pytest.raises(ValueError, match="labels"):
        idx.parse(data, dimensions=1, name="labels")


def test_a_damaged_cache_is_not_believed(tmp_path):
    arrays = {"pixels": np.zeros((3, 2, 2, 1), np.uint8), "labels": np.arange(3, dtype=np.int32)}
    path = tmp_path / "cache" / "some-data.npy"
    datasets._write_cache(path, arrays)
    np.testing.assert_array_equal(datasets._read_cache(path)["labels"], arrays["labels"])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert datasets._read_cache(path) is None


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10_jpeg"])
def test_prepared_folders_are_read_without_tensorflow(tfds_dir, name):
    first = datasets.load(name, "test", data_dir=tfds_dir)
    began = time.perf_counter()
    again = datasets.load(name, "test", data_dir=tfds_dir)
    assert time.perf_counter() - began < 1
    assert "tensorflow" not in sys.modules
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert len(first.labels) == 10_000
    assert np.bincount(first.labels).min() > 800


@pytest.mark.data
def test_mnist_is_the_original_one(tfds_dir):
    """The prepared folder shuffles; what it holds is the official test set, image for image."""
    test = datasets.load("mnist", "test", data_dir=tfds_dir)
    assert np.bincount(test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_greek_letters_are_ten_equal_classes():
    train = datasets.load("greek_letters", "train")
    assert train.pixels.shape == (2_500, 28, 28, 1)
    assert np.bincount(train.labels).tolist() == [250] * 10
    assert len(train.label_names) == 10
    # A letter in two fonts is another picture, but dark paper stays dark.
    assert len(np.unique(train.pixels.reshape(2_500, -1), axis=0)) == 2_500
    assert np.median(train.pixels) < 32 < 140 < train.pixels.max()
