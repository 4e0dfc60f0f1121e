"""Host-side: the information bottleneck, a problem that is not convex: local solutions, bounded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ratedist.problem.checks import check_mass

_TINY = 1e-300


class BottleneckPoint(NamedTuple):
    """A local solution: a description T of X, and what it says about Y.

    Attributes:
      complexity_bits: I(X; T).
      relevance_bits: I(T; Y), of this description.
      relevance_ub: bits; no description of this complexity has more: the smallest of I(X; Y),
        I(X; T) and the latter times the channel's contraction coefficient (Dobrushin 1956). Valid,
        mostly not tight.
      encoder: Float[n, t], Q(t|x).
    """

    complexity_bits: float
    relevance_bits: float
    relevance_ub: float
    encoder: np.ndarray


def information_bottleneck(
    joint: Any, beta: float, *, clusters: int | None = None, restarts: int = 10, seed: int = 0
) -> BottleneckPoint:
    """A local minimum of I(X; T) - beta I(T; Y), by the published iteration.

    Tishby, Pereira and Bialek, "The information bottleneck method" (1999), equation 28. The problem
    is not convex and the result is not certified to be the best: it is the best of some restarts.

    Args:
      joint: Float[k, n], P(Y=y, X=x); sums to 1.
      beta: bits of complexity that a bit of relevance is worth; up to 1 nothing is.
      clusters: size of T; n if None.
      restarts: random starts, besides that of T = X.
      seed: of the starts.

    Raises:
      ValueError: a table that is not a distribution, or numbers out of range.

    >>> import ratedist
    >>> point = ratedist.information_bottleneck([[0.4, 0.1], [0.1, 0.4]], 10.0)
    >>> bool(0.2 < point.relevance_bits <= point.relevance_ub < 0.28)
    True
    """
    joint = np.asarray(joint, np.float64)
    if joint.ndim != 2:
        raise ValueError(f"joint of shape {joint.shape}: one row per value of Y")
    check_mass(joint.reshape(-1))
    n = joint.shape[1]
    size = n if clusters is None else int(clusters)
    if not (np.isfinite(beta) and beta >= 0 and size >= 1 and restarts >= 0):
        raise ValueError(f"beta {beta}, {clusters} clusters, {restarts} restarts: not negative")
    p = joint.sum(axis=0)
    given = np.where(p[:, None] > 0, joint.T / np.where(p > 0, p, 1.0)[:, None], 1 / len(joint))
    rng = np.random.default_rng(seed)
    starts = [np.eye(size)[np.arange(n) % size] * 0.98 + 0.02 / size]
    starts += [rng.dirichlet(np.full(size, 0.5), n) for _ in range(restarts)]
    found = [_descend(p, given, beta, start) for start in starts]
    complexity, relevance, encoder = min(found, key=lambda f: f[0] - beta * f[1])
    apart = np.abs(given[p > 0][:, None] - given[p > 0][None]).sum(axis=2).max() / 2
    most = min(_information(p, given), apart * complexity)
    # Both are computed with rounding errors.
    return BottleneckPoint(complexity, relevance, max(most, relevance), encoder)


def _descend(p: Any, given: Any, beta: float, encoder: Any) -> tuple[float, float, np.ndarray]:
    value = np.inf
    for _ in range(2000):
        q = p @ encoder
        output = (p[:, None] * encoder).T @ given / np.maximum(q, _TINY)[:, None]
        logs = np.log(np.maximum(given, _TINY))[:, None, :]
        logs = logs - np.log(np.maximum(output, _TINY))[None, :, :]
        apart = (given[:, None, :] * logs).sum(axis=2)
        exponent = np.log(np.maximum(q, _TINY))[None, :] - beta * apart
        encoder = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        encoder = encoder / encoder.sum(axis=1, keepdims=True)
        complexity = _information(p, encoder)
        q = p @ encoder
        output = (p[:, None] * encoder).T @ given / np.maximum(q, _TINY)[:, None]
        relevance = _information(q, output)
        if value - (complexity - beta * relevance) < 1e-12:
            break
        value = complexity - beta * relevance
    return complexity, relevance, encoder


def _information(p: np.ndarray, channel: np.ndarray) -> float:
    """I(X; T) in bits."""
    ratio = np.where(channel > 0, channel, 1.0) / np.maximum(p @ channel, _TINY)
    logs = np.where(channel > 0, channel * np.log2(np.where(channel > 0, ratio, 1.0)), 0.0)
    return max(float((p[:, None] * logs).sum()), 0.0)
