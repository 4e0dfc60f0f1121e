"""Views: quadrants, groups of columns, shares of the budget, and what is no view."""

from __future__ import annotations

import numpy as np
import pytest

from bitalloc.encoders import sensors
from fewbits.coding import InputError


def test_quadrants_of_the_published_images():
    view = sensors.quadrants(28, 28).reshape(28, 28)
    np.testing.assert_array_equal(np.bincount(view.ravel()), [196] * 4)
    corners = [view[0, 0], view[0, 27], view[27, 0], view[27, 27]]
    np.testing.assert_array_equal(corners, [0, 1, 2, 3])
    assert view[13, 13] == 0
    assert view[14, 14] == 3


def test_groups_of_columns():
    view = sensors.parse("0-2,5/3", 7, None)
    np.testing.assert_array_equal(view, [0, 0, 0, 1, -1, 0, -1])
    assert sensors.n_sensors(view) == 2
    np.testing.assert_array_equal(sensors.parse("central", 3, None), [0, 0, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quadrants", "need images"),
        ("0-9", "no column 9"),
        ("0,1/1", "column 1 is given to two"),
        ("2-1", "sensor 0 has no columns"),
        ("left", "'left' is no column"),
        ("0//1", "'' is no column"),
    ],
)
def test_bad_views_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        sensors.parse(text, 7, None)


@pytest.mark.parametrize("shape", [(1, 8), (8, 1)])
def test_lines_have_no_quadrants(shape):
    with pytest.raises(InputError, match="no quadrants"):
        sensors.quadrants(*shape)


@pytest.mark.parametrize("budget", range(12))
def test_even_split_spends_all_and_differs_by_one(budget):
    split = sensors.even_split(budget, 4)
    assert split.sum() == budget
    assert np.ptp(split) <= 1
