"""The best subset of a budget: chosen on validation images, by two proxies where need be."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.io import datasets
from fewbits.training.downstream import ClassifierConfig
from lgc import distillation
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import SubsetConfig, _best_subset, distilled_file
from lgc.distillation.augmentation import NONE
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search.config import MILD

QUICK = SubsetConfig(
    ClassifierConfig(steps=30), ClassifierConfig("convnet", 5, 64, 2e-3, 4, True), 20, (), 0
)


def candidate(factor: int, percent: float, strategy: str = "random"):
    return _best_subset.Candidate(Downsampling(factor, 2), NONE, strategy, 100, percent)


def test_a_second_proxy_is_asked_only_about_other_downsamplings_that_are_alike():
    near = [candidate(2, 70.5), candidate(1, 69.7), candidate(1, 69.6, "medoids")]
    assert _best_subset.contested(near) == [near[1], near[0]]
    assert _best_subset.contested([candidate(2, 70.5), candidate(1, 69.4)]) == []
    assert _best_subset.contested([candidate(2, 70.5), candidate(2, 70.4, "medoids")]) == []
    assert _best_subset.best_of(near) == near[0]


def nearest_mean_percent(config, training_set, test, seed):
    """Accuracy of a classifier that takes no time to train."""
    images, labels = training_set
    means = np.stack([images[labels == c].mean(axis=0) for c in range(10)])
    distance = ((test.pixels[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    return 100 * float(np.mean(distance.argmin(axis=1) == test.labels))


@pytest.mark.slow
def test_the_best_of_all_that_fit_is_chosen_and_can_be_written(monkeypatch):
    monkeypatch.setattr(_best_subset.downstream, "accuracy_percent", nearest_mean_percent)
    train, held = datasets.split_validation(datasets.load("digits", "train"), 200)
    train, heard = train.first(300), []
    found = distillation.best_subset(
        train, held, 1_500, augmentation=MILD, config=QUICK, say=heard.append
    )
    assert len(found.tried) == len(heard) == 6  # three downsamplings, augmented or not
    best = max(each.validation_percent for each in found.tried)
    assert found.best in found.tried
    assert found.best.validation_percent == best > 60
    data = distilled_file.write(
        train.pixels, train.labels, 1_500, found.best.point, jax.random.key(0)
    )
    assert len(data) <= 1_500


@pytest.mark.slow
def test_a_budget_without_an_image_of_each_class_is_refused():
    train, held = datasets.split_validation(datasets.load("digits", "train"), 200)
    with pytest.raises(InputError, match="60 bytes"):
        distillation.best_subset(train.first(100), held, 60, config=QUICK)
    small = train._replace(pixels=np.zeros((len(train.labels), 4, 4, 1), np.uint8))
    with pytest.raises(InputError, match="8 pixels"):
        distillation.best_subset(small, held, 1_000, config=QUICK)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (OperatingPoint(LOSSLESS, 0, NONE, 0.0), "lossless, not augmented"),
        (OperatingPoint(Downsampling(2, 1), 0, MILD, 0.0, "medoids"),
         "1/2 side, 1 bit, medoids, augmented"),
        (OperatingPoint(Downsampling(1, 3), 8, NONE._replace(brightness=15), 0.0, "random", 600),
         "full side, 3 bits, upsampler of width 8, distilled, not augmented, "
         "brightness augmentation"),
    ],
)  # fmt: skip
def test_operating_points_are_described_in_a_few_words(point, said):
    assert point.description() == said
