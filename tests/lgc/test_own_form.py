"""What comes out of an lgc file has the labels, shape and dtype of what went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lgc
from fewbits.io import read_labelled
from fewbits.io.errors import InputError
from lgc.commands import main

RNG = np.random.default_rng(0)
NUMBERS = np.arange(48) % 2
GREY = (RNG.integers(0, 60, (48, 8, 8)) + 150 * NUMBERS[:, None, None]).astype(np.uint8)
NAMES = np.array(["dog", "a cat"])[NUMBERS]
TINY = ["--epochs", "40", "--components", "1", "--quiet"]
CONFIG = lgc.Config(hidden=8, latent=2, epochs=1, components=1)


def through_commands(tmp_path: Path, source: Path | str, out: str, *flags: str) -> Path:
    archive = tmp_path / "set.lgc"
    assert main(["compress", str(source), str(archive), *TINY]) == 0
    assert main(["decompress", str(archive), str(tmp_path / out), "--quiet", *flags]) == 0
    return tmp_path / out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (GREY, NAMES),
        (GREY[..., None] / 255, NUMBERS == 1),
        (GREY.astype(np.uint16) * 257, np.eye(2, dtype=np.float32)[NUMBERS]),
        ((GREY / 127.5 - 1).astype(np.float32), NUMBERS[:, None] - 1),
    ],
    ids=["text", "floats, booleans", "16 bits, one-hot", "-1 to 1, negative column"],
)
def test_arrays_come_back_in_their_own_form(tmp_path: Path, images, labels):
    np.savez(tmp_path / "set.npz", x=images, y=labels)
    out = through_commands(tmp_path, tmp_path / "set.npz", "back.npz")
    with np.load(out) as back:
        assert back["images"].shape == images.shape
        assert back["images"].dtype == images.dtype
        assert back["labels"].dtype == labels.dtype
        order = np.argsort(np.unique(labels, axis=0, return_inverse=True)[1].ravel(), kind="stable")
        if labels.ndim == 2 and labels.shape[1] == 2:
            order = np.argsort(NUMBERS, kind="stable")
        np.testing.assert_array_equal(back["labels"], labels[order])
        # the two classes differ in brightness: labels belong to their images
        bright = back["images"].reshape(48, -1).mean(axis=1, dtype=np.float64)
        truth = images[order].reshape(48, -1).mean(axis=1, dtype=np.float64)
        assert np.corrcoef(bright, truth)[0, 1] > 0.8


@pytest.mark.slow
def test_a_folder_of_pictures_comes_back_as_one(tmp_path: Path, capsys):
    for number, (image, name) in enumerate(zip(GREY, NAMES, strict=True)):
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.dstack([image] * 3)).save(tmp_path / "pets" / name / f"{number}.png")
    out = through_commands(tmp_path, tmp_path / "pets", "out", "--folder", "--per-class", "3")
    back = read_labelled(out)
    assert back.class_names == ("a cat", "dog")
    assert back.images.shape == (6, 8, 8, 3)
    assert back.images.dtype == np.uint8
    dark, bright = (back.images[back.labels == n].mean() for n in (1, 0))
    assert dark + 60 < bright
    assert main(["inspect", str(tmp_path / "set.lgc")]) == 0
    assert "['a cat', 'dog']" in capsys.readouterr().out
    archive = str(tmp_path / "set.lgc")
    assert main(["decompress", archive, str(out), "--quiet", "--per-class", "3"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["decompress", archive, f"{tmp_path}/new/", "--quiet", "--per-class", "2"]) == 0
    assert read_labelled(tmp_path / "new").labels.tolist() == [0, 0, 1, 1]


def test_rounding_to_levels_is_said(tmp_path: Path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise InputError("what follows is no matter")

    monkeypatch.setattr(lgc, "compress", stopped)
    np.savez(tmp_path / "set.npz", x=RNG.random((48, 8, 8)), y=NUMBERS)
    assert main(["compress", str(tmp_path / "set.npz"), str(tmp_path / "o"), *TINY]) == 2
    assert "float64 are rounded to 256 levels, 0 to 1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_functions_keep_the_form_too():
    data = lgc.compress(GREY / 255, NAMES.tolist(), config=CONFIG)
    images, labels, _ = lgc.decompress(data, per_class=2)
    assert images.shape == (4, 8, 8)
    assert images.dtype == np.float64
    assert 0 <= images.min() <= images.max() <= 1
    assert labels.tolist() == ["a cat", "a cat", "dog", "dog"]
    batch = next(lgc.stream(data, 4))
    assert batch.images.dtype == np.float64
    assert set(batch.labels.tolist()) == {"a cat", "dog"}


@pytest.mark.slow
def test_bytes_with_a_channel_and_int32_cost_nothing():
    plain = lgc.compress(GREY[..., None], NUMBERS.astype(np.int32), config=CONFIG)
    own = lgc.compress(GREY, NUMBERS, config=CONFIG)
    assert 0 < len(own) - len(plain) <= 25
    images, labels, _ = lgc.decompress(plain, per_class=1)
    assert images.shape == (2, 8, 8, 1)
    assert labels.dtype == np.int32
