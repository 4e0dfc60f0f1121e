"""Side information and perception against closed forms, and the gap of their bounds."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist

HAMMING = 1.0 - np.eye(2)


def h(*p: float) -> float:
    """Entropy of a distribution, bits."""
    return float(-sum(t * np.log2(t) for t in p if t > 0))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.09])
def test_binary_side_information(level: float) -> None:
    # Y is X through a binary symmetric channel of 0.1: h(0.1) - h(D) where both know Y.
    point = ratedist.conditional_rate_point([[0.45, 0.05], [0.05, 0.45]], HAMMING, level)
    assert point.rate_lb == pytest.approx(h(0.1, 0.9) - h(level, 1 - level), abs=1e-8)
    assert point.gap_bits <= 1e-6
    assert point.distortion <= level + 1e-12


def test_side_information_that_says_nothing_or_everything() -> None:
    p = np.array([0.5, 0.3, 0.2])
    d = 1.0 - np.eye(3)
    useless = ratedist.conditional_rate_point(np.outer([0.4, 0.6], p), d, 0.1)
    assert useless.rate_lb == pytest.approx(float(ratedist.rate(p, d, 0.1)), abs=1e-6)
    assert ratedist.conditional_rate_point(np.diag(p), d, 0.0).rate_ub == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("divergence", ["tv", "kl"])
@pytest.mark.parametrize("level", [0.02, 0.05, 0.1])
def test_perfect_perception_of_a_coin(divergence: str, level: float) -> None:
    # X and Y of equal distribution and P(X != Y) = D: 2 h(p) less the entropy of the pair.
    p = 0.3
    point = ratedist.perception_point([p, 1 - p], HAMMING, level, 0.0, divergence=divergence)
    exact = 2 * h(p, 1 - p) - h(p - level / 2, level / 2, level / 2, 1 - p - level / 2)
    assert point.rate_lb == pytest.approx(exact, abs=1e-8)
    assert point.gap_bits <= 1e-8
    assert point.divergence <= 1e-12


@pytest.mark.parametrize("divergence", ["tv", "kl"])
def test_loose_perception_is_rate_distortion(divergence: str) -> None:
    p = np.array([0.5, 0.3, 0.2])
    d = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))
    point = ratedist.perception_point(p, d, 0.2, 5.0, divergence=divergence)
    assert point.rate_lb == pytest.approx(float(ratedist.rate(p, d, 0.2)), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("divergence", ["tv", "kl"])
def test_bounds_meet_and_the_encoder_fits(divergence: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    p, x = rng.dirichlet(np.ones(n)), rng.normal(size=n)
    d = np.subtract.outer(x, x) ** 2
    level = 0.3 * float(p @ (x - p @ x) ** 2)
    point = ratedist.perception_point(p, d, level, 0.03, divergence=divergence)
    assert -1e-12 <= point.gap_bits <= 1e-6
    assert point.distortion <= level * (1 + 1e-9)
    assert point.divergence <= 0.03 * (1 + 1e-9)
    np.testing.assert_allclose(point.encoder.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ratedist.perception_point([0.5, 0.5], HAMMING, 0.1, 0.1, divergence="x"), "kl"),
        (lambda: ratedist.perception_point([0.5, 0.5], HAMMING, 0.1, -1.0), "not negative"),
        (lambda: ratedist.perception_point([0.5, 0.6], HAMMING, 0.1, 0.1), "sum"),
        (lambda: ratedist.perception_point([0.5, 0.5], np.eye(3), 0.1, 0.1), "2 letters"),
        (lambda: ratedist.conditional_rate_point([0.5, 0.5], HAMMING, 0.1), "side information"),
        (lambda: ratedist.conditional_rate_point([[0.5, 0.5]], HAMMING, -0.1), "no encoder"),
    ],
)
def test_mistakes_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
