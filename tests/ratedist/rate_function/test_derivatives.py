"""Derivatives where they are easily lost: forward mode, duplicate codewords, single precision."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import ratedist
from ratedist.rate_function import implicit

P = np.array([0.5, 0.3, 0.2])
HAMMING = 1.0 - np.eye(3)
PRICE = np.log2(9.0) + 1.0
"""At D = 0.1: log2 (1 - D) / D + log2 2."""


@pytest.mark.slow
def test_forward_mode_of_the_optimum():
    """nu = log2 2 (1 - D) / D, so dnu/dD = -1 / (D (1 - D) log 2), by a push forward."""

    def price(level):
        return implicit.optimum(P, HAMMING, ratedist.mean_distortion(P, level)).nu[0]

    value, slope = ratedist.compiled(lambda D: jax.jvp(price, (D,), (1.0,)))(0.1)
    assert float(value) == pytest.approx(PRICE, rel=1e-7)
    assert float(slope) == pytest.approx(-1 / (0.09 * np.log(2)), rel=1e-6)


@pytest.mark.slow
def test_duplicate_codewords():
    """The rate has its derivatives; a marginal that is not unique has none, and says so."""
    twice = np.concatenate([HAMMING, HAMMING], axis=1)
    gradient = ratedist.compiled(jax.grad(ratedist.rate, argnums=(0, 2)))(P, twice, 0.1)
    assert float(gradient[1]) == pytest.approx(-PRICE, rel=1e-5)
    along = np.array([1.0, -1.0, 0.0])
    assert float(gradient[0] @ along) == pytest.approx(np.log2(P[1] / P[0]), rel=1e-5)

    def first(level):
        return implicit.optimum(P, twice, ratedist.mean_distortion(P, level)).q[0]

    assert not np.isfinite(float(ratedist.compiled(jax.grad(first))(0.1)))


def test_the_reference_layer_refuses_single_precision():
    from ratedist.codebooks.convex_layer import ConvexLayer

    assert not jax.config.read("jax_enable_x64")
    with pytest.raises(ValueError, match="double precision"):
        ConvexLayer(P, 3)(HAMMING, PRICE)
