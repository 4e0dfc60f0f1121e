"""Host-side: rate-distortion-perception and conditional R(D), solved by CVXPY, certified here.

Both are convex in the encoder Q(j|x). Clarabel gives a point and dual variables; neither is
believed. The upper bound is the rate of an encoder that is made feasible exactly, the lower bound
follows from the dual variables by weak duality:

    sum_x p_x sum_j Q_xj (log(Q_xj / q_j) + s_xj) >= sum_x p_x log lambda_x
    for every Q, where  sum_x p_x lambda_x exp(-s_xj) <= 1  for all j

(Csiszar 1974). Perception adds D_f(p_X, q_Y) <= P (Blau and Michaeli 2019); a supporting plane
eta D_f(p, q) >= sum_j mu_j q_j - h turns it into further costs mu_j of the letters j.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding.units import nats_to_bits
from ratedist.problem.checks import check_mass

_TINY = 1e-300


class CertifiedPoint(NamedTuple):
    """A rate between two bounds.

    Attributes:
      rate_lb: bits per letter; no encoder that satisfies the constraints has less.
      rate_ub: bits per letter of `encoder`, which satisfies them.
      gap_bits: their difference.
      distortion: of `encoder`.
      divergence: of its output from the source, bits for "kl"; 0 where there is no such constraint.
      encoder: Float[..., n, m], Q(j|x); one for each value of side information, if there is any.
    """

    rate_lb: float
    rate_ub: float
    gap_bits: float
    distortion: float
    divergence: float
    encoder: np.ndarray


def perception_point(
    p: Any, d: Any, distortion: float, perception: float, *, divergence: str = "tv"
) -> CertifiedPoint:
    """Least rate with E d <= D and an output distribution close to the source's.

    Args:
      p: Float[n], the source.
      d: Float[n, n], finite; outputs are letters of the source.
      distortion: D.
      perception: largest total variation (half the sum of absolute differences), or, with
        `divergence="kl"`, largest D(q_Y || p_X) in bits.
      divergence: "tv" or "kl".

    Raises:
      ValueError: tables that do not fit, or constraints that no encoder satisfies.

    >>> import ratedist
    >>> point = ratedist.perception_point([0.9, 0.1], [[0, 1], [1, 0]], 0.05, 0.0)
    >>> point.gap_bits < 1e-6
    True
    """
    p, d = _checked(p, d, square=True)
    if divergence not in ("tv", "kl"):
        raise ValueError(f"divergence {divergence!r}: 'tv' or 'kl'")
    if not perception >= 0:
        raise ValueError(f"perception {perception}: not negative")
    import cvxpy as cp

    if perception == 0:
        divergence = "tv"  # both mean equal distributions, and this one has a price there
    level = perception * (np.log(2) if divergence == "kl" else 1.0)
    joint = cp.Variable(d.shape, nonneg=True)
    q = cp.sum(joint, axis=0)
    rules = [cp.sum(joint, axis=1) == p, cp.sum(cp.multiply(joint, d)) <= distortion]
    # With a variable of its own, the dual of `output == q` is the plane's slope.
    output = cp.Variable(len(p), nonneg=True)
    near = cp.norm1(output - p) / 2 if divergence == "tv" else cp.sum(cp.rel_entr(output, p))
    rules += [output == q, near <= level]
    _solve(cp.sum(cp.rel_entr(joint, p[:, None] @ cp.reshape(q, (1, len(p)), order="C"))), rules)
    s, eta = max(float(rules[1].dual_value), 0.0), max(float(rules[3].dual_value), 0.0)
    slope = np.ravel(rules[2].dual_value)
    anchor = _anchor(p, d, distortion)
    encoder = _feasible(p, d, joint.value, distortion, level, divergence, anchor)
    upper = _information(p, encoder)
    away = p @ encoder - p
    often, seldom = int(away.argmax()), int(away.argmin())
    lower = 0.0
    for tilt in (slope, -slope):
        # Of total variation only the plane's differences matter; any centre gives a valid bound.
        for centre in (tilt[often] - eta / 2, tilt[seldom] + eta / 2, tilt.min() + eta / 2):
            found = _perception_bound(p, d, distortion, level, divergence, s, eta, tilt - centre)
            lower = max(lower, found)
    reached = _divergence(p @ encoder, p, divergence)
    reached = float(nats_to_bits(reached)) if divergence == "kl" else reached
    spent = float((p[:, None] * encoder * d).sum())
    return _point(lower, upper, spent, reached, encoder)


def conditional_rate_point(joint: Any, d: Any, distortion: float) -> CertifiedPoint:
    """R(D) of X where encoder and decoder both know Y: the least I(X; Z | Y) (Gray 1972).

    Args:
      joint: Float[k, n], P(Y=y, X=x); sums to 1.
      d: Float[n, m], finite.
      distortion: D.

    Raises:
      ValueError: tables that do not fit, or a distortion below what the codebook reaches.

    >>> import ratedist
    >>> joint = [[0.45, 0.05], [0.05, 0.45]]
    >>> point = ratedist.conditional_rate_point(joint, [[0, 1], [1, 0]], 0.05)
    >>> round(point.rate_lb, 4)  # h(0.1) - h(0.05)
    0.1826
    """
    import cvxpy as cp

    joint = np.asarray(joint, np.float64)
    if joint.ndim != 2:
        raise ValueError(f"joint of shape {joint.shape}: one row per value of side information")
    flat, d = _checked(joint.reshape(-1), np.tile(np.asarray(d, np.float64), (len(joint), 1)))
    joint = flat.reshape(joint.shape)
    n = joint.shape[1]
    d = d[:n]
    parts, cost, spent = [], 0.0, 0.0
    rules: list[Any] = []
    for row in joint:
        w = cp.Variable(d.shape, nonneg=True)
        rules.append(cp.sum(w, axis=1) == row)
        q = cp.reshape(cp.sum(w, axis=0), (1, d.shape[1]), order="C")
        share = row[:, None] / max(row.sum(), _TINY)
        cost = cost + cp.sum(cp.rel_entr(w, share @ q))
        spent = spent + cp.sum(cp.multiply(w, d))
        parts.append(w)
    limit: Any = spent <= distortion
    _solve(cost, [limit, *rules])
    s = max(float(limit.dual_value), 0.0)
    encoders = np.stack([_encoder(row, w.value, d) for row, w in zip(joint, parts, strict=True)])
    weight = joint[:, :, None]
    nearest = _nearest(d)[None] + 0 * encoders
    encoders = _mixed(encoders, nearest, weight * d, distortion)
    upper, lower = 0.0, -s * distortion
    for row, encoder in zip(joint, encoders, strict=True):
        mass = row.sum()
        if mass > 0:
            upper += mass * _information(row / mass, encoder)
            lower += mass * _dual_value(row / mass, s * d)
    return _point(lower, upper, float((weight * encoders * d).sum()), 0.0, encoders)


def _dual_value(p: np.ndarray, costs: np.ndarray) -> float:
    """The largest sum_x p_x log lambda_x that was found, nats."""
    q = _best_output(p, costs)
    shift = costs.min(axis=1)
    kernel = np.exp(-(costs - shift[:, None]))
    u = np.maximum(kernel @ q, _TINY)
    worst = float(((p / u) @ kernel).max())
    return float(p @ (shift - np.log(u))) - np.log(worst)


def _perception_bound(p, d, distortion, level, divergence, s, eta, slope) -> float:
    """A lower bound in nats from any multipliers."""
    if divergence == "tv":
        # eta TV(q, p) >= sum_j mu_j (q_j - p_j) where mu varies by at most eta.
        mu = np.clip(slope, -eta / 2, eta / 2)
        plane = float(mu @ p)
    else:
        # eta D(q || p) >= sum_j mu_j q_j - eta log sum_j p_j exp(mu_j / eta) (Donsker-Varadhan).
        mu = slope - slope @ p
        if eta <= 0:
            mu, plane = 0 * mu, 0.0
        else:
            top = (mu / eta).max()
            plane = eta * float(top + np.log(p @ np.exp(mu / eta - top)))
    costs = s * d + mu[None, :]
    return _dual_value(p, costs) - s * distortion - eta * level - plane


def _best_output(p: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The q >= 0 of least -sum_x p_x log (K q)_x + sum_j q_j, by a primal-dual Newton method."""
    kernel = np.exp(-(costs - costs.min(axis=1, keepdims=True)))
    m = costs.shape[1]
    q, z = np.full(m, 1 / m), np.ones(m)
    best, bound = q, np.inf
    for _ in range(100):
        u = np.maximum(kernel @ q, _TINY)
        c = (p / u) @ kernel
        value = np.log(c.max()) + float(p @ np.log(u))
        if value < bound:
            best, bound = q, value
        if float(q @ z) < 1e-13:
            break
        target = 0.1 * float(q @ z) / m
        weighted = kernel * (np.sqrt(p) / u)[:, None]
        hessian = weighted.T @ weighted + np.diag(z / q)
        try:
            dq = np.linalg.solve(hessian, c - 1 + target / q)
        except np.linalg.LinAlgError:
            break
        dz = target / q - z - z / q * dq
        step = 1.0
        for at, change in ((q, dq), (z, dz)):
            falling = change < 0
            if falling.any():
                step = min(step, 0.99 * float((at[falling] / -change[falling]).min()))
        q, z = np.maximum(q + step * dq, _TINY), np.maximum(z + step * dz, _TINY)
    return best


