"""One compiled solver for every small test problem: pad the tables, then solve.

A padded letter has probability zero, a padded codeword is masked out, and a padded constraint
allows any distortion; none of them may change the answer, so the padding is itself under test.
"""

from __future__ import annotations

import numpy as np

import ratedist

_FIXED = ratedist.compiled(ratedist.solve_fixed)
_SLOPE = ratedist.compiled(ratedist.solve_slope)
_BLAHUT = ratedist.compiled(ratedist.blahut_arimoto)
_SMALL, _LARGE = 128, 400
_RULES = 3


def solve_fixed(p, d, rules, tol_bits=1e-6):
    """`ratedist.solve_fixed`, on tables padded to a common shape; the result is cut back."""
    rules = (rules,) if isinstance(rules, ratedist.Constraint) else tuple(rules)
    n = np.shape(d)[0]
    mass, table, used = _padded(p, d)
    wide = [
        ratedist.Constraint(np.pad(np.asarray(r.weights), (0, mass.size - n)), r.level)
        for r in rules
    ]
    loose = ratedist.Constraint(mass, np.asarray(1e6))
    wide += [loose] * (_RULES - len(rules))
    point = _FIXED(mass, table, tuple(wide), tol_bits=np.float64(tol_bits), mask=used)
    count = len(rules)
    names = ("distortion", "nu", "infeasible", "vacuous", "dual")
    return _cut(point._replace(**{name: getattr(point, name)[:count] for name in names}), d)


def solve_slope(p, d, s, tol_bits=1e-6):
    """`ratedist.solve_slope` at one price, on tables padded to a common shape."""
    mass, table, used = _padded(p, d)
    point = _SLOPE(mass, table, s, tol_bits=np.float64(tol_bits), mask=used)
    return _cut(point, d)


def blahut_arimoto(p, d, s, max_iterations=10_000):
    """`ratedist.blahut_arimoto`, on tables padded to a common shape."""
    mass, table, used = _padded(p, d)
    return _cut(_BLAHUT(mass, table, s, max_iterations=max_iterations, mask=used), d)


def _cut(point, d):
    n, m = np.shape(d)
    return point._replace(slope=point.slope[:n], q=point.q[:m])


def _padded(p, d):
    n, m = np.shape(d)
    size = _SMALL if max(n, m) <= _SMALL else _LARGE
    table = np.zeros((size, size))
    table[:n, :m] = d
    return np.pad(np.asarray(p, np.float64), (0, size - n)), table, np.arange(size) < m
