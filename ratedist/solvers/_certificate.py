"""Lower bounds on a rate that hold whatever produced the prices: NumPy only, no solver inside.

For any prices nu_g >= 0 let s_x = sum_g nu_g a_gx / p_x. For any positive lambda with
`c_j = sum_x p_x lambda_x 2^(-s_x d(x, j)) <= 1` for every codeword j,

    R  >=  sum_x p_x log2 lambda_x - sum_g nu_g D_g

(Csiszar 1974; Berger 1971). Proof: with Q any encoder, I(Q) + sum p Q s d >= sum p log2 lambda is
the non-negativity of a divergence, and what the constraints leave unused only lowers the left side.
From any marginal q, u = K q and lambda_x = 1 / (u_x max_j c_j) qualifies.

`certificate` takes the maximum over a given codebook: the bound holds for codes that use those
codewords. `certificate_for_all_codebooks` takes the supremum over *every* reconstruction point, for
squared error: a bound that a codebook which moved may be compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from ratedist.problem.checks import as_mass, check_mass, check_problem
from ratedist.problem.constraints import Constraint

_EPS = float(np.finfo(np.float64).eps)
# Largest second derivative of exp(-s t^2) along any line, divided by s: 4 exp(-3/2), at t^2 = 3/2s.
_CURVATURE = 4.0 * np.exp(-1.5)


def certificate(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    constraints: Any,
    nu: Float[ArrayLike, " G"] | Sequence[float],
    q: Float[ArrayLike, " m"],
) -> float:
    """Lower bound on the rate over all encoders into this codebook, in bits per symbol.

    The dual bound of Csiszar (1974) and Berger (1971, chapter 2), evaluated in NumPy.

    Args:
      p: source probabilities.
      d: distortions: any finite numbers; inf forbids a pair.
      constraints: one `Constraint`, or a sequence of G of them, or of (weights Float[n], level)
        pairs.
      nu: any prices >= 0, bits per unit of distortion, such as `RDPoint.dual`. An inf price is
        accepted only where the level is the smallest value that can be reached.
      q: any non-negative weights; a codeword of weight zero still counts as available.

    Returns:
      The bound; negative (and useless) for bad prices, never wrong. Rounding is allowed for.

    Raises:
      ValueError: bad probabilities or distortions, a negative or NaN price or weight, or an inf
        price on a slack constraint.

    >>> import ratedist
    >>> p, d = [0.5, 0.5], [[0, 1], [1, 0]]
    >>> round(ratedist.certificate(p, d, ratedist.mean_distortion(p, 0.1), [3.17], [0.5, 0.5]), 6)
    0.531004
    """
    check_problem(p, d)
    mass, table = np.asarray(as_mass(p)), np.asarray(d, np.float64)
    weights = _marginal(q, table.shape[1])
    if any(row.d is not None for row in _rows(constraints)):
        kernel, offered, rounding = _priced_tables(mass, table, constraints, nu)
    else:
        slope, excess, offered, rounding = _priced(mass, table, constraints, nu)
        kernel = _kernel(excess, slope)
    u = kernel @ weights
    live = mass > 0
    if not (u[live] > 0).all():
        return float("-inf")
    tilted = mass[live] / u[live]
    ratio = float((tilted @ kernel[live]).max())
    return float(-(mass[live] @ np.log2(u[live])) - np.log2(ratio) - offered - rounding)


def certificate_for_all_codebooks(
    p: Float[ArrayLike, " n"],
    x: Float[ArrayLike, "n k"] | Float[ArrayLike, " n"],
    y: Float[ArrayLike, "m k"] | Float[ArrayLike, " m"],
    constraints: Any,
    nu: Float[ArrayLike, " G"] | Sequence[float],
    q: Float[ArrayLike, " m"],
    *,
    slack_bits: float = 1e-7,
    max_cells: int = 2_000_000,
) -> float:
    """Lower bound on the rate for squared error over *all* reconstruction points, in bits.

    The supremum of c(y) = sum_x p_x lambda_x 2^(-s_x |x - y|^2) is bounded cell by cell: over a
    ball of radius r around a centre, c <= c(centre) + |grad c| r + r^2/2 M with M the largest
    curvature. Cells that could still matter are halved. Reconstruction points outside the box of
    the source points are never better than their projection onto it.

    Args:
      p: source probabilities.
      x: source points.
      y: any codebook, with the weights `q` on it.
      constraints: as in `certificate`.
      nu: finite prices >= 0, bits per unit of squared error, such as `RDPoint.dual`.
      q: weights on `y`.
      slack_bits: stop when the supremum is known this well; a larger value is faster and looser.
      max_cells: stop refining after this many cell evaluations; the bound is then valid but looser.

    Returns:
      The bound in bits per symbol.

    Raises:
      ValueError: bad probabilities, or a negative, NaN or infinite price.

    >>> import numpy as np, ratedist
    >>> p, x, y = [0.25, 0.5, 0.25], [-1.0, 0.0, 1.0], [-0.5, 0.5]
    >>> rule = ratedist.mean_distortion(p, 0.3)
    >>> bound = ratedist.certificate_for_all_codebooks(p, x, y, rule, [1.5], [0.5, 0.5])
    >>> d = (np.subtract.outer(x, y)) ** 2
    >>> bool(0 < bound <= ratedist.certificate(p, d, rule, [1.5], [0.5, 0.5]))
    True
    """
    check_mass(p)
    mass, points, codebook = np.asarray(as_mass(p)), _points(x), _points(y)
    if not np.isfinite(nu).all():
        raise ValueError("a price that is not finite bounds nothing over all reconstruction points")
    if not (np.isfinite(points).all() and np.isfinite(codebook).all()):
        raise ValueError("a letter or codeword is not finite")
    d = ((points[:, None, :] - codebook[None, :, :]) ** 2).sum(axis=2)
    if any(row.d is not None for row in _rows(constraints)):
        raise ValueError("a bound over all codebooks is for squared error, not for a table")
    weights, levels = _weights_and_levels(constraints)
    slope = _slope(mass, weights, np.atleast_1d(np.asarray(nu, np.float64)))
    live = mass > 0
    u = _kernel(d, slope) @ _marginal(q, codebook.shape[0])
    if not (u[live] > 0).all():
        return float("-inf")
    largest = _supremum(points[live], mass[live] / u[live], slope[live], slack_bits, max_cells)
    offered = float(np.atleast_1d(np.asarray(nu, np.float64)) @ levels)
    rounding = 16 * mass.size * _EPS * (1.0 + abs(offered))
    return float(-(mass[live] @ np.log2(u[live])) - np.log2(largest) - offered - rounding)


def _supremum(
    x: np.ndarray, weights: np.ndarray, slope: np.ndarray, slack_bits: float, max_cells: int
) -> float:
    """Upper bound of sup_y sum_x weights_x 2^(-slope_x |x - y|^2) over the box of the points."""
    rate = slope * np.log(2.0)
    curvature = float(weights @ rate) * _CURVATURE
    low, high = x.min(axis=0), x.max(axis=0)
    cells = 64
    axes = [a + (b - a) * (np.arange(cells) + 0.5) / cells for a, b in zip(low, high, strict=True)]
    centres = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    half = (high - low) / (2 * cells)
    spent, best, settled = 0, 0.0, 0.0
    while centres.size:
        value, gradient = _value_and_slope(x, weights, rate, centres)
        spent += len(centres)
        radius = float(np.linalg.norm(half))
        upper = value + gradient * radius + 0.5 * curvature * radius**2
        best = max(best, float(value.max()))
        target = best * 2.0**slack_bits
        open_cells = upper > target
        settled = max(settled, float(upper[~open_cells].max(initial=0.0)))
        branches = 2 ** x.shape[1]
        if spent + branches * int(open_cells.sum()) > max_cells:
            return max(settled, float(upper.max()))
        half = half / 2
        corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * x.shape[1], indexing="ij"), axis=-1)
        shifts = corners.reshape(branches, -1) * half
        centres = (centres[open_cells][:, None, :] + shifts[None]).reshape(-1, x.shape[1])
    return max(settled, best)


def _value_and_slope(
    x: np.ndarray, weights: np.ndarray, rate: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """c(y) and |grad c(y)| at each centre, a block at a time to bound memory."""
    value, steepness = np.empty(len(centres)), np.empty(len(centres))
    block = max(1, 2_000_000 // len(x))
    for start in range(0, len(centres), block):
        part = slice(start, start + block)
        apart = x[None, :, :] - centres[part][:, None, :]
        bell = weights * np.exp(-rate * (apart**2).sum(axis=2))
        value[part] = bell.sum(axis=1)
        gradient = 2.0 * np.einsum("cn,n,cnk->ck", bell, rate, apart)
        steepness[part] = np.linalg.norm(gradient, axis=1)
    return value, steepness


def _priced(
    p: np.ndarray, d: np.ndarray, constraints: Any, nu: Any
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Slopes, excess distortions, sum_g nu_g (D_g - smallest_g), and an allowance for rounding."""
    weights, levels = _weights_and_levels(constraints)
    prices = np.atleast_1d(np.asarray(nu, np.float64))
    nearest = np.where(p > 0, d.min(axis=1), 0.0)
    nearest = np.where(np.isfinite(nearest), nearest, 0.0)
    excess = d - nearest[:, None]
    smallest = weights @ nearest
    scale = 8 * p.size * _EPS * (np.abs(levels) + weights @ np.abs(nearest))
    slack = levels - smallest
    free = np.isinf(prices)
    if (free & (np.abs(slack) > scale)).any():
        raise ValueError("an infinite price on a constraint that leaves slack")
    finite = np.where(free, 0.0, prices)
    offered = float(finite @ slack)
    rounding = 16 * p.size * _EPS * (1.0 + abs(offered)) + float(finite @ scale)
    return _slope(p, weights, prices), excess, offered, rounding


