"""Host-side, not traceable: the n x m relative-entropy program in CVXPY, a reference solver.

With the joint distribution W_xj = p_x Q(j|x),

    min_{W >= 0}  sum_xj W_xj log(W_xj / (p_x q_j)),   q = sum_x W_x.,
    subject to    sum_j W_xj = p_x,   sum_x (a_gx / p_x) sum_j W_xj d_gxj <= D_g.

It has n m exponential cones where the m-dimensional form has n: use it to check the fast solvers on
small problems, not instead of them. Its "optimal" is a solver's word, not a certificate; and its
*derivatives* with respect to d, through a differentiable layer, are wrong without a warning.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np

from fewbits.coding.units import nats_to_bits
from ratedist.problem.checks import check_mass
from ratedist.problem.constraints import Constraints, constraint_rows


class ConvexPoint(NamedTuple):
    """What the reference solver found.

    Attributes:
      rate_bits: objective value, bits per symbol; inf or nan where `status` is not a solution.
      distortion: Float[G], left side of each constraint.
      nu: Float[G], dual variable of each constraint, bits per unit of distortion.
      q: Float[m], output marginal.
      encoder: Float[n, m], Q(j|x); rows of letters with probability 0 are zero.
      status: CVXPY's word: "optimal", "optimal_inaccurate", "infeasible", ...
    """

    rate_bits: float
    distortion: np.ndarray
    nu: np.ndarray
    q: np.ndarray
    encoder: np.ndarray
    status: str


def solve_convex(
    p: Any, d: Any, constraints: Constraints, *, tolerance: float = 1e-9
) -> ConvexPoint:
    """The smallest rate at which every constraint holds, by Clarabel.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], finite distortions; those of constraints are finite too.
      constraints: one `Constraint` or a sequence of G.
      tolerance: passed to Clarabel as its gap and feasibility tolerances.

    Returns:
      The point; look at `status` before using it.

    Raises:
      ValueError: bad probabilities, or a distortion that is not finite.
    """
    p, d = np.asarray(p, np.float64), np.asarray(d, np.float64)
    check_mass(p)
    rules = constraint_rows(p, constraints)
    tables = [np.asarray(d if r.d is None else r.d, np.float64) for r in rules]
    for table in (d, *tables):
        if not np.isfinite(table).all():
            raise ValueError(f"{int((~np.isfinite(table)).sum())} distortions are not finite")
    share = np.stack([np.asarray(r.weights) / np.where(p > 0, p, np.inf) for r in rules])

    joint = cp.Variable(d.shape, nonneg=True)
    marginal = cp.sum(joint, axis=0)
    independent = p[:, None] @ cp.reshape(marginal, (1, d.shape[1]), order="C")
    rate = cp.sum(cp.rel_entr(joint, independent))
    costs = np.stack([a[:, None] * t for a, t in zip(share, tables, strict=True)])
    paid = cp.hstack([cp.sum(cp.multiply(joint, c)) for c in costs])
    # CVXPY types comparisons as booleans.
    levels: Any = paid <= np.array([float(r.level) for r in rules])
    rows: Any = cp.sum(joint, axis=1) == p
    program = cp.Problem(cp.Minimize(rate), [rows, levels])
    with warnings.catch_warnings():
        # An inaccurate solution is reported in `status`.
        warnings.simplefilter("ignore", UserWarning)
        program.solve(
            solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance
        )
    nothing = np.full(len(rules), np.nan)
    if joint.value is None:
        empty = np.full(d.shape, np.nan)
        worst: Any = program.value
        worst = np.nan if worst is None else float(worst)
        return ConvexPoint(worst, nothing, nothing, empty[0], empty, str(program.status))
    table = np.maximum(joint.value, 0.0)
    mass = table.sum(axis=1, keepdims=True)
    best: Any = program.value
    return ConvexPoint(
        rate_bits=float(nats_to_bits(best)),
        distortion=(costs * table[None]).sum(axis=(1, 2)),
        nu=nats_to_bits(np.atleast_1d(levels.dual_value)),
        q=table.sum(axis=0),
        encoder=table / np.where(mass > 0, mass, 1.0),
        status=str(program.status),
    )
