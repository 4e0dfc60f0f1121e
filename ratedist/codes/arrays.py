"""An array as bytes at a chosen distortion, and back."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from fewbits.coding import InputError, container
from fewbits.coding.units import empirical_entropy_bits
from ratedist.codes import code_file, design


class Encoded(NamedTuple):
    """An encoded array.

    Attributes:
      data: the bytes of a file.
      distortion: mean squared error of what they decode to.
      index_bits: entropy of the indices, bits a number: the file without points and tables; of
        codes for signals with memory, bits of the stream.
      transform: what a code for signals with memory chose, in words; else None.
      gaussian_bits: for such a code, R(D) of Gaussian vectors with the variances of the
        coefficients, bits a number; else None.
    """

    data: bytes
    distortion: float
    index_bits: float
    transform: str | None = None
    gaussian_bits: float | None = None


def encode(
    values: Float[np.ndarray, "*shape"],
    distortion: float,
    *,
    code: Literal["scalar", "trellis"] = "scalar",
    dimension: int = 1,
    block: str | int | tuple[int, int] | None = None,
    transform: Literal["auto", "dct", "lapped", "klt", "none"] = "auto",
) -> bytes:
    """An array as bytes from which `decode` makes one that is close: quantised and entropy coded.

    The code is fitted to the array: the optimal entropy-coded scalar quantiser (a shortest path,
    see `quantizers`), an entropy-coded trellis (Marcellin and Fischer 1990), or, for `dimension` 2
    to 4, an entropy-constrained vector quantiser (Chou, Lookabaugh and Gray 1989). Where the scalar
    code cannot reach the distortion, because of outliers or a large offset, `block=1` is used.

    These treat numbers as if they had no order. With `block`, the array is a signal with memory:
    a picture (rows, columns), (rows, columns, up to 4 channels) or several of them, a series, or
    (samples, up to 8 channels). Blocks are transformed, quantised with one step (reverse
    water-filling) and coded under adaptive contexts; the array that is decoded has the type that
    was given, and the distortion is met within 1 % where that type allows.

    Args:
      values: finite numbers of any shape.
      distortion: largest mean squared error of a number, positive.
      code: which kind.
      dimension: numbers coded together; its size must divide that of the array.
      block: None; "auto"; 64 for runs of 64 numbers, 1 for none; (8, 8) or "8x8" for square blocks
        of pictures (4, 8, 16, 32).
      transform: of runs: cosines, lapped cosines (MDCT), a learned basis (Karhunen-Loeve, to 64
        numbers), none, or the one that takes fewest bytes.

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
    return encode_array(
        values, distortion, code=code, dimension=dimension, block=block, transform=transform
    ).data


def decode(data: bytes) -> Float[np.ndarray, "*shape"]:
    """The array that bytes of `encode` stand for.

    float32, or, of a file made with `block`, the type that was encoded.

    Raises:
      FormatError: not an undamaged file of this kind (a ValueError).

    >>> import ratedist
    >>> ratedist.decode(ratedist.encode([1.0, 1.0, 3.0, 3.0], 0.01)).tolist()
    [1.0, 1.0, 3.0, 3.0]
    """
    if container.read_archive(data).kind == "signal":
        from ratedist.codes.transform import signal_file  # numba takes a while to import

        return signal_file.read(data)
    return code_file.read(data)


def encode_array(
    values: Any,
    distortion: float,
    *,
    code: str,
    dimension: int,
    block: Any = None,
    transform: str = "auto",
) -> Encoded:
    """As `encode`, with what was measured.

    Raises:
      InputError: see `encode`.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" or not values.size:
        raise InputError(
            f"values of shape {values.shape} and type {values.dtype}: give real numbers"
        )
    original, values = values, values.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).sum())} values are NaN or infinite")
    if not (np.isfinite(distortion) and distortion > 0):
        raise InputError(f"distortion {distortion}: a positive number")
    if block is not None:
        if code != "scalar" or dimension != 1:
            raise InputError("block codes signals with memory: leave code and dimension out")
        return _with_memory(original, distortion, block, transform)
    if transform != "auto":
        raise InputError(f"transform {transform!r} needs a block, such as 64 or auto")
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
        try:
            found = design.scalar(flat, distortion)
        except design.TooFine:  # a large offset, or outliers
            return _with_memory(original, distortion, 1, "auto")
    data = code_file.write(found._replace(shape=values.shape))
    # Measured on what the bytes decode to.
    reached = float(((code_file.read(data) - values) ** 2).mean())
    if reached > distortion and code == "scalar" and dimension == 1:
        return _with_memory(original, distortion, 1, "auto")
    if reached > distortion:
        raise InputError(
            f"distortion {distortion:g} is finer than single precision reaches here: {reached:.3g}"
        )
    entropy = sum(empirical_entropy_bits(np.bincount(i)) * i.size for i in found.indices)
    return Encoded(data, reached, float(entropy) / values.size)


def _with_memory(values: np.ndarray, distortion: float, block: Any, transform: str) -> Encoded:
    from ratedist.codes.transform import signals

    made = signals.encode_signal(values, distortion, block=block, transform=transform)
    stream = len(container.read_archive(made.data).sections["symbols"])
    return Encoded(
        made.data, made.distortion, 8 * stream / values.size, made.transform, made.gaussian_bits
    )
