"""Other images in the form of an image set that a file was made of: same shape, dtype and unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fewbits.io.errors import InputError
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form

_KINDS = {"u": "integers", "i": "integers", "f": "floats", "b": "booleans"}
_BYTES_RANGE = 100.0
"""From which on a range of floats is that of bytes; values from 0 to 1 have another unit."""


def levels(images: ArrayLike, form: Form, shape: tuple[int, ...]) -> np.ndarray:
    """Images uint8[n, H, W, C], 256 levels of the form's range; what is beyond it is clipped.

    Args:
      images: (n, H, W, C) in the form's axes, of integers, floats or booleans as its images.
      form: of the image set.
      shape: (H, W, C) of its images.

    Raises:
      InputError: another shape, integers for floats, or values in another unit.
    """
    given = np.asarray(images)
    expected = _shape(form, shape)
    asked = f"this file's are {form.dtype} of shape {expected}, {form.low:g} to {form.high:g}"
    if form.axes == "nhwc" and given.shape[1:] + (1,) == expected:
        given = given[..., None]  # one channel may be left out
    if given.ndim != 1 + len(expected) or given.shape[1:] != expected:
        one = given.shape in (expected, shape)
        remedy = "; give a batch, images[None]" if one else ""
        raise InputError(f"images have shape {given.shape}; {asked}{remedy}")
    if given.dtype.kind not in _KINDS:
        raise InputError(f"images are {given.dtype}; {asked}")
    if _KINDS[given.dtype.kind] != _KINDS[np.dtype(form.dtype).kind]:
        raise InputError(f"images are {given.dtype}; {asked}: convert them as those were")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        count = int((~np.isfinite(given)).sum())
        raise InputError(f"images hold {count} values that are NaN or infinite; replace them")
    if given.size:
        low, high, width = float(given.min()), float(given.max()), form.high - form.low
        beyond = low < form.low - width / 2 or high > form.high + width / 2
        of_one = given.dtype.kind == "f" and width >= _BYTES_RANGE and 0 <= low and high <= 1
        if beyond or (of_one and high > 0):
            raise InputError(f"images reach from {low:g} to {high:g}; {asked}: scale them so")
    if form.axes == "nhw":
        given = given[..., None]
    elif form.axes == "nchw":
        given = np.moveaxis(given, 1, -1)
    clipped = np.clip(given, form.low, form.high).astype(given.dtype)
    return forms.as_levels(clipped, form).astype(np.uint8)


def _shape(form: Form, shape: tuple[int, ...]) -> tuple[int, ...]:
    """That one image of the form has."""
    if form.axes == "nhw" and shape[2] == 1:
        return shape[:2]
    return (shape[2], *shape[:2]) if form.axes == "nchw" else shape