def _anchor(p: np.ndarray, d: np.ndarray, distortion: float) -> np.ndarray:
    """A feasible encoder to mix with: the letter itself, if that is allowed."""
    if float(p @ np.diag(d)) > distortion:
        raise ValueError(f"distortion {distortion:g}: sending every letter has {p @ np.diag(d):g}")
    return np.eye(len(p))


def _feasible(p, d, joint, distortion, level, divergence, anchor) -> np.ndarray:
    """The solver's encoder, changed by about its tolerance until every constraint holds."""
    encoder = _encoder(p, joint, d)
    q = p @ encoder
    away = _divergence(q, p, divergence)
    if away > level:
        # Divergences are convex: a mixture with p lies within the level. Outputs that come too
        # often are sent on to those that come too seldom.
        share = (level / away) * (1 - 1e-15) if level > 0 else 0.0
        wanted = p + share * (q - p)
        excess, lack = np.maximum(q - wanted, 0), np.maximum(wanted - q, 0)
        leave = excess / np.maximum(q, _TINY)
        encoder = encoder * (1 - leave) + (encoder @ leave)[:, None] * lack / max(lack.sum(), _TINY)
        encoder = encoder / encoder.sum(axis=1, keepdims=True)
    return _mixed(encoder, anchor, p[:, None] * d, distortion)


