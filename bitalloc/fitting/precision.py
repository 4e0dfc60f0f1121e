"""How many bits a model's weights need: as few as leave its decisions as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from bitalloc.encoders import encoder as encoders
from bitalloc.fitting.fit import Sample
from bitalloc.model import Model, accuracy, decode_numbers, encode
from bitalloc.weights import weight_bits, weight_tree, with_weights
from fewbits.coding.weights.model_file import quantise

AGREEMENT = 0.995
"""Share of the training examples that must be decoded as with float32 weights."""

_MOST_COMPARED = 2_000


def choose(
    model: Model, train: Sample, validation: Sample, precisions: Sequence[int], score: float
) -> tuple[Model, float]:
    """The model with its weights on the coarsest grid that is as good on the validation part.

    A grid is refused, too, where it changes more than a few decisions on the training part: a
    small validation part alone would let coarse ones pass by luck.

    Args:
      model: with float32 weights.
      train: examples it was fitted on.
      validation: examples its choices were made on.
      precisions: bits per weight, ascending; none keeps float32.
      score: the model's accuracy on the validation part.

    Returns:
      The model and its accuracy on the validation part.
    """
    features = train.features[:_MOST_COMPARED]
    before = decode_numbers(model, encode(model, features), len(features))
    for rounded in _rounded(model, features, precisions):
        found = accuracy(rounded, validation.features, validation.labels)
        if found >= score:
            after = decode_numbers(rounded, encode(rounded, features), len(features))
            if np.mean(before == after) >= AGREEMENT:
                return rounded, found
    return model, score


def choose_by_margins(
    model: Model, features: np.ndarray, scores: np.ndarray, precisions: Sequence[int]
) -> Model:
    """A class model with its weights on the coarsest grid that should change few decisions.

    For models that were fitted to every example: on those, decisions stay as they are under grids
    that change many on other examples. So the changes of scores are measured on these examples, and
    the margins that they have to pass are those of examples that the scores were not fitted on.

    Args:
      model: with float32 weights, of a `ClassEncoder`.
      features: [N, M], of the fitted examples.
      scores: Float[H, K], the model's scores of examples that it was not fitted on.
      precisions: bits per weight, ascending; none keeps float32.
    """
    features = features[:_MOST_COMPARED]
    in_order = np.sort(scores, axis=1)
    margins = np.sort(in_order[:, -1] - in_order[:, -2])
    before = _scores(model, features)
    first, second = np.argsort(-before, axis=1)[:, :2].T
    rows = np.arange(len(features))
    for rounded in _rounded(model, features, precisions):
        change = _scores(rounded, features) - before
        lost = change[rows, second] - change[rows, first]
        # The share of all pairs of a margin and a change that is at least as large.
        if np.searchsorted(margins, lost, side="right").mean() / len(margins) <= 1 - AGREEMENT:
            return rounded
    return model


def _scores(model: Model, features: np.ndarray) -> np.ndarray:
    assert isinstance(model.encoder, encoders.ClassEncoder)
    return encoders.class_scores(model.encoder, features, model.sensor_of)


def _rounded(model: Model, features: np.ndarray, precisions: Sequence[int]) -> Iterator[Model]:
    """The model with its weights on ever finer grids."""
    compact = _with_scale(model)
    trees = weight_tree(compact)
    if precisions and not trees:  # nothing to round: any precision says that the file is compact
        yield model._replace(precision=precisions[0])
        return
    mean = features.mean(axis=0, dtype=np.float64)
    sender = encoders.symbol_sensor(model.encoder, model.sensor_of)
    for bits in precisions:
        rounded = _with_offset(with_weights(compact, _on_grid(trees, bits), bits), model, mean)
        # A functional without weights has no sensor.
        if np.array_equal(encoders.symbol_sensor(rounded.encoder, model.sensor_of), sender):
            yield rounded


def _with_scale(model: Model) -> Model:
    """Projections of features that have units of their own, with weights of one unit."""
    encoder = model.encoder
    if not isinstance(encoder, encoders.ProjectionEncoder) or model.image_shape is not None:
        return model
    largest = np.abs(encoder.weights).max(axis=0)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32)
    return model._replace(encoder=encoder._replace(weights=encoder.weights / scale, scale=scale))


def _with_offset(rounded: Model, model: Model, mean: np.ndarray) -> Model:
    """Rounded functionals with the mean values that they had."""
    encoder, before = rounded.encoder, model.encoder
    if not isinstance(encoder, encoders.ProjectionEncoder):
        return rounded
    assert isinstance(before, encoders.ProjectionEncoder)
    shift = (encoders.full_weights(before) - encoders.full_weights(encoder)) @ mean
    return rounded._replace(encoder=encoder._replace(bias=(before.bias + shift).astype(np.float32)))


def _on_grid(trees: Any, bits: int) -> Any:
    """The trees rounded, so that rounding them again changes nothing: files are read as written."""
    for _ in range(10):
        rounded = quantise(trees, weight_bits(bits))
        if all(map(np.array_equal, jax.tree.leaves(rounded), jax.tree.leaves(trees))):
            break
        trees = rounded
    return trees
