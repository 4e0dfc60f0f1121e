"""In which order a baseline takes the images of a training set: at random, or as a coreset."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from experiments.datasets import Images
from lgc import judges
from lgc.coresets import balanced, choose, last_layer
from lgc.coresets.choose import Choice
from training import losses, networks
from training.method import Key

CORESETS: dict[str, Choice] = {
    "facility": choose.facility,
    "medoids": choose.medoids,
    "herding": choose.herded,
    "centres": choose.centres,
}
"""By the gradients of a trained classifier's last layer."""


def order(name: str, key: Key, images: Images, count: int, steps: int) -> np.ndarray:
    """The first `count` images of a coreset, classes mixed evenly.

    Args:
      name: of `CORESETS`.
      key: typed PRNG key.
      images: the training set.
      count: how many.
      steps: of training a classifier; gradients are compared at three of them, trained for a
        third, two thirds and all of the steps.
    """
    shape, n_classes = images.pixels.shape[1:], len(images.label_names)
    network = networks.report_classifier(shape, n_classes)
    loss = losses.cross_entropy(network.apply)
    key_params, key_train, key_choice = jax.random.split(key, 3)
    start = network.init(key_params)
    data = (images.pixels, images.labels)
    states = [
        jax.jit(partial(judges.trained, loss=loss, steps=part, batch_size=64, rate=2e-3))(
            key_train, start, data
        )
        for part in (steps // 3, 2 * steps // 3, steps)
    ]
    checkpoints = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    gradients = jax.jit(partial(last_layer, network.apply))(checkpoints, *data)
    sizes = np.bincount(images.labels, minlength=n_classes).tolist()
    quotas = balanced(sizes, count)
    found = choose.by_class(key_choice, CORESETS[name], gradients, images.labels, quotas)
    return found.indices
