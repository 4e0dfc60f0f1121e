"""The search behind the published curves: one ConvNet scores all candidates, and no time limit.

`lgc.distill` uses the search of `anytime`. Whether a budget is best spent on many coarse images or
few fine ones, and how far they may be augmented, depends on the data. The training set of each
candidate is made exactly as its file would give it and scored by a proxy evaluation (`lgc.proxies`)
on a held-out part of the user's images: first all candidates with short trainings, then the best
with long ones, as in successive halving. `stages` then decides about brightness augmentation and
distillation, and the best operating point is applied to all images (`distilled_file`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

import jax
import numpy as np

from lgc import proxies
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.augmentation import Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import candidates as search_candidates
from lgc.distillation.search import stages
from lgc.distillation.search.config import DOWNSAMPLINGS, MILD, DistillConfig
from lgc.distillation.search.panel import TrainingSet
from lgc.distillation.search.stages import Comparison

_STAGE = "evaluating candidates"
_LATER = {"brightness": stages.brightness, "distillation": stages.distillation}


def search(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: jax.Array,
    *,
    later: Collection[Literal["brightness", "distillation"]] = (),
    config: DistillConfig = DistillConfig(),  # noqa: B008
    cached: Callable[[str, type, Callable[[], Any]], Any] = lambda name, kind, compute: compute(),
    progress: Progress | None = None,
) -> tuple[OperatingPoint, dict[str, Comparison]]:
    """The first stage, then the later ones asked for, each from the point of the one before.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: of the file.
      key: typed PRNG key.
      later: names of functions of `stages`; brightness comes before distillation.
      config: see `DistillConfig`.
      cached: (stage, type of its result, its computation) -> its result, perhaps that of an
        earlier search: a stage takes ten minutes for a large data set.
      progress: see `Progress`.

    Returns:
      The operating point, and what each later stage compared.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """

    def compare(name: str, point: OperatingPoint) -> Comparison:
        trial = stages.trial(pixels, labels, budget_bytes, point, key, config)
        return _LATER[name](trial, point, key, config, progress)

    point = cached(
        "first",
        OperatingPoint,
        lambda: first_stage(pixels, labels, budget_bytes, key, config=config, progress=progress),
    )
    compared: dict[str, Comparison] = {}
    for name in (name for name in _LATER if name in later):
        compared[name] = cached(name, Comparison, lambda: compare(name, point))  # noqa: B023
        point = compared[name].point
    return point, compared


def first_stage(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: jax.Array,
    *,
    config: DistillConfig = DistillConfig(),  # noqa: B008
    progress: Progress | None = None,
) -> OperatingPoint:
    """The best downsampling, augmentation and coreset selection strategy that fit the budget.

    Arguments and errors are those of `search`.
    """
    checked = distilled_file.check(pixels, labels)
    key_order, key_upsampler, key_evaluation = jax.random.split(key, 3)
    validation, training = stages.split_validation(key_order, checked)
    candidates = search_candidates.candidates(
        checked, training, budget_bytes, config.downsamplings or DOWNSAMPLINGS
    )
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
        _, images = search_candidates.stored(checked, training, each, strategies.RANDOM, key_order)
        sets[each] = (distilled_images.upsampled(images, params[each]), images.classes)
        screened[each] = score(sets[each], MILD, config.screening_steps)
    finalists = sorted(screened, key=lambda c: -screened[c])[: config.finalists]
    final = {}
    for each in finalists:
        final[each] = score(sets[each], MILD, config.final_steps)
    best = max(final, key=lambda c: final[c])
    scores = {}
    for each in alternatives:
        scores[each] = score(sets[best], each, config.final_steps)
    scores[MILD] = final[best]
    augmentation = max(scores, key=lambda each: scores[each])
    found = OperatingPoint(best.downsampling, best.width, augmentation, scores[augmentation])
    worthwhile = strategies.worthwhile(best.n_images, len(training))
    for number, name in enumerate(config.strategies if worthwhile else ()):
        key_name = jax.random.fold_in(key_order, number)
        _, images = search_candidates.stored(checked, training, best, name, key_name)
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
