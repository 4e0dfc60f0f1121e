"""Tables that the coding of images needs: frequencies in coding order, bases for contexts."""

from __future__ import annotations

import functools

import numpy as np

from ratedist.codes.transform import bases
from ratedist.codes.transform.images.planes import LEVELS

_CONTEXT_BITS = 10


@functools.cache
def scan_order() -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of all block sizes, by their sum, and where each size starts."""
    order: list[tuple[int, int]] = []
    starts = []
    for n in LEVELS:
        starts.append(len(order))
        pairs = [(u, v) for u in range(n) for v in range(n)]
        order += sorted(pairs, key=lambda pair: (sum(pair), -pair[0]))
    return np.array(order), np.array(starts)


@functools.cache
def context_bases() -> np.ndarray:
    """Int[levels, 32, 32], cosine bases in 1/1024."""
    tables = np.zeros((len(LEVELS), LEVELS[-1], LEVELS[-1]), np.int64)
    for level, n in enumerate(LEVELS):
        tables[level, :n, :n] = bases.dct(n, _CONTEXT_BITS)
    return tables
