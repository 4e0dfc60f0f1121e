"""A network that the command line is given: a LeNet or an MLP, recognised by its layers' shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from fewbits.coding import InputError
from fewbits.io import checkpoints
from fewbits.io.trees import is_float
from fewbits.training import networks, trees
from fewbits.training.method import Params
from fewbits.training.networks import Network
from pruning.graphs import layer_graph


def read(path: Path) -> Params:
    """The layer graph of a checkpoint file.

    Raises:
      InputError: names or shapes that make none, or numbers that are not finite.
      FormatError: a file that is no checkpoint.
    """
    found = trees.named_leaves(checkpoints.read_checkpoint(path))
    dotted = not any("/" in name for name in found)
    with np.errstate(over="ignore"):  # what does not fit float32 is refused below
        floats = {
            name.replace(".", "/") if dotted else name: leaf.astype(np.float32)
            for name, leaf in found.items()
            if is_float(leaf.dtype)
        }
    return from_arrays(floats)


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Params:
    """A layer graph from arrays named `layer/kernel` and `layer/bias`.

    Raises:
      InputError: names or shapes that make none, or numbers that are not finite floats.
    """
    try:
        params = trees.from_named(dict(arrays))
        layer_graph.links(params)
    except ValueError as error:
        raise InputError(f"this is no LeNet or MLP: {error}") from error
    for name, leaf in arrays.items():
        if leaf.dtype.kind != "f" or not np.isfinite(leaf).all():
            raise InputError(f"{name} needs finite floats of single precision, got {leaf.dtype}")
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)


def network_of(params: Params, image_shape: tuple[int, ...]) -> Network:
    """The network that a layer graph belongs to: a LeNet-5 where it convolves, otherwise an MLP.

    Raises:
      InputError: a network of other shapes.
    """
    links = layer_graph.links(params)
    n_classes = links[-1].n_outputs
    if any(link.is_convolution for link in links):
        height, width, channels = image_shape
        try:
            network = networks.lenet_5_caffe((height, width, channels), n_classes)
        except ValueError as error:
            raise InputError(str(error)) from error
    else:
        network = networks.mlp((links[0].n_inputs, *(link.n_outputs for link in links)))
    expected = trees.named_leaves(jax.eval_shape(network.init, jax.random.key(0)))
    given = trees.named_leaves(params)
    for name in expected | given:
        shapes = [tuple(tree[name].shape) if name in tree else None for tree in (expected, given)]
        if shapes[0] != shapes[1]:
            raise InputError(f"{name} should have the shape {shapes[0]}, it has {shapes[1]}")
    if not links[0].is_convolution and links[0].n_inputs != math.prod(image_shape):
        raise InputError(f"images of shape {image_shape} for {links[0].n_inputs} inputs")
    return network


def checked_images(
    images: np.ndarray, labels: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images with a channel axis and their labels.

    Raises:
      InputError: what is wrong with them.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype.kind not in "uf" or len(images) < 20:
        raise InputError(
            f"images are at least 20 arrays (height, width, channels) of pixels, got "
            f"{images.dtype}{images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(f"labels are {len(images)} integers, got {labels.dtype}{labels.shape}")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise InputError(
            f"labels are 0 to {n_classes - 1} for this network, got {labels.min()}, {labels.max()}"
        )
    return images, labels.astype(np.int32)
