"""How many bits a model's weights need: as few as leave its decisions as they are."""

from __future__ import annotations

from collections.abc import Sequence
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
    if not precisions:
        return model, score
    compact = _with_scale(model)
    trees = weight_tree(compact)
    if not trees:  # nothing to round: any precision says that the file is compact
        return model._replace(precision=precisions[0]), score
    features = train.features[:_MOST_COMPARED]
    mean = features.mean(axis=0, dtype=np.float64)
    before = decode_numbers(model, encode(model, features), len(features))
    sender = encoders.symbol_sensor(model.encoder, model.sensor_of)
    for bits in precisions:
        rounded = _with_offset(with_weights(compact, _on_grid(trees, bits), bits), model, mean)
        if not np.array_equal(encoders.symbol_sensor(rounded.encoder, model.sensor_of), sender):
            continue  # a functional without weights has no sensor
        found = accuracy(rounded, validation.features, validation.labels)
        if found >= score:
            after = decode_numbers(rounded, encode(rounded, features), len(features))
            if np.mean(before == after) >= AGREEMENT:
                return rounded, found
    return model, score


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
