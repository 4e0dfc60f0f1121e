"""Refinement: the centroid step, the certified descent, and functionals that need more."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import ratedist
from ratedist import sources
from ratedist.codebooks import codebook, functionals, merging
from ratedist.rate_function import implicit
from tests.ratedist.quick import quick

pytestmark = pytest.mark.slow

SOURCE = sources.trimodal()
LEVEL = 0.6
STEP = quick(codebook.convex_step)


@pytest.fixture(scope="module")
def refined():
    start = merging.codebook(np.linspace(-7.5, 7.5, 24))
    rule = ratedist.mean_distortion(SOURCE.p, LEVEL)
    return ratedist.refine_codebook(
        SOURCE.p, SOURCE.points, start, rule, steps=40, least_distance=0.02
    )


def test_every_point_is_certified(refined):
    _, points = refined
    assert np.asarray(points.converged).all()
    assert (np.asarray(points.gap_bits) <= 1e-6).all()
    assert (np.asarray(points.distortion) <= LEVEL).all()


def test_the_rate_falls_to_that_of_a_dense_codebook_and_no_lower(refined):
    book, points = refined
    rate = np.asarray(points.rate_ub)
    assert rate[-1] == pytest.approx(1.6777, abs=2e-3)
    # Merging may cost a little; the gradient steps may not.
    assert (np.diff(rate) < 5e-3).all()
    bound = ratedist.certificate_for_all_codebooks(
        SOURCE.p,
        SOURCE.points,
        SOURCE.points,
        ratedist.mean_distortion(SOURCE.p, LEVEL),
        *_dense(),
        slack_bits=1e-4,
    )
    assert bound == pytest.approx(1.6777, abs=2e-3)
    assert rate.min() >= bound
    assert np.asarray(book.mask).sum() <= 10


@functools.cache
def _dense():
    code = SOURCE.points
    d = sources.squared_error(SOURCE.points, code)
    rule = ratedist.mean_distortion(SOURCE.p, LEVEL)
    point = quick(ratedist.solve_fixed)(SOURCE.p, d, rule)
    return point.dual, point.q


@pytest.mark.slow
def test_a_full_step_is_the_centroid():
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(12, 2)), rng.dirichlet(np.ones(12))
    book = merging.codebook(rng.normal(size=(5, 2)))
    point = quick(ratedist.solve_slope)(p, sources.squared_error(x, book.points), 1.3)
    run = quick(
        lambda q: codebook.move(
            p, x, book, q, 1.3,
            codebook.value_and_gradient(
                functionals.lagrangian, codebook.envelope, p, x, book, 1.3
            )[1],
        )
    )  # fmt: skip
    moved = run(point.q)
    letter = np.asarray(ratedist.encoder(p, sources.squared_error(x, book.points), point))
    used = np.asarray(point.q) > 1e-3
    centroid = (letter.T @ (p[:, None] * x)) / (p @ letter)[:, None]
    np.testing.assert_allclose(np.asarray(moved.points)[used], centroid[used], atol=1e-4)


@pytest.mark.slow
def test_the_implicit_gradient_lowers_what_the_envelope_cannot_see():
    """H(Y) + s E d of the convex encoder: twenty steps down, from the codebook of best rate."""
    source = sources.gaussian(24)
    s, rate = 2.0, 0.3
    start = merging.codebook(np.array([-2.1, -1.2, -0.3, 0.5, 1.4, 2.2]))
    run = quick(
        lambda b: codebook.value_and_gradient(
            functionals.coded, implicit.optimal_marginal, source.p, source.points, b, s
        )
    )
    solve, move = quick(ratedist.solve_slope), quick(codebook.move)
    book, values = start, []
    for _ in range(20):
        value, gradient = run(book)
        values.append(float(value))
        point = solve(source.p, sources.squared_error(source.points, book.points), s)
        book = move(source.p, source.points, book, point.q, s, gradient, rate)
    assert values[-1] < values[0] - 1e-3
    assert np.isfinite(values).all()


def test_a_codebook_that_is_too_small_is_named():
    rule = ratedist.mean_distortion(SOURCE.p, 0.01)
    two = merging.codebook(np.arange(18.0), np.arange(18) < 2)
    point = STEP(SOURCE.p, SOURCE.points, two, rule)
    assert bool(point.infeasible[0])
    assert not bool(point.converged)


def test_what_refine_codebook_refuses():
    p, x = np.full(4, 0.25), np.arange(4.0)

    def on_the_host(p, d, s, mask):
        return np.asarray(d).mean(axis=0)

    for call, said in (
        (lambda: ratedist.refine_codebook(p, x, [0.0, 3.0], 1.0, marginal=on_the_host), "host"),
        (lambda: ratedist.refine_codebook(p, x, [0.0, np.nan], 1.0), "codeword is not finite"),
        (lambda: ratedist.refine_codebook(p, x, np.zeros((2, 2)), 1.0), "codewords of shape"),
        (lambda: ratedist.refine_codebook(2 * p, x, [0.0, 3.0], 1.0), "sum to 2"),
        (lambda: ratedist.refine_codebook(p, x, [0.0, 3.0], 1.0, steps=0), "0 steps"),
        (lambda: ratedist.anneal(p, x, [0.0, 3.0], -1.0, [1.0]), "price"),
        (lambda: ratedist.anneal(p, x, [0.0, 3.0], 1.0, [1.0, -0.5]), "temperatures"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_duplicated_codewords_change_nothing():
    x, p = SOURCE.points, SOURCE.p
    rule = ratedist.mean_distortion(p, LEVEL)
    y = np.linspace(-6, 6, 9)
    once = STEP(p, x, merging.codebook(np.append(y, [50.0] * 9)), rule)
    twice = STEP(p, x, merging.codebook(np.append(y, y)), rule)
    assert bool(twice.converged)
    assert float(twice.rate_ub) == pytest.approx(float(once.rate_ub), abs=2e-6)


@pytest.mark.slow
def test_all_three_gradients_give_the_same_codebook() -> None:
    x = np.linspace(-2, 2, 12)
    p = np.exp(-(x**2))
    p /= p.sum()
    found = {
        gradient: ratedist.refine_codebook(
            p, x, [-1.5, 0.1, 1.4], 0.3, steps=3, gradient=gradient, rate=0.5
        )
        for gradient in ("envelope", "implicit", "cvxpylayers")
    }
    book, points = found["envelope"]
    for other, same in (found["implicit"], found["cvxpylayers"]):
        np.testing.assert_allclose(other.points, book.points, atol=1e-4)
        np.testing.assert_allclose(same.rate_ub, points.rate_ub, atol=1e-4)
    with pytest.raises(ValueError, match="gradient 'x'"):
        ratedist.refine_codebook(p, x, [0.0], 2.0, gradient="x")
