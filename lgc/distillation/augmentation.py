"""Random augmentation: rotation, shear, scale, translation, elastic, flip, brightness, blur.

A file stores the ranges, a few bytes, and so says which variants of an image belong to its class.
All geometric transformations are composed into one map of coordinates, so that every image is
interpolated once: the elastic distortions of Simard, Steinkraus and Platt (2003), "Best practices
for convolutional neural networks applied to visual document analysis", combined with an affine map.
Brightness augmentation multiplies an image by a smooth random field; it keeps a classifier from
relying on shades that a few grey levels cannot represent. Blur does the same for edges: a nearest
neighbour finds a smooth image more easily, so half of the images are smoothed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

_GRID = 4
"""Points a side of the grid of displacements."""
_CHUNK = 1000
"""Images augmented by one call."""


class Augmentation(NamedTuple):
    """Ranges of the random transformations; whole numbers, since a file stores them.

    Attributes:
      rotation: degrees in either direction, uniform.
      shear: degrees in either direction, uniform.
      scale: percent, of the logarithm of each side's scale, uniform.
      translation: percent of the side in either direction, uniform.
      elastic: tenths of a percent of the side, standard deviation of the displacements on a 4 x 4
        grid.
      flip: 1 if half of the images are flipped left to right.
      brightness: percent, standard deviation of the logarithm of brightness: of the whole image,
        and again of a 4 x 4 grid across it. Black stays black.
      blur: tenths of a pixel, standard deviation of the Gaussian filter that half of the images
        pass (`blurred`); `augment` leaves it out.
    """

    rotation: int = 0
    shear: int = 0
    scale: int = 0
    translation: int = 0
    elastic: int = 0
    flip: int = 0
    brightness: int = 0
    blur: int = 0


_UNITS = {
    "rotation": "°", "shear": "°", "scale": " %", "translation": " %", "elastic": " ‰",
    "flip": "", "brightness": " %", "blur": " tenths of a pixel",
}  # fmt: skip
NONE = Augmentation()
MILD = Augmentation(rotation=8, shear=6, scale=8, translation=4, elastic=10)
LIMITS = Augmentation(180, 60, 100, 50, 250, 1, 200, 50)


def check(ranges: Augmentation) -> None:
    """Raises ValueError where a range is out of `LIMITS`."""
    for name, value, limit in zip(Augmentation._fields, ranges, LIMITS, strict=True):
        if not 0 <= value <= limit:
            raise ValueError(f"{name} is {value}; use 0 to {limit}")


def described(ranges: Augmentation) -> str:
    """The ranges that are not zero, with their units."""
    named = zip(Augmentation._fields, ranges, strict=True)
    said = [f"{name} {value}{_UNITS[name]}" for name, value in named if value]
    return ", ".join(said) or "none"


def augment(key: jax.Array, images: jax.Array, ranges: Augmentation, white: float) -> jax.Array:
    """Transform every image at random; pixels from outside repeat the border.

    Args:
      key: typed PRNG key.
      images: Float[n, height, width, channels] from 0 to `white`.
      ranges: of the transformations; may be traced.
      white: largest value that brightness augmentation can give a pixel.

    Returns:
      Float[n, height, width, channels].
    """
    # Arrays, so that one compiled program serves all ranges.
    limits = Augmentation(*(jnp.float32(each) for each in ranges))
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 6)
    key_rotation, key_shear, key_scale, key_translation, key_elastic, key_flip = keys

    def uniform(key: jax.Array, reach: jax.Array | float, *shape: int) -> jax.Array:
        return reach * jax.random.uniform(key, (n, *shape), minval=-1.0, maxval=1.0)

    rotation = uniform(key_rotation, jnp.deg2rad(limits.rotation))
    shear = jnp.tan(uniform(key_shear, jnp.deg2rad(limits.shear)))
    scale = jnp.exp(uniform(key_scale, limits.scale / 100, 2))
    translation = uniform(key_translation, limits.translation / 100, 2)
    flipped = limits.flip * jax.random.bernoulli(key_flip, 0.5, (n,))

    # Coordinates from -1/2 to 1/2; where each new pixel comes from.
    rows = (jnp.arange(height) + 0.5) / height - 0.5
    columns = (jnp.arange(width) + 0.5) / width - 0.5
    y, x = (part[None] for part in jnp.meshgrid(rows, columns, indexing="ij"))
    x = x * (1 - 2 * flipped)[:, None, None]
    cosine, sine = jnp.cos(rotation)[:, None, None], jnp.sin(rotation)[:, None, None]
    from_x = (cosine * x - sine * y) * scale[:, 0, None, None] + shear[:, None, None] * y
    from_y = (sine * x + cosine * y) * scale[:, 1, None, None]
    displacements = limits.elastic / 1000 * jax.random.normal(key_elastic, (n, _GRID, _GRID, 2))
    smooth = jax.image.resize(displacements, (n, height, width, 2), "cubic")
    from_y = from_y + translation[:, 0, None, None] + smooth[..., 0]
    from_x = from_x + translation[:, 1, None, None] + smooth[..., 1]
    transformed = _at(images, (from_y + 0.5) * height - 0.5, (from_x + 0.5) * width - 0.5)
    # A key of its own, so that files older than brightness augmentation give the same images.
    shade = jax.random.normal(jax.random.fold_in(key, len(keys)), (n, _GRID * _GRID + 1))
    field = jax.image.resize(shade[:, 1:].reshape(n, _GRID, _GRID), (n, height, width), "cubic")
    logs = limits.brightness / 100 * (field + shade[:, :1, None])
    return jnp.minimum(transformed * jnp.exp(logs)[..., None], white)


augment_jitted = jax.jit(augment)
"""`augment`, compiled once for each shape of the images."""


def augmented_set(
    seed: int, images: np.ndarray, labels: np.ndarray, per_class: int, ranges: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """A training set of any size: the images of each class in turn, each time augmented anew.

    Args:
      seed: of the augmentation.
      images: uint8[n, height, width, channels].
      labels: int[n].
      per_class: images of each class.
      ranges: of the transformations.

    Returns:
      uint8[classes * per_class, ...] and int32 labels, class by class.

    Raises:
      ValueError: a range out of `LIMITS`.
    """
    check(ranges)
    chosen = np.concatenate(
        [
            np.resize(np.flatnonzero(labels == label), per_class)
            for label in np.unique(labels).tolist()
        ]
    )
    found = images[chosen]
    if ranges != NONE:
        key = jax.random.key(seed)
        padded = np.resize(chosen, -(-len(chosen) // _CHUNK) * _CHUNK).reshape(-1, _CHUNK)
        parts = [
            np.rint(
                augment_jitted(
                    jax.random.fold_in(key, i), images[part].astype(np.float32), ranges, 255.0
                )
            )
            for i, part in enumerate(padded)
        ]
        found = np.concatenate(parts)[: len(chosen)].astype(np.uint8)
        found = blurred(np.random.default_rng(seed), found, ranges)
    return found, labels[chosen].astype(np.int32)


def blurred(rng: np.random.Generator, images: np.ndarray, ranges: Augmentation) -> np.ndarray:
    """Images uint8[n, height, width, channels], half of them under a Gaussian filter."""
    if not ranges.blur:
        return images
    chosen, sigma = rng.random(len(images)) < 0.5, ranges.blur / 10
    found, floats = images.copy(), images[chosen].astype(np.float32)
    smooth = ndimage.gaussian_filter(floats, (0, sigma, sigma, 0), mode="nearest")
    found[chosen] = np.rint(smooth)
    return found


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
