"""Convolution and pooling over NHWC images: the one place that chooses how they are computed.

Two forms of the same convolution, chosen by measurement (`python -m benchmarks.convolution`):

* `native`: XLA's convolution. Wins on accelerators, which have kernels for it.
* `patches`: the kernel's taps as shifted slices side by side, then one matrix product. Wins on
  CPU inside a scan, where XLA's convolution leaves its fast path, and all the more under `vmap`
  over kernels (runs of a sweep), which turns a native convolution into a grouped one but a
  matrix product into a batched one.

A third, `blocks`, is asked for by name: the four outputs of a square of 2 x 2 as four filters of a
kernel one tap wider and taller. It copies fewer than half as many taps as `patches` for nearly
twice the arithmetic, which pays on a CPU where channels are few; it rounds differently, so what
files are decoded with stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Padding = Literal["SAME", "VALID"] | int
"""`SAME`, `VALID`, or a number of zero pixels on every side."""

Form = Literal["native", "patches", "blocks"]


class ByPlatform(NamedTuple):
    """A form for each platform, chosen where a program is lowered for one.

    Attributes:
      cpu: the form on a CPU.
      elsewhere: on every accelerator.
    """

    cpu: Form
    elsewhere: Form


Implementation = Form | ByPlatform

FASTEST = ByPlatform("patches", "native")
"""The forms that were measured to be faster."""
FASTEST_NARROW = ByPlatform("blocks", "native")
"""The same, for training narrow networks of 3 x 3 kernels."""


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    *,
    padding: Padding = "SAME",
    implementation: Implementation = FASTEST,
) -> jax.Array:
    """Cross-correlation with stride 1: y[n,i,j,o] = sum_{a,b,c} x[n,i+a,j+b,c] kernel[a,b,c,o].

    Args:
      x: Float[batch, height, width, channels].
      kernel: Float[kernel_height, kernel_width, channels, filters].
      padding: see `Padding`; `SAME` keeps height and width.
      implementation: a form, or one for each platform.

    Returns:
      Float[batch, height', width', filters].

    Raises:
      ValueError: channels disagree, or the kernel does not fit in the padded image.
    """
    rows, columns = _checked_margins(x, kernel, padding)
    return _computed(partial(_conv2d, rows, columns), x, kernel, implementation)


def _computed(
    convolve: Callable[[Form, jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    kernel: jax.Array,
    implementation: Implementation,
) -> jax.Array:
    """The convolution in one form, or in that of the platform that it is lowered for."""
    if isinstance(implementation, str):
        return convolve(implementation, x, kernel)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=partial(convolve, implementation.cpu),
        default=partial(convolve, implementation.elsewhere),
    )


def _conv2d(
    rows: tuple[int, int], columns: tuple[int, int], form: Form, x: jax.Array, kernel: jax.Array
) -> jax.Array:
    if form == "native":
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), (rows, columns), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    if form == "blocks":
        height, width = (
            x.shape[a] + sum(m) - kernel.shape[a - 1] + 1 for a, m in ((1, rows), (2, columns))
        )
        padded = jnp.pad(x, ((0, 0), rows, columns, (0, 0)))
        fours = _squares_of_outputs(padded, kernel, -(-height // 2), -(-width // 2))
        return _unblocked(fours)[:, :height, :width]
    return _conv2d_patches(jnp.pad(x, ((0, 0), rows, columns, (0, 0))), kernel)


def _checked_margins(
    x: jax.Array, kernel: jax.Array, padding: Padding
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zero pixels above and below, left and right; raises what `conv2d` says."""
    kernel_height, kernel_width, channels, _ = kernel.shape
    if x.shape[-1] != channels:
        raise ValueError(f"the kernel reads {channels} channels, the image has {x.shape[-1]}")
    rows, columns = _margins(padding, kernel_height), _margins(padding, kernel_width)
    if x.shape[1] + sum(rows) < kernel_height or x.shape[2] + sum(columns) < kernel_width:
        raise ValueError(
            f"a {kernel_height}x{kernel_width} kernel does not fit in a "
            f"{x.shape[1]}x{x.shape[2]} image with padding {padding!r}"
        )
    return rows, columns


