"""Coreset selection strategies by name: which images of a set a file stores.

Images are compared by the gradients of their loss with respect to the last layer, at three points
of a training (`lgc.coresets.gradients`).
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from fewbits.training import losses, networks
from fewbits.training.method import Key
from fewbits.training.networks import Network
from lgc import proxies
from lgc.coresets import balanced, choose, last_layer
from lgc.coresets.choose import Selector

CORESETS: dict[str, Selector] = {
    "facility": choose.facility,
    "medoids": choose.medoids,
    "herding": choose.herded,
    "centres": choose.centres,
}
RANDOM = "random"
LARGEST = 4_000
"""Images of a coreset; larger ones, or most of a set, differ little from a random subset."""
_CANDIDATES = 60_000
"""Random images that a coreset is selected from."""
_WIDTH = 16
"""Channels of the ConvNet whose gradients are compared."""
_STEPS = 900
"""Of its training."""
_BATCH_SIZE = 64
_RATE = 2e-3


def worthwhile(count: int, of: int) -> bool:
    """Whether a coreset of `count` images out of `of` can differ much from a random subset."""
    return count <= LARGEST and 2 * count <= of


def coreset_first(
    name: str, key: Key, pixels: np.ndarray, classes: np.ndarray, count: int
) -> np.ndarray:
    """A permutation of all images, int[N]: a coreset of `count`, then the others at random.

    Every prefix has nearly equal shares of all classes.

    Args:
      name: of `CORESETS`, or `RANDOM`.
      key: typed PRNG key.
      pixels: UInt8[N, H, W, C].
      classes: Int[N], class numbers.
      count: size of the coreset.
    """
    key_mix, key_choice = jax.random.split(key)
    order = stratified_permutation(key_mix, classes)
    if name == RANDOM or not worthwhile(count, len(classes)):
        return order
    tried = order[:_CANDIDATES]
    network = networks.convnet(pixels.shape[1:], int(classes.max()) + 1, _WIDTH)
    places = coreset(
        name, key_choice, pixels[tried], classes[tried], count, network=network, steps=_STEPS
    )
    first = tried[places]
    return np.concatenate([first, order[~np.isin(order, first)]])


def stratified_permutation(key: Key, classes: np.ndarray) -> np.ndarray:
    """A random permutation whose prefixes have equally many of each class, as far as they go."""
    shuffled = np.asarray(jax.random.permutation(key, len(classes)))
    return shuffled[by_turns(classes[shuffled])]


def by_turns(classes: np.ndarray) -> np.ndarray:
    """Int[n]: first the first of each class, then the second of each, and so on."""
    rank = np.empty(len(classes), np.int64)
    for number in range(classes.max() + 1):
        members = np.flatnonzero(classes == number)
        rank[members] = np.arange(len(members))
    return np.argsort(rank, kind="stable")


def coreset(
    name: str,
    key: Key,
    pixels: np.ndarray,
    classes: np.ndarray,
    count: int,
    *,
    network: Network,
    steps: int,
) -> np.ndarray:
    """Int[count], indices of a coreset's images, classes mixed evenly.

    Args:
      name: of `CORESETS`.
      key: typed PRNG key.
      pixels: UInt8[N, H, W, C].
      classes: Int[N], class numbers.
      count: size of the coreset.
      network: the classifier, from such images to a score for each class.
      steps: of its training; gradients are compared after a third, two thirds and all of them.
    """
    n_classes = int(classes.max()) + 1
    loss = losses.cross_entropy(network.apply)
    key_params, key_train, key_choice = jax.random.split(key, 3)
    start, data = network.init(key_params), (pixels, classes)
    batch_size = min(_BATCH_SIZE, len(classes))
    states = [
        jax.jit(partial(proxies.trained, loss=loss, steps=part, batch_size=batch_size, rate=_RATE))(
            key_train, start, data
        )
        for part in (max(1, steps // 3), max(1, 2 * steps // 3), steps)
    ]
    checkpoints = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    gradients = jax.jit(partial(last_layer, network.apply))(checkpoints, *data)
    quotas = balanced(np.bincount(classes, minlength=n_classes).tolist(), count)
    return choose.by_class(key_choice, CORESETS[name], gradients, classes, quotas).indices
