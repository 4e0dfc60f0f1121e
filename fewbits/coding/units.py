"""Nats, bits and bytes, and the entropies measured in them: the only place that knows log 2.

Every function takes NumPy arrays, JAX arrays (traced ones too) or plain numbers, and computes
with the array library that its argument came from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

NATS_PER_BIT = math.log(2.0)


def nats_to_bits(nats: Any) -> Any:
    """An amount of information in nats, as bits."""
    return nats / NATS_PER_BIT


def bits_to_nats(bits: Any) -> Any:
    """An amount of information in bits, as nats."""
    return bits * NATS_PER_BIT


def bits_to_bytes(bits: float) -> int:
    """Whole bytes that hold `bits` bits."""
    return math.ceil(bits / 8)


def log2(value: Any) -> Any:
    """Logarithm to base two, with 0 for the argument 0 (so that 0 log 0 = 0).

    The guarded logarithm keeps the gradient finite too, where the argument is traced by JAX.
    """
    xp = _library(value)
    positive = value > 0
    return xp.where(positive, nats_to_bits(xp.log(xp.where(positive, value, 1.0))), 0.0)


def entropy_bits(probabilities: Any, axis: int = -1) -> Any:
    """Shannon entropy H(p) = -sum p log2 p along `axis`, in bits."""
    probabilities = _array(probabilities)
    return -(probabilities * log2(probabilities)).sum(axis=axis)


def binary_entropy_bits(probability: Any) -> Any:
    """Entropy h(p) of a coin that falls heads with `probability`, in bits."""
    probability = _array(probability)
    return -probability * log2(probability) - (1.0 - probability) * log2(1.0 - probability)


def divergence_bits(probabilities: Any, model: Any, axis: int = -1) -> Any:
    """Kullback-Leibler divergence D(p || q) = sum p log2(p / q) along `axis`, in bits.

    Infinite where the model q gives no probability to something that happens under p.
    """
    probabilities = _array(probabilities)
    model = _array(model)
    xp = _library(probabilities + model)
    impossible = xp.any((probabilities > 0) & (model <= 0), axis=axis)
    terms = probabilities * (log2(probabilities) - log2(model))
    return xp.where(impossible, math.inf, terms.sum(axis=axis))


def empirical_entropy_bits(counts: Any, axis: int = -1) -> Any:
    """Entropy per symbol of a histogram along `axis`, in bits; 0 for an empty histogram."""
    counts = _array(counts)
    xp = _library(counts)
    total = counts.sum(axis=axis, keepdims=True)
    return entropy_bits(counts / xp.where(total > 0, total, 1), axis=axis)


def _array(value: Any) -> Any:
    return value if hasattr(value, "__array_namespace__") else np.asarray(value, dtype=np.float64)


def _library(value: Any) -> Any:
    """The array library of `value`: NumPy, or jax.numpy without importing JAX here."""
    namespace = getattr(value, "__array_namespace__", None)
    return np if namespace is None else namespace()