def _mixed(encoder, anchor, weights, distortion) -> np.ndarray:
    """Mixes in as much of `anchor` as the distortion needs."""
    have, least = float((weights * encoder).sum()), float((weights * anchor).sum())
    if least > distortion * (1 + 1e-15):
        raise ValueError(f"distortion {distortion:g}: the codebook reaches {least:g}")
    share = max(0.0, (have - distortion) / (have - least)) if have > least else 0.0
    return (1 - share) * encoder + share * anchor


def _encoder(p: np.ndarray, joint: np.ndarray, d: np.ndarray) -> np.ndarray:
    joint = np.maximum(joint, 0)
    sums = joint.sum(axis=1, keepdims=True)
    return np.where((p[:, None] > 0) & (sums > 0), joint / np.maximum(sums, _TINY), _nearest(d))


def _nearest(d: np.ndarray) -> np.ndarray:
    least = (d == d.min(axis=1, keepdims=True)).astype(float)
    return least / least.sum(axis=1, keepdims=True)


def _information(p: np.ndarray, encoder: np.ndarray) -> float:
    q = np.maximum(p @ encoder, _TINY)
    ratio = np.where(encoder > 0, encoder, 1) / q
    return max(float((p[:, None] * np.where(encoder > 0, encoder * np.log(ratio), 0)).sum()), 0.0)


def _divergence(q: np.ndarray, p: np.ndarray, kind: str) -> float:
    if kind == "tv":
        return float(np.abs(q - p).sum() / 2)
    with np.errstate(divide="ignore"):
        terms = np.where(q > 0, q * np.log(np.where(q > 0, q, 1) / np.where(p > 0, p, 0)), 0)
    return max(float(terms.sum()), 0.0)


def _point(
    lower: float, upper: float, distortion: float, divergence: float, encoder: np.ndarray
) -> CertifiedPoint:
    low, high = max(float(nats_to_bits(lower)), 0.0), float(nats_to_bits(upper))
    return CertifiedPoint(low, high, high - low, distortion, divergence, encoder)


def _solve(cost: Any, rules: list[Any]) -> None:
    import cvxpy as cp

    problem = cp.Problem(cp.Minimize(cost), rules)
    options = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem.solve(solver=cp.CLARABEL, **options)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ValueError(f"no encoder satisfies the constraints ({problem.status})")


def _checked(p: Any, d: Any, square: bool = False) -> tuple[np.ndarray, np.ndarray]:
    p, d = np.asarray(p, np.float64), np.asarray(d, np.float64)
    check_mass(p)
    if d.ndim != 2 or d.shape[0] != len(p) or (square and d.shape[1] != len(p)):
        raise ValueError(f"distortions of shape {d.shape} for {len(p)} letters")
    if not np.isfinite(d).all():
        raise ValueError("distortions: finite numbers")
    return p, d
