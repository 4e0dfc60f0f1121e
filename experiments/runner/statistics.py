"""What is said of one number measured with several seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class OverSeeds(NamedTuple):
    """Mean, sample standard deviation (None of fewer than two seeds) and number of seeds."""

    mean: float
    std: float | None
    count: int

    def text(self, digits: int = 2) -> str:
        """Mean and deviation for a table: `1,234.50 ± 56.00`."""
        spread = "" if self.std is None else f" ± {self.std:,.{digits}f}"
        return f"{self.mean:,.{digits}f}{spread}"


def over_seeds(values: Iterable[float] | np.ndarray) -> OverSeeds:
    """The statistics of one value for each seed; the mean of none is NaN."""
    found = np.asarray(values if isinstance(values, np.ndarray) else list(values), float)
    return OverSeeds(
        float(found.mean()) if found.size else float("nan"),
        float(found.std(ddof=1)) if found.size > 1 else None,
        int(found.size),
    )
