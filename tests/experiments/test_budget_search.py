"""What `lgc compress --budget-bytes` is for: sets that train better than subsets of their bytes."""

from __future__ import annotations

import jax
import pytest

from experiments.common import downstream
from experiments.common.downstream import StudentConfig
from fewbits.io import datasets
from lgc import files
from lgc.coresets import lossless_subset
from lgc.distillation import budget_search, distilled_file
from lgc.distillation.search_config import Search

BUDGET_BYTES = 700
SEARCH = Search(
    trial_steps=150,
    enlarger_steps=300,
    first_steps=150,
    last_steps=300,
    per_class=300,
    refinement_steps=200,
    looks=2,
)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_file_within_a_budget_beats_the_lossless_subset_of_its_bytes():
    train = datasets.load("digits", "train")
    test = datasets.load("digits", "test")
    key_choose, key_write = jax.random.split(jax.random.key(0))
    choice = budget_search.choose(
        train.pixels, train.labels, BUDGET_BYTES, key_choose, search=SEARCH
    )
    data = distilled_file.write(train.pixels, train.labels, BUDGET_BYTES, choice, key_write)
    assert len(data) <= BUDGET_BYTES
    ours = files.sample(data, per_class=300, seed=0)
    few, _ = lossless_subset.largest(train.pixels, train.labels, len(data), seed=0)
    plain = downstream.to_size(*lossless_subset.read(few), len(ours[1]))
    student = StudentConfig(steps=600, learning_rate=2e-3)
    outcome = downstream.train(student, [ours, plain], test, seeds=(0, 1))
    ours_mean, plain_mean = outcome.accuracy.mean(axis=1)
    assert ours_mean > plain_mean + 0.05
    assert ours_mean > 0.8
