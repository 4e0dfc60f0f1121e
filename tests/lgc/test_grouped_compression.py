"""Archives of groups: what a file holds and draws, from the library and from the command line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fewbits.coding import FormatError, InputError, container
from lgc import Config as Mixtures
from lgc import archive, files
from lgc.commands import main
from lgc.gmm.mixture_code import ClassMixture
from lgc.groups import grouped_compression
from lgc.groups.grouped import Architecture
from lgc.groups.grouped_compression import Config

COUNTS = [5, 1, 0, 2, 3, 1]
"""Of three groups in each of two classes."""


def _written(**changes) -> bytes:
    """The foreground covers one pixel by its latent; the others show the told background."""
    rng = np.random.default_rng(0)
    of_classes = [
        ClassMixture(np.array([0.25, 0.75]), mean + rng.normal(size=(2, 1)), np.full((2, 1), 0.01))
        for mean in (-4.0, 4.0)
    ]
    kernel = np.zeros((1, 8), np.float32)
    kernel[0, 0] = 8
    foreground = {
        "hidden": {"kernel": np.eye(1, dtype=np.float32), "bias": np.full(1, 10, np.float32)},
        "pixels": {
            "kernel": kernel,
            "bias": np.array([-80, 40, -40, -40, -40, -40, -40, -40], np.float32),
        },
    }
    behind = np.array([0.2, 0.4, 0.6], np.float32)[:, None, None, None]
    settings = {"labels": [2, 9], "counts": COUNTS, "groups": [-1, 4, 70], **changes}
    return archive.write(
        {"foreground": foreground, "backgrounds": behind},
        of_classes,
        image_shape=(2, 2, 1),
        covariance="diagonal",
        bits="float32",
        **settings,
    )


def test_an_archive_draws_each_class_with_each_group():
    data = _written()
    images, labels = files.sample(data, per_class=40, seed=0)
    groups = files.groups_of(data, per_class=40)
    assert groups is not None
    np.testing.assert_array_equal(labels, np.repeat([2, 9], 120))
    np.testing.assert_array_equal(groups, np.tile(np.repeat([-1, 4, 70], 40), 2))
    flat = images.reshape(-1, 4).astype(float)
    np.testing.assert_array_equal(flat[:, 0] > 250, labels == 9)
    shown = 51.0 * (1 + np.searchsorted([-1, 4, 70], groups))
    np.testing.assert_array_equal(flat[:, 1:], np.repeat(shown[:, None], 3, axis=1))
    _, natural = files.sample(data, per_class=None, seed=0)
    drawn = files.groups_of(data, per_class=None)
    assert [np.sum((natural == c) & (drawn == g)) for c in (2, 9) for g in (-1, 4, 70)] == COUNTS
    assert files.summary(data)["groups"] == [-1, 4, 70]


@pytest.mark.parametrize(
    "change", [{"groups": [4, 70]}, {"counts": [5, 1]}, {"groups": []}, {"labels": [2, 9, 10]}]
)
def test_headers_that_do_not_fit_are_refused(change):
    with pytest.raises(FormatError):
        archive.read(_written(**change))


def _squares() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A light square at the top or the bottom, on three colours that go with it more or less."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 240)
    groups = np.where(rng.random(240) < 0.9, labels, rng.integers(0, 3, 240))
    colours = np.array([[200, 0, 0], [0, 160, 0], [0, 0, 220]], np.uint8)
    images = np.broadcast_to(colours[groups][:, None, None], (240, 8, 8, 3)).copy()
    for image, label in zip(images, labels, strict=True):
        top, left = 4 * label + rng.integers(0, 2), rng.integers(0, 6)
        image[top : top + 2, left : left + 2] = 250
    return images, 3 + labels, 10 * groups


_SMALL = Config(
    Architecture(latent=4, hidden=32, widths=(8, 8, 8), kl_weight=0.1),
    steps=1_500,
    batch_size=32,
    mixtures=Mixtures(components=2),
)


@pytest.mark.slow
def test_what_is_drawn_has_its_own_place_and_the_background_of_its_group(key):
    images, labels, groups = _squares()
    made = grouped_compression.compress(images, labels, groups, config=_SMALL, key=key)
    assert archive.read(made.data).labels == (3, 4)
    drawn, classes = files.sample(made.data, per_class=50, seed=0)
    behind = files.groups_of(made.data, per_class=50)
    assert np.unique(behind).tolist() == [0, 10, 20]
    border = np.median(drawn.reshape(300, 64, 3), axis=1)
    np.testing.assert_array_equal(border.argmax(axis=1), behind // 10)
    light = drawn.min(axis=3) > 125
    assert np.mean(light.sum(axis=(1, 2)) > 1) > 0.8
    below = light[:, 4:].sum(axis=(1, 2)) > light[:, :4].sum(axis=(1, 2))
    assert np.mean(below == (classes == 4)) > 0.9
    shown = made.reconstruct(images[:5], (groups // 10)[:5])
    assert shown.shape == (5, 8, 8, 3)
    assert np.abs(shown.astype(int) - images[:5]).mean() < 30


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (np.zeros(240, int), "leave groups out"),
        (np.zeros(239, int), "for 240 images"),
        (np.zeros(240), "store them as integers"),
        (np.full(240, 2**40), "int32"),
        (np.arange(240), "240 of 240 groups have one image"),
        (None, "groups are the labels again"),
    ],
)
def test_groups_without_sense_are_refused(groups, said, key):
    images, labels, _ = _squares()
    groups = 7 - labels if groups is None else groups
    with pytest.raises(InputError, match=said):
        grouped_compression.compress(images, labels, groups, config=_SMALL, key=key)


@pytest.mark.slow
def test_the_command_line_takes_and_gives_groups(tmp_path, capsys):
    source, packed, back = (str(tmp_path / name) for name in ("in.npz", "a.lgc", "out.npz"))
    images, labels, groups = _squares()
    np.savez(source, images=images, labels=labels, groups=groups)
    assert main(["compress", source, packed, "--epochs", "1", "--components", "1"]) == 0
    assert main(["decompress", packed, back, "--per-class", "7"]) == 0
    with np.load(back) as stored:
        assert stored["images"].shape == (42, 8, 8, 3)
        np.testing.assert_array_equal(stored["groups"], np.tile(np.repeat([0, 10, 20], 7), 2))
    assert main(["distill", source, packed, "--budget-bytes", "900", "--force"]) == 2
    assert "uses no groups" in capsys.readouterr().err
    assert container.load_bytes(packed)


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 0), ("batch_size", -1), ("equal_share", 1.5)]
)
def test_settings_without_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        dataclasses.replace(_SMALL, **{field: value})


@pytest.mark.parametrize("size", [3, 30, 101])
def test_equal_groups_are_equal(size):
    groups = np.array([0] * 50 + [3] * 2 + [7] * 5)
    rows = grouped_compression.equal_groups(groups, size, 0)
    assert len(rows) == size
    counts = np.bincount(groups[rows], minlength=8)[[0, 3, 7]]
    assert counts.max() - counts.min() <= 1
    repeats = np.bincount(rows, minlength=len(groups))
    assert repeats[50:52].max() - repeats[50:52].min() <= 1
