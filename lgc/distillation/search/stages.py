"""Second search stage: brightness augmentation, and kernel ridge distillation, or neither.

Each alternative is compared with the operating point of the first stage at equal bytes, by the mean
of proxy evaluations over `DistillConfig.evaluation_seeds` seeds: the standard deviation of a single
evaluation is as large as the differences.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from fewbits.training.method import Key, Params
from lgc import proxies
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.augmentation import Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.quantised_images import QuantisedImages
from lgc.distillation.search import candidates
from lgc.distillation.search.config import DistillConfig
from lgc.images import LabelledImages


class Comparison(NamedTuple):
    """Result of a search stage.

    Attributes:
      point: the best operating point, with its accuracy.
      baseline_accuracy: mean over evaluation seeds of the operating point as given, in [0, 1].
      alternative_accuracies: the same of each alternative.
    """

    point: OperatingPoint
    baseline_accuracy: float
    alternative_accuracies: tuple[float, ...]


class Trial(NamedTuple):
    """An operating point applied to all images but the validation part.

    Attributes:
      checked: the image set.
      validation: int[v], the images of the validation part.
      training: int[m], the others.
      chosen: int[n], indices into `training` of the images that are stored.
      images: the stored images, quantised.
      upsampler: its weights; None for interpolation.
    """

    checked: LabelledImages
    validation: np.ndarray
    training: np.ndarray
    chosen: np.ndarray
    images: QuantisedImages
    upsampler: Params | None


def trial(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    point: OperatingPoint,
    key: Key,
    config: DistillConfig,
) -> Trial:
    """What the stages below start from; arguments and errors as of `budget_search.first_stage`."""
    checked = distilled_file.check(pixels, labels)
    key_order, key_upsampler, _ = jax.random.split(key, 3)
    validation, training = split_validation(key_order, checked)
    (candidate,) = candidates.candidates(checked, training, budget_bytes, (point.downsampling,))
    params = distilled_file.trained_upsampler(
        key_upsampler,
        checked,
        training,
        point.downsampling,
        point.width,
        config.candidate_upsampler_steps,
    )
    chosen, images = candidates.stored(checked, training, candidate, point.strategy, key_order)
    return Trial(checked, validation, training, chosen, images, params)


def brightness(
    trial: Trial,
    point: OperatingPoint,
    key: Key,
    config: DistillConfig,
    progress: Progress | None = None,
) -> Comparison:
    """The operating point with the best of `config.brightness_percent`, or as given.

    Args:
      trial: of the operating point.
      point: of the first stage.
      key: typed PRNG key.
      config: see `DistillConfig`.
      progress: see `Progress`.
    """
    points = [
        point._replace(augmentation=point.augmentation._replace(brightness=percent))
        for percent in config.brightness_percent
    ]
    large = distilled_images.upsampled(trial.images, trial.upsampler)
    sets = [_drawn(large, trial.images, config, each.augmentation) for each in (point, *points)]
    stage = "evaluating brightness augmentation"
    return _compared(trial, [point, *points], sets, key, config, stage, progress)


def distillation(
    trial: Trial,
    point: OperatingPoint,
    key: Key,
    config: DistillConfig,
    progress: Progress | None = None,
) -> Comparison:
    """The operating point with `config.distillation_steps`, or as given; arguments as above."""
    alternative = point._replace(distillation_steps=config.distillation_steps)
    after, weights = distilled_file.distilled(
        jax.random.fold_in(key, 3),
        trial.checked,
        trial.training,
        trial.training[trial.chosen],
        trial.upsampler,
        alternative,
        progress,
    )
    after = after.subset(slice(candidates.count_of_equal_bytes(after, trial.images)))
    sets = [
        _drawn(distilled_images.upsampled(images, params), images, config, point.augmentation)
        for images, params in ((trial.images, trial.upsampler), (after, weights))
    ]
    stage = "evaluating distillation"
    return _compared(trial, [point, alternative], sets, key, config, stage, progress)


def split_validation(key: Key, checked: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the validation part and of the other images.

    A tenth is the validation part: at most five thousand images, at least one of each class.
    """
    order = strategies.stratified_permutation(key, checked.classes)
    count = max(len(checked.labels), min(5_000, len(checked.pixels) // 10))
    return order[:count], order[count:]


def _drawn(
    large: np.ndarray, images: QuantisedImages, config: DistillConfig, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    return augmented_set(0, large, images.classes, config.proxy_images_per_class, augmentation)


def _compared(
    trial: Trial,
    points: list[OperatingPoint],
    sets: list[tuple[np.ndarray, np.ndarray]],
    key: Key,
    config: DistillConfig,
    stage: str,
    progress: Progress | None,
) -> Comparison:
    """The best by mean accuracy; the first, which is the point as given, wins a tie."""
    key_evaluation = jax.random.split(key, 3)[2]
    evaluate = proxies.build(
        trial.checked,
        trial.validation,
        steps=config.final_steps,
        width=config.proxy_width,
        batch_size=config.proxy_batch_size,
    )
    accuracies = np.zeros((config.evaluation_seeds, len(sets)))
    for seed in range(config.evaluation_seeds):
        key_seed = jax.random.fold_in(key_evaluation, seed)
        accuracies[seed] = [evaluate(key_seed, drawn) for drawn in sets]
        report(progress, stage, seed + 1, config.evaluation_seeds)
    means = accuracies.mean(axis=0).tolist()
    best = int(np.argmax(means))
    return Comparison(points[best]._replace(accuracy=means[best]), means[0], tuple(means[1:]))
