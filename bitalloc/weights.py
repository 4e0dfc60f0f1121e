"""The tensors of a model that may be stored with fewer bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitalloc import class_parts
from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.model import Model


def weight_bits(precision: int | None):
    """Bits of each tensor: matrices and kernels on a grid, vectors such as biases in float32."""
    if precision is None:
        return None
    return lambda path, tensor: precision if tensor.ndim > 1 else None


def weight_tree(model: Model) -> dict[str, Any]:
    """Every tensor that a precision applies to."""
    trees: dict[str, Any] = {}
    encoder, decoder = model.encoder, model.decoder
    if isinstance(encoder, encoders.ProjectionEncoder):
        trees["weights"] = np.asarray(encoder.weights, np.float32)
    elif isinstance(encoder, encoders.NetworkEncoder):
        trees["sensor"] = list(encoder.params)
    elif isinstance(encoder, encoders.ClassEncoder):
        trees["parts"] = class_parts.weights(encoder)
    if isinstance(decoder, decoders.LinearDecoder):
        trees["scores"] = np.asarray(decoder.scores, np.float32)
    elif isinstance(decoder, decoders.NetworkDecoder):
        trees["receiver"] = [list(layer) for layer in decoder.layers]
    return trees


def with_weights(model: Model, trees: dict[str, Any], precision: int) -> Model:
    """The model with other weights, in the form of `weight_tree`, of so many bits."""
    encoder, decoder = model.encoder, model.decoder
    if isinstance(encoder, encoders.ProjectionEncoder):
        encoder = encoder._replace(weights=trees["weights"])
    elif isinstance(encoder, encoders.NetworkEncoder):
        encoder = encoder._replace(params=tuple(trees["sensor"]))
    elif isinstance(encoder, encoders.ClassEncoder):
        encoder = class_parts.with_weights(encoder, trees["parts"])
    if isinstance(decoder, decoders.LinearDecoder):
        bias = np.asarray(decoder.bias, np.float64)
        decoder = decoders.LinearDecoder(np.asarray(trees["scores"], np.float64), bias)
    elif isinstance(decoder, decoders.NetworkDecoder):
        decoder = decoders.NetworkDecoder(tuple(map(tuple, trees["receiver"])))
    return model._replace(encoder=encoder, decoder=decoder, precision=precision)
