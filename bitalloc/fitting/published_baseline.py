"""Host-side, not traceable: the published baseline, as published.

From "Data Compression for Machine Learning", a final project in linear programming (UCLA):

1. An l1-penalised linear classifier is fitted; a feature's importance is sum_k |W_km|.
2. An integer program shares the bits: max sum_m importance_m (1 - 4^-d_m), sum d_m <= B.
3. Every feature is quantised uniformly between its extremes in the training sample, to
   2^d levels (d = 0 drops it), and the classifier is fitted again on the quantised values.

With several sensors each knows only its own features: it fits its own importances and spends an
equal share of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.encoders import sensors
from bitalloc.fitting import classifier, integer_program
from bitalloc.fitting.fit import Problem
from bitalloc.model import Model

MAX_DEPTH = 8


class Fitted(NamedTuple):
    """Encoder and decoder of the baseline.

    Attributes:
      encoder: uniform quantisers of the features that get bits.
      decoder: the linear classifier of the quantised values.
      optimal: whether the last linear program was solved to optimality.
    """

    encoder: encoders.PixelEncoder
    decoder: decoders.LinearDecoder
    optimal: bool


def fit_budgets(
    problem: Problem, budgets: Sequence[int], importance_penalty: float, retrain_penalty: float
) -> list[Model]:
    """Whole systems of the baseline, all from the same importances.

    Args:
      problem: features in a common scale, such as [0, 1]; its validation part is not looked at.
      budgets: bits per example of each system.
      importance_penalty: lam of the first linear program.
      retrain_penalty: lam of the last one.

    Raises:
      ValueError: if no feature is worth a bit.
    """
    (features, labels), view = problem.train, problem.sensor_of
    n_classes = len(problem.classes)
    importance = importances(features, labels, n_classes, view, importance_penalty)
    found = []
    for bits in budgets:
        fitted = fit(features, labels, n_classes, view, bits, importance, retrain_penalty)
        system = (view, problem.image_shape, problem.classes, fitted.encoder, fitted.decoder)
        found.append(Model("pixel", *system, n_train=len(labels), n_validation=0))
    return found


def importances(
    features: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    sensor_of: np.ndarray,
    penalty: float,
    time_limit_seconds: float | None = None,
) -> np.ndarray:
    """sum_k |W_km| of each sensor's own linear classifier, Float[M].

    Args:
      features: Float[N, M] in a common scale, such as [0, 1].
      labels: Int[N].
      n_classes: K.
      sensor_of: Int[M].
      penalty: lam of the linear program.
      time_limit_seconds: of each program.
    """
    importance = np.zeros(features.shape[1])
    for sensor in range(sensors.n_sensors(sensor_of)):
        seen = sensor_of == sensor
        solution = classifier.fit_hinge(
            features[:, seen], labels, n_classes, penalty, time_limit_seconds
        )
        importance[seen] = np.abs(solution.weights).sum(axis=0)
    return importance


def gains(importance: np.ndarray) -> np.ndarray:
    """u_m(d) = importance_m (1 - 4^-d), Float[M, 9]: uniform noise falls fourfold per bit."""
    return importance[:, None] * (1 - 4.0 ** -np.arange(MAX_DEPTH + 1))[None, :]


def allocate(importance: np.ndarray, sensor_of: np.ndarray, bits: int) -> np.ndarray:
    """Bits per feature by integer programming, an equal share of the budget per sensor; Int[M]."""
    n = sensors.n_sensors(sensor_of)
    depth = np.zeros(len(importance), int)
    for sensor, share in enumerate(sensors.even_split(bits, n)):
        seen = sensor_of == sensor
        depth[seen] = integer_program.solve_integer_program(
            gains(importance[seen]), int(share)
        ).depth
    return depth


def uniform_quantiser(
    features: np.ndarray, depth: np.ndarray, sensor_of: np.ndarray
) -> tuple[encoders.PixelEncoder, np.ndarray]:
    """Nearest of 2^d levels from the feature's minimum to its maximum, clipped outside.

    Args:
      features: Float[N, M], the training sample.
      depth: Int[M].
      sensor_of: Int[M].

    Returns:
      The encoder of the features with d > 0, sensor by sensor, and the levels it stands for,
      Float[J, 2^max d] (entries past a feature's own levels repeat its maximum).
    """
    used = np.array(sorted(np.flatnonzero(depth), key=lambda m: (sensor_of[m], m)), int)
    n_levels = 1 << int(depth.max(initial=1))
    thresholds = np.full((len(used), n_levels - 1), np.inf)
    levels = np.zeros((len(used), n_levels))
    for j, m in enumerate(used):
        low, high = float(features[:, m].min()), float(features[:, m].max())
        own = np.linspace(low, high, 1 << int(depth[m]))
        levels[j, : len(own)], levels[j, len(own) :] = own, high
        thresholds[j, : len(own) - 1] = (own[:-1] + own[1:]) / 2
    return encoders.PixelEncoder(used, thresholds, depth[used]), levels


def fit(
    features: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    sensor_of: np.ndarray,
    bits: int,
    importance: np.ndarray,
    retrain_penalty: float,
    time_limit_seconds: float | None = None,
) -> Fitted:
    """Steps 2 and 3, from given importances.

    Args:
      features: Float[N, M], the training sample, in a common scale.
      labels: Int[N].
      n_classes: K.
      sensor_of: Int[M].
      bits: B.
      importance: Float[M], see `importances`; independent of the budget.
      retrain_penalty: lam of the last program.
      time_limit_seconds: of the last program.

    Raises:
      ValueError: if no feature is worth a bit.
    """
    depth = allocate(importance, sensor_of, bits)
    if not depth.any():
        raise ValueError(f"no feature is worth a bit: importances sum to {importance.sum()}")
    encoder, levels = uniform_quantiser(features, depth, sensor_of)
    symbols = encoders.encode(encoder, features, sensor_of)
    values = levels[np.arange(len(levels))[None, :], symbols]
    solution = classifier.fit_hinge(values, labels, n_classes, retrain_penalty, time_limit_seconds)
    scores = levels[:, :, None] * solution.weights.T[:, None, :]
    return Fitted(encoder, decoders.LinearDecoder(scores, solution.bias), solution.optimal)
