"""A curve between its certified bounds, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_BOUNDS = (
    ("rate_lb", "rate_ub", "bits per symbol"),
    ("capacity_lb", "capacity_ub", "bits per use"),
    ("relevance_bits", "relevance_ub", "bits about Y"),
)


def draw(
    point_at: Callable[[float], Any],
    levels: Iterable[float],
    *,
    axes: Any = None,
    label: str | None = None,
) -> list[Any]:
    """Draws the bounds of `point_at(level)` over the levels, and what lies between them.

    Args:
      point_at: anything that returns a point with two bounds, such as
        `lambda D: ratedist.wyner_ziv_point(joint, d, D)`, or of `rate_point`,
        `conditional_rate_point`, `perception_point`, `capacity_point`, `information_bottleneck`.
      levels: distortions, budgets or prices, one point each.
      axes: of matplotlib, which draws; the current ones if None.
      label: for the legend.

    Returns:
      The points.

    Raises:
      ValueError: no level, or points without bounds.

    >>> import ratedist
    >>> joint, hamming = [[0.45, 0.05], [0.05, 0.45]], [[0, 1], [1, 0]]
    >>> import matplotlib; matplotlib.use("agg")
    >>> points = ratedist.draw(
    ...     lambda D: ratedist.wyner_ziv_point(joint, hamming, D), [0.0, 0.05, 0.1])
    >>> [round(point.rate_ub, 3) for point in points]
    [0.469, 0.229, 0.0]
    """
    levels = list(levels)
    points = [point_at(level) for level in levels]
    if not points:
        raise ValueError("levels: give at least one")
    known = [names for names in _BOUNDS if hasattr(points[0], names[0])]
    if not known:
        raise ValueError(f"a {type(points[0]).__name__} has no bounds to draw")
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.gca()
    first, second, unit = known[0]
    lower, upper = (np.array([float(getattr(point, name)) for point in points])
                    for name in (first, second))  # fmt: skip
    (line,) = axes.plot(levels, upper, ".-", label=label)
    axes.plot(levels, lower, ":", color=line.get_color())
    axes.fill_between(levels, lower, upper, color=line.get_color(), alpha=0.3)
    axes.set_ylabel(unit)
    return points
