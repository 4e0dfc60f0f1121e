"""What one would do without `bitalloc`: three usual ways to classify from exactly B bits.

* A decision tree of at most 2^B leaves, whose leaf is sent.
* Boosted trees whose class is sent; with fewer bits than a class needs, the most probable of the
  2^B classes that are recognised best.
* The B thresholds with the most mutual information with the class, and logistic regression.

The three and their settings are chosen on a validation part; the chosen one is fitted again to both
parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitalloc.fitting import selection
from bitalloc.fitting.fit import Sample

TREE_LEAVES = (4, 8, 16, 32, 64, 128)
CANDIDATE_LEVELS = 17
EXACT_UP_TO = 1_000
"""Rows up to which scikit-learn recommends boosting without histograms."""

Predict = Callable[[np.ndarray], np.ndarray]


class Rival(NamedTuple):
    """A fitted way to classify, chosen on validation."""

    name: str
    predict: Predict
    validation: float


def best(train: Sample, validation: Sample, budgets: Sequence[int], seed: int) -> dict[int, Rival]:
    """For each budget the rival that does best on validation, fitted to both parts.

    Args:
      train: what they are fitted on for the choice.
      validation: what chooses.
      budgets: B.
      seed: of trees.
    """
    both = Sample(*(np.concatenate(pair) for pair in zip(train, validation, strict=True)))
    boosting = _boosted(train, seed), _boosted(both, seed)
    bits_of = {id(part): _Bits(part) for part in (train, both)}
    found = {}
    for bits in budgets:
        options: list[tuple[str, Callable[[Sample], Predict]]] = []
        leaves = {min(1 << min(bits, 30), n) for n in TREE_LEAVES}
        for n in sorted(leaves):
            options.append(("decision tree", lambda part, n=n: _tree(part, n, seed)))
        sent = _recognised(boosting[0], validation, bits)
        options.append(
            ("boosted trees", lambda part, s=sent: _restricted(boosting[part is both], s))
        )
        for c in (0.1, 1.0, 10.0):
            options.append(("logistic", lambda part, b=bits, c=c: bits_of[id(part)].logistic(b, c)))
        scores = [
            float(np.mean(fit(train)(validation.features) == validation.labels))
            for _, fit in options
        ]
        chosen = int(np.argmax(scores))
        name, fit = options[chosen]
        found[bits] = Rival(name, fit(both), scores[chosen])
    return found


def _tree(part: Sample, leaves: int, seed: int) -> Predict:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed).fit(*part).predict


def _boosted(part: Sample, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier

    wide = part.features.shape[1] > 100
    exact = len(part.labels) < EXACT_UP_TO and not wide
    model = GradientBoostingClassifier if exact else HistGradientBoostingClassifier
    return model(random_state=seed).fit(*part)


def _recognised(model: Any, validation: Sample, bits: int) -> np.ndarray:
    """The 2^B classes that a model recognises most examples of, or all."""
    hits = validation.labels[model.predict(validation.features) == validation.labels]
    count = np.array([np.sum(hits == label) for label in model.classes_])
    most = min(len(count), 1 << min(bits, 30))
    return np.sort(np.argsort(-count, kind="stable")[:most])


def _restricted(model: Any, sent: np.ndarray) -> Predict:
    def predict(features: np.ndarray) -> np.ndarray:
        chosen = np.argmax(model.predict_proba(features)[:, sent], axis=1)
        return model.classes_[sent[chosen]]

    return predict


class _Bits:
    """Thresholds of a sample by what each tells about the class on its own."""

    def __init__(self, part: Sample) -> None:
        self._labels = part.labels
        edges = selection.candidate_thresholds(part.features, CANDIDATE_LEVELS)
        self._candidates = selection.find_levels(part.features, edges)
        information = np.full(edges.shape, -np.inf)
        for feature, level in enumerate(self._candidates.level):
            for number in np.flatnonzero(np.isfinite(edges[feature])):
                information[feature, number] = _information(level > number, part.labels)
        order = np.argsort(-information, axis=None, kind="stable")
        n_finite = int(np.isfinite(information).sum())
        self._order = [divmod(int(i), edges.shape[1]) for i in order[:n_finite]]

    def logistic(self, bits: int, c: float) -> Predict:
        """Logistic regression of the first so many."""
        from sklearn.linear_model import LogisticRegression

        chosen = self._order[:bits]
        columns = selection.bit_columns(self._candidates, chosen)
        model = LogisticRegression(C=c, max_iter=500).fit(columns, self._labels)
        feature = np.array([one[0] for one in chosen])
        threshold = np.array([self._candidates.thresholds[one] for one in chosen])
        return lambda features: model.predict((features[:, feature] > threshold).astype(np.uint8))


def _information(bit: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information in nats."""
    joint = np.bincount(2 * labels + bit, minlength=2 * int(labels.max() + 1)).reshape(-1, 2)
    share = joint / joint.sum()
    product = share.sum(axis=0)[None, :] * share.sum(axis=1)[:, None]
    there = share > 0
    return float((share[there] * np.log(share[there] / product[there])).sum())