def _priced_tables(
    p: np.ndarray, d: np.ndarray, constraints: Any, nu: Any
) -> tuple[np.ndarray, float, float]:
    """Kernel, sum_g nu_g (D_g - smallest_g), and an allowance for rounding, of several tables."""
    weights, levels = _weights_and_levels(constraints)
    rows = _rows(constraints)
    tables = np.stack([np.asarray(d if row.d is None else row.d, np.float64) for row in rows])
    if tables.shape[1:] != d.shape or np.isnan(tables).any():
        raise ValueError(f"tables of shape {tables.shape[1:]} with {np.isnan(tables).sum()} NaN")
    prices = np.atleast_1d(np.asarray(nu, np.float64))
    free = np.isinf(prices)
    share = np.where(p > 0, weights / np.where(p > 0, p, 1.0), 0.0)
    _slope(p, weights, prices)  # prices that are negative raise
    allowed = np.isfinite(d) & np.isfinite(tables).all(axis=0)
    for _ in range(len(rows) if free.any() else 0):
        near = np.where(allowed, tables, np.inf).min(axis=-1, keepdims=True)
        near = np.where(np.isfinite(near), near, 0.0)
        far = tables - near > 8 * _EPS * np.abs(near)
        allowed &= ~(free[:, None, None] & (weights > 0)[:, :, None] & far).any(axis=0)
    near = np.where(allowed, tables, np.inf).min(axis=-1)
    near = np.where(np.isfinite(near), near, 0.0)
    excess = np.where(allowed, tables - near[..., None], 0.0)
    scale = 8 * p.size * _EPS * (np.abs(levels) + (weights * np.abs(near)).sum(axis=1))
    slack = levels - (weights * near).sum(axis=1)
    if (free & (np.abs(slack) > scale)).any():
        raise ValueError("an infinite price on a constraint that leaves slack")
    finite = np.where(free, 0.0, prices)
    cost = ((finite[:, None] * share)[:, :, None] * excess).sum(axis=0)
    # The least cost of each letter is taken out, so that nothing underflows.
    least = np.where(allowed, cost, np.inf).min(axis=1)
    least = np.where(np.isfinite(least), least, 0.0)
    kernel = np.where(allowed, np.exp2(least[:, None] - cost), 0.0)
    offered = float(finite @ slack)
    paid = float(p @ least)
    rounding = 16 * p.size * _EPS * (1.0 + abs(offered) + abs(paid)) + float(finite @ scale)
    return kernel, offered - paid, rounding


