"""Host-side, not traceable: classifiers of a user's features, fitted by scikit-learn or in NumPy.

Every family returns a `scorers.Scorer`: plain arrays that a file can hold and a sender evaluates
without scikit-learn. All of them are given standardised features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from bitalloc.encoders import scorers
from bitalloc.encoders.scorers import Kernel, Linear, Scorer, Trees

_NEVER = -30.0
"""Score of a class that the sample does not have."""

_MOST_COMPONENTS = 40
_MOST_CENTRES = 500
_HISTOGRAMS_FROM = 50_000
"""Numbers from which boosting counts histograms instead of sorting a feature at every node."""

_FARTHEST = 1_000
_CENTRE_STEPS = 8
"""Steps of a centre's coordinates in their root-mean-square spread."""

_Fit = Callable[[np.random.Generator, np.ndarray, np.ndarray, int], Scorer]


class Candidate(NamedTuple):
    """A classifier that may be fitted.

    Attributes:
      family: what it is called; settings of one family compete first.
      fit: fit(rng, z Float64[N, M], labels Int[N] of 0..K-1 all present, K) -> Scorer.
    """

    family: str
    fit: _Fit


def candidates(n_rows: int, n_features: int) -> list[Candidate]:
    """The classifiers that are worth trying on so many rows and features, quick ones first."""
    found = [Candidate("linear", _logistic(c)) for c in (0.01, 0.1, 1.0, 10.0)]
    if n_features <= 200:
        found.append(Candidate("linear", _discriminant))
    found += [
        Candidate("kernel", _kernel(width, ridge))
        for width in (0.3, 1.0, 3.0)
        for ridge in (1e-4, 1e-3, 1e-2)
    ]
    found += [Candidate("tree", _tree(leaves)) for leaves in (4, 8, 16, 32)]
    found += [Candidate("oblivious tree", _oblivious(depth)) for depth in (1, 2, 3, 4, 6)]
    found.append(Candidate("forest", _forest))
    small = n_rows * n_features < _HISTOGRAMS_FROM
    if small:
        found.append(Candidate("boosted trees", _boosted_exact))
    if not small or n_rows >= 500:
        found.append(Candidate("boosted trees", _boosted))
    return found


def fit(candidate: Candidate, seed: int, z: np.ndarray, labels: np.ndarray, n_classes: int):
    """The candidate's scorer, for all `n_classes` classes even where the sample lacks some.

    Args:
      candidate: any.
      seed: of its random choices.
      z: Float64[N, M], standardised.
      labels: Int[N].
      n_classes: K.
    """
    present, numbers = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # iterations that end early are settings that compete
        scorer = candidate.fit(rng, z, numbers, len(present))
    return scorer if len(present) == n_classes else _spread(scorer, present, n_classes)


def _spread(scorer: Scorer, present: np.ndarray, n_classes: int) -> Scorer:
    """A scorer of the classes present as one of all classes."""

    def columns(array: np.ndarray, fill: float = 0.0) -> np.ndarray:
        full = np.full((*array.shape[:-1], n_classes), fill, array.dtype)
        full[..., present] = array
        return full

    bias = columns(scorer.bias, _NEVER)
    if isinstance(scorer, Linear):
        return Linear(columns(scorer.weights.T).T, bias)
    if isinstance(scorer, Kernel):
        return scorer._replace(weights=columns(scorer.weights), bias=bias)
    if scorer.cycle:
        return scorer._replace(cycle=tuple(present[list(scorer.cycle)].tolist()), bias=bias)
    return scorer._replace(value=columns(scorer.value), bias=bias)


def _linear_scorer(coefficients: np.ndarray, intercept: np.ndarray) -> Linear:
    if len(coefficients) == 1:  # scikit-learn's form for two classes
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    return Linear(coefficients.astype(np.float32), intercept.astype(np.float32))


def _logistic(c: float) -> _Fit:
    def run(rng, z, labels, n_classes):
        from sklearn.linear_model import LogisticRegression

        found: Any = LogisticRegression(C=c, max_iter=200).fit(z, labels)
        return _linear_scorer(found.coef_, found.intercept_)

    return run


def _discriminant(rng, z, labels, n_classes):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    found: Any = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(z, labels)
    return _linear_scorer(found.coef_, found.intercept_)


