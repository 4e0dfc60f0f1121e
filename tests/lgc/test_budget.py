"""Files within a budget: that they keep to it, and that a larger budget buys a better set."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.coding import InputError
from lgc.coresets import strategies
from lgc.coresets.downsampling import Reduction
from lgc.distillation import budget_search, distilled_file, distilled_images, search_stages
from lgc.distillation.distilled_file import Choice
from lgc.distillation.search_config import MOVES, Search
from tests.lgc.test_lossy_subset import blobs

FEW = (Reduction(1, 2), Reduction(2, 2), Reduction(1, 6))
QUICK = Search(
    FEW, MOVES[:1], 10, 10, 10, 10, finalists=1, per_class=60, judge_width=4, batch_size=16,
    orders=(), refinement_steps=4, looks=1,
)  # fmt: skip


@pytest.mark.slow
def test_the_file_keeps_to_its_budget_and_every_class_is_in_it():
    images, labels = blobs(150)
    stages = []
    choice = budget_search.choose(
        images, labels * 4, 500, jax.random.key(0), search=QUICK,
        progress=lambda stage, done, total: stages.append((done, total)),
    )  # fmt: skip
    assert stages[-1][0] == stages[-1][1]
    data = distilled_file.write(
        images, labels * 4, 500, choice, jax.random.key(1), enlarger_steps=10
    )
    assert 300 < len(data) <= 500
    after = distilled_images.read(data)
    assert after.deformation == choice.moves
    assert after.small.labels.tolist() == [0, 4, 8]
    assert np.bincount(after.small.classes).min() >= 1


def test_a_budget_that_holds_everything_keeps_everything():
    images, labels = blobs(30, side=8)
    choice = Choice(Reduction(1, 5), 0, MOVES[1], 0.0)
    data = distilled_file.write(images, labels, 20_000, choice, jax.random.key(0))
    assert len(distilled_images.read(data).small.classes) == 30


@pytest.mark.slow
def test_a_coreset_comes_first_and_keeps_to_the_budget(monkeypatch):
    monkeypatch.setattr(strategies, "_STEPS", 3)
    monkeypatch.setattr(strategies, "_WIDTH", 4)
    images, labels = blobs(150)
    choice = Choice(Reduction(1, 2), 0, MOVES[0], 0.0, "medoids")
    data = distilled_file.write(images, labels, 500, choice, jax.random.key(0))
    found = distilled_images.read(data).small
    assert 300 < len(data) <= 500
    assert np.bincount(found.classes).min() >= 1
    assert data != distilled_file.write(
        images, labels, 500, choice._replace(order="random"), jax.random.key(0)
    )


def test_a_lucky_coreset_is_not_believed():
    # One standard error of either share of 5,000 images at 98 % is 0.2 points.
    assert not budget_search.beyond_chance(0.982, 0.98, 5_000)
    assert budget_search.beyond_chance(0.986, 0.98, 5_000)
    assert not budget_search.beyond_chance(0.986, 0.98, 500)
    assert not budget_search.beyond_chance(1.0, 1.0, 10)


@pytest.mark.slow
@pytest.mark.parametrize(("said", "steps"), [((0.6, 0.7), 4), ((0.7, 0.6), 0)])
def test_refinement_is_taken_where_judges_like_it_better(monkeypatch, said, steps):
    found, choice = asked(search_stages.refinement, monkeypatch, said)
    assert found == (choice._replace(refinement_steps=steps, accuracy=max(said)), said[0], said[1:])


@pytest.mark.parametrize(
    ("said", "light"), [((0.6, 0.7, 0.8), 30), ((0.6, 0.8, 0.7), 15), ((0.6, 0.5, 0.6), 0)]
)
def test_light_is_taken_where_judges_like_it_better(monkeypatch, said, light):
    found, choice = asked(search_stages.light, monkeypatch, said)
    moves = choice.moves._replace(light=light)
    assert found == (choice._replace(moves=moves, accuracy=max(said)), said[0], said[1:])


def asked(question, monkeypatch, said):
    """What becomes of a choice where the judge says so, one set after another."""
    images, labels = blobs(150)
    words = iter(said)
    monkeypatch.setattr(search_stages.proxies, "build", lambda *_, **__: lambda *_: next(words))
    choice = Choice(Reduction(2, 2), 0, MOVES[0], 0.5)
    key = jax.random.key(0)
    trial = search_stages.trial(images, labels, 500, choice, key, QUICK)
    return question(trial, choice, key, QUICK), choice


@pytest.mark.parametrize("budget_bytes", [0, 60, 130])
def test_a_budget_below_a_header_and_an_image_is_refused(budget_bytes):
    images, labels = blobs(40, side=16)
    with pytest.raises(InputError, match=f"{budget_bytes} bytes is too small"):
        budget_search.choose(images, labels, budget_bytes, jax.random.key(0), search=QUICK)
