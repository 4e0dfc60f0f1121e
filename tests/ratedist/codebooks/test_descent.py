"""Codebooks improved on the host: the compiled refinement again, and functionals of their own."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist
from ratedist.codebooks import codebook, descent, functionals, merging

P, X = np.full(8, 1 / 8), np.arange(8.0)[:, None]
START = np.array([0.0, 2.0, 3.0, 6.9])


@pytest.mark.slow
def test_refinement_in_calls_is_the_compiled_one():
    book, points = ratedist.refine_codebook(P, X, START, 1.0, steps=3)
    gradient = descent.gradient_through(P, X, codebook.envelope)
    path = descent.refine(P, X, merging.codebook(START), 1.0, gradient, steps=3)
    assert len(path) == 4
    rates = [float(point.rate_ub) for _, point in path]
    np.testing.assert_allclose(rates[:3], points.rate_ub, atol=1e-6)
    np.testing.assert_allclose(path[-1][0].points, book.points, atol=1e-4)
    assert rates[-1] < rates[0]


def test_a_codebook_that_is_too_small_is_named():
    gradient = descent.gradient_through(P, X, codebook.envelope)
    with pytest.raises(ValueError, match="step 0 does not reach a distortion of 0.01"):
        descent.refine(P, X, merging.codebook(START[:2]), 0.01, gradient, steps=1)


@pytest.mark.slow
def test_descent_returns_the_codebook_of_the_least_value():
    found = descent.descend(P, X, START, 1.0, functionals.coded, steps=6)
    assert len(found.values_bits) == 6
    gradient = descent.gradient_through(P, X, descent.implicit.optimal_marginal)
    least, _ = gradient(functionals.coded, found.book, 1.0)
    assert float(least) == pytest.approx(min(found.values_bits), abs=1e-9)
    assert min(found.values_bits) < found.values_bits[0]
