"""Labelled images from whatever users have them in, and back in their own form."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewbits.coding import FormatError, write_archive
from fewbits.io import InputError, read_labelled
from fewbits.io.image_sets import folders, forms

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
NUMBERS = np.array([0, 1, 2, 0, 1, 2])

IMAGES = {
    "bytes": GREY,
    "bytes with a channel": GREY[..., None],
    "colour": COLOUR,
    "16 bits": GREY.astype(np.uint16) * 257,
    "wide integers": GREY.astype(np.int64),
    "[0, 1]": (GREY / 255).astype(np.float32),
    "[-1, 1]": GREY / 127.5 - 1,
    "0 to 255 in floats": GREY.astype(np.float16),
    "booleans": GREY > 100,
    "other floats": (COLOUR / 10 - 7).astype(np.float64),
}
LABELS = {
    "accents": np.array(["été", "Bär", "猫"])[NUMBERS],
    "unsigned": NUMBERS.astype(np.uint64) + np.uint64(2**63),
    "wide text": np.array(["dog", "cat", "fish"], "<U200")[NUMBERS],
    "int64": NUMBERS,
    "int32": NUMBERS.astype(np.int32),
    "uint8": NUMBERS.astype(np.uint8),
    "floats": NUMBERS.astype(np.float32),
    "negative": NUMBERS - 1,
    "large": NUMBERS * 10**12,
    "text": np.array(["dog", "cat", "a fish"])[NUMBERS],
    "bytes": np.array([b"dog", b"cat", b"fish"])[NUMBERS],
    "booleans": NUMBERS == 1,
    "column": NUMBERS[:, None],
    "one-hot": np.eye(4, dtype=np.float32)[NUMBERS],
}


@pytest.mark.parametrize("images", IMAGES)
def test_images_come_back_as_they_were(tmp_path: Path, images):
    np.savez(tmp_path / "d.npz", images=IMAGES[images], labels=NUMBERS)
    found = read_labelled(tmp_path / "d.npz")
    assert found.images.ndim == 4
    levels = found.levels()
    assert levels.dtype == np.uint8
    back = forms.from_levels(levels, forms.from_header(forms.to_header(found.form)))
    assert back.dtype == IMAGES[images].dtype
    assert back.shape == IMAGES[images].shape
    step = (found.form.high - found.form.low) / 255
    difference = np.abs(back.astype(np.float64) - IMAGES[images]).max()
    assert difference <= step / 2 * 1.001 + (0 if IMAGES[images].dtype.kind == "f" else 0.5)
    if found.is_exact():
        np.testing.assert_array_equal(back, IMAGES[images])
    assert found.is_exact() == (images != "other floats")


@pytest.mark.parametrize("labels", LABELS)
def test_labels_come_back_as_they_were(tmp_path: Path, labels):
    np.savez(tmp_path / "d.npz", images=GREY, labels=LABELS[labels])
    found = read_labelled(tmp_path / "d.npz")
    assert found.labels.dtype == np.int32
    assert found.labels.shape == (6,)
    assert found.labels.min() >= 0
    assert len(found.class_names) > found.labels.max()
    back = forms.from_numbers(found.labels, forms.from_header(forms.to_header(found.form)))
    assert back.dtype == LABELS[labels].dtype
    np.testing.assert_array_equal(back, LABELS[labels])
    np.testing.assert_array_equal(found.user_labels(), LABELS[labels])


def test_the_usual_form_costs_nothing():
    data = write_archive("notes", {}, {})
    assert forms.attach(data, forms.PLAIN) == data
    own = forms.PLAIN._replace(label_dtype="int64", axes="nhw")
    assert len(forms.attach(data, own)) - len(data) <= 25
    assert forms.of_file(forms.attach(data, own)) == own
    assert forms.of_file(data) == forms.PLAIN


@pytest.mark.parametrize(
    "fields",
    [
        {"axes": 3}, {"axes": "nhw"}, {"dtype": "<f4"}, {"dtype": "O", "range": [0, 1]},
        {"dtype": "<f4", "range": [1, 0]}, {"labels": "zzz"}, {"classes": [None]},
        {"classes": -1}, {"classes": 1 << 40}, {"other": 1}, [1, 2], "text",
    ],
)  # fmt: skip
def test_a_form_made_on_purpose_is_refused(fields):
    data = write_archive("notes", {"form": fields}, {})
    with pytest.raises(FormatError, match="form"):
        forms.of_file(data)


def test_class_numbers_beyond_the_classes_are_refused():
    with pytest.raises(FormatError):
        forms.from_numbers(np.array([2]), forms.PLAIN._replace(classes=("a", "b")))


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "target"), ("x_train", "y_train"),
     ("train_images", "train_labels"), ("arr_0", "arr_1"), ("pixels", "digit")],
)  # fmt: skip
def test_usual_names_are_found(tmp_path: Path, images, labels):
    np.savez(tmp_path / "d.npz", **{labels: NUMBERS, images: GREY})
    found = read_labelled(tmp_path / "d.npz")
    np.testing.assert_array_equal(found.images[..., 0], GREY)
    np.testing.assert_array_equal(found.labels, NUMBERS)


def test_a_file_with_two_splits(tmp_path: Path):
    np.savez(
        tmp_path / "mnist.npz",
        x_train=GREY, y_train=NUMBERS, x_test=GREY[:2], y_test=NUMBERS[:2],
    )  # fmt: skip
    assert len(read_labelled(tmp_path / "mnist.npz").labels) == 6
    assert len(read_labelled(tmp_path / "mnist.npz", split="test").labels) == 2


def test_names_may_be_given(tmp_path: Path):
    np.savez(tmp_path / "d.npz", left=GREY, right=GREY + 1, digit=NUMBERS, fold=NUMBERS + 5)
    with pytest.raises(InputError, match=r"left \(6, 5, 4\), right .* --images"):
        read_labelled(tmp_path / "d.npz")
    found = read_labelled(tmp_path / "d.npz", images="right", labels="digit")
    np.testing.assert_array_equal(found.labels, NUMBERS)
    with pytest.raises(InputError, match="no array 'up'"):
        read_labelled(tmp_path / "d.npz", images="up")
    np.save(tmp_path / "labels.npy", NUMBERS)
    found = read_labelled(tmp_path / "d.npz", images="left", labels=str(tmp_path / "labels.npy"))
    np.testing.assert_array_equal(found.labels, NUMBERS)


def test_channels_first(tmp_path: Path):
    np.savez(tmp_path / "d.npz", images=np.moveaxis(COLOUR.repeat(2, 2), -1, 1), labels=NUMBERS)
    with pytest.raises(InputError, match="--layout nchw"):
        read_labelled(tmp_path / "d.npz")
    found = read_labelled(tmp_path / "d.npz", layout="nchw")
    np.testing.assert_array_equal(found.images, COLOUR.repeat(2, 2))
    assert forms.from_levels(found.levels(), found.form).shape == (6, 3, 5, 8)


def save(folder: Path, name: str, image: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def folder_of(tmp_path: Path, images: np.ndarray) -> Path:
    for number, image in enumerate(images):
        save(tmp_path / "pets", f"{'cat' if number % 2 else 'dog'}/{number}.png", image)
    (tmp_path / "pets" / ".cache").mkdir()
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no picture")
    return tmp_path / "pets"


@pytest.mark.parametrize("images", [GREY, COLOUR, GREY.astype(np.uint16) * 257])
def test_a_folder_of_pictures_comes_back(tmp_path: Path, images):
    folder = folder_of(tmp_path, images)
    found = read_labelled(folder)
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    back = forms.from_levels(found.levels(), found.form)
    np.testing.assert_array_equal(back, images[[1, 3, 5, 0, 2, 4]])
    assert found.form.folder
    (tmp_path / "out").mkdir()
    folders.write(tmp_path / "out", back, found.user_labels().tolist())
    again = read_labelled(tmp_path / "out")
    np.testing.assert_array_equal(again.images, found.images)
    np.testing.assert_array_equal(again.user_labels(), found.user_labels())


def test_grey_and_colour_together_become_colour(tmp_path: Path):
    folder = folder_of(tmp_path, COLOUR)
    save(folder, "cat/grey.png", GREY[0])
    Image.fromarray(np.dstack([COLOUR[0], GREY[0]])).save(folder / "dog" / "alpha.png")
    Image.fromarray(COLOUR[0]).convert("P").save(folder / "dog" / "palette.gif")
    Image.fromarray(COLOUR[0]).save(folder / "dog" / "photo.JPG")
    assert read_labelled(folder).images.shape == (10, 5, 4, 3)


def test_pictures_of_two_sizes_are_refused_or_resized(tmp_path: Path):
    folder = folder_of(tmp_path, COLOUR)
    save(folder, "dog/large.png", COLOUR[0].repeat(2, 0))
    with pytest.raises(InputError, match=r"large\.png is 4 x 10, .*1\.png is 4 x 5; .*--size"):
        read_labelled(folder)
    assert read_labelled(folder, size=(8, 8)).images.shape == (7, 8, 8, 3)


def test_a_folder_with_splits_and_classes_of_another_set(tmp_path: Path):
    for split, names in (("train", "abc"), ("test", "bc")):
        for name in names:
            save(tmp_path / split / name, "0.png", GREY[0])
    train = read_labelled(tmp_path)
    assert train.class_names == ("a", "b", "c")
    test = read_labelled(tmp_path, split="test", classes=train.form.classes)
    assert test.labels.tolist() == [1, 2]
    assert test.class_names == train.class_names
    with pytest.raises(InputError, match="'a' is none of the 2"):
        read_labelled(tmp_path, classes=("b", "c"))


def test_arguments_without_effect_are_refused(tmp_path: Path):
    folder = folder_of(tmp_path, GREY)
    np.savez(tmp_path / "d.npz", images=GREY, labels=NUMBERS)
    for path, arguments, words in (
        (folder, {"labels": "y"}, "--labels is for .npz"),
        (folder, {"layout": "nchw"}, "--layout is for .npz"),
        ("digits", {"images": "x"}, "--images is for .npz"),
        (tmp_path / "d.npz", {"size": (8, 8)}, "--size is for folders"),
    ):
        with pytest.raises(InputError, match=words):
            read_labelled(path, **arguments)


def test_pictures_beyond_the_memory_are_refused(tmp_path: Path, monkeypatch):
    folder = folder_of(tmp_path, GREY)
    monkeypatch.setattr(folders.npy, "memory_limit", lambda: 100)
    with pytest.raises(InputError, match="do not fit in this machine's memory"):
        read_labelled(folder)


def test_a_picture_cut_in_the_middle_is_named(tmp_path: Path):
    folder = folder_of(tmp_path, COLOUR.repeat(20, 1).repeat(20, 2))
    whole = (folder / "cat" / "1.png").read_bytes()
    (folder / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"1\.png cannot be read as a picture"):
        read_labelled(folder)


def test_folders_that_are_none(tmp_path: Path):
    with pytest.raises(InputError, match="no class subfolders"):
        read_labelled(tmp_path)
    save(tmp_path, "1.png", GREY[0])
    with pytest.raises(InputError, match="1 pictures but no"):
        read_labelled(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1\.png cannot be read as a picture"):
        read_labelled(tmp_path)


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def test_idx_files_alone_and_in_a_folder(tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(GREY))
    labels = gzip.compress(idx_bytes(NUMBERS.astype(np.uint8)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    found = read_labelled(tmp_path)
    np.testing.assert_array_equal(forms.from_levels(found.levels(), found.form), GREY)
    with pytest.raises(InputError, match="train-labels-idx1-ubyte, beside it"):
        read_labelled(tmp_path / "train-images-idx3-ubyte")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(gzip.decompress(labels))
    found = read_labelled(tmp_path / "train-images-idx3-ubyte")
    assert found.user_labels().dtype == np.uint8
    np.testing.assert_array_equal(found.labels, NUMBERS)


def test_known_names():
    found = read_labelled("digits", split="test")
    assert found.images.shape == (500, 8, 8, 1)
    assert found.class_names == tuple("0123456789")
    with pytest.raises(InputError, match="does not exist; .*digits"):
        read_labelled("digitz")


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (GREY, NUMBERS[:5], r"shape \(5,\) for 6 images"),
        (GREY, np.ones((6, 2)), "not one-hot"),
        (GREY, np.linspace(0, 1, 6), "not 0.2; make classes of a quantity"),
        (GREY, np.full(6, np.nan), "6 are NaN"),
        (GREY.astype(complex), NUMBERS, "complex128; give numbers"),
        (np.full((6, 5, 4), np.nan), NUMBERS, "120 values that are NaN"),
        (GREY[:0], NUMBERS[:0], "give one image at least"),
        (GREY[0], NUMBERS, r"\(5, 4\)"),
        (GREY, NUMBERS.astype(complex), "complex128"),
        (GREY, np.array(["x" * 300] * 6), "texts of more than 256 letters"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path, images, labels, words):
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    with pytest.raises(InputError, match=words) as caught:
        read_labelled(tmp_path / "d.npz")
    assert "\n" not in str(caught.value)
    assert "d.npz" in str(caught.value)


def test_feature_vectors_and_sets_without_labels(tmp_path: Path):
    np.savez(tmp_path / "d.npz", features=RNG.normal(size=(6, 3)))
    found = read_labelled(tmp_path / "d.npz", features=True, need_labels=False)
    assert found.images.shape == (6, 3)
    assert found.class_names == ()
    with pytest.raises(InputError, match="--labels"):
        read_labelled(tmp_path / "d.npz", features=True)


@pytest.mark.data
def test_a_prepared_folder():
    from fewbits.io.datasets import _prepared_folder

    folder = _prepared_folder("mnist", "3.0.1", None)
    if folder is None:
        pytest.skip("MNIST is not prepared")
    found = read_labelled(folder / "mnist" / "3.0.1", split="test")
    assert found.images.shape == (10_000, 28, 28, 1)
