"""In which order a file takes the images of a set: those that stand for the others first.

What an image would teach a classifier is the gradient of its loss; it is compared at three points
of a training, in the last layer alone, where it is known exactly and never built
(`lgc.coresets.gradients`).
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
from lgc.coresets.choose import Choice

CORESETS: dict[str, Choice] = {
    "facility": choose.facility,
    "medoids": choose.medoids,
    "herding": choose.herded,
    "centres": choose.centres,
}
RANDOM = "random"
LARGEST = 4_000
"""Images of a coreset; of more, or of most of a set, any choice is nearly one at random."""
_CANDIDATES = 60_000
"""Images, taken at random, that a coreset is chosen from."""
_WIDTH = 16
"""Channels of the ConvNet whose gradients are compared."""
_STEPS = 900
"""Of its training."""
_BATCH_SIZE = 64
_RATE = 2e-3


def worthwhile(count: int, of: int) -> bool:
    """Whether to choose so many images of so many."""
    return count <= LARGEST and 2 * count <= of


def chosen_first(
    name: str, key: Key, pixels: np.ndarray, classes: np.ndarray, count: int
) -> np.ndarray:
    """Int[N], all images: a coreset of `count`, then the others at random; classes mixed evenly.

    Args:
      name: of `CORESETS`, or `RANDOM`.
      key: typed PRNG key.
      pixels: UInt8[N, H, W, C].
      classes: Int[N], class numbers.
      count: how many will be taken, or nearly so.
    """
    key_mix, key_choice = jax.random.split(key)
    order = mixed(key_mix, classes)
    if name == RANDOM or not worthwhile(count, len(classes)):
        return order
    tried = order[:_CANDIDATES]
    network = networks.convnet(pixels.shape[1:], int(classes.max()) + 1, _WIDTH)
    places = coreset(
        name, key_choice, pixels[tried], classes[tried], count, network=network, steps=_STEPS
    )
    first = tried[places]
    return np.concatenate([first, order[~np.isin(order, first)]])


def mixed(key: Key, classes: np.ndarray) -> np.ndarray:
    """A random order in which every stretch has equally many of each class, while they last."""
    shuffled = np.asarray(jax.random.permutation(key, len(classes)))
    rank = np.empty(len(classes), np.int64)
    for number in range(classes.max() + 1):
        members = np.flatnonzero(classes[shuffled] == number)
        rank[members] = np.arange(len(members))
    return shuffled[np.argsort(rank, kind="stable")]


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
    """Int[count], places of a coreset's images, classes mixed evenly.

    Args:
      name: of `CORESETS`.
      key: typed PRNG key.
      pixels: UInt8[N, H, W, C].
      classes: Int[N], class numbers.
      count: how many.
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
