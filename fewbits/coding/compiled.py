"""Sequential loops at machine speed: Numba where it can be used, plain Python elsewhere.

Loops that carry this decorator and whose results go into files use whole numbers that fit 64 bits,
so both give the same bytes; plain Python is some hundred times slower.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import numba
    from numba.core import config as numba_config
except ImportError:  # no wheel for this Python or processor: slow, but files still decode
    numba = numba_config = None

_DEPTH = 3


def is_compiled() -> bool:
    """Whether functions are compiled: numba is there, and `NUMBA_DISABLE_JIT` is not set."""
    return numba is not None and not getattr(numba_config, "DISABLE_JIT", False)


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled on its first call and cached on the disk where that is possible.

    Numba reuses what is in its cache as long as the function's own file is as it was, also when a
    function that it calls has changed. A constant that the function closes over is part of what
    numba compares; here that is a digest of all files whose functions may call one another: those
    of the function's package, three names deep, and those beside this file.

    The function as it was written is the attribute `py_func` of the result.

    Example:
      >>> from fewbits.coding.compiled import compiled
      >>> @compiled
      ... def triangular(n):
      ...     total = 0
      ...     for i in range(n + 1):
      ...         total += i
      ...     return total
      >>> triangular(4), triangular.py_func(4)
      (10, 10)
    """
    if not is_compiled():
        function.py_func = function  # type: ignore[attr-defined]
        return function
    assert numba is not None
    package = ".".join(function.__module__.split(".")[:-1][:_DEPTH])
    cell = types.CellType(_sources(package))
    code = function.__code__
    closed = types.FunctionType(
        code.replace(co_freevars=(*code.co_freevars, "sources")),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        (*(function.__closure__ or ()), cell),
    )
    functools.update_wrapper(closed, function)
    try:
        return numba.njit(cache=True)(closed)
    except RuntimeError:  # no folder that a cache could be written to
        return numba.njit(closed)


@functools.cache
def _sources(package: str) -> bytes:
    """A digest of the files whose functions those of a package may call."""
    files = set(Path(__file__).parent.glob("*.py"))
    for folder in getattr(sys.modules.get(package), "__path__", ()):
        files.update(Path(folder).rglob("*.py"))
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.digest()