def _rows(constraints: Any) -> list[Any]:
    rows = [constraints] if hasattr(constraints, "weights") else list(constraints)
    return [row if hasattr(row, "weights") else Constraint(*row) for row in rows]


def _weights_and_levels(constraints: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = _rows(constraints)
    weights = np.stack([np.asarray(row.weights, np.float64) for row in rows])
    levels = np.array([float(row.level) for row in rows])
    if not (weights >= 0).all():
        raise ValueError(f"constraint weight {weights.min()}; weights must not be negative or NaN")
    return weights, levels


def _slope(p: np.ndarray, weights: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """s_x = sum_g nu_g a_gx / p_x."""
    if not (prices >= 0).all():
        raise ValueError(f"price {prices.min()}; prices must not be negative or NaN")
    slope = np.zeros_like(p)
    for price, row in zip(prices, weights, strict=True):
        touched = row > 0
        slope[touched] += price * row[touched] / p[touched]
    return slope


def _kernel(excess: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """2^(-slope excess), where an infinite slope or excess times zero is zero."""
    positive = excess > 0
    forbidden = np.isinf(excess)
    safe = np.where(positive & ~forbidden, excess, 1.0)
    exponent = np.where(positive, slope[:, None] * safe, 0.0)
    return np.where(forbidden, 0.0, np.exp2(-exponent))


def _marginal(q: Any, size: int) -> np.ndarray:
    weights = np.asarray(q, np.float64)
    if weights.shape != (size,) or not (weights >= 0).all():
        raise ValueError(f"weights of shape {weights.shape} or negative, for {size} codewords")
    return weights


def _points(x: Any) -> np.ndarray:
    points = np.asarray(x, np.float64)
    return points[:, None] if points.ndim == 1 else points
