"""Derivatives of the optimum against finite differences of tightly solved problems."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ratedist
from ratedist import sources
from ratedist.codebooks import codebook, functionals, merging
from ratedist.rate_function import implicit
from tests.ratedist.quick import quick

pytestmark = pytest.mark.slow

SOURCE = sources.gaussian(20)
PRICE = 1.0 / np.log(2)
CODE = np.linspace(-2.6, 2.6, 8)[:, None] + 0.05 * np.sin(np.arange(8))[:, None]


@functools.cache
def total(functional, marginal):
    """(codebook, price) -> value and gradient, compiled."""
    return quick(
        lambda y, s: codebook.value_and_gradient(
            functional, marginal, SOURCE.p, SOURCE.points, merging.codebook(y), s
        )
    )


def differences(f, y, places, step=4e-3):
    """Central differences of fourth order: the wide step keeps the solver's last digits out."""
    found = []
    for j in places:
        shift = np.zeros_like(y)
        shift[j] = step
        near, far = (f(y + k * shift) - f(y - k * shift) for k in (1, 2))
        found.append((8 * near - far) / (12 * step))
    return np.array(found)


@pytest.mark.parametrize(
    "functional",
    [
        functionals.coded,
        pytest.param(functionals.distortion, marks=pytest.mark.slow),
        pytest.param(functionals.rounded(0.3), marks=pytest.mark.slow),
    ],
    ids=["coded", "distortion", "rounded"],
)
def test_functionals_of_the_optimum(functional):
    f = total(functional, implicit.optimal_marginal)
    _, gradient = f(CODE, PRICE)
    places = [1, 3, 4]
    exact = differences(lambda y: float(f(y, PRICE)[0]), CODE, places)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient[places, 0], exact, atol=1e-5 * scale)


@pytest.mark.slow
def test_the_envelope_is_right_for_the_rate():
    rate = [
        total(functionals.lagrangian, m)(CODE, PRICE)[1]
        for m in (codebook.envelope, implicit.optimal_marginal)
    ]
    np.testing.assert_allclose(rate[0], rate[1], rtol=1e-6, atol=1e-9)


def test_the_envelope_is_wrong_for_the_entropy():
    coded = [
        total(functionals.coded, m)(CODE, PRICE)[1]
        for m in (codebook.envelope, implicit.optimal_marginal)
    ]
    assert np.abs(coded[0] - coded[1]).max() > 0.1 * np.abs(coded[1]).max()


@pytest.mark.slow
def test_price_and_marginal_at_a_fixed_level():
    """dR/dy at fixed D by the chain rule through the price, and d nu/dD, at once."""
    mask = np.abs(SOURCE.points[:, 0]) < 0.5

    def prices(y, level):
        d = merging.squared_distances(SOURCE.points, y)
        rules = (
            ratedist.mean_distortion(SOURCE.p, level),
            ratedist.subset_mean(SOURCE.p, mask, 0.22),
        )
        found = implicit.optimum(SOURCE.p, d, rules)
        return found.nu @ jnp.array([1.0, 3.0]) + found.q @ jnp.sin(jnp.arange(8.0))

    f = quick(jax.value_and_grad(prices, argnums=(0, 1)))
    value, (by_code, by_level) = f(CODE, 0.4)
    assert np.isfinite(value)
    exact = differences(lambda y: float(f(y, 0.4)[0]), CODE, [2, 4])
    np.testing.assert_allclose(by_code[[2, 4], 0], exact, rtol=1e-4)
    (slope,) = differences(lambda level: float(f(CODE, level[0])[0]), np.array([0.4]), [0], 1e-3)
    assert float(by_level) == pytest.approx(slope, rel=1e-4)


@pytest.mark.slow
def test_masked_codewords_have_no_gradient():
    mask = np.arange(8) < 6

    def value(y, mask):
        d = merging.squared_distances(SOURCE.points, y)
        q = implicit.optimal_marginal(SOURCE.p, d, PRICE, mask)
        return functionals.coded(jnp.asarray(SOURCE.p), d, q, jnp.asarray(PRICE))

    f = quick(jax.value_and_grad(value))
    found, gradient = f(CODE, mask)
    assert np.isfinite(found)
    assert not gradient[~mask].any()
    elsewhere = np.where(mask[:, None], CODE, CODE - 0.3)
    again, same = f(elsewhere, mask)
    assert float(found) == pytest.approx(float(again), abs=1e-9)
    np.testing.assert_allclose(gradient, same, atol=1e-7)


@pytest.mark.slow
def test_vmap_over_codebooks():
    books = np.stack([CODE, CODE + 0.1])
    both = quick(
        jax.vmap(
            lambda y: codebook.value_and_gradient(
                functionals.coded, implicit.optimal_marginal, SOURCE.p, SOURCE.points,
                merging.codebook(y), PRICE,
            )[1]
        )
    )(books)  # fmt: skip
    one = total(functionals.coded, implicit.optimal_marginal)(CODE, PRICE)[1]
    np.testing.assert_allclose(both[0], one, atol=1e-9)


def test_bad_temperature():
    with pytest.raises(ValueError, match="temperature 0"):
        functionals.rounded(0.0)
