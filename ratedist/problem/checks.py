"""What a source, a distortion table and a number may be: checked wherever values are known.

A value that JAX is tracing has a shape and a type, but no number; it can be checked only inside the
program (`problem.problem`), which answers NaN and `converged=False` where this module would raise.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

SUM_TOLERANCE = 1e-8
"""How far probabilities in double precision may be from a sum of one."""


def concrete(value: Any) -> np.ndarray | None:
    """The value as a NumPy array, or None while it is being traced."""
    return None if isinstance(value, Tracer) else np.asarray(value)


def as_array(value: Any) -> Any:
    """An array as it is; numbers and (nested) lists of them as a NumPy array; tracers stacked."""
    if isinstance(value, Tracer | jax.Array | np.ndarray):
        return value
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.asarray(value)
    return np.asarray(value)


def sum_tolerance(p: Any) -> float:
    """How far probabilities of this type and number may be from a sum of one."""
    kind = as_array(p).dtype
    if not _narrow(kind):
        return SUM_TOLERANCE
    return max(SUM_TOLERANCE, 4 * float(jnp.finfo(kind).eps) * max(np.size(p), 4))


def as_mass(p: Any) -> Any:
    """Probabilities in double precision.

    Those of a narrower type sum to one up to their rounding; they are divided by their sum. Those
    in double precision are left as they are.
    """
    p = as_array(p)
    if not _narrow(p.dtype):
        return as_double(p)
    xp = jnp if isinstance(p, Tracer) else np
    wide = xp.asarray(p, float)
    return wide / wide.sum()


def as_double(values: Any) -> Any:
    """An array in double precision, unless its type is a narrower one, which says how exact it is.

    Whole numbers and booleans have no rounding errors to tell of.
    """
    return values if _narrow(values.dtype) else values.astype(np.float64)


def check_mass(p: Any) -> None:
    """Raise unless p is a probability vector.

    Raises:
      ValueError: NaN, negative mass, or a sum that is not 1.
    """
    p, tolerance = np.asarray(p), sum_tolerance(p)
    if p.dtype.kind not in "biuf" and not _narrow(p.dtype):
        raise ValueError(f"probabilities of type {p.dtype}; they must be real numbers")
    p = p.astype(np.float64)
    if not np.isfinite(p).all():
        raise ValueError(f"probability {p[~np.isfinite(p)][0]} is not finite")
    if p.min() < 0:
        raise ValueError(f"probability {p.min()} is negative")
    if abs(p.sum() - 1) > tolerance:
        raise ValueError(f"probabilities sum to {p.sum():.9g}; divide them by their sum")


def check_table(d: np.ndarray) -> None:
    """Raise unless every distortion is a number or inf.

    Raises:
      ValueError: NaN or -inf.
    """
    if np.isnan(d).any():
        raise ValueError(f"{int(np.isnan(d).sum())} distortions are NaN")
    if np.isneginf(d).any():
        raise ValueError(f"{int(np.isneginf(d).sum())} distortions are -inf; inf forbids a pair")


def check_problem(p: Any, d: Any, mask: Any | None = None) -> None:
    """Raise for a source, distortion table and codeword mask that fit no problem.

    Raises:
      ValueError: wrong shapes, negative or missing mass, NaN or -inf among the distortions, or a
        letter with no codeword. Under tracing only shapes can be checked.
    """
    if np.ndim(p) != 1 or np.ndim(d) != 2 or np.shape(d)[0] != np.shape(p)[0]:
        raise ValueError(
            f"probabilities of shape {np.shape(p)} and distortions of shape {np.shape(d)};"
            " expected (n,) and (n, m)"
        )
    if 0 in np.shape(d):
        raise ValueError(f"an empty source or codebook: distortions of shape {np.shape(d)}")
    if mask is not None and np.shape(mask) != np.shape(d)[1:]:
        raise ValueError(
            f"a codeword mask of shape {np.shape(mask)} for {np.shape(d)[1]} codewords"
        )
    mass, table = concrete(p), concrete(d)
    if mass is not None:
        check_mass(mass)
    if table is None:
        return
    check_table(table)
    used = concrete(mask) if mask is not None else np.ones(table.shape[1], bool)
    if used is None or mass is None:
        return
    if not used.any():
        raise ValueError("every codeword is masked out")
    stranded = np.flatnonzero((mass > 0) & ~np.isfinite(table[:, used.astype(bool)]).any(axis=1))
    if stranded.size:
        raise ValueError(f"letter {stranded[0]} has no codeword at finite distortion")


def check_price(s: ArrayLike) -> None:
    """Raise for a price of distortion that is known to be negative or NaN.

    Raises:
      ValueError: see above.
    """
    known = concrete(s)
    if known is not None and not (known >= 0).all():
        raise ValueError(f"price of distortion {known.min()}; it must not be negative or NaN")


def check_tolerance(tol_bits: ArrayLike) -> None:
    """Raise for a tolerance that is known not to be positive.

    Raises:
      ValueError: see above.
    """
    known = concrete(tol_bits)
    if known is not None and not (known.ndim == 0 and known > 0):
        raise ValueError(f"tolerance {tol_bits} bits; it must be one positive number")


def check_level(level: ArrayLike) -> None:
    """Raise for a distortion level that is known not to be one finite number.

    Raises:
      ValueError: see above.
    """
    if np.ndim(level):
        raise ValueError(f"a distortion level of shape {np.shape(level)}; it must be one number")
    known = concrete(level)
    if known is not None and known.dtype.kind in "OSUM":
        raise ValueError(f"distortion level {level!r}; it must be one number")
    if known is not None and not np.isfinite(known):
        raise ValueError(f"distortion level {known}; it must be finite")


def _narrow(kind: Any) -> bool:
    """Whether a type has fewer digits than double precision."""
    return bool(jnp.issubdtype(kind, jnp.floating)) and jnp.finfo(kind).bits < 64
