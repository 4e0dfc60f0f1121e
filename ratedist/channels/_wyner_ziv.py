"""Host-side: the rate-distortion function with side information at the decoder only.

Wyner and Ziv (1976): with Y known to the decoder alone,

    R(D) = min I(X; T | Y)   over Q(t|x) with  E d(X, t(Y)) <= D,

where T is a decoding strategy, one of the m^k functions t from the k values of Y to the m
reconstructions. Over all strategies the problem is convex in Q, time sharing included. With
w_xy = P(y|x) and the expected distortion d(x, t) = sum_y w_xy d(x, t(y)), at a price s it is

    min over q(t|y) of  F(q) = -sum_x p_x log Z_x,   Z_x = sum_t exp(sum_y w_xy log q_yt - s d_xt),

which is convex too. An interior point solves it: scaled by q, its Hessian is a k x k block for each
strategy plus a matrix of rank n. Convexity gives the lower bound at any normalised q > 0:

    F >= F(q) + sum_y (P(y) - max_t c_yt),   c_yt = sum_x P(x, y) Q_xt / q_yt.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ratedist.channels._convex_programs import CertifiedPoint
from ratedist.problem.checks import check_mass, check_table

LARGEST_STRATEGIES = 20_000
_TINY = 1e-300
_PRICES = 80
_ITERATIONS = 200
_SMALLEST_GAP = 1e-14
_SMALLEST_STEP = 1e-4
_TO_BOUNDARY = 0.7
_CENTRING = 0.3
_NEIGHBOURHOOD = 3.0


class _Case(NamedTuple):
    """Letters and values of Y that occur; `d` is the table of strategies, excess over `nearest`."""

    p: np.ndarray
    w: np.ndarray
    d: np.ndarray
    nearest: np.ndarray


class _End(NamedTuple):
    """Of one price: encoder, its excess distortion, a lower bound of the Lagrangian and its gap."""

    encoder: np.ndarray
    excess: float
    bound: float
    gap: float


def wyner_ziv_point(
    joint: Any, d: Any, distortion: float, *, tol_bits: float = 1e-7
) -> CertifiedPoint:
    """R(D) of X where only the decoder knows Y (Wyner and Ziv 1976), between certified bounds.

    Args:
      joint: Float[k, n], P(Y=y, X=x); sums to 1.
      d: Float[n, m], finite distortions.
      distortion: D.
      tol_bits: gap at which to stop.

    Returns:
      The point. `encoder` is Q(t|x), Float[n, m^k]; strategy t decodes y to digit y (the first is
      the most significant) of t in base m.

    Raises:
      ValueError: tables that do not fit, more than 20,000 strategies, or a distortion below what
        the decoder reaches.

    >>> import ratedist
    >>> joint, hamming = [[0.375, 0.125], [0.125, 0.375]], [[0, 1], [1, 0]]
    >>> point = ratedist.wyner_ziv_point(joint, hamming, 0.05)
    >>> round(point.rate_lb, 4), point.gap_bits < 1e-6  # h(0.25 * 0.95 + 0.75 * 0.05) - h(0.05)
    (0.5622, True)
    """
    case, rows = _case(joint, d)
    level = float(distortion) - float(case.p @ case.nearest)
    scale = float(np.abs(np.asarray(d)).max())
    if not level >= -1e-14 * scale:
        raise ValueError(f"distortion {distortion:g}: the decoder reaches {distortion - level:g}")
    level = max(level, 0.0)
    encoder, bound = _solve(case, level, tol_bits * np.log(2))
    whole = np.zeros((len(rows), case.d.shape[1]))
    whole[:, 0] = 1.0
    whole[rows] = encoder
    upper = _information(case, encoder)
    lower = float(max(bound, 0.0) / np.log(2))
    upper = float(max(upper / np.log(2), lower))
    reached = float(case.p @ (case.nearest + (encoder * case.d).sum(axis=1)))
    return CertifiedPoint(lower, upper, upper - lower, reached, 0.0, whole)


def _solve(case: _Case, level: float, tol: float) -> tuple[np.ndarray, float]:
    """An encoder within the level, and a lower bound in nats: a search for the price."""
    best, bound = _nearest(case), -np.inf
    if (free := (case.p @ case.d).min()) <= level:
        encoder = np.zeros_like(case.d)
        encoder[:, (case.p @ case.d).argmin()] = 1.0
        return encoder, 0.0
    value = _information(case, best)
    # Two prices around the right one, and the encoders there: their mixture meets the level.
    low, high = 0.0, 1.0 / max(level, 1e-6 * free)
    below, above = None, None
    for _ in range(_PRICES):
        price = high if above is None else 0.5 * (low + high)
        end = _at_price(case, price, 0.1 * tol)
        bound = max(bound, end.bound - price * level)
        if end.excess <= level:
            high, above = price, end
        else:
            low, below = price, end
            high = 4 * high if above is None else high
        first = above.encoder if above is not None else _nearest(case)
        mixed = _mixed(case, first, below.encoder if below is not None else first, level)
        if _information(case, mixed) < value:
            best, value = mixed, _information(case, mixed)
        if value - bound <= tol or (above is not None and high - low <= 1e-15 * high):
            break
    return best, bound


def _mixed(case: _Case, good: np.ndarray, bad: np.ndarray, level: float) -> np.ndarray:
    """As much of the encoder with the larger distortion as the level allows."""
    least, most = (float(case.p @ (e * case.d).sum(axis=1)) for e in (good, bad))
    if most <= least:
        return good
    share = np.clip((level - least) / (most - least) * (1 - 1e-15), 0.0, 1.0)
    return (1 - share) * good + share * bad


def _at_price(case: _Case, price: float, tol: float) -> _End:
    """Primal-dual Newton for the best q(t|y) at one price, and what follows from it."""
    k, size = case.w.shape[1], case.d.shape[1]
    mass = (case.p @ case.w)[:, None]
    q, z = np.full((k, size), 1 / size), np.tile(mass, (1, size))
    encoder = _encoder(case, price, q)
    c = _ratios(case, encoder, q)
    best = _end(case, price, q)
    for _ in range(_ITERATIONS):
        gap, residual = float((q * z).sum()), np.abs(mass - c - z).max()
        if gap < _SMALLEST_GAP or best.gap <= tol:
            break
        aim = _CENTRING * gap / q.size
        step_q = q * _newton(case, encoder, q, c, z, q * (c - mass) + aim)
        step_z = aim / q - z - z / q * step_q
        reach = min(_reach(q, step_q), _reach(z, step_z))
        while True:
            # The ratios q_yt / q_zt of a strategy that is hardly used matter as much as any: the
            # gap must not run ahead of the residual.
            new_q, new_z = q + reach * step_q, z + reach * step_z
            encoder = _encoder(case, price, new_q)
            c = _ratios(case, encoder, new_q)
            near = _NEIGHBOURHOOD * float((new_q * new_z).sum())
            allowed = max((1 - 0.3 * reach) * residual, near)
            if np.abs(mass - c - new_z).max() <= allowed or reach < _SMALLEST_STEP:
                break
            reach *= 0.5
        q, z = np.maximum(new_q, _TINY), np.maximum(new_z, _TINY)
        best = max(best, _end(case, price, q), key=lambda end: end.bound)
    return best


def _end(case: _Case, price: float, q: np.ndarray) -> _End:
    q = q / q.sum(axis=1, keepdims=True)
    exponent = case.w @ np.log(q) - price * case.d
    top = exponent.max(axis=1)
    weights = np.exp(exponent - top[:, None])
    total = weights.sum(axis=1)
    encoder = weights / total[:, None]
    free_energy = -float(case.p @ (top + np.log(total)))
    c = _ratios(case, encoder, q)
    rounding = 16 * case.p.size * np.finfo(np.float64).eps * (1 + abs(free_energy))
    bound = free_energy + float((case.p @ case.w - c.max(axis=1)).sum()) - rounding
    excess = float(case.p @ (encoder * case.d).sum(axis=1))
    return _End(encoder, excess, bound, _information(case, encoder) + price * excess - bound)


def _ratios(case: _Case, encoder: np.ndarray, q: np.ndarray) -> np.ndarray:
    """c_yt, Float[k, t]."""
    return (case.w * case.p[:, None]).T @ encoder / q


def _encoder(case: _Case, price: float, q: np.ndarray) -> np.ndarray:
    exponent = case.w @ np.log(q) - price * case.d
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _newton(case: _Case, encoder: Any, q: Any, c: Any, z: Any, right: np.ndarray) -> np.ndarray:
    """Solves with the Hessian scaled by q, and the barrier: right and result Float[k, t].

    It is a k x k block for each strategy plus B^T B with n rows: Woodbury's identity.
    """
    blocks = -np.einsum("xt,xy,xz->tyz", case.p[:, None] * encoder, case.w, case.w)
    index = np.arange(len(q))
    blocks[:, index, index] += (q * (c + z)).T
    rows = np.sqrt(case.p)[:, None, None] * encoder[:, :, None] * case.w[:, None, :]
    columns = np.moveaxis(rows, 0, 2)
    solved = np.linalg.solve(blocks, np.concatenate([right.T[:, :, None], columns], axis=2))
    plain, through = solved[:, :, :1], solved[:, :, 1:]
    small = np.eye(len(rows)) + np.einsum("tyx,tyz->xz", columns, through)
    pull = np.linalg.solve(small, np.einsum("tyx,tyo->xo", columns, plain))
    return (plain - through @ pull)[:, :, 0].T


def _reach(value: np.ndarray, change: np.ndarray) -> float:
    falling = change < 0
    return min(1.0, _TO_BOUNDARY * float((-value[falling] / change[falling]).min(initial=np.inf)))


def _information(case: _Case, encoder: np.ndarray) -> float:
    """I(X; T | Y) in nats."""
    joint = case.p[:, None] * case.w
    q = joint.T @ encoder / joint.sum(axis=0)[:, None]
    logs = np.log(np.maximum(encoder, _TINY)) - case.w @ np.log(np.maximum(q, _TINY))
    return max(float((case.p[:, None] * encoder * logs).sum()), 0.0)


def _nearest(case: _Case) -> np.ndarray:
    return np.eye(case.d.shape[1])[case.d.argmin(axis=1)]


def _case(joint: Any, d: Any) -> tuple[_Case, np.ndarray]:
    joint, d = np.asarray(joint, np.float64), np.asarray(d, np.float64)
    if joint.ndim != 2 or d.ndim != 2 or len(d) != joint.shape[1]:
        raise ValueError(
            f"joint of shape {joint.shape} and distortions of shape {d.shape}; expected (k, n), one"
            " row per value of side information, and (n, m)"
        )
    check_mass(joint.reshape(-1))
    check_table(d)
    if not np.isfinite(d).all():
        raise ValueError("distortions: finite numbers")
    rows = joint.sum(axis=0) > 0
    k, m = len(joint), d.shape[1]
    if m**k > LARGEST_STRATEGIES:
        raise ValueError(
            f"{m}^{k} decoding strategies, at most {LARGEST_STRATEGIES:,}; merge values of the "
            "side information or leave out reconstructions"
        )
    live = joint.sum(axis=1) > 0
    w = (joint / np.where(rows, joint.sum(axis=0), 1.0)).T
    strategies = np.array(list(itertools.product(range(m), repeat=k)))
    table = sum(w[:, y, None] * d[:, strategies[:, y]] for y in range(k))
    table = np.asarray(table)[rows]
    nearest = table.min(axis=1)
    case = _Case(joint.sum(axis=0)[rows], w[rows][:, live], table - nearest[:, None], nearest)
    return case, rows
