"""Classifiers that a sender may run: each gives one score per class of standardised features.

Scores are log-probabilities up to a constant per example, so that several classifiers' scores may
be added. Everything is NumPy in float64; what scikit-learn fitted is held as plain arrays.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

_BLOCK = 1_000


class Linear(NamedTuple):
    """W z + c.

    Attributes:
      weights: Float32[K, M].
      bias: Float32[K].
    """

    weights: np.ndarray
    bias: np.ndarray


class Kernel(NamedTuple):
    """sum_j weights_j exp(-gamma |P z - centre_j|^2) + bias: a network of radial basis functions.

    Projection and centres are whole multiples of a step, and the weights were fitted to that.

    Attributes:
      projection: Int32[D, M], P / projection_step; None is the identity.
      projection_step: positive.
      centres: Int32[J, D], in units of `centre_step`.
      centre_step: positive.
      gamma: inverse squared width, positive.
      weights: Float32[J, K].
      bias: Float32[K].
    """

    projection: np.ndarray | None
    projection_step: float
    centres: np.ndarray
    centre_step: float
    gamma: float
    weights: np.ndarray
    bias: np.ndarray


class Trees(NamedTuple):
    """Decision trees whose leaves are added up.

    Nodes are listed depth first: a node's left child, for z[feature] <= threshold, follows it.

    Attributes:
      feature: Int32[nodes], -1 at a leaf.
      threshold: Float32[nodes], 0 at a leaf.
      value: Float32[leaves, V], in the order of the leaves. V = K: the classes' probabilities,
        whose mean over the trees is taken, then the logarithm. V = 1: what a leaf adds to the
        score of its tree's class.
      cycle: classes of the first, second, ... tree, over and over; empty where V = K.
      bias: Float32[K].
    """

    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    cycle: tuple[int, ...]
    bias: np.ndarray


Scorer = Linear | Kernel | Trees
Kind = Literal["linear", "kernel", "trees"]
KINDS: dict[type, Kind] = {Linear: "linear", Kernel: "kernel", Trees: "trees"}

LEAST_PROBABILITY = 1e-3
"""Trees that agree are taken for so sure, no more."""


def scores(scorer: Scorer, z: np.ndarray) -> np.ndarray:
    """Float64[N, K].

    Args:
      scorer: any.
      z: Float64[N, M], standardised as it was for the fit.
    """
    compute = _SCORES[type(scorer)](scorer)
    blocks = [z[i : i + _BLOCK] for i in range(0, max(1, len(z)), _BLOCK)]
    return np.concatenate([compute(block) for block in blocks])


def _linear(scorer: Linear):
    weights, bias = scorer.weights.astype(np.float64).T, scorer.bias.astype(np.float64)
    return lambda z: z @ weights + bias


def radial_basis(values: np.ndarray, centres: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma |value - centre|^2), Float64[N, J]."""
    squares = (values**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None, :]
    return np.exp(-gamma * np.maximum(squares - 2 * values @ centres.T, 0.0))


def projected(z: np.ndarray, projection: np.ndarray | None, step: float) -> np.ndarray:
    """P z of every row, Float64[N, D]."""
    return z if projection is None else z @ (step * projection.T.astype(np.float64))


def _kernel(scorer: Kernel):
    centres, weights = scorer.centre_step * scorer.centres, scorer.weights.astype(np.float64)

    def compute(z):
        values = projected(z, scorer.projection, scorer.projection_step)
        return radial_basis(values, centres, scorer.gamma) @ weights + scorer.bias

    return compute


def layout(feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roots of the trees, and each inner node's right child, from nodes listed depth first.

    Raises:
      ValueError: the list does not end with a tree.
    """
    roots, right, waiting = [], np.zeros(len(feature), np.int64), []
    expects_root = True
    for node, inner in enumerate((feature >= 0).tolist()):
        if expects_root:
            roots.append(node)
            expects_root = False
        if inner:
            waiting.append(node)
        elif waiting:
            right[waiting.pop()] = node + 1
        else:
            expects_root = True
    if waiting or not expects_root:
        raise ValueError("the last tree is not complete")
    return np.array(roots, np.int64), right


def _trees(scorer: Trees):
    roots, right = layout(scorer.feature)
    leaf = np.cumsum(scorer.feature < 0) - 1
    inner, value = scorer.feature >= 0, scorer.value.astype(np.float64)

    def compute(z):
        node = np.broadcast_to(roots, (len(z), len(roots))).copy()
        row, tree = np.nonzero(inner[node])
        while len(row):
            here = node[row, tree]
            left = z[row, scorer.feature[here]] <= scorer.threshold[here]
            here = np.where(left, here + 1, right[here])
            node[row, tree] = here
            ahead = inner[here]
            row, tree = row[ahead], tree[ahead]
        if not scorer.cycle:
            probability = np.zeros((len(z), value.shape[1]))
            for number in range(len(roots)):
                probability += value[leaf[node[:, number]]]
            found = np.log(np.maximum(probability / len(roots), LEAST_PROBABILITY))
            return found + scorer.bias
        added = value[leaf[node], 0]
        total = np.tile(scorer.bias.astype(np.float64), (len(z), 1))
        for place, number in enumerate(scorer.cycle):
            total[:, number] += added[:, place :: len(scorer.cycle)].sum(axis=1)
        return total

    return compute


_SCORES = {Linear: _linear, Kernel: _kernel, Trees: _trees}
