"""Host-side, not traceable: the integer program of the allocation, solved by HiGHS.

The knapsack in `allocation` is what fits use. This file is its reference solver: it states the
same problem as the one-hot integer program of "Data Compression for Machine Learning" (a final
project in linear programming, UCLA), so that the two can be compared, and solves its linear
relaxation, whose value bounds every allocation and whose dual variable is a bit's shadow price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class IntegerAllocation(NamedTuple):
    """An allocation by integer programming.

    Attributes:
      depth: Int[M], bits per feature.
      value: its total gain, summed from the gains rather than taken from the solver.
      bound: the solver's upper bound on every allocation's gain.
      optimal: whether the solver proved optimality.
    """

    depth: np.ndarray
    value: float
    bound: float
    optimal: bool


class Relaxation(NamedTuple):
    """The linear relaxation of the allocation.

    Attributes:
      bound: its value, at least that of every integer allocation.
      shadow_price: the budget's dual variable: the gain per further bit at the margin.
      n_fractional: features with a fractional choice; at most two at a vertex.
      optimal: whether the solver proved optimality.
    """

    bound: float
    shadow_price: float
    n_fractional: int
    optimal: bool


def _one_hot_program(gain: np.ndarray):
    """The rows 'one depth per feature' and 'bits spent' over z[m, d], flattened by rows."""
    from scipy import sparse

    n_features, n_depths = gain.shape
    one_choice = sparse.kron(sparse.eye(n_features), np.ones((1, n_depths)), format="csr")
    bits_spent = sparse.csr_matrix(np.tile(np.arange(n_depths, dtype=float), n_features)[None])
    return one_choice, bits_spent


def solve_integer_program(gain: np.ndarray, bits: int) -> IntegerAllocation:
    """Solve the allocation for one budget as a mixed-integer program.

    max sum u[m, d] z[m, d] s.t. sum_d z[m, d] = 1, sum d z[m, d] <= B, z binary: the
    second step of "Data Compression for Machine Learning".

    Args:
      gain: Float[M, D], finite.
      bits: B.

    Tolerance: the solver's relative gap is set to 0, so `bound` meets `value` to rounding.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    gain = np.asarray(gain, dtype=float)
    one_choice, bits_spent = _one_hot_program(gain)
    result = milp(
        -gain.ravel(),
        integrality=np.ones(gain.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_choice, 1, 1),
            LinearConstraint(bits_spent, -np.inf, bits),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if result.x is None:
        raise RuntimeError(f"the integer program was not solved: {result.message}")
    depth = np.argmax(result.x.reshape(gain.shape), axis=1)
    value = float(gain[np.arange(len(gain)), depth].sum())
    return IntegerAllocation(depth, value, float(-result.mip_dual_bound), result.status == 0)


def solve_relaxation(gain: np.ndarray, bits: int) -> Relaxation:
    """Solve the allocation with fractional choices allowed: a bound, and a bit's shadow price.

    Args:
      gain: Float[M, D], finite.
      bits: B.
    """
    from scipy.optimize import linprog

    gain = np.asarray(gain, dtype=float)
    one_choice, bits_spent = _one_hot_program(gain)
    result = linprog(
        -gain.ravel(),
        A_ub=bits_spent,
        b_ub=[bits],
        A_eq=one_choice,
        b_eq=np.ones(len(gain)),
        bounds=(0, 1),
        method="highs",
    )
    if result.x is None:
        raise RuntimeError(f"the relaxation was not solved: {result.message}")
    fractional = np.abs(result.x - np.round(result.x)).reshape(gain.shape) > 1e-7
    return Relaxation(
        bound=float(-result.fun),
        shadow_price=float(-result.ineqlin.marginals[0]),
        n_fractional=int(fractional.any(axis=1).sum()),
        optimal=result.status == 0,
    )
