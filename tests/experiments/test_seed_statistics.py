"""Means and deviations over seeds."""

import math

import numpy as np
import pytest

from experiments.runner.statistics import over_seeds


def test_sample_deviation():
    found = over_seeds([1.0, 2.0, 6.0])
    assert found == (3.0, pytest.approx(math.sqrt(7.0)), 3)
    assert over_seeds(np.array([1234.5, 1235.5])).text(1) == "1,235.0 ± 0.7"


def test_one_seed_has_no_deviation():
    assert over_seeds([2.0]) == (2.0, None, 1)
    assert over_seeds([2.0]).text() == "2.00"


def test_no_seed():
    found = over_seeds([])
    assert math.isnan(found.mean)
    assert found[1:] == (None, 0)
