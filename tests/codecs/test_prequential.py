from __future__ import annotations

import numpy as np
import pytest

from fewbits.codecs import prequential
from fewbits.codecs.prequential import (
    doubling_blocks,
    ideal_bits,
    read_labels,
    smoothed,
    write_labels,
)
from fewbits.coding import FormatError, container
from tests.coding.mutants import Outcomes, campaign


def counting(seen: np.ndarray, first: int, last: int) -> np.ndarray:
    """Laplace's rule of succession: a model that learns."""
    counts = 1 + np.bincount(seen, minlength=5)
    return np.tile(np.log(counts / counts.sum()), (last - first, 1))


def some_labels(count: int = 3000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(5, count, p=[0.7, 0.15, 0.1, 0.04, 0.01])


@pytest.mark.parametrize("count", [1, 2, 7, 3000])
@pytest.mark.parametrize("first", [1, 4, 5000])
def test_labels_come_back(count, first):
    labels = some_labels(count)
    data = write_labels(counting, labels, 5, doubling_blocks(count, first))
    np.testing.assert_array_equal(read_labels(data, counting), labels)


def test_identity_14_the_file_is_as_long_as_the_predictions_are_wrong():
    labels, ends = some_labels(), doubling_blocks(3000, 8)
    ideal = ends[0] * np.log2(5)
    for first, last in zip(ends[:-1], ends[1:], strict=True):
        ideal += ideal_bits(counting(labels[:first], first, last), labels[first:last])
    archive = container.read_archive(write_labels(counting, labels, 5, ends))
    bits = 8 * len(archive.sections["labels"])
    assert ideal - 1 <= bits <= 1.001 * ideal + 64


def test_identity_13_no_model_shortens_random_labels():
    """A learner of labels without pattern pays at least log2 K each."""
    labels = np.random.default_rng(1).integers(0, 5, 4000)
    archive = container.read_archive(write_labels(counting, labels, 5, doubling_blocks(4000, 8)))
    bits = 8 * len(archive.sections["labels"])
    assert bits >= 4000 * np.log2(5) - 64


def test_learning_pays():
    labels = some_labels()
    learned = len(write_labels(counting, labels, 5, doubling_blocks(3000, 8)))
    uniform = 3000 * np.log2(5) / 8
    entropy = -np.log2([0.7, 0.15, 0.1, 0.04, 0.01]) @ [0.7, 0.15, 0.1, 0.04, 0.01]
    assert 3000 * entropy / 8 * 0.93 < learned < 0.7 * uniform


def test_a_single_block_is_the_second_part_of_a_two_part_code():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 500)
    logits = 4.0 * np.eye(3)[labels] + rng.normal(size=(500, 3))
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict(seen: np.ndarray, first: int, last: int) -> np.ndarray:
        assert seen.size == 0
        return logits[first:last]

    data = write_labels(predict, labels, 3, [500])
    np.testing.assert_array_equal(read_labels(data, predict), labels)
    stream = container.read_archive(data).sections["labels"]
    assert 8 * len(stream) == pytest.approx(ideal_bits(logits, labels), abs=40)


def test_smoothing_bounds_the_price_of_a_mistake():
    certain = np.log(np.array([[1.0, 1e-30]]))
    mixed = smoothed(certain, 1e-3)
    assert np.exp(mixed).sum() == pytest.approx(1)
    assert -mixed[0, 1] / np.log(2) == pytest.approx(np.log2(2000))


def test_other_predictions_are_noticed():
    data = write_labels(counting, some_labels(), 5, doubling_blocks(3000, 8))
    with pytest.raises(FormatError, match="does not end"):
        read_labels(data, lambda seen, first, last: np.full((last - first, 5), -np.log(5)))


@pytest.mark.parametrize(
    ("labels", "n_classes", "ends"),
    [
        (np.array([0, 5]), 5, [2]),
        (np.array([0, -1]), 5, [2]),
        (np.array([0, 1]), 5, [1]),
        (np.array([0, 1]), 5, [2, 2]),
        (np.array([0, 1]), 5, []),
        (np.array([0, 1]), 1, [2]),
    ],
)
def test_mistakes_are_named(labels, n_classes, ends):
    with pytest.raises(ValueError, match="labels are|blocks end"):
        write_labels(counting, labels, n_classes, ends)


def test_predictions_are_checked():
    with pytest.raises(ValueError, match="log probabilities"):
        write_labels(lambda seen, first, last: np.ones((last - first, 5)), np.zeros(4, int), 5, [4])
    with pytest.raises(ValueError, match="one label"):
        doubling_blocks(0, 4)


def mutants(count: int) -> Outcomes:
    """Damage below the checksums ends in FormatError or in as many labels as declared."""

    def predict(seen: np.ndarray, first: int, last: int) -> np.ndarray:
        return counting(seen, first, min(last, 60))  # a receiver has so many inputs

    return campaign(
        count,
        [
            write_labels(counting, some_labels(60), 5, [10, 30, 60]),
            write_labels(counting, some_labels(60), 5, [60]),
        ],
        lambda data: read_labels(data, predict),
        lambda archive: archive.header["ends"][-1],
        lambda labels: labels.size,
        ["labels", "labels", "header"],
    )


@pytest.mark.slow
def test_damage_below_the_checksum_ends_in_a_format_error():
    assert mutants(300).refused > 240


@pytest.mark.nightly
def test_ten_thousand_damaged_streams():
    outcomes = mutants(10_000)
    assert outcomes.refused > 8000


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"classes": 5, "ends": [1, 1]},
        {"classes": 5, "ends": [1 << 40]},
        {"classes": True, "ends": [4]},
        {"classes": 5, "ends": "four"},
    ],
)
def test_headers_that_make_no_sense(header):
    with pytest.raises(FormatError):
        prequential.unpack(header, {"labels": b"\1"}, counting)
