"""The anytime search: valid files from the first on, better ones after it, and an honest end."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import lgc
from fewbits.coding import InputError
from lgc import images
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import _distill, distilled_file
from lgc.distillation.search import against_codecs, panel, plain_codecs, teaching, trials
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.results import Compared
from lgc.distillation.search.trials import Trials
from tests.lgc.test_lossy_subset import blobs

QUICK = replace(
    DistillConfig.quick(), downsamplings=(Downsampling(1, 2), Downsampling(2, 2)), finalists=2
)


@pytest.mark.slow
def test_every_file_keeps_to_the_budget_and_is_better_than_the_one_before():
    pixels, labels = blobs(90)
    seen = []
    data = lgc.distill(pixels, labels * 4, 400, config=QUICK, on_better=seen.append)
    assert seen[-1].data == data
    for each in seen:
        assert len(each.data) <= 400
        assert set(lgc.decompress(each.data).labels.tolist()) == {0, 4, 8}
    assert data == lgc.distill(pixels, labels * 4, 400, config=QUICK)


@pytest.mark.slow
def test_without_time_there_is_still_a_file():
    pixels, labels = blobs(60)
    seen = []
    data = lgc.distill(pixels, labels, 400, time_limit=1e-6, config=QUICK, on_better=seen.append)
    assert seen[0].data
    assert seen[0].accuracies.convnet is None
    assert lgc.decompress(data).images.shape[1:] == pixels.shape[1:]


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_time_limit_has_to_be_positive(seconds):
    pixels, labels = blobs(40)
    with pytest.raises(InputError, match="time_limit"):
        lgc.distill(pixels, labels, 500, time_limit=seconds)


def test_a_budget_below_a_header_and_an_image_of_each_class_is_refused():
    pixels, labels = blobs(40)
    with pytest.raises(InputError, match="130 bytes is too small"):
        lgc.distill(pixels, labels, 130, config=QUICK)


def test_a_teacher_is_tried_with_finer_and_with_cruder_images():
    known = [Downsampling(*each) for each in ((1, 8), (1, 1), (1, 2), (2, 2), (2, 1), (3, 2))]
    found = teaching.neighbours(known, Downsampling(2, 2))
    assert found == [Downsampling(*each) for each in ((1, 1), (2, 1), (1, 2), (3, 2))]
    assert teaching.neighbours(known, known[0]) == [known[2], known[1]]


def test_resolutions_follow_the_images():
    small, large = trials.downsamplings((8, 8, 1)), trials.downsamplings((64, 96, 3))
    assert {each.factor for each in small} == {1}
    assert max(each.factor for each in large) == 12


def test_a_candidate_loses_what_common_codecs_teach_better():
    images = (np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
    codecs = [
        (Compared("a", 10, 1, Accuracies(0.8, 0.5)), images),
        (Compared("b", 10, 1, Accuracies(0.6, 0.9)), images),
    ]
    assert against_codecs.shortfall(Accuracies(0.9, 0.7), codecs) == pytest.approx(0.21)
    assert against_codecs.shortfall(Accuracies(0.7, 0.7, 1.0), codecs) == pytest.approx(0.32)
    # A lead of less than a point may be chance.
    assert against_codecs.shortfall(Accuracies(0.8, 0.9, 0.0), codecs) == pytest.approx(0.02)
    assert against_codecs.shortfall(Accuracies(0.82, 0.92, 0.0), codecs) == 0
    assert against_codecs.shortfall(Accuracies(0.0, 0.0), []) == 0


def test_a_shortfall_weighs_more_than_the_mean_gains():
    images = (np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
    codecs = [(Compared("a", 10, 1, Accuracies(0.8, 0.5)), images)]
    assert against_codecs.value(Accuracies(0.9, 0.7), codecs) == pytest.approx(0.8)
    short = against_codecs.value(Accuracies(0.79, 0.84), codecs)
    assert short < against_codecs.value(Accuracies(0.81, 0.77), codecs)


def test_the_nearest_neighbour_is_that_of_a_search_by_hand():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    tests = rng.integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)
    classes = rng.integers(0, 3, 30)
    distances = ((train[None] / 255.0 - tests[:, None] / 255.0) ** 2).sum(axis=(2, 3, 4))
    known = classes[distances.argmin(axis=1)]
    assert panel.neighbour((train, classes), tests, known) == 1
    assert panel.neighbour((train, classes), tests, (known + 1) % 3) == 0


def test_ridge_on_random_features_learns_what_is_not_linear():
    rng = np.random.default_rng(0)
    pixels = (255 * rng.integers(0, 2, (400, 2, 1, 1))).astype(np.uint8)
    parity = (pixels.reshape(400, 2) > 0).sum(axis=1) % 2
    assert panel.ridge((pixels[:200], parity[:200]), pixels[200:], parity[200:]) == 1
    constant = np.zeros_like(pixels)
    assert 0 <= panel.ridge((constant, parity), constant, parity) <= 1


def test_plain_files_keep_to_their_bytes_and_decode():
    pixels, labels = blobs(120)
    checked = images.check(pixels, labels)
    found = list(plain_codecs.plain_files(checked.pixels, checked.classes, 1_500))
    assert any(each.name.startswith("xz") for each in found)
    for each in found:
        count = len(each.images[1])
        assert each.n_bytes <= 1_500
        assert each.images[0].shape == (count, *checked.pixels.shape[1:])
        error = np.abs(each.images[0].astype(float) - checked.pixels[:count]).mean()
        assert error < (1e-9 if each.name.startswith("xz") else 40), each.name
    assert not list(plain_codecs.plain_files(checked.pixels, checked.classes, 20))


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    classes = np.array([0] * 96 + [2] * 4)
    assert panel.balanced_accuracy(np.zeros(100, int), classes) == 0.5
    assert panel.balanced_accuracy(classes, classes) == 1


def test_one_class_and_no_number_of_bytes_are_refused():
    pixels, labels = blobs(20)
    with pytest.raises(InputError, match="one label"):
        lgc.distill(pixels, 0 * labels, 500)
    with pytest.raises(InputError, match="budget_bytes is 'a'"):
        lgc.distill(pixels, labels, "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("convnet", [0.2, 0.9])
def test_a_file_is_replaced_by_none_that_is_worse(monkeypatch, convnet):
    """The first file takes part where the ConvNet decides, though the quick proxies do not ask."""

    def score(trials, point):
        found = Accuracies(0.5, 0.5, 0.5 if point.downsampling == first else convnet)
        return trials.full.setdefault(point, found)

    def quick(trials, point):
        return Accuracies(0.5, 0.5) if point.downsampling == first else Accuracies(0.6, 0.6)

    first = Downsampling(2, 2)
    monkeypatch.setattr(Trials, "quick", quick)
    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(against_codecs, "coded", lambda *args: against_codecs.Codecs([], ()))
    monkeypatch.setattr(distilled_file, "write", lambda *args, **kwargs: b"")
    found = _distill.search(*blobs(60), 900, replace(QUICK, finalists=1), jax.random.key(0)).run()
    assert (found.point.downsampling == first) == (convnet < 0.5)


def test_a_better_file_stays_where_there_is_no_time_to_train_on_it(monkeypatch):
    """As above, the time being over after the first ConvNet, on the other point."""
    first = Downsampling(2, 2)
    trained = []

    def quick(trials, point):
        return Accuracies(0.7, 0.7) if point.downsampling == first else Accuracies(0.5, 0.6)

    def score(trials, point):
        trained.append(point)
        return trials.full.setdefault(point, quick(trials, point)._replace(convnet=0.9))

    monkeypatch.setattr(Trials, "quick", quick)
    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(against_codecs, "coded", lambda *args: against_codecs.Codecs([], ()))
    monkeypatch.setattr(distilled_file, "write", lambda *args, **kwargs: b"")
    search = _distill.search(*blobs(60), 900, QUICK, jax.random.key(0))
    search._ranking.left_less = lambda seconds: bool(trained)
    # As if it were first.
    monkeypatch.setattr(search._ranking, "ranked", lambda name, points: points)
    assert search.run().point.downsampling == first
    assert trained[0].downsampling != first


def test_the_bytes_that_are_said_to_be_enough_are():
    pixels, labels = blobs(60)
    with pytest.raises(InputError, match="about") as caught:
        lgc.distill(pixels, labels, 30, config=QUICK)
    about = int(str(caught.value).split()[-1].replace(",", ""))
    assert 30 < len(lgc.distill(pixels, labels, about + 1, config=QUICK)) <= about + 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget_bytes": -5}, "budget_bytes is -5"),
        ({"budget_bytes": True}, "budget_bytes is True"),
        ({"time_limit": "1m"}, "time_limit is '1m'"),
        ({"config": lgc.Config()}, "config is a Config; use lgc.DistillConfig"),
        ({"key": 3}, "key is 3; use one key, such as jax.random.key"),
        ({"images": None}, "no array of numbers"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(wrong, message):
    pixels, labels = blobs(20)
    given = {"images": pixels, "labels": labels, "budget_bytes": 500, **wrong}
    with pytest.raises(InputError, match=message):
        lgc.distill(**given)  # type: ignore[arg-type]
    if "time_limit" not in wrong and "budget_bytes" not in wrong:
        own = {"config": lgc.DistillConfig()} if "config" in wrong else wrong
        with pytest.raises(InputError, match=message[:12]):
            lgc.compress(**{"images": pixels, "labels": labels, **own})  # type: ignore[arg-type]


@pytest.mark.parametrize("sharper", [False, True])
def test_more_contrast_is_kept_unless_an_upsampler_is_better(monkeypatch, sharper):
    def score(trials, point):
        assert not (point.contrast and (point.width or point.distillation_steps))
        value = 0.5 + 0.2 * (point.contrast == 200) + 0.3 * (sharper and point.width > 0)
        return trials.full.setdefault(point, Accuracies(value, value, value))

    def quick(trials, point):
        return Accuracies(0.5, 0.5 + 0.1 * (point.contrast == 200))

    monkeypatch.setattr(Trials, "quick", quick)
    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(Trials, "upsampler_width", lambda trials, downsampling: 4)
    monkeypatch.setattr(against_codecs, "coded", lambda *args: against_codecs.Codecs([], ()))
    monkeypatch.setattr(distilled_file, "write", lambda *args, **kwargs: b"")
    low = (Downsampling(2, 2),)
    config = replace(QUICK, downsamplings=low, contrast_percent=(100, 200), distillation_steps=9)
    found = _distill.search(*blobs(60), 900, config, jax.random.key(0)).run().point
    assert (found.contrast, found.width) == ((0, 4) if sharper else (200, 0))
