"""Which file is selected: margins of one standard error, limits, the Pareto set."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pruning.search import selection
from pruning.search.selection import Candidate, Limit, Point


def candidate(size: int, error: float, uncertainty: float = 0.0) -> Candidate:
    return Candidate(Point(1e-4, 6, 10, size, error, b"", uncertainty), None, None)


def test_the_standard_error_is_that_of_paired_differences():
    rng = np.random.default_rng(0)
    n, trials = 400, 4_000
    only_one, only_other = 0.05, 0.02
    drawn = rng.random((trials, n))
    right, reference = drawn > only_one, (drawn < 1 - only_other) | (drawn < only_one)
    differences = 100 * (right.mean(axis=1) - reference.mean(axis=1))
    estimates = [
        selection.standard_error_percent(*pair) for pair in zip(right, reference, strict=True)
    ]
    assert np.mean(estimates) == pytest.approx(differences.std(), rel=0.05)
    b, c = np.sum(right[0] & ~reference[0]), np.sum(~right[0] & reference[0])
    mcnemar = 100 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    assert estimates[0] == pytest.approx(mcnemar)


def test_a_network_that_says_the_same_has_no_uncertainty():
    right = np.array([True, False, True])
    assert selection.standard_error_percent(right, right) == 0


def test_the_smallest_file_is_within_the_limit_by_its_margin():
    lucky, sure, large = candidate(100, 1.0, 0.8), candidate(120, 1.2, 0.2), candidate(150, 0.9)
    assert selection.selected([lucky, sure, large], Limit(1.5, math.inf)) is sure
    assert selection.selected([lucky, large], Limit(1.5, math.inf)) is large


def test_where_none_is_within_the_limit_the_most_accurate_is_nearest():
    found = [candidate(100, 2.0), candidate(120, 1.7, 0.1), candidate(150, 1.7, 0.5)]
    assert selection.selected(found, Limit(1.5, math.inf)) is found[1]


def test_within_a_size_the_most_accurate_is_selected_and_else_the_smallest():
    found = [candidate(100, 2.0, 9.0), candidate(120, 1.7), candidate(150, 1.6)]
    assert selection.selected(found, Limit(math.inf, 130)) is found[1]
    assert selection.selected(found, Limit(math.inf, 90)) is found[0]
