"""Files within a budget: that they keep to it, and that a larger budget buys a better set."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from coding import InputError
from lgc import budget, budget_file, exemplars, small_images
from lgc.budget import MOVES, Search
from lgc.budget_file import Choice
from lgc.coresets.reduction import Reduction
from tests.lgc.test_lossy_subset import blobs

FEW = (Reduction(1, 2), Reduction(2, 2), Reduction(1, 6))
QUICK = Search(
    FEW, MOVES[:1], 10, 10, 10, 10, finalists=1, per_class=60, judge_width=4, batch_size=16
)


@pytest.mark.slow
def test_the_file_keeps_to_its_budget_and_every_class_is_in_it():
    images, labels = blobs(150)
    stages = []
    choice = budget.choose(
        images, labels * 4, 500, jax.random.key(0), search=QUICK,
        progress=lambda stage, done, total: stages.append((done, total)),
    )  # fmt: skip
    assert stages[-1][0] == stages[-1][1]
    data = budget_file.write(images, labels * 4, 500, choice, jax.random.key(1), enlarger_steps=10)
    assert 300 < len(data) <= 500
    after = exemplars.read(data)
    assert after.deformation == choice.moves
    assert after.small.labels.tolist() == [0, 4, 8]
    assert np.bincount(after.small.classes).min() >= 1


def test_a_budget_that_holds_everything_keeps_everything():
    images, labels = blobs(30, side=8)
    choice = Choice(Reduction(1, 5), 0, MOVES[1], 0.0)
    data = budget_file.write(images, labels, 20_000, choice, jax.random.key(0))
    assert len(exemplars.read(data).small.classes) == 30


def test_images_are_taken_in_the_given_order():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 9, 9, 1), np.uint8), np.arange(40) % 3
    order = rng.permutation(40)
    choice = Choice(Reduction(1, 1), 0, MOVES[0], 0.0)
    data = budget_file.write(images, labels, 300, choice, jax.random.key(0), order=order)
    found = exemplars.read(data).small
    assert 3 <= len(found.classes) < 40
    small = small_images.reduce(images, labels, Reduction(1, 1)).subset(order[: len(found.classes)])
    assert sorted(found.pixels.sum((1, 2, 3))) == sorted(small.pixels.sum((1, 2, 3)))


@pytest.mark.parametrize("budget_bytes", [0, 60, 130])
def test_a_budget_below_a_header_and_an_image_is_refused(budget_bytes):
    images, labels = blobs(40, side=16)
    with pytest.raises(InputError, match=f"{budget_bytes} bytes is too small"):
        budget.choose(images, labels, budget_bytes, jax.random.key(0), search=QUICK)


def test_the_order_mixes_the_classes():
    classes = np.repeat([0, 1, 2], [50, 20, 5])
    order = budget_file.mixed_order(jax.random.key(0), classes)
    assert sorted(order.tolist()) == list(range(75))
    assert (np.bincount(classes[order][:15]) == 5).all()
