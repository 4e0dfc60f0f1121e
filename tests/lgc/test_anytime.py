"""The anytime search: valid files from the first on, better ones after it, and an honest end."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import lgc
from fewbits.coding import InputError
from lgc import comparison, distill_command, images
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import _distill
from lgc.distillation.augmentation import NONE
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import (
    against_codecs,
    panel,
    plain_codecs,
    second_look,
    teaching,
    trials,
)
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.results import Compared
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


def test_a_rare_class_is_in_both_parts():
    pixels = np.zeros((104, 8, 8), np.uint8)
    checked = images.check(pixels, np.array([0] * 100 + [1] * 4))
    validation, training = trials.split_validation(jax.random.key(0), checked)
    assert np.bincount(checked.classes[validation]).tolist() == [25, 1]
    assert np.bincount(checked.classes[training]).tolist() == [75, 3]
    assert sorted([*validation, *training]) == list(range(104))


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
    assert against_codecs.shortfall(Accuracies(0.9, 0.7), codecs) == pytest.approx(0.2)
    assert against_codecs.shortfall(Accuracies(0.7, 0.7, 1.0), codecs) == pytest.approx(0.3)
    assert against_codecs.shortfall(Accuracies(0.8, 0.9, 0.0), codecs) == 0
    assert against_codecs.shortfall(Accuracies(0.0, 0.0), []) == 0


def test_a_shortfall_weighs_more_than_the_mean_gains():
    images = (np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
    codecs = [(Compared("a", 10, 1, Accuracies(0.8, 0.5)), images)]
    assert against_codecs.value(Accuracies(0.9, 0.7), codecs) == pytest.approx(0.8)
    short = against_codecs.value(Accuracies(0.79, 0.82), codecs)
    assert short < against_codecs.value(Accuracies(0.8, 0.77), codecs)


class _OtherPart:
    """Trials of another validation part, with scores made up."""

    def __init__(self, scores, known):
        self._scores, self.counts = scores, dict.fromkeys(known, 1)

    def fitting(self, given, stop):
        assert set(given) >= set(self.counts)

    def score(self, point):
        return Accuracies(self._scores[point], self._scores[point])


def test_a_second_look_takes_the_mean_over_validation_parts(monkeypatch):
    monkeypatch.setattr(against_codecs, "candidates", lambda *_: [])
    low, high = Downsampling(2, 2), Downsampling(1, 1)
    lucky, steady = (OperatingPoint(each, 0, NONE, 0.0) for each in (low, high))
    first = {lucky: 0.9, steady: 0.8}

    def look(parts, stop=lambda: False):
        made = [_OtherPart({lucky: a, steady: b}, known) for a, b, known in parts]
        return second_look.values(first, made.__getitem__, 1_000, stop)

    both = [low, high]
    found = look([(0.6, 0.8, both), (0.6, 0.8, both)])
    assert (found[lucky], found[steady]) == (pytest.approx(0.7), pytest.approx(0.8))
    # A part that does not know all points, or for which there is no time, says nothing.
    assert look([(0.6, 0.8, both), (0.0, 0.0, [low])])[lucky] == pytest.approx(0.75)
    assert look([(0.6, 0.8, both)] * 2, stop=lambda: True) == first


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


@pytest.mark.parametrize(
    ("ours", "said"), [(0.9, "10.0 points above"), (0.7, "10.0 points better")]
)
def test_the_last_line_says_which_is_better(ours, said):
    found = Accuracies(ours, ours, ours)
    rival = Compared("webp, quality 15", 10, 5, Accuracies(0.8, 0.8, 0.8))
    assert said in distill_command.verdict(found, [rival])
    assert "webp" in distill_command.verdict(found, [rival])


def test_the_last_lines_name_the_classifiers_that_a_codec_serves_better():
    others = [
        Compared("webp, quality 15", 10, 5, Accuracies(0.6, 0.6, 0.7)),
        Compared("half the side, xz", 10, 5, Accuracies(0.5, 0.65)),
    ]
    said = distill_command.verdict(Accuracies(0.9, 0.55, 0.7), others).split("\n")
    assert "8.3 points above" in said[0]
    assert said[1] == "but for random-feature ridge half the side, xz is 10.0 points better"
    assert len(said) == 2


def test_a_teacher_that_there_was_no_time_for_is_named():
    (said,) = distill_command.taught(None, None, 1_500)
    assert "without the teacher of 1500 bytes: the time was over" in said
    assert distill_command.taught(None, None, "auto") == []


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


@pytest.mark.slow
def test_the_search_compares_itself_with_common_codecs():
    pixels, labels = blobs(80)
    search = _distill.search(pixels, labels, 900, QUICK, jax.random.key(0))
    search.run()
    found, compared, complete = search.compare()
    assert complete
    assert found.convnet is not None
    assert compared == sorted(compared, key=lambda each: -each.accuracies.mean())
    assert all(each.n_bytes <= 900 and each.accuracies.convnet is not None for each in compared)


def test_a_comparison_obeys_its_time():
    pixels, labels = blobs(60)
    search = _distill.search(pixels, labels, 400, QUICK, jax.random.key(0), time_limit=1e-6)
    search.run()
    found, compared, complete = search.compare(lambda seconds: True)
    assert found.convnet is None
    assert (compared, complete) == ([], False)
    said = distill_command.verdict(found, compared, complete)
    assert said == "no codec was compared: the time was over; allow more"
    untrained = Compared("webp, quality 15", 10, 5, Accuracies(0.6, 0.6))
    said = distill_command.verdict(Accuracies(0.5, 0.5, 0.9), [untrained], complete=False)
    assert said.startswith("webp, quality 15 is 10.0 points better")
    assert said.endswith("the time was over")


@pytest.mark.slow
def test_a_file_of_mixtures_is_compared_with_the_same_bytes():
    pixels, labels = blobs(100)
    config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
    data = lgc.compress(pixels, labels, config=config)
    found = comparison.compare(data, pixels, labels)
    assert found.n_images == 20
    assert found.codec_bytes <= len(data)
    assert "worse" in found._replace(
        lossless_bytes=len(data) + 1, file=Accuracies(0, 0), plain=Accuracies(1, 1)
    ).text(len(data))
    assert "without loss" in found._replace(lossless_bytes=len(data)).text(len(data))


def test_the_lines_about_mixtures_name_a_codec_that_needs_few_bytes_and_the_teacher():
    ours, theirs = Accuracies(0.9, 0.9), Accuracies(0.89, 0.89)
    found = comparison.Comparison(100, 10_000, ours, "avif, quality 70", 473, 900, theirs)
    assert "nearly as much in 18% of the bytes" in found.text(5_000)
    assert "nearly as much" not in found._replace(codec_bytes=4_900).text(5_000)
    assert "points worse" in found._replace(plain=Accuracies(0.95, 0.95)).text(5_000)
    taught = found._replace(soft=Accuracies(0.97, 0.97), teacher=0.995)
    assert "soft labels (decompress --heavy): nearest neighbour 97.0 %" in taught.text(5_000)
    assert "alone: 99.5 %" in taught.text(5_000)
    assert "nearly as much" not in taught.text(5_000)
    assert taught.values()["soft"] == {"neighbour": 0.97, "ridge": 0.97, "convnet": None}
