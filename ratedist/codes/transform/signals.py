"""Arrays with memory as bytes: pictures in a quadtree of cosine blocks, series in frames.

The distortion is met by the choice of one step for all coefficients, which is what reverse
water-filling asks for (Cover and Thomas, section 10.3.3); coefficients that vary less than the
step become zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import InputError
from fewbits.coding.compiled import is_compiled
from ratedist.codes.transform import channels, layouts, signal_file
from ratedist.codes.transform.images import planes
from ratedist.codes.transform.search import step_for
from ratedist.codes.transform.series import frames
from ratedist.codes.transform.signal_file import Signal

TRANSFORMS = ("auto", "dct", "lapped", "klt", "none")
_SAMPLE = 1 << 16 if is_compiled() else 1 << 12
_SERIES = (("none", 1), ("dct", 16), ("lapped", 64), ("lapped", 128), ("lapped", 256),
           ("lapped", 512), ("lapped", 1024), ("lapped", 2048))  # fmt: skip


class Made(NamedTuple):
    """An encoded signal.

    Attributes:
      data: the bytes of a file.
      distortion: mean squared error of what they decode to.
      transform: what was chosen, in words.
      gaussian_bits: bits a number of Gaussian vectors with the variances of the coefficients
        (`gaussian_bound`).
    """

    data: bytes
    distortion: float
    transform: str
    gaussian_bits: float


def parse_block(block: Any) -> tuple[int, ...] | None:
    """Sides of a block: None for "auto", (64,) for 64 or "64", (8, 8) for (8, 8) or "8x8".

    Raises:
      InputError: something else.
    """
    if isinstance(block, str):
        if block == "auto":
            return None
        if not re.fullmatch(r"[0-9]{1,5}(x[0-9]{1,5})?", block):
            raise InputError(f"block {block!r}: a number such as 64, a square such as 8x8, or auto")
        block = tuple(int(part) for part in block.split("x"))
    sides = tuple(np.atleast_1d(np.asarray(block)).tolist())
    if len(sides) == 2 and (sides[0] != sides[1] or sides[0] not in planes.LEVELS):
        raise InputError(f"block {sides[0]}x{sides[1]}: 4x4, 8x8, 16x16 or 32x32")
    if len(sides) not in (1, 2) or not 1 <= sides[0] <= frames.LARGEST_BLOCK:
        raise InputError(f"block {block}: 1 to {frames.LARGEST_BLOCK}, or 8x8")
    return sides


def encode_signal(
    values: np.ndarray, distortion: float, *, block: Any = "auto", transform: str = "auto"
) -> Made:
    """Bytes that decode to an array of the same shape and type within a mean squared error.

    Args:
      values: real numbers.
      distortion: largest mean squared error, positive; met within 1 % where the type allows.
      block: "auto"; n for runs of n numbers; (n, n) or "nxn" for square blocks of a picture.
      transform: one of TRANSFORMS.

    Raises:
      InputError: arguments that do not fit, or a distortion that cannot be reached.
    """
    sides = parse_block(block)
    if transform not in TRANSFORMS:
        raise InputError(f"transform {transform!r}: one of {', '.join(TRANSFORMS)}")
    options = _options(values.shape, sides, transform)
    try:
        found = _best(values, distortion, options)
        data = signal_file.write(found)
        reached = _error(signal_file.read(data), values)
        if reached > distortion:
            raise OverflowError("the decoded file is less precise")
    except OverflowError as error:
        raise InputError(
            f"distortion {distortion:g} is finer than the arithmetic reaches here: {error}"
        ) from error
    name = f"{found.transform}, frames of {found.block}"
    if found.sizes is not None:
        sizes = sorted({1 << int(size) for size in np.unique(found.sizes)})
        name = "cosine blocks of " + ", ".join(f"{n}x{n}" for n in sizes)
    return Made(data, reached, name, gaussian_bound(values, distortion, found))


def gaussian_bound(values: np.ndarray, distortion: float, found: Signal) -> float:
    """Bits a number of independent Gaussian vectors with the variances of the coefficients.

    R(D) by reverse water-filling. It bounds such a source only: a signal that is not Gaussian, or
    whose blocks depend on one another, may need less.
    """
    signal = channels.apply(found.rotation, layouts.to_channels(values, found.layout))
    if found.sizes is not None:
        sizes = np.bincount(found.sizes.reshape(-1), minlength=6)
        n = planes.LEVELS[int(sizes[2:].argmax())]
        level = planes.LEVELS.index(n)
        spectrum = planes.spectra(found.layout.pad(signal), (level,))[level]
        power = (spectrum**2).mean(axis=(1, 2)).reshape(-1)
    else:
        using = frames.basis(found.transform, found.block, found.basis)
        power = (frames.analyse(signal, using) ** 2).mean(axis=0).reshape(-1)
    return reverse_water_filling(power, distortion)


def reverse_water_filling(variances: np.ndarray, distortion: float) -> float:
    """Bits a component of independent Gaussians at a mean distortion (Cover and Thomas, 10.3.3).

    >>> import numpy as np
    >>> from ratedist.codes.transform.signals import reverse_water_filling
    >>> reverse_water_filling(np.array([4.0, 4.0]), 1.0)
    1.0
    """
    rising = np.sort(np.asarray(variances, np.float64))
    if distortion >= rising.mean():
        return 0.0
    # Where the k smallest are below the level: sum of them + (n - k) level = n D.
    n = rising.size
    below = np.concatenate(([0.0], np.cumsum(rising)[:-1]))
    level = (n * distortion - below) / (n - np.arange(n))
    k = int(np.argmax(level <= rising))
    return float(0.5 * np.log2(rising[k:] / level[k]).sum() / n)


def _options(
    shape: tuple[int, ...], sides: tuple[int, ...] | None, transform: str
) -> list[tuple[str, int]]:
    """Candidates: a transform and a block; 0 for a quadtree of all sizes."""
    pictures = layouts.of_images(shape)
    if sides is not None and len(sides) == 2:
        if pictures is None:
            raise InputError(f"block {sides[0]}x{sides[1]}: an array of shape {shape} has no rows")
        if transform not in ("auto", "dct"):
            raise InputError(f"square blocks use cosines: transform {transform!r} does not apply")
        return [("blocks", sides[0])]
    if sides is not None:
        kinds = ("dct", "lapped", "klt") if transform == "auto" else (transform,)
        if sides[0] == 1:
            if transform not in ("auto", "none"):
                raise InputError(f"block 1: one number has no {transform} transform")
            return [("none", 1)]
        if transform == "none":
            raise InputError("transform 'none' has block 1")
        if transform == "klt" and sides[0] > frames.LARGEST_KLT:
            raise InputError(f"block {sides[0]}: klt takes 2 to {frames.LARGEST_KLT}")
        return [(k, sides[0]) for k in kinds if k != "klt" or sides[0] <= frames.LARGEST_KLT]
    length = int(np.prod(shape))
    found = [(kind, n) for kind, n in _SERIES if n <= max(length // 4, 1)]
    if len(shape) == 2 and layouts.MOST_SERIES_CHANNELS < shape[1] <= frames.LARGEST_KLT:
        found += [("klt", shape[1]), ("dct", shape[1])]
    elif transform == "klt":
        found.append(("klt", 16))
    if pictures is not None and transform in ("auto", "dct"):
        found.append(("blocks", 0))
        if len(shape) > 2:
            found = [("blocks", 0)]
    return [option for option in found if transform in ("auto", option[0]) or
            (transform == "dct" and option[0] == "blocks")] or [("none", 1)]  # fmt: skip


def _best(values: np.ndarray, distortion: float, options: list[tuple[str, int]]) -> Signal:
    if len(options) > 1:
        part = _part(values)
        costs = [_cost(part, distortion, option, values.size) for option in options]
        options = [options[int(np.argmin(costs))]]
    make = _maker(values, *options[0])
    return step_for(make, distortion, float(np.sqrt(12 * distortion)))[1]


def _cost(part: np.ndarray, distortion: float, option: tuple[str, int], size: int) -> float:
    """Bits of a part of an array at one step, carried over to the error asked for."""
    try:
        made, error = _maker(part, *option)(float(np.sqrt(15 * distortion)))
        spent = 8 * len(signal_file.symbols(made))
    except OverflowError:
        return float("inf")
    basis = 0 if made.basis is None else 8 * made.basis.size
    # At high rates 6 dB are a bit a number.
    factor = np.log2(max(error / distortion, 1e-30))
    return spent + basis * part.size / size + 0.5 * part.size * float(factor)


def _part(values: np.ndarray) -> np.ndarray:
    """Rows from the middle, for choices."""
    each = max(values.size // len(values), 1) if values.ndim else 1
    rows = max(_SAMPLE // each, min(len(values), 64)) if values.ndim else 1
    if values.ndim == 0 or len(values) <= rows:
        return values
    start = (len(values) - rows) // 2
    return values[start : start + rows]


def _maker(values: np.ndarray, kind: str, block: int) -> Callable[[float], tuple[Signal, float]]:
    """What makes, of a step, the code of a kind and its error."""
    layout = layouts.of_images(values.shape) if kind == "blocks" else None
    layout = layout or layouts.of_series(values.shape)
    if kind == "klt":
        layout = layout._replace(channels=1)
    signal = layouts.to_channels(values, layout)
    rotation = channels.fit(signal)
    turned = channels.apply(rotation, signal)
    if kind == "blocks":
        return _pictures(layout, rotation, turned, values, block)
    return _series(layout, rotation, turned, values, kind, block)


def _series(layout, rotation, turned, values, kind, block):
    using = frames.learned(turned, block) if kind == "klt" else frames.basis(kind, block)
    spectrum = frames.analyse(turned, using)
    table = using.table if kind == "klt" else None

    def make(step: float) -> tuple[Signal, float]:
        quantised = frames.quantised(spectrum, step)
        shifts = frames.centroid_shifts(spectrum, quantised, step)
        points = frames.reconstruction(quantised, shifts)
        parts = frames.synthesise(points, using, layout.length)
        found = Signal(
            layout, values.dtype, rotation, step, kind, block, table, quantised, None, shifts
        )
        return found, _measured(found, parts, values)

    return make


def _pictures(layout, rotation, turned, values, block):
    padded = layout.pad(turned)
    wanted = tuple(range(4)) if block == 0 else (planes.LEVELS.index(block),)
    spectra = planes.spectra(padded, wanted)
    chosen: list[tuple[float, np.ndarray]] = []
    settled: list[np.ndarray] = []

    def make(step: float) -> tuple[Signal, float]:
        # Sizes are chosen anew until the step is nearly right, then they stay.
        if not settled:
            settled.extend([sizes for at, sizes in chosen if 0.87 < step / at < 1.15][-1:])
        quantised = planes.quantise(spectra, step, settled[0] if settled else None)
        if not settled:
            chosen.append((step, quantised.sizes))
        parts = layout.crop(planes.pixels(quantised))
        found = Signal(
            layout, values.dtype, rotation, step, "blocks", 0, None, quantised.coefficients,
            quantised.sizes, quantised.shifts,
        )  # fmt: skip
        return found, _measured(found, parts, values)

    return make


def _measured(found: Signal, parts: np.ndarray, values: np.ndarray) -> float:
    restored = channels.restore(found.rotation, parts, found.step, found.dtype)
    return _error(layouts.from_channels(restored, found.layout), values)


def _error(restored: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean((restored.astype(np.float64) - values.astype(np.float64)) ** 2))
