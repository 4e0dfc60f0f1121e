"""Files within a budget: that they keep to it, and that a larger budget buys a better set."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.coding import InputError
from lgc.coresets import strategies
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import budget_search
from lgc.distillation.search import stages as search_stages
from lgc.distillation.search.config import AUGMENTATIONS, DistillConfig
from tests.lgc.test_lossy_subset import blobs

FEW = (Downsampling(1, 2), Downsampling(2, 2), Downsampling(1, 6))
QUICK = DistillConfig(
    FEW, AUGMENTATIONS[:1], 10, 10, 10, 10, finalists=1, proxy_images_per_class=60, proxy_width=4,
    proxy_batch_size=16, strategies=(), distillation_steps=4, evaluation_seeds=1,
)  # fmt: skip


@pytest.mark.nightly
@pytest.mark.slow
def test_the_file_is_within_its_budget_and_has_every_class():
    images, labels = blobs(150)
    stages = []
    point = budget_search.first_stage(
        images, labels * 4, 500, jax.random.key(0), config=QUICK,
        progress=lambda stage, done, total: stages.append((done, total)),
    )  # fmt: skip
    assert stages[-1][0] == stages[-1][1]
    data = distilled_file.write(
        images, labels * 4, 500, point, jax.random.key(1), upsampler_steps=10
    )
    assert 300 < len(data) <= 500
    after = distilled_images.read(data)
    assert after.augmentation == point.augmentation
    assert after.images.labels.tolist() == [0, 4, 8]
    assert np.bincount(after.images.classes).min() >= 1


def test_a_budget_that_fits_all_images_stores_all():
    images, labels = blobs(30, side=8)
    point = OperatingPoint(Downsampling(1, 5), 0, AUGMENTATIONS[1], 0.0)
    data = distilled_file.write(images, labels, 20_000, point, jax.random.key(0))
    assert len(distilled_images.read(data).images.classes) == 30


@pytest.mark.slow
def test_a_coreset_is_stored_within_the_budget(monkeypatch):
    monkeypatch.setattr(strategies, "_STEPS", 3)
    monkeypatch.setattr(strategies, "_WIDTH", 4)
    images, labels = blobs(150)
    point = OperatingPoint(Downsampling(1, 2), 0, AUGMENTATIONS[0], 0.0, "medoids")
    data = distilled_file.write(images, labels, 500, point, jax.random.key(0))
    found = distilled_images.read(data).images
    assert 300 < len(data) <= 500
    assert np.bincount(found.classes).min() >= 1
    assert data != distilled_file.write(
        images, labels, 500, point._replace(strategy="random"), jax.random.key(0)
    )


def test_a_coreset_has_to_be_significantly_better():
    # One standard error of either share of 5,000 images at 98 % is 0.2 points.
    assert not budget_search.significantly_better(0.982, 0.98, 5_000)
    assert budget_search.significantly_better(0.986, 0.98, 5_000)
    assert not budget_search.significantly_better(0.986, 0.98, 500)
    assert not budget_search.significantly_better(1.0, 1.0, 10)


@pytest.mark.slow
@pytest.mark.parametrize(("said", "steps"), [((0.6, 0.7), 4), ((0.7, 0.6), 0)])
def test_distillation_is_taken_where_proxy_evaluations_are_better(monkeypatch, said, steps):
    found, point = asked(search_stages.distillation, monkeypatch, said)
    best = point._replace(distillation_steps=steps, accuracy=max(said))
    assert found == (best, said[0], said[1:])


@pytest.mark.parametrize(
    ("said", "brightness"), [((0.6, 0.7, 0.8), 30), ((0.6, 0.8, 0.7), 15), ((0.6, 0.5, 0.6), 0)]
)
def test_brightness_is_taken_where_proxy_evaluations_are_better(monkeypatch, said, brightness):
    found, point = asked(search_stages.brightness, monkeypatch, said)
    augmentation = point.augmentation._replace(brightness=brightness)
    best = point._replace(augmentation=augmentation, accuracy=max(said))
    assert found == (best, said[0], said[1:])


def asked(stage, monkeypatch, said):
    """Result of a stage where the proxy evaluations say so, one set after another."""
    images, labels = blobs(150)
    words = iter(said)
    monkeypatch.setattr(search_stages.proxies, "build", lambda *_, **__: lambda *_: next(words))
    point = OperatingPoint(Downsampling(2, 2), 0, AUGMENTATIONS[0], 0.5)
    key = jax.random.key(0)
    trial = search_stages.trial(images, labels, 500, point, key, QUICK)
    return stage(trial, point, key, QUICK), point


@pytest.mark.slow
@pytest.mark.parametrize("budget_bytes", [0, 60, 130])
def test_a_budget_below_a_header_and_an_image_is_refused(budget_bytes):
    images, labels = blobs(40, side=16)
    with pytest.raises(InputError, match=f"{budget_bytes} bytes is too small"):
        budget_search.first_stage(images, labels, budget_bytes, jax.random.key(0), config=QUICK)


def test_later_stages_begin_where_the_one_before_ended(monkeypatch):
    """With results that an earlier search has kept, nothing is computed again."""
    images, labels = blobs(30, side=8)
    first = OperatingPoint(Downsampling(1, 2), 0, AUGMENTATIONS[0], 0.5)
    brighter = search_stages.Comparison(first._replace(accuracy=0.6), 0.5, (0.6,))
    kept = {"first": first, "brightness": brighter}
    seen = []

    def distillation(trial, point, key, config, progress):
        return search_stages.Comparison(point._replace(distillation_steps=4), 0.6, (0.7,))

    def cached(name, kind, compute):
        seen.append((name, kind))
        return kept[name] if name in kept else compute()

    monkeypatch.setitem(budget_search._LATER, "distillation", distillation)
    point, compared = budget_search.search(
        images, labels, 500, jax.random.key(0), later=("distillation", "brightness"),
        config=QUICK, cached=cached,
    )  # fmt: skip
    assert [name for name, _ in seen] == ["first", "brightness", "distillation"]
    assert all(isinstance(kept[name], kind) for name, kind in seen if name in kept)
    assert list(compared) == ["brightness", "distillation"]
    assert (point.accuracy, point.distillation_steps) == (0.6, 4)
