"""What `lgc compress --budget-bytes` is for: sets that train better than subsets of their bytes."""

from __future__ import annotations

import jax
import pytest

from experiments import datasets, students, subset
from experiments.students import StudentConfig
from lgc import budget, budget_file, files
from lgc.budget_config import Search

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
    choice = budget.choose(train.pixels, train.labels, BUDGET_BYTES, key_choose, search=SEARCH)
    data = budget_file.write(train.pixels, train.labels, BUDGET_BYTES, choice, key_write)
    assert len(data) <= BUDGET_BYTES
    ours = files.sample(data, per_class=300, seed=0)
    few, _ = subset.largest(train.pixels, train.labels, len(data), seed=0)
    plain = students.to_size(*subset.read(few), len(ours[1]))
    student = StudentConfig(steps=600, learning_rate=2e-3)
    outcome = students.train(student, [ours, plain], test, seeds=(0, 1))
    ours_mean, plain_mean = outcome.accuracy.mean(axis=1)
    assert ours_mean > plain_mean + 0.05
    assert ours_mean > 0.8
