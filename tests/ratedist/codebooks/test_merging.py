from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedist.codebooks import merging
from tests.ratedist.quick import quick

MERGE = quick(lambda y, mask, q: merging.merge(
    merging.codebook(y, mask), q, least_mass=0.01, least_distance=0.5
))  # fmt: skip
ALL = np.ones(6, bool)


def test_close_codewords_become_their_weighted_mean():
    y = np.array([0.0, 5.0, 0.4, 9.0, 7.0, -3.0])
    q = np.array([0.3, 0.2, 0.1, 0.2, 0.1, 0.1])
    book, mass = MERGE(y, ALL, q)
    np.testing.assert_array_equal(book.mask, [1, 1, 0, 1, 1, 1])
    assert book.points[0, 0] == np.float64(0.1) or abs(book.points[0, 0] - 0.1) < 1e-12
    np.testing.assert_allclose(mass, [0.4, 0.2, 0, 0.2, 0.1, 0.1])


def test_chains_become_one():
    y = np.array([0.0, 0.4, 0.8, 1.2, 1.6, 2.0])[::-1]
    book, mass = MERGE(y, ALL, np.full(6, 1 / 6))
    assert np.asarray(book.mask).sum() == 1
    np.testing.assert_allclose(np.asarray(book.points)[np.asarray(book.mask)], [[1.0]])
    assert mass.max() == 1.0


def test_light_codewords_go_and_masked_ones_do_not_come_back():
    q = np.array([0.5, 0.005, 0.495, 0.0, 0.0, 0.9])
    mask = np.array([1, 1, 1, 1, 1, 0], bool)
    book, mass = MERGE(np.arange(6.0), mask, q)
    np.testing.assert_array_equal(book.mask, [1, 0, 1, 0, 0, 0])
    assert abs(np.sum(mass) - 1) < 1e-15


def test_the_heaviest_always_stays():
    book, _ = MERGE(np.arange(6.0), ALL, np.array([1, 1, 3, 1, 1, 1]) * 1e-4)
    np.testing.assert_array_equal(book.mask, [0, 0, 1, 0, 0, 0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_mean_and_mass_survive(seed):
    rng = np.random.default_rng(seed)
    y, q = rng.integers(0, 8, 6) * 0.3, rng.dirichlet(np.ones(6)) + 0.02
    q /= q.sum()
    book, mass = MERGE(y, ALL, q)
    points, used = np.asarray(book.points)[:, 0], np.asarray(book.mask)
    np.testing.assert_allclose(mass @ points, q @ y, atol=1e-12)
    left = np.sort(points[used])
    assert (np.diff(left) > 1e-9).all()
    again, _ = MERGE(points, used, mass)
    assert np.asarray(again.mask).sum() <= used.sum()
