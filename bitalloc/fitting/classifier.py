"""Host-side, not traceable: the linear classifier as a linear program, solved by HiGHS.

The l1-penalised multiclass hinge (Crammer and Singer) is

    min_{W,b,xi >= 0}  sum_i p_i xi_i + lam sum_{k,m} |W_km|
    s.t.  (w_{y_i} - w_k) . x_i + b_{y_i} - b_k >= 1 - xi_i   for every k != y_i

with W = P - Q, P, Q >= 0. Equal rows (x, y) are merged first and p_i is their share of the
sample: the optimum is the same and quantised data shrink by orders of magnitude.

The optimum need not be unique. The tie-break is fixed: merged rows are sorted, so the order
of the images cannot matter, and one thread of the dual simplex with a fixed seed returns one
vertex. Predictions break ties towards the lower class.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class HingeSolution(NamedTuple):
    """An optimal linear classifier and its certificate.

    Attributes:
      weights: Float[K, M], W.
      bias: Float[K], b; the last is 0 (adding a constant to all changes nothing).
      pull: Float[N, K], the optimal dual variables, summed per image and class; W's optimality
        condition is |pull^T x|_km <= lam.
      objective: the primal value.
      duality_gap: primal minus dual value, computed from W and the duals, not by the solver.
      dual_infeasibility: the largest violation of a dual constraint.
      optimal: whether the solver proved optimality.
    """

    weights: np.ndarray
    bias: np.ndarray
    pull: np.ndarray
    objective: float
    duality_gap: float
    dual_infeasibility: float
    optimal: bool


def merge_rows(features: np.ndarray, labels: np.ndarray):
    """Merge equal (x, y) rows, in sorted order.

    Returns:
      features Float[R, M] and labels Int[R] of the distinct rows, which row each image went
      to (Int[N]), and how many images each row stands for (Int[R]).
    """
    keyed = np.column_stack([labels, features])
    rows, row_of_image, multiplicity = np.unique(
        keyed, axis=0, return_inverse=True, return_counts=True
    )
    return rows[:, 1:], rows[:, 0].astype(int), row_of_image.reshape(-1), multiplicity


def _constraint_matrix(features: np.ndarray, labels: np.ndarray, n_classes: int):
    """Rows (i, k != y_i) over the columns [P, Q, b_0..b_{K-2}, xi]."""
    from scipy import sparse

    n_rows, n_features = features.shape
    wrong = np.array([[k for k in range(n_classes) if k != c] for c in range(n_classes)])
    image = np.repeat(np.arange(n_rows), n_classes - 1)
    right_class, wrong_class = labels[image], wrong[labels].ravel()
    sign = np.zeros((len(image), n_classes))
    sign[np.arange(len(image)), right_class] = 1.0
    sign[np.arange(len(image)), wrong_class] = -1.0
    rows = sparse.csr_matrix(features)[image]
    scores = sparse.hstack(
        [sparse.diags(sign[:, k]) @ rows for k in range(n_classes)], format="csc"
    )
    slack = sparse.csc_matrix(
        (np.ones(len(image)), (np.arange(len(image)), image)), shape=(len(image), n_rows)
    )
    matrix = sparse.csc_matrix(
        sparse.hstack([scores, -scores, sparse.csc_matrix(sign[:, :-1]), slack])
    )
    return matrix, image, right_class, wrong_class


def fit_hinge(
    features: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    penalty: float,
    time_limit_seconds: float | None = None,
) -> HingeSolution:
    """Solve the l1-penalised multiclass hinge program.

    Args:
      features: Float[N, M], finite. Columns should be of comparable scale.
      labels: Int[N] in 0..n_classes-1.
      n_classes: K, at least 2.
      penalty: lam, positive.
      time_limit_seconds: stop early; the solution then has `optimal=False`.

    Returns:
      The classifier and its certificate.

    Raises:
      ValueError: if the penalty is not positive or there are fewer than two classes.

    Tolerance: feasibilities 1e-9, so the gap of an optimal solution is of that order.
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, got {penalty}")
    if n_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {n_classes}")
    import highspy

    features = np.asarray(features, dtype=float)
    rows, row_labels, row_of_image, multiplicity = merge_rows(features, np.asarray(labels))
    n_images, n_features = features.shape
    share = multiplicity / n_images
    matrix: Any
    matrix, row_image, right_class, wrong_class = _constraint_matrix(rows, row_labels, n_classes)
    n_weights, n_bias = n_classes * n_features, n_classes - 1
    infinity = highspy.kHighsInf

    # The binding's own stubs type these fields too narrowly.
    program: Any = highspy.HighsLp()
    program.num_col_, program.num_row_ = matrix.shape[1], matrix.shape[0]
    program.col_cost_ = np.concatenate([np.full(2 * n_weights, penalty), np.zeros(n_bias), share])
    program.col_lower_ = np.concatenate(
        [np.zeros(2 * n_weights), np.full(n_bias, -infinity), np.zeros(len(rows))]
    )
    program.col_upper_ = np.full(matrix.shape[1], infinity)
    program.row_lower_ = np.ones(matrix.shape[0])
    program.row_upper_ = np.full(matrix.shape[0], infinity)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = matrix.indptr
    program.a_matrix_.index_ = matrix.indices
    program.a_matrix_.value_ = matrix.data

    solver = highspy.Highs()
    for option, value in {
        "output_flag": False,
        "solver": "simplex",
        "simplex_strategy": 1,
        "threads": 1,
        "random_seed": 0,
        "primal_feasibility_tolerance": 1e-9,
        "dual_feasibility_tolerance": 1e-9,
    }.items():
        solver.setOptionValue(option, value)
    if time_limit_seconds is not None:
        solver.setOptionValue("time_limit", float(time_limit_seconds))
    solver.passModel(program)
    solver.run()
    solution = solver.getSolution()
    column = np.array(solution.col_value)
    dual = np.maximum(np.array(solution.row_dual), 0.0)

    weights = (column[:n_weights] - column[n_weights : 2 * n_weights]).reshape(n_classes, -1)
    bias = np.append(column[2 * n_weights : 2 * n_weights + n_bias], 0.0)
    pull = np.zeros((len(rows), n_classes))
    np.add.at(pull, (row_image, right_class), dual)
    np.add.at(pull, (row_image, wrong_class), -dual)

    margins = np.sum(rows * weights[row_labels], axis=1) + bias[row_labels]
    rivals = rows @ weights.T + bias
    rivals[np.arange(len(rows)), row_labels] = -np.inf
    slack = np.maximum(0.0, 1.0 - margins + rivals.max(axis=1))
    objective = float(share @ slack + penalty * np.abs(weights).sum())
    infeasibility = max(
        np.abs(pull.T @ rows).max(initial=0.0) - penalty,
        np.abs(pull.sum(axis=0)).max(),
        (np.bincount(row_image, dual, minlength=len(rows)) - share).max(),
        0.0,
    )
    return HingeSolution(
        weights=weights,
        bias=bias,
        pull=pull[row_of_image] / multiplicity[row_of_image, None],
        objective=objective,
        duality_gap=objective - float(dual.sum()),
        dual_infeasibility=float(infeasibility),
        optimal=solver.getModelStatus() == highspy.HighsModelStatus.kOptimal,
    )


def reduced_costs(solution: HingeSolution, columns: np.ndarray, penalty: float) -> np.ndarray:
    """Reduced costs of features that are not in the program yet (LPBoost's pricing step).

    A column h may lower the optimum only if max_k |sum_i pull_ik h_i| > lam.

    Args:
      solution: an optimal solution on the same images.
      columns: Float[N, P], candidate features, such as further threshold bits.
      penalty: lam of that solution.

    Returns:
      Float[P], the violation; at most 0 where adding the column cannot help.
    """
    return np.abs(solution.pull.T @ columns).max(axis=0) - penalty


def predict_linear(weights: np.ndarray, bias: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The class of the highest score, the lower class on ties; Int[N]."""
    return np.argmax(features @ weights.T + bias, axis=1)
