"""Search for the file within a budget of bytes that trains the best classifier.

Whether a budget is best spent on many coarse images or few fine ones, and how far they may be
augmented, depends on the data. The training set of each candidate is made exactly as its file would
give it and scored by a proxy evaluation (`lgc.proxies`) on a held-out part of the user's images:
first all candidates with short trainings, then the best with long ones, as in successive halving.
A second stage (`search_stages`) decides about brightness augmentation and distillation. The best
operating point is then applied to all images (`distilled_file`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Integer, Key, UInt8

from fewbits.coding import InputError
from lgc import proxies
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.distillation import distilled_file, distilled_images, search_candidates, search_stages
from lgc.distillation.augmentation import Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search_config import MILD, DistillConfig

_STAGE = "evaluating candidates"

TrainingSet = tuple[np.ndarray, np.ndarray]
"""Images at full resolution, uint8[n, H, W, C], and their class numbers."""


class Distilled(NamedTuple):
    """A file within a budget, and how it was made.

    Attributes:
      data: of the file.
      point: its operating point.
    """

    data: bytes
    point: OperatingPoint


def distill(
    images: UInt8[np.ndarray, "n height width *channels"],
    labels: Integer[np.ndarray, " n"],
    budget_bytes: int,
    *,
    time_limit: float | None = None,
    config: DistillConfig = DistillConfig(),  # noqa: B008
    key: Key[Array, ""] | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The most useful file of an image set within a budget of bytes.

    The file holds quantised low-resolution images, perhaps distilled, an upsampler and ranges of
    augmentation (`lgc.distillation`). Resolution, grey levels, augmentation, coreset selection
    strategy and distillation are chosen by a search on a validation part cut from the given images:
    its score is the accuracy of a small ConvNet trained on the file's images. With the default
    config the search takes an hour or more on a CPU core.

    Dataset distillation by kernel ridge regression: Zhou, Nezhadarya and Ba (2022), "Dataset
    distillation using neural feature regression", eq. 5, with a rate constraint added.

    The stored images are training images or resemble them: the file is not private.

    Args:
      images: uint8, 0 to 255; sides of 8 pixels or more.
      labels: any integers that fit int32, at least two images of each value.
      budget_bytes: the file is no longer than this.
      time_limit: seconds after which the search stops at its next opportunity; the file of the best
        operating point so far is then written. One candidate is evaluated at least, so a short
        limit is exceeded. None: no limit, and the same key gives the same file.
      config: what the search tries.
      key: typed PRNG key; None for `jax.random.key(0)`.
      progress: called with a stage's name, the work done and the work in all.

    Returns:
      The bytes of a file that `lgc.decompress` and `lgc.stream` read.

    Raises:
      InputError: images or labels that cannot be compressed, or a budget too small for one image of
        each class.

    Example:
      >>> import lgc, numpy as np
      >>> images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
      >>> labels = np.arange(30) % 3
      >>> data = lgc.distill(images, labels, 300, config=lgc.DistillConfig.quick())
      >>> len(data) <= 300
      True
      >>> lgc.decompress(data, per_class=4).images.shape
      (12, 8, 8, 1)
    """
    key = jax.random.key(0) if key is None else key
    found = distill_with_point(
        images, labels, budget_bytes, config, key, time_limit=time_limit, progress=progress
    )
    return found.data


def distill_with_point(
    images: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    config: DistillConfig,
    key: jax.Array,
    *,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Distilled:
    """As `distill`, with the operating point.

    Raises:
      InputError: also for a time limit that is not positive.
    """
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"time_limit is {time_limit}; use a positive number of seconds, or None")
    end = None if time_limit is None else time.monotonic() + time_limit

    def stop() -> bool:
        return end is not None and time.monotonic() >= end

    def write(point: OperatingPoint, steps: int) -> bytes:
        return distilled_file.write(
            images,
            labels,
            budget_bytes,
            point,
            key_write,
            upsampler_steps=steps,
            progress=_until(stop, progress),
        )

    key_search, key_write = jax.random.split(key)
    point = search(
        images, labels, budget_bytes, key_search, config=config, stop=stop, progress=progress
    )
    if not stop():
        try:
            return Distilled(write(point, config.upsampler_steps), point)
        except _OutOfTime:
            pass
    point = point._replace(distillation_steps=0)
    steps = min(config.upsampler_steps, config.candidate_upsampler_steps)
    return Distilled(write(point, steps), point)


class _OutOfTime(Exception):
    """Ends a stage whose result is then not used."""


def _never() -> bool:
    return False


def _until(stop: Callable[[], bool], progress: Progress | None) -> Progress:
    """Progress that raises `_OutOfTime` when it is time to stop."""

    def call(stage: str, done: int, total: int) -> None:
        report(progress, stage, done, total)
        if stop() and done < total:
            raise _OutOfTime

    return call


