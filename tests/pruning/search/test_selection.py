"""Which file is selected: errors to be expected, limits, the Pareto set."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pruning.search import selection
from pruning.search.selection import Candidate, Limit, Point


def candidate(size: int, error: float, mean: float = 0.0) -> Candidate:
    return Candidate(Point(1e-4, 6, 10, size, error, b"", mean), None, None)


def test_one_lucky_file_expects_the_mean_of_its_penalty_weight():
    lucky, others = candidate(100, 1.0), [candidate(110, 3.0), candidate(120, 2.0)]
    rough = candidate(80, 5.0)
    found = selection.with_mean_error([rough, lucky, *others], [lucky, *others])
    assert [one.point.expected_error_percent for one in found] == [5.0, 2.0, 3.0, 2.0]
    assert [one.point.error_percent for one in found] == [5.0, 1.0, 3.0, 2.0]
    assert selection.with_mean_error([], []) == []


def test_the_smallest_file_is_selected_whose_expected_error_is_within_the_limit():
    lucky, sure, large = candidate(100, 1.0, 1.8), candidate(120, 1.2), candidate(150, 0.9)
    assert selection.selected([lucky, sure, large], Limit(1.5, math.inf)) is sure
    assert selection.selected([lucky, large], Limit(1.5, math.inf)) is large


def test_where_none_is_within_the_limit_the_least_expected_error_is_nearest():
    found = [candidate(100, 2.0), candidate(120, 1.6, 1.9), candidate(150, 1.7)]
    assert selection.selected(found, Limit(1.5, math.inf)) is found[2]


def test_within_a_size_the_most_accurate_is_selected_and_else_the_smallest():
    found = [candidate(100, 2.0, 9.0), candidate(120, 1.7), candidate(150, 1.6)]
    assert selection.selected(found, Limit(math.inf, 130)) is found[1]
    assert selection.selected(found, Limit(math.inf, 90)) is found[0]


@given(
    st.lists(
        st.tuples(st.integers(50, 60), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9
    ),
    st.integers(0, 7),
    st.integers(48, 62),
)
def test_no_listed_file_is_better_than_the_selected_one(points, error, size):
    found = [candidate(*each) for each in points]
    for limit in (Limit(error, math.inf), Limit(math.inf, size)):
        chosen = selection.selected(found, limit)
        assert any(one is chosen for one in selection.pareto(found))
        for other in (one.point for one in found):
            smaller = other.size_bytes < chosen.point.size_bytes
            better = other.expected_error_percent < chosen.point.expected_error_percent
            assert not (smaller and better)
            if limit.holds(other):
                assert limit.holds(chosen.point)
