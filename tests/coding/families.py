"""Tables and symbols that several tests draw from: one family per shape that a user may bring."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import settings

from fewbits.coding import tables
from fewbits.coding.tables import FrequencyTable

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, max_examples=60)

FAMILIES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "gaussian": lambda rng, n: np.rint(rng.normal(0, 6, n)),
    "laplace": lambda rng, n: np.rint(rng.laplace(0, 3, n)),
    "uniform": lambda rng, n: rng.integers(-7, 8, n),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.97, 0, rng.integers(-15, 16, n)),
    "constant": lambda rng, n: np.full(n, 5),
    "bits": lambda rng, n: rng.integers(0, 2, n),
    "heavy_tail": lambda rng, n: np.clip(np.rint(rng.standard_cauchy(n) * 4), -127, 127),
    "one_sided": lambda rng, n: rng.geometric(0.2, n) + 1000,
    "wide": lambda rng, n: rng.integers(-32767, 32768, n),
}


def symbols(family: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` symbols of a family, int64."""
    rng = np.random.default_rng([seed, count, *family.encode()])
    return FAMILIES[family](rng, count).astype(np.int64)


def random_table(rng: np.random.Generator, size: int, minimum: int = 0) -> FrequencyTable:
    """A table with anything from nearly equal to extremely unequal counts."""
    lowest = int(np.ceil(np.log2(size)))
    precision = int(rng.integers(lowest, 25))
    weights = rng.exponential(size=size) ** rng.choice([0.5, 1, 4, 12])
    return tables.from_weights(weights, minimum=minimum, precision=precision)
