"""What `lgc distill` is for: files that train better classifiers than subsets of their bytes."""

from __future__ import annotations

import pytest

import lgc
from fewbits.io import datasets
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc import files
from lgc.coresets import lossless_subset
from lgc.distillation.search.config import DistillConfig

BUDGET_BYTES = 700
SEARCH = DistillConfig(
    candidate_upsampler_steps=150,
    upsampler_steps=300,
    screening_steps=150,
    proxy_images_per_class=300,
    distillation_steps=200,
)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_file_within_a_budget_beats_the_lossless_subset_of_its_bytes():
    train = datasets.load("digits", "train")
    test = datasets.load("digits", "test")
    data = lgc.distill(train.pixels, train.labels, BUDGET_BYTES, config=SEARCH)
    assert len(data) <= BUDGET_BYTES
    ours = files.sample(data, per_class=300, seed=0)
    few, _ = lossless_subset.largest(train.pixels, train.labels, len(data), seed=0)
    plain = downstream.to_size(*lossless_subset.read(few), len(ours[1]))
    classifier = ClassifierConfig(steps=600, learning_rate=2e-3)
    outcome = downstream.train(classifier, [ours, plain], test, seeds=(0, 1))
    ours_mean, plain_mean = outcome.accuracy.mean(axis=1)
    assert ours_mean > plain_mean + 0.05
    assert ours_mean > 0.8
