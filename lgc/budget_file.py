"""The file that a choice makes of an image set for a budget of bytes: as many images as fit."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from coding import InputError
from lgc import enlarger, exemplars, images, judges, orders, small_images
from lgc.coresets.reduction import Reduction
from lgc.deformations import Deformation
from lgc.exemplars import Contents
from lgc.images import LabelledImages
from training.method import Key, Params

ENLARGER_STEPS = 2_000
"""Of training the enlarger that is kept."""
_ENLARGER_BITS = 4
_BATCH_SIZE = 64
"""Of training an enlarger."""


class Choice(NamedTuple):
    """What to do with an image set for a budget.

    Attributes:
      reduction: of its images.
      width: of the enlarger; 0 for none.
      moves: of what is drawn.
      accuracy: of the last judge of this choice, in [0, 1].
      order: in which images are taken; see `orders.chosen_first`.
    """

    reduction: Reduction
    width: int
    moves: Deformation
    accuracy: float
    order: str = orders.RANDOM


def write(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    choice: Choice,
    key: Key,
    *,
    enlarger_steps: int = ENLARGER_STEPS,
) -> bytes:
    """The file of kind "exemplars" that a choice makes of an image set.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: the file is no longer than this.
      choice: see `budget.choose`.
      key: typed PRNG key.
      enlarger_steps: of training the enlarger, on all images.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """
    checked = check(pixels, labels)
    key_order, key_enlarger = jax.random.split(key)
    everything = np.arange(len(checked.classes))
    params = trained_enlarger(
        key_enlarger, checked, everything, choice.reduction, choice.width, enlarger_steps
    )
    small = small_images.reduce(checked.pixels, np.asarray(labels), choice.reduction)

    def fit(order: np.ndarray) -> small_images.Fitted:
        taken = small.subset(order)
        return small_images.largest(
            lambda count: exemplars.write(
                Contents(taken.subset(slice(count)), params, choice.moves), _ENLARGER_BITS
            ),
            len(order),
            budget_bytes,
        )

    fitted = fit(orders.mixed(key_order, checked.classes))
    if choice.order != orders.RANDOM:
        chosen = orders.chosen_first(
            choice.order, key_order, checked.pixels, checked.classes, fitted.n_images
        )
        fitted = fit(chosen)
    if len(fitted.data) > budget_bytes or fitted.n_images < len(checked.labels):
        raise too_small(budget_bytes, checked)
    return fitted.data


def check(pixels: np.ndarray, labels: np.ndarray) -> LabelledImages:
    """Images that can be reduced; raises InputError for others."""
    checked = images.check(pixels, labels)
    if min(checked.pixels.shape[1:3]) < 8:
        raise InputError(f"images of {checked.pixels.shape[1:3]}; each side needs 8 pixels or more")
    return checked


def trained_enlarger(
    key: Key,
    checked: LabelledImages,
    chosen: np.ndarray,
    reduction: Reduction,
    width: int,
    steps: int,
) -> Params | None:
    """Weights trained on chosen images, on their grids; None where there is no room for any."""
    if width == 0:
        return None
    large = checked.pixels[chosen]
    small = small_images.reduce(large, checked.classes[chosen], reduction)
    shape = checked.pixels.shape[1:]
    loss = enlarger.loss(shape, lambda path: _ENLARGER_BITS)
    key_params, key_run = jax.random.split(key)
    start = enlarger.init(key_params, width, reduction.factor, shape[2])
    train = jax.jit(
        partial(judges.trained, loss=loss, steps=steps, batch_size=_BATCH_SIZE, rate=5e-3)
    )
    params = train(key_run, start, (small.greys(), large))
    return jax.tree.map(np.asarray, exemplars.on_grid(params, _ENLARGER_BITS))


def too_small(budget_bytes: int, checked: LabelledImages) -> InputError:
    """What a user is told whose budget holds no image of each class."""
    return InputError(
        f"a budget of {budget_bytes} bytes is too small for images of {checked.pixels.shape[1:]} "
        f"in {len(checked.labels)} classes; a header and one crude image of each take more"
    )
