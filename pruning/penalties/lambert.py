"""The principal branch of Lambert's W on [-1/e, 0], where the proximal map of DRR needs it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

BRANCH_POINT = -math.exp(-1.0)
"""W is real from here on; W(-1/e) = -1."""


def lambert_w(z: jax.Array) -> jax.Array:
    """W0(z): the solution w >= -1 of w exp(w) = z, for z in [-1/e, 0].

    The series around the branch point (Corless et al. 1996, Eq. 4.22) or around zero starts two
    Halley steps. What error they leave is below 2e-6 relative in float32 and 1e-9 in float64, but
    near the branch point W itself is only known to the square root of the precision of z.

    Args:
      z: Float[...]; values outside the interval are clipped to it.

    Returns:
      Float[...] in [-1, 0].
    """
    z = jnp.clip(z, BRANCH_POINT, 0.0)
    p = jnp.sqrt(jnp.maximum(2 * (1 + math.e * z), 0.0))
    near_branch = -1 + p * (1 + p * (-1 / 3 + p * (11 / 72 + p * (-43 / 540))))
    near_zero = z * (1 - z * (1 - z * 1.5))
    w = jnp.where(z < -0.15, near_branch, near_zero)
    for _ in range(2):
        exp_w = jnp.exp(w)
        error = w * exp_w - z
        # At the branch point both numerator and denominator vanish; the series is exact there.
        slope = jnp.maximum(w + 1, 1e-3)
        w = w - error / (exp_w * slope - (w + 2) * error / (2 * slope))
    return jnp.clip(w, -1.0, 0.0)
