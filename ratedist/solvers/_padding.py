"""Common shapes of small problems, so that they share compiled programs.

What is added are letters of probability zero and codewords out of use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ratedist.problem.checks import as_array, as_double
from ratedist.problem.point import RDPoint

_SHARED_SIZES = (16, 32, 64)


class Shape(NamedTuple):
    """The size of a problem, and that of the program which solves it."""

    n: int
    m: int
    rows: int
    columns: int

    @classmethod
    def of(cls, p: Any, d: Any, *others: Any) -> Shape:
        """Small problems of known values are padded; inside a program, shapes stay as they are."""
        n, m = np.shape(d)
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((p, d, others)))
        if traced or max(n, m) > _SHARED_SIZES[-1]:
            return cls(n, m, n, m)
        return cls(n, m, *(min(s for s in _SHARED_SIZES if s >= size) for size in (n, m)))

    @property
    def _same(self) -> bool:
        return (self.n, self.m) == (self.rows, self.columns)

    def letters(self, values: Any) -> Any:
        """One number for each letter; zero for those that are added."""
        if self._same:
            return values
        return np.pad(as_double(np.asarray(values)), (0, self.rows - self.n))

    def table(self, d: Any) -> Any:
        """The distortions; zero where something is added."""
        if self._same:
            return d
        d = np.asarray(d, np.float64)
        return np.pad(d, ((0, self.rows - self.n), (0, self.columns - self.m)))

    def used(self, mask: Any) -> Any:
        """The codewords in use; none of those that are added."""
        if self._same:
            return mask if mask is None else as_array(mask)
        given = np.ones(self.m, bool) if mask is None else np.asarray(mask, bool)
        return np.pad(given, (0, self.columns - self.m))

    def cut(self, point: RDPoint, *, each_letter: bool = False) -> RDPoint:
        """The point without what was added."""
        if self._same:
            return point
        letters = ("slope", "distortion", "nu", "dual", "infeasible", "vacuous")
        sizes = dict.fromkeys(letters if each_letter else letters[:1], self.n) | {"q": self.m}
        # Slices in NumPy: JAX would compile one program for each size.
        host = {name: np.asarray(getattr(point, name))[:size] for name, size in sizes.items()}
        return point._replace(**{name: jnp.asarray(value) for name, value in host.items()})