def _margins(padding: Padding, kernel_size: int) -> tuple[int, int]:
    """Zero pixels before and after, along an axis on which the kernel has `kernel_size` taps."""
    if padding == "SAME":
        return (kernel_size - 1) // 2, kernel_size // 2
    if padding == "VALID":
        return 0, 0
    if isinstance(padding, int) and padding >= 0:
        return padding, padding
    raise ValueError(f"padding must be 'SAME', 'VALID' or a count of pixels, got {padding!r}")


def _conv2d_patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of an already padded image as one matrix product."""
    kernel_height, kernel_width, channels, filters = kernel.shape
    height, width = x.shape[1] - kernel_height + 1, x.shape[2] - kernel_width + 1
    patches = jnp.concatenate(
        [
            x[:, row : row + height, column : column + width, :]
            for row in range(kernel_height)
            for column in range(kernel_width)
        ],
        axis=-1,
    )
    return patches @ kernel.reshape(kernel_height * kernel_width * channels, filters)


def conv2d_max_pool(
    x: jax.Array,
    kernel: jax.Array,
    *,
    padding: Padding = "SAME",
    implementation: Implementation = FASTEST,
) -> jax.Array:
    """`max_pool(conv2d(x, kernel))` with windows of 2 x 2.

    In the form `patches` the four outputs of a window are four filters of one kernel, a tap wider
    and taller, with stride two. On blocks of 2 x 2 pixels it has nearly four times fewer
    taps to copy, and pooling is a maximum over an axis.

    Args:
      x: Float[batch, height, width, channels].
      kernel: Float[kernel_height, kernel_width, channels, filters].
      padding: of the convolution.
      implementation: as for `conv2d`.

    Returns:
      Float[batch, height' // 2, width' // 2, filters], height' and width' those of `conv2d`.

    Raises:
      ValueError: as `conv2d`.
    """
    rows, columns = _checked_margins(x, kernel, padding)
    return _computed(partial(_conv2d_max_pool, rows, columns), x, kernel, implementation)


def _conv2d_max_pool(
    rows: tuple[int, int], columns: tuple[int, int], form: Form, x: jax.Array, kernel: jax.Array
) -> jax.Array:
    if form == "native":
        return max_pool(_conv2d(rows, columns, form, x, kernel))
    x = jnp.pad(x, ((0, 0), rows, columns, (0, 0)))
    height, width = ((x.shape[axis + 1] - kernel.shape[axis] + 1) // 2 for axis in (0, 1))
    return _squares_of_outputs(x, kernel, height, width).max(axis=3)


def _squares_of_outputs(x: jax.Array, kernel: jax.Array, height: int, width: int) -> jax.Array:
    """Outputs of an already padded image in squares of 2 x 2: [n, height, width, 4, filters].

    Where the image ends before the last square does it goes on with zeros.
    """
    kernel_height, kernel_width, _, filters = kernel.shape
    high, wide = kernel_height // 2 + 1, kernel_width // 2 + 1
    blocks = _blocks(_resized(x, 2 * (height + high - 1), 2 * (width + wide - 1)))
    # Shifted by a row, by a column, by both: the kernel of each of a square's four outputs.
    shifted = [
        jnp.pad(
            kernel,
            (
                (row, 2 * high - kernel_height - row),
                (column, 2 * wide - kernel_width - column),
                (0, 0),
                (0, 0),
            ),
        )
        for row in (0, 1)
        for column in (0, 1)
    ]
    of_blocks = jnp.stack([_blocks(one.transpose(3, 0, 1, 2)) for one in shifted])
    of_blocks = of_blocks.transpose(2, 3, 4, 0, 1).reshape(high, wide, -1, 4 * filters)
    outputs = _conv2d_patches(blocks, of_blocks)
    return outputs.reshape(*outputs.shape[:3], 4, filters)


def _unblocked(fours: jax.Array) -> jax.Array:
    """Squares of 2 x 2 back in their places: [n, 2 height, 2 width, filters]."""
    n, height, width, _, filters = fours.shape
    fours = fours.reshape(n, height, width, 2, 2, filters).transpose(0, 1, 3, 2, 4, 5)
    return fours.reshape(n, 2 * height, 2 * width, filters)


def conv2d_of_doubled(
    x: jax.Array, kernel: jax.Array, *, implementation: Implementation = FASTEST
) -> jax.Array:
    """`conv2d` with padding SAME of the image at twice its size, every pixel repeated 2 x 2.

    In the form `patches` the four outputs at a pixel are four filters of one kernel on the small
    image: where taps fall on copies of one pixel they are added. A quarter of the patches, and
    products four times as wide.

    Args:
      x: Float[batch, height, width, channels].
      kernel: Float[kernel_height, kernel_width, channels, filters].
      implementation: as for `conv2d`.

    Returns:
      Float[batch, 2 height, 2 width, filters].

    Raises:
      ValueError: channels disagree.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"the kernel reads {kernel.shape[2]} channels, the image {x.shape[-1]}")
    return _computed(_conv2d_of_doubled, x, kernel, implementation)


