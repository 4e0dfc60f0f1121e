"""The annealed path starts on the convex problem's curve and ends in a deterministic code."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist
from ratedist import quantizers, sources
from ratedist.codebooks import merging
from tests.ratedist.quick import quick

pytestmark = pytest.mark.slow

SOURCE = sources.trimodal()
PRICE = 1.2
TEMPERATURES = np.append(np.geomspace(1.0, 0.02, 12), 0.0)


@pytest.fixture(scope="module")
def path():
    start = merging.codebook(np.linspace(-7.5, 7.5, 16))
    return ratedist.anneal(SOURCE.p, SOURCE.points, start, PRICE, TEMPERATURES, steps=60)


def test_information_adds_up(path):
    np.testing.assert_allclose(
        path.mutual_information_bits,
        path.output_entropy_bits - path.conditional_entropy_bits,
        atol=1e-12,
    )
    assert (path.mutual_information_bits >= -1e-12).all()
    assert (path.conditional_entropy_bits >= -1e-12).all()


def test_begins_at_the_rate_distortion_function(path):
    """At T = 1 the alternation is Blahut-Arimoto with moving codewords: near the dense bound."""
    code = np.linspace(-8, 8, 397)
    d = sources.squared_error(SOURCE.points, code)
    point = quick(ratedist.solve_slope)(SOURCE.p, d, PRICE)
    best = float(point.rate_lb + PRICE * point.distortion[0])
    found = float(path.mutual_information_bits[0] + PRICE * path.distortion[0])
    # Codewords that move may pass those of a grid, by less than the grid's own loss.
    assert best - 5e-4 <= found <= best + 0.01


def test_ends_deterministic_with_fewer_codewords(path):
    assert path.conditional_entropy_bits[-1] < 1e-6
    assert path.output_entropy_bits[-1] == pytest.approx(
        float(path.mutual_information_bits[-1]), abs=1e-6
    )
    assert (np.diff(path.codewords) <= 0).all()
    assert path.codewords[-1] < 16
    used = np.asarray(path.book.mask[-1])
    best = quantizers.scalar_code(SOURCE.p, SOURCE.points[:, 0], PRICE)
    optimum = float(best.rate_bits + PRICE * best.distortion)
    found = float(path.output_entropy_bits[-1] + PRICE * path.distortion[-1])
    assert optimum - 1e-9 <= found <= optimum + 0.05
    assert np.asarray(path.q[-1])[~used].max(initial=0.0) == 0.0


def test_no_randomness_is_added_by_cooling(path):
    """The cost that an entropy coder pays, H + s D, falls; what a random code could have, rises."""
    coded = path.output_entropy_bits + PRICE * path.distortion
    convex = path.mutual_information_bits + PRICE * path.distortion
    assert coded[-1] < coded[0]
    assert convex[-1] > convex[0]
    assert (np.diff(path.conditional_entropy_bits) < 1e-3).all()
