"""The usual ways to classify from B bits: as many classes as B bits tell apart, chosen fairly."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from bitalloc import api
from bitalloc.fitting import rivals
from bitalloc.fitting.fit import Sample


def squares(n: int, seed: int) -> Sample:
    """Four classes, told apart by the signs of two of five features."""
    x = np.random.default_rng(seed).normal(size=(n, 5))
    return Sample(x, (2 * (x[:, 1] > 0) + (x[:, 3] > 0)).astype(np.int32))


@pytest.fixture(scope="module")
def found():
    return rivals.best(squares(300, 0), squares(100, 1), (1, 2, 5), 0)


def test_a_message_of_b_bits_tells_two_to_the_b_classes_apart(found):
    test = squares(400, 2)
    for bits, most in ((1, 2), (2, 4), (5, 4)):
        assert len(np.unique(found[bits].predict(test.features))) <= most
    one, two = (np.mean(found[bits].predict(test.features) == test.labels) for bits in (1, 2))
    assert 0.4 < one < 0.6
    assert two > 0.95


def test_the_chosen_one_is_the_best_on_validation(found):
    assert found[2].name in ("decision tree", "boosted trees", "logistic")
    assert found[1].validation < found[2].validation <= 1


def test_information_of_a_bit_is_in_closed_form():
    labels = np.array([0, 0, 1, 1])
    assert rivals._information(np.array([0, 0, 1, 1]), labels) == pytest.approx(np.log(2))
    assert rivals._information(np.array([0, 1, 0, 1]), labels) == pytest.approx(0)


def test_the_curve_is_measured_on_held_out_examples():
    features, labels = squares(300, 3)
    names = np.array(["a", "b", "c", "d"])[labels]
    curve = api.rival_curve(features, names, (2,), 0.2, key=jax.random.key(0))
    assert curve[2][1] > 0.9
