"""Means and deviations over seeds."""

import math

import numpy as np
import pytest

from experiments.runner.experiment import Over
from experiments.runner.rows import summary

MEAN = Over(np.mean, spread=True)


def test_sample_deviation():
    assert summary(MEAN, [1.0, 2.0, None, 6.0]) == (3.0, pytest.approx(math.sqrt(7.0)), 3)


def test_one_seed_has_no_deviation():
    assert summary(MEAN, [2.0]) == (2.0, None, 1)
    assert summary(Over(max), [2.0, 3.0]) == (3.0, None, 2)


def test_no_seed():
    found = summary(MEAN, [])
    assert math.isnan(found.mean)
    assert found[1:] == (None, 0)
