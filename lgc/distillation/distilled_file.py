"""The file that a choice makes of an image set for a budget of bytes: as many images as fit.

Where the choice says so they are then refined (`refinement`), and as many of what comes out as fit
are kept.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError
from fewbits.training import loop
from fewbits.training.method import Key, Params
from lgc import images, proxies
from lgc.autoencoders import fitting
from lgc.config import Progress
from lgc.coresets import strategies
from lgc.coresets.downsampling import Reduction, nearest_levels, shrink
from lgc.distillation import distilled_images, kernel_ridge, pixel_rate, quantised_images, upsampler
from lgc.distillation.augmentation import Deformation
from lgc.distillation.distilled_images import Contents
from lgc.distillation.kernel_ridge import RefinementConfig
from lgc.distillation.quantised_images import SmallImages
from lgc.images import LabelledImages

ENLARGER_STEPS = 2_000
"""Of training the enlarger that is kept."""
_ENLARGER_BITS = 4
_BATCH_SIZE = 64
"""Of training an enlarger, and what exemplars cost."""
_REAL_BATCH = 250
"""Real images that a step of refinement looks at."""
_DRAWN = 200
"""Exemplars that it draws, or five of each class."""
_RATE_STEPS = 500
"""Of training what exemplars cost."""


class Choice(NamedTuple):
    """What to do with an image set for a budget.

    Attributes:
      reduction: of its images.
      width: of the enlarger; 0 for none.
      moves: of what is drawn.
      accuracy: of the last judge of this choice, in [0, 1].
      order: in which images are taken; see `orders.chosen_first`.
      refinement_steps: of moving exemplars to where they teach most; 0 for images as they are.
    """

    reduction: Reduction
    width: int
    moves: Deformation
    accuracy: float
    order: str = strategies.RANDOM
    refinement_steps: int = 0


def write(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    choice: Choice,
    key: Key,
    *,
    enlarger_steps: int = ENLARGER_STEPS,
    progress: Progress | None = None,
) -> bytes:
    """The file of kind "exemplars" that a choice makes of an image set.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: the file is no longer than this.
      choice: see `budget.choose`.
      key: typed PRNG key.
      enlarger_steps: of training the enlarger, on all images.
      progress: told of the refinement; see `Progress`.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """
    checked = check(pixels, labels)
    key_order, key_enlarger = jax.random.split(key)
    key_refine = jax.random.fold_in(key, 2)
    everything = np.arange(len(checked.classes))
    params = trained_enlarger(
        key_enlarger, checked, everything, choice.reduction, choice.width, enlarger_steps
    )
    small = quantised_images.reduce(checked.pixels, np.asarray(labels), choice.reduction)

    def fit(taken: SmallImages, params: Params | None) -> quantised_images.Fitted:
        return quantised_images.largest(
            lambda count: distilled_images.write(
                Contents(taken.subset(slice(count)), params, choice.moves), _ENLARGER_BITS
            ),
            len(taken.classes),
            budget_bytes,
        )

    order = strategies.mixed(key_order, checked.classes)
    fitted = fit(small.subset(order), params)
    if choice.order != strategies.RANDOM:
        order = strategies.chosen_first(
            choice.order, key_order, checked.pixels, checked.classes, fitted.n_images
        )
        fitted = fit(small.subset(order), params)
    if choice.refinement_steps and len(fitted.data) <= budget_bytes:
        taken, weights = refined(
            key_refine, checked, everything, order[: fitted.n_images], params, choice, progress
        )
        fitted = fit(taken, weights)
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
    small = quantised_images.reduce(large, checked.classes[chosen], reduction)
    shape = checked.pixels.shape[1:]
    loss = upsampler.loss(shape, lambda path: _ENLARGER_BITS)
    key_params, key_run = jax.random.split(key)
    start = upsampler.init(key_params, width, reduction.factor, shape[2])
    train = jax.jit(
        partial(proxies.trained, loss=loss, steps=steps, batch_size=_BATCH_SIZE, rate=5e-3)
    )
    params = train(key_run, start, (small.greys(), large))
    return jax.tree.map(np.asarray, distilled_images.on_grid(params, _ENLARGER_BITS))


def refined(
    key: Key,
    checked: LabelledImages,
    chosen: np.ndarray,
    exemplar: np.ndarray,
    params: Params | None,
    choice: Choice,
    progress: Progress | None = None,
) -> tuple[SmallImages, Params | None]:
    """Exemplars and the enlarger's weights after refinement, the weights on their grid.

    Args:
      key: typed PRNG key.
      checked: the image set.
      chosen: Int[m], which of its images teach.
      exemplar: Int[n], which of them are refined.
      params: the enlarger's weights; None for none.
      choice: its reduction, moves and steps.
      progress: see `Progress`.
    """
    key_rate, key_cost, key_run = jax.random.split(key, 3)
    pixels, classes = checked.pixels[chosen], checked.classes[chosen]
    every = quantised_images.reduce(pixels, classes, choice.reduction)
    shrunken = shrink(checked.pixels[exemplar], choice.reduction.factor)
    small = every._replace(
        pixels=nearest_levels(every.levels)[shrunken].astype(np.uint8),
        classes=checked.classes[exemplar],
        labels=np.array(checked.labels, np.int64),
    )
    if every.levels.size == 1:
        return small, params  # one grey cannot be moved
    price = jax.jit(
        partial(
            proxies.trained,
            loss=pixel_rate.loss(every.levels.size),
            steps=_RATE_STEPS,
            batch_size=_BATCH_SIZE,
            rate=3e-3,
        )
    )(
        key_cost,
        pixel_rate.init(key_rate, small.pixels.shape[1:], every.levels.size, len(small.labels)),
        (every.pixels, every.classes.astype(np.int32)),
    )
    method = kernel_ridge.build(
        RefinementConfig(
            drawn=max(_DRAWN, 5 * len(small.labels)), enlarger_bits=_ENLARGER_BITS
        ),
        small, choice.moves, price, choice.refinement_steps,
    )  # fmt: skip
    plan = loop.Plan(choice.refinement_steps, min(_REAL_BATCH, len(classes)), "replacement")
    result = fitting.in_parts(
        method,
        plan,
        key_run,
        kernel_ridge.start(shrunken, small, params),
        (jnp.asarray(pixels), jnp.asarray(classes, jnp.int32)),
        stage="refining exemplars",
        progress=progress,
    )
    weights = result.params["enlarger"]
    if weights is not None:
        weights = jax.tree.map(np.asarray, distilled_images.on_grid(weights, _ENLARGER_BITS))
    return kernel_ridge.rounded(result.params, small), weights


def too_small(budget_bytes: int, checked: LabelledImages) -> InputError:
    """What a user is told whose budget holds no image of each class."""
    return InputError(
        f"a budget of {budget_bytes} bytes is too small for images of {checked.pixels.shape[1:]} "
        f"in {len(checked.labels)} classes; a header and one crude image of each take more"
    )
