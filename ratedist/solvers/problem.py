"""The rate-distortion problem of a finite source and a finite codebook, and one pass over it.

For source probabilities p, distortions d(x, j) and prices s_x >= 0 of distortion (nats per unit),
the encoder that the output marginal q induces is

    Q(j|x) = q_j K_xj / u_x,   K_xj = exp(-s_x d(x, j)),   u = K q,

so the n x m problem over Q is an m-dimensional one over q (Csiszar 1974; Berger 1971):

    min_{q >= 0}  -sum_x p_x log u_x + sum_j q_j - 1.

Everything here works with the *excess* distortion d(x, j) - min_j d(x, j): the row minimum only
shifts the problem, and without it u_x cannot underflow.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ratedist.solvers.checks import as_array, as_mass, check_problem, sum_tolerance

_SMALLEST_EXPONENT = -100.0


class Problem(NamedTuple):
    """A checked source and distortion table.

    Attributes:
      p: Float[n], source probabilities.
      excess: Float[n, m], d(x, j) - nearest_x; zero where the pair is not allowed.
      allowed: Bool[n, m], false for masked codewords and for infinite distortions.
      nearest: Float[n], the smallest distortion each letter can have.
    """

    p: jax.Array
    excess: jax.Array
    allowed: jax.Array
    nearest: jax.Array


class Tilt(NamedTuple):
    """One pass over the kernel K at an output marginal q.

    Attributes:
      posterior: Float[n, m], K_xj / u_x, so that Q(j|x) = q_j posterior_xj.
      log_u: Float[n], log (K q)_x.
      ratio: Float[m], c_j = sum_x p_x K_xj / u_x; q c is the next Blahut-Arimoto marginal.
      excess: Float[n], expected excess distortion of each letter.
    """

    posterior: jax.Array
    log_u: jax.Array
    ratio: jax.Array
    excess: jax.Array


def problem(p: ArrayLike, d: ArrayLike, mask: ArrayLike | None = None) -> Problem:
    """Check a source and its distortion table, and shift each row to start at zero.

    Args:
      p: Float[n], probabilities; zeros are allowed, the sum is 1.
      d: Float[n, m], finite distortions of any sign; inf forbids a pair.
      mask: Bool[m], true for the codewords in use; all of them if None.

    Returns:
      The problem. Where invalid values are found only while tracing, its probabilities are NaN.

    Raises:
      ValueError: see `checks.check_problem`.
    """
    p, d = as_array(p), as_array(d)
    check_problem(p, d, mask)
    tolerance = sum_tolerance(p)
    given, table = jnp.asarray(p), jnp.asarray(d, jnp.float64)
    p = jnp.asarray(as_mass(p))
    used = jnp.ones(table.shape[1], bool) if mask is None else jnp.asarray(mask, bool)
    allowed = jnp.isfinite(table) & used[None, :]
    nearest = jnp.min(jnp.where(allowed, table, jnp.inf), axis=1)
    valid = (
        jnp.all(given >= 0)
        & (jnp.abs(jnp.sum(given, dtype=jnp.float64) - 1.0) <= tolerance)
        & jnp.all(table > -jnp.inf)
        & jnp.all(jnp.isfinite(nearest) | (p == 0))
    )
    # A letter of probability zero may have no codeword at all; its row must stay finite.
    nearest = jnp.where((p > 0) | jnp.isfinite(nearest), nearest, 0.0)
    excess = jnp.where(allowed, table - nearest[:, None], 0.0)
    return Problem(jnp.where(valid, p, jnp.nan), excess, allowed, nearest)


def tilt(problem: Problem, slope: jax.Array, q: jax.Array) -> Tilt:
    """Evaluate the kernel at prices `slope` (Float[n], nats per unit, inf allowed) and q."""
    positive = problem.excess > 0
    # inf * 0 would be NaN: an infinite price forbids every codeword but the nearest.
    exponent = jnp.where(positive, -slope[:, None] * jnp.where(positive, problem.excess, 1.0), 0.0)
    # Entries this small change nothing, but their products are denormal numbers, which processors
    # multiply a hundred times more slowly.
    counted = problem.allowed & (exponent > _SMALLEST_EXPONENT)
    kernel = jnp.where(counted, jnp.exp(exponent), 0.0)
    u = kernel @ q
    u = jnp.where((problem.p > 0) | (u > 0), u, 1.0)
    posterior = kernel / u[:, None]
    return Tilt(posterior, jnp.log(u), problem.p @ posterior, (posterior * problem.excess) @ q)


def bounds_nats(
    problem: Problem, slope: jax.Array, q: jax.Array, tilted: Tilt, offered: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Certified bounds on the rate (ratedist dual bound and one Blahut-Arimoto step).

    With c the `ratio` of `tilted`,

        lower = -sum_x p_x log u_x - log max_j c_j - offered
        upper = -sum_x p_x log u_x - sum_j q_j c_j log c_j - sum_x p_x s_x excess_x.

    Args:
      problem: the source.
      slope: Float[n], prices in nats per unit.
      q: Float[m], marginal at which `tilted` was evaluated; any positive scale.
      tilted: from `tilt`.
      offered: Float[], sum_g nu_g (D_g - smallest reachable value of constraint g), in nats.

    Returns:
      lower, upper: Float[], nats.
    """
    ratio = tilted.ratio
    free_energy = -(problem.p @ tilted.log_u)
    marginal = q * ratio
    spread = jnp.sum(jnp.where(marginal > 0, marginal * _safe_log(ratio), 0.0))
    paid = problem.p @ jnp.where(jnp.isinf(slope), 0.0, slope * tilted.excess)
    return free_energy - jnp.log(jnp.max(ratio)) - offered, free_energy - spread - paid


def _safe_log(x: jax.Array) -> jax.Array:
    return jnp.log(jnp.where(x > 0, x, 1.0))
