"""The file at an operating point: as many images of a set as fit a budget of bytes.

Where the operating point says so, the images are distilled first (`kernel_ridge`), and as many of
the distilled images as fit are stored.
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
from lgc.coresets.downsampling import LOSSLESS, Downsampling, downsample, nearest_levels
from lgc.distillation import distilled_images, kernel_ridge, pixel_rate, quantised_images, upsampler
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_images import Contents
from lgc.distillation.kernel_ridge import KernelRidgeConfig
from lgc.distillation.quantised_images import QuantisedImages
from lgc.images import LabelledImages
from lgc.teachers import teacher_file
from lgc.teachers.mixing import Mixing

UPSAMPLER_STEPS = 2_000
"""Optimiser steps of the upsampler that is stored."""
_UPSAMPLER_BITS = 4
_BATCH_SIZE = 64
"""Of training an upsampler and the rate model."""
_REAL_BATCH = 250
"""Real images of a distillation step."""
_SYNTHETIC_BATCH = 200
"""Stored images of a distillation step, or five of each class."""
_RATE_STEPS = 500
"""Of training the rate model."""


class OperatingPoint(NamedTuple):
    """How the file of a budget is made.

    Attributes:
      downsampling: of the images.
      width: channels of the upsampler; 0 for interpolation.
      augmentation: of images drawn from the file.
      accuracy: of the last proxy evaluation, in [0, 1].
      strategy: coreset selection strategy; see `strategies.coreset_first`.
      distillation_steps: optimiser steps of kernel ridge distillation; 0 stores images as they are.
      teacher_width: of the network that gives soft labels; 0 for no teacher.
      heavy: augmentation of images that the teacher labels.
      contrast: percent of what interpolation gives, with black and white as the extreme grey levels
        (`QuantisedImages.with_contrast`); 0 for images as they are. Neither an upsampler nor
        distillation goes with it.
      draw: which of several random selections of images is stored.
    """

    downsampling: Downsampling
    width: int
    augmentation: Augmentation
    accuracy: float
    strategy: str = strategies.RANDOM
    distillation_steps: int = 0
    teacher_width: int = 0
    heavy: Mixing = Mixing(NONE)
    contrast: int = 0
    draw: int = 0

    def description(self) -> str:
        """In a few words, such as "1/2 side, 2 bits, medoids, augmented"."""
        factor, bits = self.downsampling.factor, self.downsampling.bits
        side = "full side" if factor == 1 else f"1/{factor} side"
        lossless = self.downsampling == LOSSLESS
        parts = ["lossless" if lossless else f"{side}, {bits} bit{'s'[: bits - 1]}"]
        parts += [self.strategy] * (self.strategy != strategies.RANDOM)
        parts += [f"{self.contrast} % contrast"] * bool(self.contrast)
        parts += [f"upsampler of width {self.width}"] * bool(self.width)
        parts += ["distilled"] * bool(self.distillation_steps)
        plain = self.augmentation._replace(brightness=0, blur=0) == NONE
        parts.append("not augmented" if plain else "augmented")
        parts += [f"teacher of width {self.teacher_width}"] * bool(self.teacher_width)
        return ", ".join(parts + ["brightness augmentation"] * bool(self.augmentation.brightness))


def write(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    point: OperatingPoint,
    key: Key,
    *,
    upsampler_steps: int = UPSAMPLER_STEPS,
    teacher: bytes | None = None,
    order: np.ndarray | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The file of an image set at an operating point.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: the file is no longer than this.
      point: see `budget_search.search`.
      key: typed PRNG key.
      upsampler_steps: optimiser steps of the upsampler, on all images.
      teacher: its weights (`teacher_file.section`), if the file is to hold one.
      order: int[N], in which random images are stored until the budget is spent; None for one that
        `key` draws.
      progress: told of the distillation; see `Progress`.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """
    checked = check(pixels, labels)
    asked = budget_bytes
    if teacher is not None:
        budget_bytes -= teacher_file.reserve(teacher)
    key_order, key_upsampler = jax.random.split(key)
    key_distillation = jax.random.fold_in(key, 2)
    everything = np.arange(len(checked.classes))
    params = trained_upsampler(
        key_upsampler, checked, everything, point.downsampling, point.width, upsampler_steps
    )
    stored = quantised_images.quantise(checked.pixels, np.asarray(labels), point.downsampling)
    if point.contrast:
        stored = stored.with_contrast(point.contrast)

    def fit(ordered: QuantisedImages, params: Params | None) -> quantised_images.Fitted:
        return quantised_images.largest(
            lambda count: distilled_images.write(
                Contents(ordered.subset(slice(count)), params, point.augmentation), _UPSAMPLER_BITS
            ),
            len(ordered.classes),
            budget_bytes,
        )

    if order is None:
        order = strategies.stratified_permutation(key_order, checked.classes)
    fitted = fit(stored.subset(order), params)
    if point.strategy != strategies.RANDOM:
        order = strategies.coreset_first(
            point.strategy, key_order, checked.pixels, checked.classes, fitted.n_images
        )
        fitted = fit(stored.subset(order), params)
    if point.distillation_steps and len(fitted.data) <= budget_bytes:
        fitted = fit(
            *distilled(
                key_distillation,
                checked,
                everything,
                order[: fitted.n_images],
                params,
                point,
                progress,
            )
        )
    if len(fitted.data) > budget_bytes or fitted.n_images < len(checked.labels):
        raise too_small(asked, checked)
    if teacher is None:
        return fitted.data
    return teacher_file.attach(fitted.data, teacher, point.heavy)


