"""An array as bytes at a chosen distortion, and back."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from fewbits.coding import InputError
from fewbits.coding.units import empirical_entropy_bits
from ratedist.codes import code_file, design


class Encoded(NamedTuple):
    """An encoded array.

    Attributes:
      data: the bytes of a file.
      distortion: mean squared error of what they decode to.
      index_bits: entropy of the indices, bits a number: the file without points and tables.
    """

    data: bytes
    distortion: float
    index_bits: float


def encode(
    values: Float[np.ndarray, "*shape"],
    distortion: float,
    *,
    code: Literal["scalar", "trellis"] = "scalar",
    dimension: int = 1,
) -> bytes:
    """An array as bytes from which `decode` makes one that is close: quantised and entropy coded.

    The code is fitted to the array: the optimal entropy-coded scalar quantiser (a shortest path,
    see `quantizers`), an entropy-coded trellis (Marcellin and Fischer 1990), or, for `dimension` 2
    to 4, an entropy-constrained vector quantiser (Chou, Lookabaugh and Gray 1989).

    Args:
      values: finite numbers of any shape.
      distortion: largest mean squared error of a number, positive.
      code: which kind.
      dimension: numbers coded together; its size must divide that of the array.

    Returns:
      The bytes of a file, points and tables included.

    Raises:
      ValueError: values that are not finite numbers, or a distortion, code or dimension that does
        not fit them.

    >>> import numpy as np, ratedist
    >>> x = np.linspace(-1, 1, 1000)
    >>> data = ratedist.encode(x, 0.01)
    >>> bool(np.mean((ratedist.decode(data) - x) ** 2) <= 0.01), len(data) < 1000
    (True, True)
    """
    return encode_array(values, distortion, code=code, dimension=dimension).data


def decode(data: bytes) -> Float[np.ndarray, "*shape"]:
    """The array, float32, that bytes of `encode` stand for.

    Raises:
      FormatError: not an undamaged file of this kind (a ValueError).

    >>> import ratedist
    >>> ratedist.decode(ratedist.encode([1.0, 1.0, 3.0, 3.0], 0.01)).tolist()
    [1.0, 1.0, 3.0, 3.0]
    """
    return code_file.read(data)


def encode_array(values: Any, distortion: float, *, code: str, dimension: int) -> Encoded:
    """As `encode`, with what was measured.

    Raises:
      InputError: see `encode`.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" or not values.size:
        raise InputError(
            f"values of shape {values.shape} and type {values.dtype}: give real numbers"
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).sum())} values are NaN or infinite")
    if not (np.isfinite(distortion) and distortion > 0):
        raise InputError(f"distortion {distortion}: a positive number")
    if not 1 <= dimension <= code_file.MAX_DIMENSION:
        raise InputError(f"dimension {dimension}: 1 to {code_file.MAX_DIMENSION}")
    if code not in ("scalar", "trellis"):
        raise InputError(f"code {code!r}: 'scalar' or 'trellis'")
    if code == "trellis" and dimension > 1:
        raise InputError("the trellis codes single numbers: leave the dimension at 1")
    flat = values.reshape(-1)
    if code == "trellis":
        found = design.with_trellis(flat, distortion)
    elif dimension > 1:
        found = design.vector(flat, distortion, dimension)
    else:
        found = design.scalar(flat, distortion)
    data = code_file.write(found._replace(shape=values.shape))
    # Measured on what the bytes decode to.
    reached = float(((code_file.read(data) - values) ** 2).mean())
    if reached > distortion:
        raise InputError(
            f"distortion {distortion:g} is finer than single precision reaches here: {reached:.3g}"
        )
    entropy = sum(empirical_entropy_bits(np.bincount(i)) * i.size for i in found.indices)
    return Encoded(data, reached, float(entropy) / values.size)