def _kernel(width: float, ridge: float) -> _Fit:
    """Kernel ridge regression of the class indicators on a sample of the rows as centres."""

    def run(rng, z, labels, n_classes):
        projection, projection_step = None, 1.0
        if z.shape[1] > _MOST_COMPONENTS:
            directions = _principal(rng, z)
            projection_step = float(np.float32(np.abs(directions).max() / 127))
            projection = np.round(directions / projection_step).astype(np.int32)
        values = scorers.projected(z, projection, projection_step)
        chosen = np.sort(rng.permutation(len(z))[:_MOST_CENTRES])
        spread = np.sqrt(max(values.var(axis=0).mean(), 1e-12))
        step = float(np.float32(spread / _CENTRE_STEPS))
        grid = np.clip(np.round(values[chosen] / step), -_FARTHEST, _FARTHEST).astype(np.int32)
        centres = step * grid
        gamma = width / max(2.0 * values.var(axis=0).sum(), 1e-12)
        target = np.eye(n_classes)[labels]
        mean = target.mean(axis=0)
        across = scorers.radial_basis(values, centres, gamma)
        within = scorers.radial_basis(centres, centres, gamma)
        # The identity holds the weights themselves small, so that they may be rounded.
        penalty = within + np.eye(len(within))
        normal = across.T @ across + ridge * len(z) / len(chosen) * penalty
        normal[np.diag_indices_from(normal)] += 1e-8 * np.trace(normal) / len(normal)
        weights = np.linalg.solve(normal, across.T @ (target - mean))
        return Kernel(
            projection, projection_step, grid, step, gamma,
            weights.astype(np.float32), mean.astype(np.float32),
        )  # fmt: skip

    return run


