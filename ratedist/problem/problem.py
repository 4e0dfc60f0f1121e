"""The rate-distortion problem of a finite source and a finite codebook, and one pass over it.

For source probabilities p and costs c(x, j) >= 0 (nats), the encoder that the output marginal q
induces is

    Q(j|x) = q_j K_xj / u_x,   K_xj = exp(-c(x, j)),   u = K q,

so the n x m problem over Q is an m-dimensional one over q (Csiszar 1974; Berger 1971):

    min_{q >= 0}  -sum_x p_x log u_x + sum_j q_j - 1.

With one distortion table the costs are s_x d(x, j) with prices s_x in nats per unit; with several
they are the sum of one such term for each table.

Everything here works with the *excess* distortion d(x, j) - min_j d(x, j): the row minimum only
shifts the problem, and without it u_x cannot underflow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from ratedist.problem._arrays import namespace
from ratedist.problem.checks import as_array, as_mass, check_problem, sum_tolerance

_LARGEST_EXPONENT = 80.0


class Problem(NamedTuple):
    """A checked source and distortion table, or one table for each of G constraints.

    Attributes:
      p: Float[n], source probabilities.
      excess: Float[n, m] or Float[G, n, m], d(x, j) - nearest_x; zero where the pair is not
        allowed.
      allowed: Bool[n, m], false for masked codewords and for infinite distortions.
      nearest: Float[n] or Float[G, n], the smallest distortion each letter can have.
    """

    p: Any
    excess: Any
    allowed: Any
    nearest: Any

    @property
    def several(self) -> bool:
        """Whether each constraint has a table of its own."""
        return self.excess.ndim == 3


class Kernel(NamedTuple):
    """K at given costs.

    Attributes:
      table: Float[n, m], exp(shift_x - c(x, j)); zero where a pair is forbidden.
      cost: Float[n, m], c(x, j) - shift_x, zero where `table` is.
      shift: Float[n], the least cost of each letter; None where it is zero.
    """

    table: Any
    cost: Any
    shift: Any


class Tilt(NamedTuple):
    """One pass over the kernel K at an output marginal q.

    Attributes:
      posterior: Float[n, m], K_xj / u_x, so that Q(j|x) = q_j posterior_xj.
      log_u: Float[n], log (K q)_x.
      ratio: Float[m], c_j = sum_x p_x K_xj / u_x; q c is the next Blahut-Arimoto marginal.
      excess: Float[n] or Float[G, n], expected excess distortion of each letter.
      paid: Float[n], expected cost of each letter, nats; an infinite cost is never paid.
    """

    posterior: Any
    log_u: Any
    ratio: Any
    excess: Any
    paid: Any


def problem(
    p: ArrayLike, d: ArrayLike, mask: ArrayLike | None = None, tables: ArrayLike | None = None
) -> Problem:
    """Check a source and its distortion table, and shift each row to start at zero.

    Args:
      p: Float[n], probabilities; zeros are allowed, the sum is 1.
      d: Float[n, m], finite distortions of any sign; inf forbids a pair.
      mask: Bool[m], true for the codewords in use; all of them if None.
      tables: Float[G, n, m], the tables of G constraints where they are not all `d`.

    Returns:
      The problem. Where invalid values are found only while tracing, its probabilities are NaN.

    Raises:
      ValueError: see `checks.check_problem`.
    """
    p, d = as_array(p), as_array(d)
    check_problem(p, d, mask)
    xp = namespace(p, d, mask, tables)
    tolerance = sum_tolerance(p)
    given, shared = xp.asarray(p), xp.asarray(d, float)
    p = xp.asarray(as_mass(p))
    used = xp.ones(shared.shape[1], bool) if mask is None else xp.asarray(mask, bool)
    allowed = xp.isfinite(shared) & used[None, :]
    table, proper = shared, xp.all(shared > -np.inf)
    if tables is not None:
        table = xp.asarray(tables, float)
        allowed = allowed & xp.all(xp.isfinite(table), axis=0)
        proper = proper & xp.all(table > -np.inf)
    whole = shifted(p, table, allowed)
    reached = xp.any(allowed, axis=1)
    valid = (
        xp.all(given >= 0)
        & (xp.abs(xp.sum(given, dtype=float) - 1.0) <= tolerance)
        & proper
        & xp.all(reached | (p == 0))
    )
    return whole._replace(p=xp.where(valid, p, np.nan))


def shifted(p: Any, table: Any, allowed: Any) -> Problem:
    """The problem of checked values."""
    xp = namespace(p, table, allowed)
    pairs = allowed if table.ndim == 2 else allowed[None]
    nearest = xp.min(xp.where(pairs, table, np.inf), axis=-1)
    # A letter of probability zero may have no codeword at all; its row must stay finite.
    nearest = xp.where(xp.isfinite(nearest), nearest, 0.0)
    excess = xp.where(pairs, table - nearest[..., None], 0.0)
    return Problem(p, excess, allowed, nearest)


def costs(problem: Problem, slope: Any) -> Any:
    """Float[n, m], c(x, j) = s_x excess_xj of one table; s in nats per unit, inf allowed."""
    xp = namespace(problem.excess, slope)
    positive = problem.excess > 0
    # inf * 0 would be NaN: an infinite price forbids every codeword but the nearest.
    return xp.where(positive, slope[:, None] * xp.where(positive, problem.excess, 1.0), 0.0)


def kernel(problem: Problem, cost: Any) -> Kernel:
    """K at costs: Float[n, m], nats, inf allowed."""
    xp = namespace(problem.excess, cost)
    shift = None
    if problem.several:
        # The codeword of least cost depends on the prices.
        least = xp.min(xp.where(problem.allowed, cost, np.inf), axis=1)
        shift = xp.where(xp.isfinite(least), least, 0.0)
        cost = cost - shift[:, None]
    # Entries this small change nothing, but their products are denormal numbers, which processors
    # multiply a hundred times more slowly.
    counted = problem.allowed & (cost < _LARGEST_EXPONENT)
    cost = xp.where(counted, cost, 0.0)
    return Kernel(xp.where(counted, xp.exp(-cost), 0.0), cost, shift)


def tilt(problem: Problem, priced: Kernel, q: Any) -> Tilt:
    """Evaluate the kernel at q."""
    xp = namespace(priced.table, q)
    table, excess = priced.table, problem.excess
    u = table @ q
    u = xp.where((problem.p > 0) | (u > 0), u, 1.0)
    log_u, paid = xp.log(u), (table * priced.cost) @ q / u
    if priced.shift is not None:
        log_u, paid = log_u - priced.shift, paid + priced.shift
        expected = (table[None] * excess) @ q / u[None, :]
    else:
        expected = (table * excess) @ q / u
    return Tilt(table / u[:, None], log_u, (problem.p / u) @ table, expected, paid)


def bounds_nats(problem: Problem, q: Any, tilted: Tilt, offered: Any) -> tuple[Any, Any]:
    """Certified bounds on the rate (ratedist dual bound and one Blahut-Arimoto step).

    With c the `ratio` of `tilted`,

        lower = -sum_x p_x log u_x - log max_j c_j - offered
        upper = -sum_x p_x log u_x - sum_j q_j c_j log c_j - sum_x p_x paid_x.

    Args:
      problem: the source.
      q: Float[m], marginal at which `tilted` was evaluated; any positive scale.
      tilted: from `tilt`.
      offered: Float[], sum_g nu_g (D_g - smallest reachable value of constraint g), in nats.

    Returns:
      lower, upper: Float[], nats.
    """
    xp = namespace(q)
    ratio = tilted.ratio
    free_energy = -(problem.p @ tilted.log_u)
    marginal = q * ratio
    safe = xp.log(xp.where(ratio > 0, ratio, 1.0))
    spread = xp.sum(xp.where(marginal > 0, marginal * safe, 0.0))
    return (
        free_energy - xp.log(xp.max(ratio)) - offered,
        free_energy - spread - problem.p @ tilted.paid,
    )


def exceeds_any_rate(problem: Problem, lower: Any) -> Any:
    """Whether a lower bound in nats proves that no encoder satisfies the constraints."""
    return lower > np.log(min(problem.allowed.shape)) + 1e-6
