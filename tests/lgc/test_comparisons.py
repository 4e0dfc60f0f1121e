"""What the last lines of a command say about its file, and that they are true."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import lgc
from fewbits.coding import InputError
from lgc import comparison, compression
from lgc.commands import main
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import _distill
from lgc.distillation.search import panel
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.results import Compared
from lgc.distillation.search.verdict import verdict
from tests.lgc.test_lossy_subset import blobs

QUICK = replace(
    DistillConfig.quick(), downsamplings=(Downsampling(1, 2), Downsampling(2, 2)), finalists=2
)
RIVAL = Compared("webp, quality 15", 10, 5, Accuracies(0.8, 0.8, 0.8))


@pytest.mark.parametrize(
    ("ours", "noise", "said"),
    [
        (0.9, 0.0, "is 10.0 points above the nearest of them (webp, quality 15), on average"),
        (0.7, 0.0, "webp, quality 15 is 10.0 points better than this file, on average: use that"),
        (0.9, 0.12, "within the noise of the held-out images (12.0 points): either will do"),
        (0.7, 0.12, "within the noise of the held-out images (12.0 points): either will do"),
    ],
)
def test_the_last_line_says_which_is_better_and_whether_that_is_known(ours, noise, said):
    assert verdict(Accuracies(ours, ours, ours), [RIVAL], noise=noise).endswith(said)


def test_only_what_can_help_is_advised():
    ours = Accuracies(0.5, 0.5, 0.5)
    assert verdict(ours, [RIVAL], remedies=["more bytes"]).endswith("or give the search more bytes")
    assert verdict(ours, [RIVAL]).endswith("use that")


def test_the_last_lines_name_the_classifiers_that_a_codec_serves_better():
    others = [
        Compared("webp, quality 15", 10, 5, Accuracies(0.6, 0.6, 0.7)),
        Compared("half the side, xz", 10, 5, Accuracies(0.5, 0.65)),
    ]
    said = verdict(Accuracies(0.9, 0.55, 0.7), others).split("\n")
    assert "8.3 points above" in said[0]
    assert said[1:] == ["but for random-feature ridge half the side, xz is 10.0 points better"]
    assert "but for" not in verdict(Accuracies(0.9, 0.55, 0.7), others, noise=0.2)


def test_a_codec_without_a_convnet_is_compared_by_the_others():
    untrained = Compared("avif, quality 40", 10, 5, Accuracies(0.65, 0.65))
    trained = Compared("png", 10, 5, Accuracies(0.6, 0.6, 0.99))
    said = verdict(Accuracies(0.7, 0.7, 0.98), [trained, untrained])
    assert said.split("\n")[0].startswith("the file is 5.0 points above the nearest of them (avif")


def test_guessing_is_called_so():
    flat = Accuracies(0.34, 0.33, 0.33)
    assert "guessing one of 3 classes" in verdict(flat, [], noise=0.05, n_classes=3)
    assert "guessing" not in verdict(flat._replace(neighbour=0.9), [], noise=0.05, n_classes=3)


def test_noise_is_two_standard_errors():
    balanced = np.repeat(np.arange(10), 40)
    drawn = np.random.default_rng(0).binomial(40, 0.8, (4_000, 10)) / 40
    assert panel.noise(0.8, balanced) == pytest.approx(2 * drawn.mean(axis=1).std(), rel=0.05)
    rare = np.array([0] * 495 + [1] * 5)
    drawn = np.stack([np.random.default_rng(1).binomial(n, 0.8, 4_000) / n for n in (495, 5)])
    assert panel.noise(0.8, rare) == pytest.approx(2 * drawn.mean(axis=0).std(), rel=0.05)
    assert panel.noise(1.0, np.array([0, 1, 2])) > 0.2


@pytest.mark.slow
def test_the_search_compares_itself_with_common_codecs():
    pixels, labels = blobs(80)
    search = _distill.search(pixels, labels, 900, QUICK, jax.random.key(0))
    search.run()
    found, compared, missing, held_out = search.compare()
    assert missing == ()
    assert 3 <= len(held_out.convnet) < len(held_out.quick) <= 80
    assert found.convnet is not None
    assert compared == sorted(compared, key=lambda each: -each.accuracies.mean())
    assert all(each.n_bytes <= 900 and each.accuracies.convnet is not None for each in compared)


def test_a_comparison_obeys_its_time():
    pixels, labels = blobs(60)
    search = _distill.search(pixels, labels, 400, QUICK, jax.random.key(0), time_limit=1e-6)
    search.run()
    found, compared, missing, _ = search.compare(lambda seconds: True)
    assert found.convnet is None
    assert compared == []
    assert {"avif", "webp", "xz", "png"} <= set(missing)
    said = verdict(found, compared, missing)
    assert said.split("\n") == [
        "no codec was compared: the time was over; allow more",
        "no network was trained on this file: allow more time before you train one",
    ]
    said = verdict(found, compared, missing, left_out=search.left_out())
    assert said.endswith(
        "the time was over before the search finished: anything but the first file"
    )
    untrained = Compared("webp, quality 15", 10, 5, Accuracies(0.6, 0.6))
    said = verdict(Accuracies(0.5, 0.5, 0.9), [untrained], ["avif", "the ConvNet of webp"])
    assert said.startswith("webp, quality 15 is 10.0 points better")
    assert said.endswith("no time to compare with: avif, the ConvNet of webp")


CONFIG = lgc.Config(hidden=8, latent=2, epochs=1, components=1)


@pytest.mark.slow
def test_a_file_of_mixtures_is_compared_with_the_same_bytes():
    pixels, labels = blobs(100)
    data = lgc.compress(pixels, labels, config=CONFIG)
    found = comparison.compare(data, pixels, labels)
    assert found is not None
    assert not found.held_out
    assert found.n_images == sum(round(0.2 * count) for count in np.bincount(labels))
    assert found.codec_bytes <= len(data)
    assert "worse" in found._replace(
        lossless_bytes=len(data) + 1, file=Accuracies(0, 0), plain=Accuracies(1, 1)
    ).text(len(data))
    assert "without loss" in found._replace(lossless_bytes=len(data)).text(len(data))


@pytest.mark.slow
def test_a_file_of_mixtures_is_judged_on_images_that_it_was_not_made_of():
    pixels, labels = blobs(100)
    keep = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:3]])
    pixels, labels = pixels[keep], labels[keep]
    given = []

    def make(images, numbers):
        given.append((images, numbers))
        return lgc.compress(images, numbers, config=CONFIG)

    data = lgc.compress(pixels, labels, config=CONFIG)
    found = comparison.compare(data, pixels, labels, make=make)
    assert found is not None
    assert found.held_out
    ((images, numbers),) = given
    assert len(images) == len(pixels) - found.n_images
    assert np.bincount(numbers).min() == 2  # a rare class keeps what it needs
    assert "held-out" in found._replace(lossless_bytes=10**9).text(len(data))
    pairs = np.concatenate([np.flatnonzero(labels == each)[:2] for each in (0, 1)])
    assert comparison.compare(data, pixels[pairs], labels[pairs]) is None


def test_a_file_stays_where_it_cannot_be_compared(tmp_path, monkeypatch, capsys):
    def compress(images, labels, **_):
        if len(images) < 60:
            raise InputError("it did not stay finite")
        return compression.compress(images, labels, config=CONFIG)

    monkeypatch.setattr(lgc, "compress", compress)
    pixels, labels = blobs(60)
    np.savez(tmp_path / "set.npz", images=pixels, labels=labels)
    assert main(["compress", str(tmp_path / "set.npz"), str(tmp_path / "o")]) == 0
    assert "o is written, not compared: it did not stay finite" in capsys.readouterr().err
    assert lgc.decompress((tmp_path / "o").read_bytes()).images.shape == pixels.shape


def test_the_lines_about_mixtures_name_a_codec_that_needs_few_bytes_and_the_teacher():
    ours, theirs = Accuracies(0.9, 0.9), Accuracies(0.89, 0.89)
    found = comparison.Comparison(
        100, True, 0.02, 10_000, ours, "avif, quality 70", 473, 900, theirs
    )
    assert "about as much in 18% of the bytes" in found.text(5_000)
    assert "within the noise" in found._replace(codec_bytes=4_900).text(5_000)
    assert "points worse" in found._replace(plain=Accuracies(0.95, 0.95)).text(5_000)
    assert "of its own images, which favours it" in found._replace(held_out=False).text(5_000)
    taught = found._replace(soft=Accuracies(0.97, 0.97), teacher=0.995)
    assert "soft labels (decompress --heavy): nearest neighbour 97.0 %" in taught.text(5_000)
    assert "alone: 99.5 %" in taught.text(5_000)
    assert taught.text(5_000).endswith("the file is 8.0 points better, on average")
    assert taught.values()["soft"] == {"neighbour": 0.97, "ridge": 0.97, "convnet": None}
