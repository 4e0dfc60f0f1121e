"""Validation parts of the anytime search: who is held out, and means over all parts."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from fewbits.codecs.pixels import pixel_code
from lgc import images
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import MILD, NONE, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import candidates, panel, parts, plain_codecs
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.parts import Part, split_validation
from lgc.distillation.search.results import HeldOut
from lgc.distillation.search.trials import Trials
from tests.lgc.test_lossy_subset import blobs

LOW = Downsampling(1, 2)
PLAIN = OperatingPoint(LOW, 0, MILD, 0.0)
CONFIG = replace(DistillConfig.quick(), downsamplings=(LOW,))


def _checked(*counts):
    classes = np.repeat(np.arange(len(counts)), counts)
    return images.check(np.zeros((len(classes), 8, 8), np.uint8), classes)


def _trials(n=90):
    made = Trials(images.check(*blobs(n)), 400, jax.random.key(0), CONFIG, lambda *args: None)
    made.fitting((LOW,))
    return made


def test_a_rare_class_is_in_both_parts():
    checked = _checked(100, 4)
    validation, training = split_validation(jax.random.key(0), checked)
    assert np.bincount(checked.classes[validation]).tolist() == [25, 1]
    assert np.bincount(checked.classes[training]).tolist() == [75, 3]
    assert sorted([*validation, *training]) == list(range(104))


def test_the_first_images_are_of_all_classes_however_unequal_these_are():
    checked = _checked(90, 30, 10)
    _, others = split_validation(jax.random.key(1), checked)
    assert np.bincount(checked.classes[others[:15]]).tolist() == [5, 5, 5]


@pytest.mark.parametrize("counts", [(40, 8), (41, 5), (7, 2)])
def test_parts_share_no_image_of_a_class_that_has_four(counts):
    checked = _checked(*counts)
    split = [split_validation(jax.random.key(0), checked, each) for each in range(parts.PARTS)]
    for validation, training in split:
        assert sorted([*validation, *training]) == list(range(sum(counts)))
        for of in (validation, training):
            assert len(np.unique(checked.classes[of])) == 2
    held = np.concatenate([validation for validation, _ in split])
    times = np.bincount(held, minlength=sum(counts))
    assert times[: counts[0]].max() == 1
    assert times[: counts[0]].sum() >= counts[0] - 3
    assert times[counts[0] :].max() == (1 if counts[1] >= 4 else 2)


def test_only_small_sets_of_small_images_are_held_out_in_turn():
    def number(n, side):
        pixels = np.zeros((n, side, side), np.uint8)
        checked = images.check(pixels, np.arange(n) % 2)
        return len(parts.parts(checked, jax.random.key(0), CONFIG, lambda *args: None))

    assert (number(40, 8), number(parts.SMALL, 8)) == (4, 1)
    assert (number(8, 32), number(8, 55), number(8, 128)) == (4, 2, 1)


def test_quick_accuracies_are_means_over_all_parts(monkeypatch):
    made = _trials()
    assert len(made.parts) == 4
    known = {id(part): Accuracies(0.1 * number, 0.8) for number, part in enumerate(made.parts)}
    monkeypatch.setattr(Part, "quick", lambda part, point, count: known[id(part)])
    assert made.quick(PLAIN) == pytest.approx((0.15, 0.8, None))


def test_what_learns_from_labels_is_corrected_by_the_same_images_without_it(monkeypatch):
    """On its part distillation brings 0.2; the images themselves teach 0.15 more on all parts."""
    made = _trials()
    numbers = {id(part): number for number, part in enumerate(made.parts)}

    def quick(part, point, count):
        number = numbers[id(part)]
        assert number == 0 or not point.distillation_steps
        neighbour = 0.1 * number + 0.2 * bool(point.distillation_steps)
        ridge = 0.9 + 0.1 * bool(point.distillation_steps) if number == 0 else 1.0
        return Accuracies(neighbour, ridge)

    monkeypatch.setattr(Part, "quick", quick)
    found = made.quick(PLAIN._replace(distillation_steps=9))
    assert found == pytest.approx((0.35, 1.0, None))  # 1.075 is above what is possible


def test_an_upsampler_is_trained_once_and_serves_all_parts(monkeypatch):
    trained = []
    real = distilled_file.trained_upsampler

    def train(key, checked, rows, *args):
        trained.append(rows)
        return real(key, checked, rows, *args)

    monkeypatch.setattr(distilled_file, "trained_upsampler", train)
    made = _trials()
    made.quick(PLAIN._replace(width=4))
    assert len(trained) == 1
    assert trained[0] is made.parts[0].rows


def test_a_random_selection_is_scored_on_all_images_that_it_does_not_store():
    made = _trials()
    part, count = made.parts[0], made.counts[LOW]
    point = PLAIN._replace(draw=3)
    stored = part.order(point)[:count]
    assert not np.isin(stored, part.validation).any()
    others = np.setdiff1d(np.arange(90), stored)
    known = images.check(*blobs(90))
    sets = part.stored(point, count)
    drawn = augmented_set(0, *sets, part.per_class, MILD)
    by_hand = panel.quick([sets, drawn], known.pixels[others], known.classes[others])
    assert made.quick(point) == pytest.approx(by_hand)


def test_codecs_are_compared_on_all_parts():
    made = _trials()
    first = made.parts[0]
    codec = plain_codecs.codecs(first.pixels.shape[1:])["xz, lossless"]
    found = plain_codecs.plain_file("xz", codec, first.pixels, first.classes, 1_500)
    assert found is not None
    count = len(found.images[1])
    each = [part.quick_of((part.pixels[:count], part.classes[:count]), MILD) for part in made.parts]
    assert made.of_codec(codec, found) == pytest.approx(panel.mean(each))


def test_noise_is_that_of_the_images_each_proxy_was_tested_on():
    many, few = np.arange(1_000) % 10, np.arange(100) % 10
    held = HeldOut(many, few)
    quick = panel.noise(0.8, many)
    assert held.noise(Accuracies(0.8, 0.8)) == pytest.approx(quick)
    with_convnet = (2 * quick + panel.noise(0.8, few)) / 3
    assert held.noise(Accuracies(0.8, 0.8, 0.8)) == pytest.approx(with_convnet)


def test_nearly_every_image_of_a_small_set_scores():
    made = _trials(96)
    assert 96 - 3 * 3 <= len(made.held_out().quick) <= 96  # of each class all but three or fewer
    assert 21 <= len(made.held_out().convnet) <= 24
    assert made.quick(PLAIN._replace(augmentation=NONE)).convnet is None


@pytest.mark.parametrize(("budget", "passes"), [(250, 1), (600, 2)])
def test_no_more_images_are_coded_than_will_fit(monkeypatch, budget, passes):
    coded, real = [], pixel_code.cost_bits

    def cost_bits(pixels, *args):
        coded.append(len(pixels))
        return real(pixels, *args)

    monkeypatch.setattr(pixel_code, "cost_bits", cost_bits)
    checked = images.check(*blobs(400))
    (found,) = candidates.candidates(checked, np.arange(400), budget, (LOW,))
    assert coded[0] == 32
    assert len(coded) == passes
    assert max(coded) <= max(32, 2 * found.n_images)
