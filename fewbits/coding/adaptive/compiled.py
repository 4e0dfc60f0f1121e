"""Sequential loops at machine speed: Numba where it can be imported, plain Python elsewhere.

Loops that carry this decorator use whole numbers that fit 64 bits, so both give the same results;
plain Python is some hundred times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import numba
except ImportError:  # no wheel for this Python or processor: slow, but files still decode
    numba = None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled on its first call and cached on the disk where that is possible.

    The function as it was written is the attribute `py_func` of the result.
    """
    if numba is None:
        function.py_func = function  # type: ignore[attr-defined]
        return function
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no folder that a cache could be written to
        return numba.njit(function)
