"""Codebooks improved on the host for functionals of their own."""

from __future__ import annotations

import numpy as np
import pytest

from ratedist.codebooks import descent, functionals, merging

P, X = np.full(8, 1 / 8), np.arange(8.0)[:, None]
START = np.array([0.0, 2.0, 3.0, 6.9])


@pytest.mark.slow
def test_a_deterministic_code_costs_the_entropy_of_its_cells_and_their_error():
    book = merging.codebook(np.array([0.5, 4.0, 7.0]))
    # At so high a price every letter goes to the nearest codeword: cells of 3, 3 and 2 letters.
    error = (0.25 + 0.25 + 2.25 + 1 + 0 + 1 + 1 + 0) / 8
    entropy = -(2 * 3 / 8 * np.log2(3 / 8) + 2 / 8 * np.log2(2 / 8))
    found = descent.deterministic_cost(P, X, book, 50.0)
    assert found == pytest.approx(entropy + 50.0 * error)


@pytest.mark.slow
def test_descent_returns_the_codebook_of_the_least_value():
    found = descent.descend(P, X, START, 1.0, functionals.coded, steps=6)
    assert len(found.values_bits) == 6
    gradient = descent.gradient_through(P, X, descent.implicit.optimal_marginal)
    least, _ = gradient(functionals.coded, found.book, 1.0)
    assert float(least) == pytest.approx(min(found.values_bits), abs=1e-9)
    assert min(found.values_bits) < found.values_bits[0]