def search(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: jax.Array,
    *,
    config: DistillConfig = DistillConfig(),  # noqa: B008
    stop: Callable[[], bool] = _never,
    progress: Progress | None = None,
) -> OperatingPoint:
    """Both search stages; arguments and errors as of `first_stage`."""
    found = first_stage(
        pixels, labels, budget_bytes, key, config=config, stop=stop, progress=progress
    )
    if not (config.brightness_percent or config.distillation_steps) or stop():
        return found
    trial = search_stages.trial(pixels, labels, budget_bytes, found, key, config)
    progress = _until(stop, progress)
    try:
        if config.brightness_percent:
            found = search_stages.brightness(trial, found, key, config, progress).point
        if config.distillation_steps:
            found = search_stages.distillation(trial, found, key, config, progress).point
    except _OutOfTime:
        pass
    return found


def first_stage(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: jax.Array,
    *,
    config: DistillConfig = DistillConfig(),  # noqa: B008
    stop: Callable[[], bool] = _never,
    progress: Progress | None = None,
) -> OperatingPoint:
    """The best downsampling, augmentation and coreset selection strategy that fit the budget.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: of the file.
      key: typed PRNG key.
      config: see `DistillConfig`.
      stop: asked after every evaluation whether to return the best so far.
      progress: see `Progress`.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """
    checked = distilled_file.check(pixels, labels)
    key_order, key_upsampler, key_evaluation = jax.random.split(key, 3)
    validation, training = search_stages.split_validation(key_order, checked)
    candidates = search_candidates.candidates(checked, training, budget_bytes, config.downsamplings)
    alternatives = [
        each
        for plain in config.augmentations
        for each in (plain, plain._replace(flip=1))
        if each != MILD
    ]
    n_final = min(config.finalists, len(candidates)) + len(alternatives) + len(config.strategies)
    n_evaluations = len(candidates) + n_final
    evaluate = {
        steps: proxies.build(
            checked,
            validation,
            steps=steps,
            width=config.proxy_width,
            batch_size=config.proxy_batch_size,
        )
        for steps in {config.screening_steps, config.final_steps}
    }
    done = 0

    def score(large: TrainingSet, augmentation: Augmentation, steps: int) -> float:
        nonlocal done
        drawn = augmented_set(0, *large, config.proxy_images_per_class, augmentation)
        accuracy = evaluate[steps](key_evaluation, drawn)
        done += 1
        report(progress, _STAGE, done, n_evaluations)
        return accuracy

    sets, params, screened = {}, {}, {}
    for each in candidates:
        params[each] = distilled_file.trained_upsampler(
            key_upsampler,
            checked,
            training,
            each.downsampling,
            each.width,
            config.candidate_upsampler_steps,
        )
        images = search_candidates.quantised(checked, training, each.downsampling)
        images = images.subset(slice(each.n_images))
        sets[each] = (distilled_images.upsampled(images, params[each]), images.classes)
        screened[each] = score(sets[each], MILD, config.screening_steps)
        if stop():
            break
    finalists = sorted(screened, key=lambda c: -screened[c])[: config.finalists]
    final = {}
    for each in finalists:
        if not stop():
            final[each] = score(sets[each], MILD, config.final_steps)
    final = final or {finalists[0]: screened[finalists[0]]}
    best = max(final, key=lambda c: final[c])
    scores = {}
    for each in alternatives:
        if not stop():
            scores[each] = score(sets[best], each, config.final_steps)
    scores[MILD] = final[best]
    augmentation = max(scores, key=lambda each: scores[each])
    found = OperatingPoint(best.downsampling, best.width, augmentation, scores[augmentation])
    worthwhile = strategies.worthwhile(best.n_images, len(training))
    for number, name in enumerate(config.strategies if worthwhile else ()):
        if stop():
            break
        key_name = jax.random.fold_in(key_order, number)
        chosen = search_candidates.coreset_of_equal_bytes(checked, training, best, name, key_name)
        images = search_candidates.quantised(checked, training, best.downsampling).subset(chosen)
        large = (distilled_images.upsampled(images, params[best]), images.classes)
        accuracy = score(large, augmentation, config.final_steps)
        if significantly_better(accuracy, found.accuracy, len(validation)):
            found = found._replace(strategy=name, accuracy=accuracy)
    report(progress, _STAGE, n_evaluations, n_evaluations)
    return found


def significantly_better(accuracy: float, reference: float, n_images: int) -> bool:
    """Whether an accuracy on n images exceeds another by more than two standard errors.

    Required of coresets: one that is only slightly better for the proxy's ConvNet can be far worse
    for another classifier, since it over-represents rare images.
    """
    variance = (accuracy * (1 - accuracy) + reference * (1 - reference)) / n_images
    return accuracy - reference > 2 * variance**0.5