def _conv2d_of_doubled(form: Form, x: jax.Array, kernel: jax.Array) -> jax.Array:
    if form == "native":
        large = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        return conv2d(large, kernel, implementation="native")
    (down, above, below), (across, left, right) = (_small_taps(n) for n in kernel.shape[:2])
    of_small = jnp.einsum("pas,qbt,abcf->stcpqf", down, across, kernel)
    of_small = of_small.reshape(*of_small.shape[:3], -1)
    padded = jnp.pad(x, ((0, 0), (above, below), (left, right), (0, 0)))
    outputs = _conv2d_patches(padded, of_small)
    return _unblocked(outputs.reshape(*outputs.shape[:3], 4, -1))


def _small_taps(size: int) -> tuple[np.ndarray, int, int]:
    """Which small pixel each tap falls on, for the first and the second copy of a pixel.

    Returns:
      Float32[2, size, span] of zeros and ones, and the span's pixels before and after.
    """
    before, _ = _margins("SAME", size)
    places = (np.arange(2)[:, None] + np.arange(size)[None] - before) // 2
    first, last = int(places.min()), int(places.max())
    taps = places[..., None] == np.arange(first, last + 1)
    return taps.astype(np.float32), -first, last


def _resized(x: jax.Array, height: int, width: int) -> jax.Array:
    """Zeros below and on the right, or rows and columns dropped there."""
    x = x[:, :height, :width]
    margins = ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0))
    return jnp.pad(x, margins)


def _blocks(x: jax.Array) -> jax.Array:
    """Blocks of 2 x 2 pixels as channels: [n, height / 2, width / 2, 4 channels]."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, height // 2, width // 2, 4 * channels)


def max_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Largest value of each size x size window, stride `size`; an incomplete last one is dropped.

    Written as a maximum of strided slices: on a CPU the gradients of a windowed reduction and of a
    maximum over reshaped windows are slower.

    Args:
      x: Float[batch, height, width, channels].
      size: window's side in pixels.

    Returns:
      Float[batch, height // size, width // size, channels].
    """
    rows, columns = x.shape[1] // size * size, x.shape[2] // size * size
    corners = [
        x[:, row:rows:size, column:columns:size, :] for row in range(size) for column in range(size)
    ]
    return reduce(jnp.maximum, corners)


def average_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Mean of each size x size window, stride `size`; an incomplete last one is dropped.

    Args:
      x: Float[batch, height, width, channels].
      size: window's side in pixels.

    Returns:
      Float[batch, height // size, width // size, channels].
    """
    return _windows(x, size).mean(axis=(2, 4))


def _windows(x: jax.Array, size: int) -> jax.Array:
    """Float[batch, height // size, size, width // size, size, channels]."""
    batch, height, width, channels = x.shape
    rows, columns = height // size, width // size
    cropped = x[:, : rows * size, : columns * size, :]
    return cropped.reshape(batch, rows, size, columns, size, channels)