def check(pixels: np.ndarray, labels: np.ndarray) -> LabelledImages:
    """Images that can be downsampled; raises InputError for others."""
    checked = images.check(pixels, labels)
    if min(checked.pixels.shape[1:3]) < 8:
        raise InputError(f"images of {checked.pixels.shape[1:3]}; each side needs 8 pixels or more")
    return checked


def trained_upsampler(
    key: Key,
    checked: LabelledImages,
    rows: np.ndarray,
    downsampling: Downsampling,
    width: int,
    steps: int,
) -> Params | None:
    """Quantised weights of an upsampler trained on some images; None for a width of 0."""
    if width == 0:
        return None
    large = checked.pixels[rows]
    low = quantised_images.quantise(large, checked.classes[rows], downsampling)
    shape = checked.pixels.shape[1:]
    loss = upsampler.loss(shape, lambda path: _UPSAMPLER_BITS)
    key_params, key_run = jax.random.split(key)
    start = upsampler.init(key_params, width, downsampling.factor, shape[2])
    train = jax.jit(
        partial(proxies.trained, loss=loss, steps=steps, batch_size=_BATCH_SIZE, rate=5e-3)
    )
    params = train(key_run, start, (low.grey_levels(), large))
    return jax.tree.map(np.asarray, distilled_images.on_grid(params, _UPSAMPLER_BITS))


def distilled(
    key: Key,
    checked: LabelledImages,
    rows: np.ndarray,
    initial: np.ndarray,
    params: Params | None,
    point: OperatingPoint,
    progress: Progress | None = None,
) -> tuple[QuantisedImages, Params | None]:
    """Distilled images and the upsampler's weights, quantised.

    Args:
      key: typed PRNG key.
      checked: the image set.
      rows: int[m], its real images, whose labels are to be predicted.
      initial: int[n], the images that the distilled ones are initialised with.
      params: the upsampler's weights; None for interpolation.
      point: its downsampling, augmentation and steps.
      progress: see `Progress`.
    """
    key_rate, key_cost, key_run = jax.random.split(key, 3)
    pixels, classes = checked.pixels[rows], checked.classes[rows]
    every = quantised_images.quantise(pixels, classes, point.downsampling)
    low = downsample(checked.pixels[initial], point.downsampling.factor)
    start = every._replace(
        pixels=nearest_levels(every.levels)[low].astype(np.uint8),
        classes=checked.classes[initial],
        labels=np.array(checked.labels, np.int64),
    )
    if every.levels.size == 1:
        return start, params  # a single grey level leaves nothing to optimise
    rate_params = jax.jit(
        partial(
            proxies.trained,
            loss=pixel_rate.loss(every.levels.size),
            steps=_RATE_STEPS,
            batch_size=_BATCH_SIZE,
            rate=3e-3,
        )
    )(
        key_cost,
        pixel_rate.init(key_rate, start.pixels.shape[1:], every.levels.size, len(start.labels)),
        (every.pixels, every.classes.astype(np.int32)),
    )
    method = kernel_ridge.build(
        KernelRidgeConfig(
            synthetic_batch=max(_SYNTHETIC_BATCH, 5 * len(start.labels)),
            upsampler_bits=_UPSAMPLER_BITS,
        ),
        start, point.augmentation, rate_params, point.distillation_steps,
    )  # fmt: skip
    plan = loop.Plan(point.distillation_steps, min(_REAL_BATCH, len(classes)), "replacement")
    result = fitting.in_parts(
        method,
        plan,
        key_run,
        kernel_ridge.start(low, start, params),
        (jnp.asarray(pixels), jnp.asarray(classes, jnp.int32)),
        stage="distilling images",
        progress=progress,
    )
    weights = result.params["upsampler"]
    if weights is not None:
        weights = jax.tree.map(np.asarray, distilled_images.on_grid(weights, _UPSAMPLER_BITS))
    return kernel_ridge.rounded(result.params, start), weights


class TooSmall(InputError):
    """A budget that does not fit one image of each class.

    Attributes:
      needed: bytes that are about enough; None where nothing was estimated.
    """

    needed: int | None = None


def too_small(budget_bytes: int, checked: LabelledImages, needed: int | None = None) -> TooSmall:
    """The error that names the budget, and about how many bytes are enough."""
    more = "more" if needed is None else f"about {needed:,}"
    error = TooSmall(
        f"a budget of {budget_bytes} bytes is too small for images of {checked.pixels.shape[1:]} "
        f"in {len(checked.labels)} classes: a header and one low-resolution image of each take "
        f"{more}"
    )
    error.needed = needed
    return error
