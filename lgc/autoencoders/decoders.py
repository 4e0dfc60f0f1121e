"""Decoders of an archive: latents to images, identified by the names of their parameters.

* dense: `{"hidden", "hidden2", ..., "pixels"}`, ReLU between the layers and a sigmoid at the end;
* convolutional: `{"seed", "up1", "up2", "output"}`. A dense layer makes a map at a quarter of the
  image's resolution; two convolutions of 3 x 3, each after doubling the map by repetition, and a
  third one give the pixels. Sides that are no multiples of four are cut;
* layered: `{"foreground", "backgrounds"}`. The foreground is a decoder of one of the kinds above,
  whose first channel is a mask (the foreground covers where it is above one half) and whose others
  are its colours. The background is one of a few pictures: the last latents, one-hot, select it.

A convolutional decoder is an order of magnitude smaller, since all places share its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.models.convolution import FASTEST, Implementation, conv2d, conv2d_of_doubled

Params = dict[str, Any]
"""Layers by name, each with a kernel and a bias."""
ImageShape = tuple[int, int, int]
"""(height, width, channels)."""

_CONVOLUTIONAL = {"seed", "up1", "up2", "output"}
_LAYERED = {"foreground", "backgrounds"}


def init_convolutional(
    key: jax.Array, latent: int, image_shape: ImageShape, widths: tuple[int, int, int] = (16, 16, 8)
) -> Params:
    """He-initialised parameters, zero biases.

    Args:
      key: typed key.
      latent: numbers per image.
      image_shape: (height, width, channels).
      widths: channels of the seed map and after each doubling.
    """
    rows, columns = _seed_sides(image_shape)
    first, second, third = widths
    shapes = {
        "seed": (latent, rows * columns * first),
        "up1": (3, 3, first, second),
        "up2": (3, 3, second, third),
        "output": (3, 3, third, image_shape[2]),
    }
    he = jax.nn.initializers.he_normal()
    return {
        name: {"kernel": he(k, shape), "bias": jnp.zeros(shape[-1])}
        for k, (name, shape) in zip(jax.random.split(key, 4), shapes.items(), strict=True)
    }


def init_dense(key: jax.Array, latent: int, hidden: Sequence[int], pixels: int) -> Params:
    """LeCun-initialised parameters, zero biases.

    Args:
      key: typed key.
      latent: numbers per image.
      hidden: width of each hidden layer, at least one.
      pixels: values per image.
    """
    names = [*_hidden_names(len(hidden)), "pixels"]
    sizes = [latent, *hidden, pixels]
    lecun = jax.nn.initializers.lecun_normal()
    return {
        name: {"kernel": lecun(k, sizes[i : i + 2]), "bias": jnp.zeros(sizes[i + 1])}
        for i, (name, k) in enumerate(zip(names, jax.random.split(key, len(names)), strict=True))
    }


def decode_dense(params: Params, latents: jax.Array) -> jax.Array:
    """Images Float[n, pixels] in (0, 1) of a dense decoder of any depth."""
    x = latents
    for name in _hidden_names(len(params) - 1):
        x = jax.nn.relu(x @ params[name]["kernel"] + _row(params[name]["bias"], 2))
    return jax.nn.sigmoid(x @ params["pixels"]["kernel"] + _row(params["pixels"]["bias"], 2))


def decode(
    params: Params,
    latents: jax.Array,
    image_shape: ImageShape,
    *,
    implementation: Implementation = FASTEST,
) -> jax.Array:
    """Images of whatever decoder the parameters belong to.

    Args:
      params: of a decoder that `check` accepts.
      latents: Float[n, d].
      image_shape: (height, width, channels).
      implementation: of the last convolution, for training; it rounds differently, so files are
        decoded without.

    Returns:
      Float[n, height * width * channels], in (0, 1).
    """
    if "pixels" in params:
        return decode_dense(params, latents)
    if "backgrounds" in params:
        return _decode_layered(params, latents, image_shape)
    height, width, _ = image_shape
    rows, columns = _seed_sides(image_shape)
    x = jax.nn.relu(latents @ params["seed"]["kernel"] + _row(params["seed"]["bias"], 2))
    x = x.reshape(len(latents), rows, columns, -1)
    for name in ("up1", "up2"):
        doubled = conv2d_of_doubled(x, params[name]["kernel"])
        x = jax.nn.relu(doubled + _row(params[name]["bias"], 4))
    x = conv2d(x, params["output"]["kernel"], implementation=implementation)
    x = x + _row(params["output"]["bias"], 4)
    return jax.nn.sigmoid(x[:, :height, :width]).reshape(len(latents), -1)


def _decode_layered(params: Params, latents: jax.Array, image_shape: ImageShape) -> jax.Array:
    height, width, channels = image_shape
    backgrounds = params["backgrounds"]
    place = latents.shape[1] - len(backgrounds)
    front = decode(params["foreground"], latents[:, :place], (height, width, channels + 1))
    large = enlarged(backgrounds, image_shape).reshape(len(backgrounds), -1)
    return layered(front, latents[:, place:] @ large, channels, hard=True)[0]


def layered(
    front: jax.Array, behind: jax.Array, channels: int, *, hard: bool
) -> tuple[jax.Array, jax.Array]:
    """A foreground before a background: a f + (1 - a) b.

    Args:
      front: Float[n, pixels * (channels + 1)]: of each pixel the cover a, then the colours f.
      behind: Float[n, pixels * channels], the background b.
      channels: values of a pixel.
      hard: whether a pixel shows one or the other, as in a picture taken; else the two are mixed,
        which has a gradient, and is the mean of what may be seen.

    Returns:
      Images Float[n, pixels * channels], and the cover Float[n, pixels].
    """
    pixels = front.reshape(len(front), -1, channels + 1)
    cover, colours = pixels[..., :1], pixels[..., 1:]
    if hard:
        cover = jnp.round(cover)
    image = cover * colours + (1 - cover) * behind.reshape(len(front), -1, channels)
    return image.reshape(len(front), -1), cover[..., 0]


def enlarged(backgrounds: jax.Array | np.ndarray, image_shape: ImageShape) -> jax.Array:
    """Pictures Float[n, rows, columns, c] at the image's sides, by repetition."""
    height, width, _ = image_shape
    down = -(-height // backgrounds.shape[1])
    across = -(-width // backgrounds.shape[2])
    large = jnp.repeat(jnp.repeat(backgrounds, down, axis=1), across, axis=2)
    return large[:, :height, :width]


def check(params: Params, latent: int, image_shape: ImageShape) -> None:
    """That the parameters are one decoder from `latent` numbers to such images.

    Raises:
      ValueError: they are not; says what does not fit.
    """
    if set(params) & _LAYERED:
        _check_layered(params, latent, image_shape)
        return
    shapes = {
        name: {part: np.shape(leaf) for part, leaf in layer.items()}
        for name, layer in params.items()
    }
    if any(set(layer) != {"kernel", "bias"} for layer in shapes.values()):
        raise ValueError(f"decoder layers {shapes} need a kernel and a bias each")
    height, width, channels = image_shape
    hidden = _hidden_names(len(shapes) - 1)
    if hidden and set(shapes) == {*hidden, "pixels"}:
        wanted, before = {}, (latent,)
        for name in hidden:
            after = shapes[name]["kernel"][-1:]
            wanted[name], before = (*before, *after), after
        wanted["pixels"] = (*before, height * width * channels)
    elif set(shapes) == _CONVOLUTIONAL:
        rows, columns = _seed_sides(image_shape)
        second, third = (shapes[name]["kernel"][-1:] for name in ("up1", "up2"))
        first = shapes["up1"]["kernel"][2:3]
        wanted = {
            "seed": (latent, *(rows * columns * n for n in first)),
            "up1": (3, 3, *first, *second),
            "up2": (3, 3, *second, *third),
            "output": (3, 3, *third, channels),
        }
    else:
        raise ValueError(f"decoder layers {sorted(shapes)} are of no known decoder")
    for name, kernel in wanted.items():
        if shapes[name] != {"kernel": kernel, "bias": kernel[-1:]}:
            raise ValueError(f"decoder layer {name} is {shapes[name]}, expected {kernel}")


def _check_layered(params: Params, latent: int, image_shape: ImageShape) -> None:
    height, width, channels = image_shape
    front = params.get("foreground")
    if set(params) != _LAYERED or not isinstance(front, dict) or set(front) & _LAYERED:
        raise ValueError(f"decoder layers {sorted(params)} are not a foreground and backgrounds")
    backgrounds = np.shape(params["backgrounds"])
    if len(backgrounds) != 4 or backgrounds[3] != channels:
        raise ValueError(f"backgrounds of shape {backgrounds} for images {image_shape}")
    count, rows, columns, _ = backgrounds
    if not (1 <= rows <= height and 1 <= columns <= width and 1 <= count < latent):
        raise ValueError(
            f"backgrounds of shape {backgrounds} for images {image_shape} of {latent} latents"
        )
    check(front, latent - count, (height, width, channels + 1))


def _hidden_names(count: int) -> list[str]:
    return ["hidden", *(f"hidden{number}" for number in range(2, count + 1))][: max(count, 0)]


def _seed_sides(image_shape: ImageShape) -> tuple[int, int]:
    return -(-image_shape[0] // 4), -(-image_shape[1] // 4)


def _row(bias: jax.Array, rank: int) -> jax.Array:
    return bias.reshape((1,) * (rank - 1) + (-1,))
