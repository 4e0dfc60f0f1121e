"""cvxpylayers on the m-dimensional form agrees with JAX; on the n x m form it is silently wrong."""

from __future__ import annotations

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedist import sources
from ratedist.codebooks import codebook, functionals, merging
from ratedist.codebooks.convex_layer import ConvexLayer
from ratedist.rate_function import implicit
from tests.ratedist.quick import quick

pytestmark = pytest.mark.slow

SMALL, LARGE = (20, 8, 1.0), (64, 16, 2.0)
SLOW = pytest.mark.slow
CASES = [
    pytest.param(SMALL, functionals.coded, id="coded-20x8"),
    pytest.param(SMALL, functionals.lagrangian, id="rate-20x8", marks=SLOW),
    pytest.param(SMALL, functionals.rounded(0.3), id="rounded-20x8", marks=SLOW),
    pytest.param(LARGE, functionals.coded, id="coded-64x16", marks=SLOW),
    pytest.param(LARGE, functionals.lagrangian, id="rate-64x16", marks=SLOW),
    pytest.param(LARGE, functionals.rounded(0.3), id="rounded-64x16", marks=SLOW),
]


def problem(n, m, beta):
    source = sources.gaussian(n)
    y = np.linspace(-2.6, 2.6, m) + 0.05 * np.sin(np.arange(m))
    return source, merging.codebook(y), beta / np.log(2)


def jax_gradient(functional, marginal, source, book, s):
    run = quick(
        lambda b: codebook.value_and_gradient(functional, marginal, source.p, source.points, b, s)
    )
    return run(book)


def disagreement(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "functional"), CASES)
def test_gradients_agree(size, functional):
    """On the rate all three; on other functionals the two that differentiate the optimum."""
    source, book, s = problem(*size)
    with jax.enable_x64(True):
        layer = ConvexLayer(source.p, size[1])

    def through_layer(p, d, s, mask):
        return layer(d, s, mask)

    value, exact = jax_gradient(functional, implicit.optimal_marginal, source, book, s)
    again, layered = codebook.value_and_gradient(
        functional, through_layer, source.p, source.points, book, s
    )
    assert float(again) == pytest.approx(float(value), abs=1e-5)
    assert disagreement(layered, exact) < 1e-4
    if functional is functionals.lagrangian:
        _, held = jax_gradient(functional, codebook.envelope, source, book, s)
        assert disagreement(held, exact) < 1e-4


@pytest.mark.slow
def test_many_codebooks_in_one_call():
    source, book, s = problem(20, 8, 1.0)
    with jax.enable_x64(True):
        layer = ConvexLayer(source.p, 8)
        books = jnp.stack([book.points, book.points + 0.1, 0.9 * book.points])
        mask = np.ones((3, 8), bool)
        mask[2, 0] = False

        def loss(points):
            d = jax.vmap(merging.squared_distances, in_axes=(None, 0))(source.points, points)
            q = layer(d, s, mask)
            value = jax.vmap(functionals.coded, in_axes=(None, 0, 0, None))
            return value(jnp.asarray(source.p), d, q, jnp.asarray(s)).sum()

        together = jax.grad(loss)(books)
    assert not np.asarray(together[2, 0]).any()
    for i in range(3):
        one = merging.Codebook(books[i], mask[i])
        _, alone = jax_gradient(functionals.coded, implicit.optimal_marginal, source, one, s)
        assert disagreement(together[i], alone) < 1e-4


@pytest.mark.slow
def test_the_full_form_is_silently_wrong():
    """n m relative entropies: the right value, and a gradient that is off by its own size."""
    from cvxpylayers.jax import CvxpyLayer

    source, book, s = problem(20, 8, 1.0)
    n, m = 20, 8
    joint = cp.Variable((n, m), nonneg=True)
    priced = cp.Parameter((n, m), nonneg=True)
    marginal = cp.sum(joint, axis=0)
    independent = source.p[:, None] @ cp.reshape(marginal, (1, m), order="C")
    cost = cp.sum(cp.rel_entr(joint, independent)) + cp.sum(cp.multiply(priced, joint))
    rows: object = cp.sum(joint, axis=1) == source.p
    full = CvxpyLayer(cp.Problem(cp.Minimize(cost), [rows]), [priced], [joint])
    solver = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-11)
    solver = {"solve_method": "Clarabel", **solver, "mode": "dense"}
    beta = s * np.log(2)

    def distortion(y):
        d = merging.squared_distances(source.points, y)
        (w,) = full(beta * d, solver_args=solver)
        return jnp.sum(w * d)

    with jax.enable_x64(True):
        value, wrong = jax.value_and_grad(distortion)(book.points)
    exact_value, exact = jax_gradient(
        functionals.distortion, implicit.optimal_marginal, source, book, s
    )
    assert float(value) == pytest.approx(float(exact_value), abs=1e-6)
    assert disagreement(wrong, exact) > 0.1


def test_bad_input():
    with pytest.raises(ValueError, match="sum to 0.5"):
        ConvexLayer([0.5], 2)
    with pytest.raises(ValueError, match="0 codewords"):
        ConvexLayer([1.0], 0)
