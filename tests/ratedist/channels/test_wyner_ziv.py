"""Side information at the decoder, and the information bottleneck: closed forms and references."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest

import ratedist
from fewbits.coding.units import binary_entropy_bits as h

HAMMING = 1.0 - np.eye(2)


def symmetric(crossover):
    return np.array([[1 - crossover, crossover], [crossover, 1 - crossover]]) / 2


def envelope(crossover, level):
    """Wyner and Ziv (1976): lower convex envelope of h(p * D) - h(D) and the point (p, 0)."""
    levels = np.linspace(1e-9, crossover * (1 - 1e-6), 400_001)
    curve = h(crossover * (1 - levels) + (1 - crossover) * levels) - h(levels)
    slopes = curve / (crossover - levels)
    touching = slopes.argmin()
    if level >= levels[touching]:
        return slopes[touching] * (crossover - level)
    return float(h(crossover * (1 - level) + (1 - crossover) * level) - h(level))


@pytest.mark.parametrize("crossover", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_the_doubly_symmetric_source(crossover, share):
    level = share * crossover
    point = ratedist.wyner_ziv_point(symmetric(crossover), HAMMING, level)
    assert point.gap_bits < 2e-7
    assert point.distortion <= level + 1e-15
    exact = envelope(crossover, level)
    assert point.rate_lb - 1e-9 <= exact <= point.rate_ub + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_against_cvxpy(seed):
    """The conditional information over all strategies, as one relative-entropy program."""
    rng = np.random.default_rng(seed)
    n, k, m = 3, 2, 2 + seed % 2
    joint, d = rng.dirichlet(np.ones(n * k)).reshape(k, n), rng.random((n, m))
    strategies = list(itertools.product(range(m), repeat=k))
    cost = np.array([[joint[range(k), x] @ d[x, list(t)] for t in strategies] for x in range(n)])
    nearest, blind = cost.min(axis=1).sum(), cost.sum(axis=0).min()
    level = 0.6 * nearest + 0.4 * blind
    letter = cp.Variable(cost.shape, nonneg=True)
    parts = []
    for row in joint:
        output = cp.reshape(row @ letter / row.sum(), (1, len(strategies)), order="C")
        parts.append(cp.sum(cp.rel_entr(cp.multiply(row[:, None], letter), row[:, None] @ output)))
    rules = [cp.sum(letter, axis=1) == 1, cp.sum(cp.multiply(cost, letter)) <= level]
    program = cp.Problem(cp.Minimize(cp.sum(parts)), rules)
    program.solve(solver=cp.CLARABEL)
    point = ratedist.wyner_ziv_point(joint, d, level)
    assert point.gap_bits < 2e-7
    assert point.rate_ub == pytest.approx(program.value / np.log(2), abs=1e-5)
    both = ratedist.conditional_rate_point(joint, d, level)
    blind_rate = ratedist.rate_point(joint.sum(axis=0), d, max(level, d.min(axis=1) @ joint.sum(0)))
    assert both.rate_lb - 1e-7 <= point.rate_ub <= blind_rate.rate_ub + 1e-6
    np.testing.assert_allclose(point.encoder.sum(axis=1), 1.0)
    assert (cost * point.encoder).sum() == pytest.approx(point.distortion)


def test_side_information_that_says_nothing_or_all():
    p = np.array([0.5, 0.3, 0.2])
    hamming = 1.0 - np.eye(3)
    nothing = ratedist.wyner_ziv_point(np.outer([0.4, 0.6], p), hamming, 0.1)
    assert nothing.rate_ub == pytest.approx(float(ratedist.rate(p, hamming, 0.1)), abs=1e-6)
    assert ratedist.wyner_ziv_point(np.diag(p), hamming, 0.0).rate_ub < 1e-9
    rare = np.zeros((3, 4))
    rare[:2, :3] = np.outer([0.4, 0.6], p)  # a letter and a value that never come
    wide = np.vstack([hamming, np.ones(3)])
    assert ratedist.wyner_ziv_point(rare, wide, 0.1).rate_ub == pytest.approx(
        nothing.rate_ub, abs=1e-6
    )


@pytest.mark.parametrize(
    ("joint", "d", "level", "said"),
    [
        (np.full((20, 2), 1 / 40), HAMMING, 0.1, "2\\^20 decoding strategies"),
        (symmetric(0.1), HAMMING + 0.2, 0.1, "the decoder reaches 0.2"),
        (2 * symmetric(0.1), HAMMING, 0.1, "sum to 2"),
        (symmetric(0.1), HAMMING[:1], 0.1, "one row per value"),
        (symmetric(0.1), HAMMING * np.nan, 0.1, "NaN"),
    ],
)
def test_bad_values_are_named(joint, d, level, said):
    with pytest.raises(ValueError, match=said) as caught:
        ratedist.wyner_ziv_point(joint, d, level)
    assert "\n" not in str(caught.value)


def test_the_bottleneck():
    """Symmetric binary: by Mrs Gerber's lemma the best relevance is 1 - h(a * h^-1(1 - R))."""
    crossover = 0.1
    for beta in (2.0, 4.0, 10.0):
        point = ratedist.information_bottleneck(symmetric(crossover), beta)
        noise = np.linspace(0, 0.5, 200_001)
        error = noise[np.abs(1 - h(noise) - point.complexity_bits).argmin()]
        best = 1 - h(crossover * (1 - error) + (1 - crossover) * error)
        assert point.relevance_bits == pytest.approx(best, abs=1e-5)
        assert best <= point.relevance_ub + 1e-9
    # 1 / 0.64 is where the first bit of complexity pays: the squared correlation.
    assert ratedist.information_bottleneck(symmetric(0.1), 1.5).complexity_bits < 1e-6
    for bad in ({"beta": -1.0}, {"beta": np.nan}, {"beta": 2.0, "clusters": 0}):
        with pytest.raises(ValueError, match="not negative"):
            ratedist.information_bottleneck(symmetric(0.1), **bad)


def test_relevance_stays_within_its_bound():
    rng = np.random.default_rng(0)
    for _ in range(6):
        joint = rng.dirichlet(np.ones(12)).reshape(3, 4)
        point = ratedist.information_bottleneck(joint, 5.0, clusters=3, restarts=2)
        assert 0 <= point.relevance_bits <= point.relevance_ub <= point.complexity_bits + 1e-12
        assert point.encoder.shape == (4, 3)


def test_one_call_draws_any_of_them():
    import matplotlib.pyplot as plt

    p, joint = np.array([0.9, 0.1]), symmetric(0.1)
    channel = np.array([[0.9, 0.1], [0.1, 0.9]])
    calls = [
        lambda x: ratedist.rate_point(p, HAMMING, x),
        lambda x: ratedist.wyner_ziv_point(joint, HAMMING, x),
        lambda x: ratedist.conditional_rate_point(joint, HAMMING, x),
        lambda x: ratedist.perception_point(p, HAMMING, x, 0.0),
        lambda x: ratedist.capacity_point(channel, np.array([0.0, 1.0]), x),
        lambda x: ratedist.information_bottleneck(joint, 1 + 50 * x),
    ]
    figure, axes = plt.subplots()
    for call in calls:
        points = ratedist.draw(call, [0.02, 0.05], axes=axes, label="a curve")
        assert len(points) == 2
    assert len(axes.lines) == 2 * len(calls)
    with pytest.raises(ValueError, match="at least one"):
        ratedist.draw(calls[0], [], axes=axes)
    with pytest.raises(ValueError, match="no bounds"):
        ratedist.draw(lambda x: x, [0.1], axes=axes)
    plt.close(figure)
