"""Labels come back as the user has them, whatever images and labels are stored in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitalloc.commands import main
from tests.bitalloc.test_main import fails

RNG = np.random.default_rng(0)
NUMBERS = np.arange(60) % 3
GREY = (RNG.integers(0, 40, (60, 4, 4)) + 90 * NUMBERS[:, None, None]).astype(np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
NAMES = np.array(["dog", "a cat", "fish"])[NUMBERS]


def through_commands(tmp_path: Path, source: Path) -> np.ndarray:
    model, messages, out = (str(tmp_path / name) for name in ("model", "messages", "out.npz"))
    assert main(["fit", str(source), model, "--bits", "2", "--no-networks", "--quiet"]) == 0
    assert main(["encode", model, str(source), messages]) == 0
    assert main(["decode", model, messages, out]) == 0
    with np.load(out) as found:
        return found["labels"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (GREY / 255, NAMES),
        (COLOUR, np.char.encode(NAMES)),
        (GREY.astype(np.uint16) * 257, NUMBERS[:, None].astype(np.int16) - 1),
        (COLOUR / np.float32(255), np.eye(3, dtype=np.float32)[NUMBERS]),
        (GREY.reshape(60, 16), NUMBERS == 0),
    ],
    ids=["floats, text", "colour, bytes", "16 bits, column", "one-hot", "features, booleans"],
)
def test_labels_come_back_as_they_were(tmp_path: Path, images, labels):
    np.savez(tmp_path / "set.npz", x=images, y=labels)
    back = through_commands(tmp_path, tmp_path / "set.npz")
    assert back.dtype == labels.dtype
    assert back.shape == labels.shape
    right = (back == labels).reshape(60, -1).all(axis=1)
    assert right.mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_folder_of_pictures(tmp_path: Path, images):
    for number, (image, name) in enumerate(zip(images, NAMES, strict=True)):
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "pets" / name / f"{number}.png")
    back = through_commands(tmp_path, tmp_path / "pets")
    assert np.mean(back == np.sort(NAMES)) > 0.9


@pytest.mark.slow
def test_one_array_of_pictures_is_enough_to_encode(tmp_path: Path):
    np.savez(tmp_path / "set.npz", images=GREY, labels=NAMES)
    model = str(tmp_path / "model")
    fit = ["fit", str(tmp_path / "set.npz"), model, "--bits", "2", "--no-networks", "--quiet"]
    assert main(fit) == 0
    np.save(tmp_path / "new.npy", GREY[:5])
    assert main(["encode", model, str(tmp_path / "new.npy"), str(tmp_path / "sent")]) == 0
    out = str(tmp_path / "out.npz")
    assert main(["decode", model, str(tmp_path / "sent"), out]) == 0
    with np.load(out) as found:
        assert found["labels"].shape == (5,)


def test_a_set_without_labels_cannot_be_fitted(tmp_path: Path, capsys):
    np.save(tmp_path / "new.npy", GREY)
    fails(
        capsys,
        ["fit", tmp_path / "new.npy", tmp_path / "model", "--bits", 2],
        "new.npy has no array of labels",
    )
