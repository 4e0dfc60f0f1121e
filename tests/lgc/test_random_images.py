"""Which random images the anytime search stores: those it scored, the best of several draws."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import lgc
from lgc import images
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import _distill, distilled_file
from lgc.distillation.augmentation import NONE
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs, anytime
from lgc.distillation.search.config import WIDE, DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.trials import Trials
from lgc.teachers.mixing import Mixing
from tests.lgc.test_lossy_subset import blobs

LOSSLESS_ONLY = replace(DistillConfig.quick(), downsamplings=(LOSSLESS,))


def _trials(n=90, budget=400):
    pixels, labels = blobs(n)
    checked = images.check(pixels, labels)
    made = Trials(checked, budget, jax.random.key(3), LOSSLESS_ONLY, lambda *args: None)
    made.fitting((LOSSLESS,))
    return checked, made


@pytest.mark.parametrize("draw", [0, 1, 2])
def test_an_order_holds_every_image_once_and_no_validation_image_early(draw):
    checked, made = _trials()
    order = made.order(OperatingPoint(LOSSLESS, 0, NONE, 0.0, draw=draw))
    assert sorted(order.tolist()) == list(range(len(checked.classes)))
    late = np.isin(order, made.parts[0].validation)
    for number in range(3):
        assert (np.diff(late[checked.classes[order] == number].astype(int)) >= 0).all()
    counts = np.bincount(checked.classes[order[:10]], minlength=3)
    assert counts.max() - counts.min() <= 1


def test_draws_differ_and_are_repeatable():
    orders = [
        _trials()[1].order(OperatingPoint(LOSSLESS, 0, NONE, 0.0, draw=draw))[:6].tolist()
        for draw in (0, 1, 2, 1)
    ]
    assert orders[1] == orders[3]
    assert len({tuple(each) for each in orders}) == 3


@pytest.mark.parametrize("draw", [0, 1])
def test_the_file_holds_the_images_that_were_scored(draw):
    checked, made = _trials()
    point = OperatingPoint(LOSSLESS, 0, NONE, 0.0, draw=draw)
    scored, _ = made.parts[0].stored(point, made.count(point))
    data = distilled_file.write(
        checked.pixels, checked.classes, 400, point, jax.random.key(0), order=made.order(point)
    )
    stored = {each.tobytes() for each in lgc.decompress(data).images}
    known = [each.tobytes() in stored for each in scored]
    assert len(known) >= 3
    assert sum(known) >= min(len(scored), len(stored)) - 1


@pytest.mark.parametrize(("budget", "tried"), [(300, True), (4_000, False)])
def test_other_random_images_are_tried_where_few_fit_and_kept_if_better(monkeypatch, budget, tried):
    def score(trials, point):
        accuracy = 0.5 + 0.1 * (point.draw == 2)
        return trials.full.setdefault(point, Accuracies(accuracy, accuracy, accuracy))

    monkeypatch.setattr(anytime, "_FEW", 80)
    monkeypatch.setattr(Trials, "quick", lambda trials, point: Accuracies(0.5, 0.5))
    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(against_codecs, "coded", lambda *args: against_codecs.Codecs([], ()))
    monkeypatch.setattr(distilled_file, "write", lambda *args, **kwargs: b"")
    config = replace(LOSSLESS_ONLY, downsamplings=(Downsampling(1, 2),), draws=4)
    search = _distill.search(*blobs(300), budget, config, jax.random.key(0))
    assert search.run().point.draw == (2 if tried else 0)


def test_brightness_of_images_with_a_teacher_is_that_of_its_own_augmentation_too():
    heavy = Mixing(WIDE, 25, 35)
    plain = OperatingPoint(LOSSLESS, 0, NONE, 0.0, heavy=heavy)
    assert anytime._brighter(plain, 30).heavy == heavy
    found = anytime._brighter(plain._replace(teacher_width=4), 30)
    assert found.augmentation == NONE._replace(brightness=30)
    assert found.heavy == Mixing(WIDE._replace(brightness=30), 25, 35)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"draws": 0}, "draws is 0"),
        ({"distillation_steps": -1}, "distillation_steps is -1"),
        ({"teacher_bits_weight": -1e-4}, "teacher_bits_weight is -0.0001"),
        ({"teacher_bits_weight": float("nan")}, "teacher_bits_weight is nan"),
    ],
)
def test_settings_out_of_their_range_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        DistillConfig(**wrong)