def _principal(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """The leading principal directions of at most 5,000 rows, Float64[D, M]."""
    some = z[np.sort(rng.permutation(len(z))[:5_000])]
    centred = some - some.mean(axis=0)
    if centred.shape[1] > 1_500:  # the rows' Gram matrix is the smaller one, or a sketch
        _, _, directions = np.linalg.svd(centred[:1_000], full_matrices=False)
        return directions[:_MOST_COMPONENTS]
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors[:, ::-1][:, :_MOST_COMPONENTS].T


def _depth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Nodes of one tree from the root on, each followed by its left child; leaves have left -1."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] >= 0:
            waiting += [int(right[node]), int(left[node])]
    return np.array(order)


def _assemble(trees, cycle: tuple[int, ...], bias: np.ndarray) -> Trees:
    """Trees of (feature, threshold, left, right, value [nodes, V]), left -1 at leaves."""
    features, thresholds, values = [], [], []
    for feature, threshold, left, right, value in trees:
        order = _depth_first(left, right)
        leaf = left[order] < 0
        features.append(np.where(leaf, -1, feature[order]))
        thresholds.append(np.where(leaf, 0.0, threshold[order]))
        values.append(value[order[leaf]])
    return Trees(
        np.concatenate(features).astype(np.int32),
        np.concatenate(thresholds).astype(np.float32),
        np.concatenate(values).astype(np.float32),
        cycle,
        np.asarray(bias, np.float32),
    )


def _of_sklearn(tree, value: np.ndarray):
    return tree.feature, tree.threshold, tree.children_left, tree.children_right, value


def _smoothed(tree, n_classes: int) -> np.ndarray:
    """Class probabilities of every node, as if each class had been seen once more in K."""
    count = tree.weighted_n_node_samples[:, None]
    share = tree.value[:, 0, :]
    return (share * count + 1.0 / n_classes) / (count + 1.0)


def _tree(leaves: int) -> _Fit:
    def run(rng, z, labels, n_classes):
        from sklearn.tree import DecisionTreeClassifier

        tree = DecisionTreeClassifier(
            max_leaf_nodes=max(leaves, n_classes), random_state=_seed(rng)
        ).fit(z, labels)
        value = _smoothed(tree.tree_, n_classes)
        return _assemble([_of_sklearn(tree.tree_, value)], (), np.zeros(n_classes))

    return run


def _forest(rng, z, labels, n_classes):
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(60, max_leaf_nodes=200, random_state=_seed(rng)).fit(z, labels)
    trees = [tree.tree_ for tree in forest.estimators_]
    return _assemble(
        [_of_sklearn(tree, _smoothed(tree, n_classes)) for tree in trees], (), np.zeros(n_classes)
    )


def _boosted(rng, z, labels, n_classes):
    found = _boosted_histograms(rng, z, labels)
    return found or _boosted_exact(rng, z, labels, n_classes)


def _boosted_exact(rng, z, labels, n_classes) -> Trees:
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(
        max_features=None if z.shape[1] <= 30 else 0.3, random_state=_seed(rng)
    ).fit(z, labels)
    trees = [
        _of_sklearn(one.tree_, model.learning_rate * one.tree_.value[:, :, 0])
        for step in model.estimators_
        for one in step
    ]
    return _with_baseline(trees, model, z)


def _boosted_histograms(rng, z, labels) -> Trees | None:
    """scikit-learn names no public way to its trees: None where they are not what they were."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    share, no = (1.0 if z.shape[1] <= 30 else 0.3), cast(Any, False)
    model: Any = HistGradientBoostingClassifier(
        max_features=share, early_stopping=no, random_state=_seed(rng)
    ).fit(z, labels)
    try:
        nodes = [one.nodes for step in model._predictors for one in step]
        trees = [
            (
                np.where(node["is_leaf"], -1, node["feature_idx"]).astype(int),
                node["num_threshold"],
                np.where(node["is_leaf"], -1, node["left"].astype(int)),
                node["right"].astype(int),
                node["value"][:, None],
            )
            for node in nodes
        ]
        found = _with_baseline(trees, model, z)
    except (AttributeError, ValueError, KeyError, IndexError):
        return None
    some = z[:50]
    agree = np.allclose(scorers.scores(found, some), _decision(model, some), atol=1e-2)
    return found if agree else None


def _decision(model, z: np.ndarray) -> np.ndarray:
    """The scores of a boosted model, Float64[N, K], also for two classes."""
    values = model.decision_function(z)
    return values if values.ndim == 2 else np.stack([np.zeros_like(values), values], axis=1)


def _with_baseline(trees, model, z: np.ndarray) -> Trees:
    """Boosted trees with the scores that boosting started from."""
    expected = _decision(model, z[:1])[0]
    n_classes = len(expected)
    cycle = (1,) if n_classes == 2 else tuple(range(n_classes))
    found = _assemble(trees, cycle, np.zeros(n_classes))
    bias = expected - scorers.scores(found, z[:1])[0]
    return found._replace(bias=bias.astype(np.float32))


def _oblivious(depth: int) -> _Fit:
    """A greedy oblivious tree: the same threshold for all nodes of a level."""

    def run(rng, z, labels, n_classes):
        from bitalloc.fitting import selection

        edges = selection.candidate_thresholds(z, 33)
        edges = edges.astype(np.float32).astype(np.float64)
        found = selection.find_levels(z, edges)
        n_bits = min(depth, int(np.isfinite(edges).sum()))
        best = selection.select_for_table(rng, found, labels, n_classes, n_bits)[0]
        columns = selection.bit_columns(found, best.bits).astype(np.int64)
        cell = columns @ (1 << np.arange(n_bits)[::-1])
        count = np.bincount(cell * n_classes + labels, minlength=n_classes << n_bits)
        count = count.reshape(-1, n_classes) + np.bincount(labels) / len(labels)
        feature = np.array([bit[0] for bit in best.bits])
        threshold = np.array([edges[bit] for bit in best.bits])
        return _complete(feature, threshold, count / count.sum(axis=1, keepdims=True))

    return run


def _complete(feature: np.ndarray, threshold: np.ndarray, value: np.ndarray) -> Trees:
    """The tree that asks `feature[d]` at every node of depth d; leaves as binary numbers."""
    n = len(feature)
    level = np.repeat(np.arange(n), 1 << np.arange(n))
    inner = np.arange((1 << n) - 1)
    nodes = (1 << (n + 1)) - 1
    left = np.full(nodes, -1)
    left[: len(inner)] = 2 * inner + 1
    pad = np.zeros(nodes - len(inner))
    tree = (
        np.append(feature[level], pad).astype(int),
        np.append(threshold[level], pad),
        left,
        np.where(left >= 0, left + 1, -1),
        np.concatenate([np.zeros((len(inner), value.shape[1])), value]),
    )
    return _assemble([tree], (), np.zeros(value.shape[1]))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
