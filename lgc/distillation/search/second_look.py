"""A second look at the best points, on other validation parts.

The best of many candidates owes its place in part to luck on the validation part, the more so the
fewer images that has. Of a small image set there is time to compare the best ones on others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from fewbits.coding import InputError
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs
from lgc.distillation.search.results import OutOfTime
from lgc.distillation.search.trials import Trials

SMALL = 1_000
"""A validation part of fewer images is not enough."""
MOST_POINTS = 4
PARTS = 2
"""Other validation parts."""


def values(
    first: dict[OperatingPoint, float],
    trials_of: Callable[[int], Trials],
    budget_bytes: int,
    stop: Callable[[], bool],
) -> dict[OperatingPoint, float]:
    """Means of `against_codecs.value` over validation parts, as many as there is time for.

    Args:
      first: the points and their values on the first part.
      trials_of: number of another part -> its trials.
      budget_bytes: of the file.
      stop: asked before every evaluation whether to leave out what remains.
    """
    sums, parts = dict(first), 1
    for number in range(PARTS):
        found: dict[OperatingPoint, float] = {}
        with contextlib.suppress(OutOfTime, InputError):
            trials = trials_of(number)
            trials.fitting(tuple(dict.fromkeys(each.downsampling for each in first)), stop)
            codecs = against_codecs.coded(trials, budget_bytes, stop).candidates
            for each in first:
                if stop() or each.downsampling not in trials.counts:
                    break
                found[each] = against_codecs.value(trials.score(each), codecs)
        if len(found) < len(first):
            break
        sums = {each: value + found[each] for each, value in sums.items()}
        parts += 1
    return {each: value / parts for each, value in sums.items()}
