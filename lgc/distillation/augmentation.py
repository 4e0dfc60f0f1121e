"""New images from old ones: small turns, slants, stretches, shifts, bends, mirrors, and light.

A file that names the strengths of these moves says of each image in it that its neighbours under
them are of its class, for the price of a few bytes. A coarse grid of random displacements bends;
all moves but light together are one map of coordinates, so that each image is interpolated once
(the elastic distortions of Simard, Steinkraus and Platt 2003, with an affine map around them).
Light multiplies an image by a smooth random field: what few greys cannot say of shades, the student
is at least not to rely on.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_GRID = 4
"""Points a side of the grid of displacements."""
_CHUNK = 1000
"""Images deformed by one call."""


class Deformation(NamedTuple):
    """How far images may be moved; whole numbers, so that a file can hold them.

    Attributes:
      turn: degrees either way, uniform.
      slant: degrees of shear either way, uniform.
      stretch: percent, of the logarithm of each side's scale, uniform.
      shift: percent of the side, either way, uniform.
      bend: tenths of a percent of the side, deviation of the displacements on a 4 x 4 grid.
      mirror: 1 if half of the images are mirrored left to right.
      light: percent, deviation of the logarithm of brightness, that of the whole image and again
        that of a 4 x 4 grid across it; black stays black.
    """

    turn: int = 0
    slant: int = 0
    stretch: int = 0
    shift: int = 0
    bend: int = 0
    mirror: int = 0
    light: int = 0


NONE = Deformation()
LIMITS = Deformation(180, 60, 100, 50, 250, 1, 200)


def check(deformation: Deformation) -> None:
    """Raises ValueError where a strength is out of range."""
    for name, value, limit in zip(Deformation._fields, deformation, LIMITS, strict=True):
        if not 0 <= value <= limit:
            raise ValueError(f"{name} is {value}; use 0 to {limit}")


def deform(key: jax.Array, images: jax.Array, deformation: Deformation, white: float) -> jax.Array:
    """Each image moved at random; what moves in from outside is what lies at the border.

    Args:
      key: typed PRNG key.
      images: Float[n, height, width, channels] from 0 to `white`.
      deformation: strengths.
      white: the brightest that light can make a pixel.

    Returns:
      Float[n, height, width, channels].
    """
    # Arrays, so that one compiled program serves all strengths.
    strengths = Deformation(*(jnp.float32(each) for each in deformation))
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 6)
    key_turn, key_slant, key_stretch, key_shift, key_bend, key_mirror = keys

    def uniform(key: jax.Array, reach: jax.Array | float, *shape: int) -> jax.Array:
        return reach * jax.random.uniform(key, (n, *shape), minval=-1.0, maxval=1.0)

    turn = uniform(key_turn, jnp.deg2rad(strengths.turn))
    slant = jnp.tan(uniform(key_slant, jnp.deg2rad(strengths.slant)))
    scale = jnp.exp(uniform(key_stretch, strengths.stretch / 100, 2))
    shift = uniform(key_shift, strengths.shift / 100, 2)
    mirrored = strengths.mirror * jax.random.bernoulli(key_mirror, 0.5, (n,))

    # Coordinates from -1/2 to 1/2; where each new pixel comes from.
    rows = (jnp.arange(height) + 0.5) / height - 0.5
    columns = (jnp.arange(width) + 0.5) / width - 0.5
    y, x = (part[None] for part in jnp.meshgrid(rows, columns, indexing="ij"))
    x = x * (1 - 2 * mirrored)[:, None, None]
    cosine, sine = jnp.cos(turn)[:, None, None], jnp.sin(turn)[:, None, None]
    from_x = (cosine * x - sine * y) * scale[:, 0, None, None] + slant[:, None, None] * y
    from_y = (sine * x + cosine * y) * scale[:, 1, None, None]
    bends = strengths.bend / 1000 * jax.random.normal(key_bend, (n, _GRID, _GRID, 2))
    smooth = jax.image.resize(bends, (n, height, width, 2), "cubic")
    from_y = from_y + shift[:, 0, None, None] + smooth[..., 0]
    from_x = from_x + shift[:, 1, None, None] + smooth[..., 1]
    moved = _at(images, (from_y + 0.5) * height - 0.5, (from_x + 0.5) * width - 0.5)
    # A key of its own, so that files without light are drawn as before there was any.
    shade = jax.random.normal(jax.random.fold_in(key, len(keys)), (n, _GRID * _GRID + 1))
    field = jax.image.resize(shade[:, 1:].reshape(n, _GRID, _GRID), (n, height, width), "cubic")
    logs = strengths.light / 100 * (field + shade[:, :1, None])
    return jnp.minimum(moved * jnp.exp(logs)[..., None], white)


def drawn(
    seed: int, images: np.ndarray, labels: np.ndarray, per_class: int, deformation: Deformation
) -> tuple[np.ndarray, np.ndarray]:
    """A training set of any size from few images: all of a class in turn, each time deformed anew.

    Args:
      seed: of the moves.
      images: uint8[n, height, width, channels].
      labels: int[n].
      per_class: images of each class.
      deformation: strengths.

    Returns:
      uint8[classes * per_class, ...] and int32 labels, class by class.
    """
    check(deformation)
    chosen = np.concatenate(
        [
            np.resize(np.flatnonzero(labels == label), per_class)
            for label in np.unique(labels).tolist()
        ]
    )
    found = images[chosen]
    if deformation != NONE:
        key = jax.random.key(seed)
        padded = np.resize(chosen, -(-len(chosen) // _CHUNK) * _CHUNK).reshape(-1, _CHUNK)
        moved = [
            np.rint(
                _deform(
                    jax.random.fold_in(key, i), images[part].astype(np.float32), deformation, 255.0
                )
            )
            for i, part in enumerate(padded)
        ]
        found = np.concatenate(moved)[: len(chosen)].astype(np.uint8)
    return found, labels[chosen].astype(np.int32)


_deform = jax.jit(deform)


def _at(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Bilinear interpolation of each image at its own coordinates, held at the borders."""
    height, width = images.shape[1:3]
    y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    top = jnp.clip(jnp.floor(y).astype(jnp.int32), 0, max(height - 2, 0))
    left = jnp.clip(jnp.floor(x).astype(jnp.int32), 0, max(width - 2, 0))
    down, right = (y - top)[..., None], (x - left)[..., None]
    below, beside = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)

    def pick(rows: jax.Array, columns: jax.Array) -> jax.Array:
        return jax.vmap(lambda image, r, c: image[r, c])(images, rows, columns)

    upper = (1 - right) * pick(top, left) + right * pick(top, beside)
    lower = (1 - right) * pick(below, left) + right * pick(below, beside)
    return (1 - down) * upper + down * lower
