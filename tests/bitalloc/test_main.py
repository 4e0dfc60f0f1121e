"""The command line: the whole way through files, and one clear line for every bad input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bitalloc.commands import main

PROJECTION = ["--mode", "projection", "--no-networks"]
"""One mode: that the best of all is found is for test_auto.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits of three classes, a model of 6 bits, its messages of all images."""
    folder = tmp_path_factory.mktemp("bitalloc")
    data = load_digits(n_class=3)
    np.savez(folder / "in.npz", images=data.images.astype(np.uint8), labels=data.target + 5)
    np.savez(folder / "images.npz", images=data.images.astype(np.uint8))
    run = ["fit", "in.npz", "model", "--bits", "6", "--mode", "pixel", "--no-smaller-budgets"]
    assert main([str(folder / part) if part in ("in.npz", "model") else part for part in run]) == 0
    assert main(["encode", *(str(folder / n) for n in ("model", "images.npz", "messages"))]) == 0
    return folder


@pytest.mark.slow
def test_a_subprocess_decodes_the_bytes(folder):
    command = ["decode", *(str(folder / n) for n in ("model", "messages", "labels.npz"))]
    subprocess.run([sys.executable, "-m", "bitalloc", *command], check=True, capture_output=True)
    truth = load_digits(n_class=3).target + 5
    labels = np.load(folder / "labels.npz")["labels"]
    assert labels.dtype == truth.dtype
    assert np.mean(labels == truth) > 0.85
    assert (folder / "messages").stat().st_size < len(truth) * 6 / 8 + 100


@pytest.mark.slow
def test_curve_prints_csv_alone_on_stdout(folder, capsys):
    arguments = ["curve", str(folder / "in.npz"), "--bits", "1,3", *PROJECTION, "--output"]
    assert main([*arguments, str(folder / "curve.csv")]) == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert [row["bits"] for row in rows] == ["1", "3"]
    assert float(rows[1]["validation_accuracy"]) >= float(rows[0]["validation_accuracy"])
    assert "70% of the held-out examples: 3 bits\n" in printed.err
    assert (folder / "curve.csv").read_text() == printed.out


@pytest.mark.slow
def test_fit_reports_as_json_and_messages_belong_to_a_model(folder, tmp_path, capsys):
    model = tmp_path / "json_model"
    fit = ["fit", str(folder / "in.npz"), str(model), "--bits", "2", *PROJECTION, "--json"]
    assert main(fit) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == model.stat().st_size
    assert said["bits"] == 2
    assert said["classes"] == [5, 6, 7]
    assert 0.6 < said["validation_accuracy"] <= 1
    labels = tmp_path / "labels.npz"
    fails(capsys, ["decode", model, folder / "messages", labels], "another model")


def test_feature_vectors_with_groups_of_columns_and_text_labels(tmp_path, capsys):
    data = load_digits(n_class=2)
    names = np.array(["zero", "one"])[data.target]
    np.savez(tmp_path / "vectors.npz", features=data.data / 7, labels=names)
    paths = [str(tmp_path / name) for name in ("vectors.npz", "vector_model")]
    fit = ["fit", *paths, "--bits", "3", "--mode", "pixel", "--sensors", "0-31/32-63"]
    assert main(fit) == 0
    assert "by sensor" in capsys.readouterr().out.splitlines()[-1]
    model, out, labels = (str(tmp_path / n) for n in ("vector_model", "vector_out", "names.npz"))
    assert main(["encode", model, paths[0], out]) == 0
    assert main(["decode", model, out, labels]) == 0
    assert np.mean(np.load(labels)["labels"] == names) > 0.95


def fails(capsys, arguments, *said) -> None:
    assert main([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    for words in said:
        assert words in printed.err


IMAGES = np.random.default_rng(0).integers(0, 255, (60, 4, 4)).astype(np.uint8)
LABELS = np.arange(60) % 3


@pytest.mark.parametrize(
    ("arrays", "bits", "said"),
    [
        ({"images": IMAGES, "labels": np.zeros(60, int)}, 2, "one class only"),
        ({"images": np.full((60, 4, 4), 9), "labels": LABELS}, 2, "constant"),
        ({"features": np.full((60, 4), np.nan), "labels": LABELS}, 2, "NaN or infinity"),
        ({"images": IMAGES[:5], "labels": np.arange(5)}, 2, "too few"),
        ({"images": IMAGES, "labels": LABELS}, 0, "at least 1 bit"),
        ({"images": IMAGES, "labels": LABELS}, 70_000, "70000 bits exceeds"),
        ({"images": IMAGES}, 2, "no array of labels"),
        ({"a": IMAGES, "b": IMAGES, "labels": LABELS}, 2, "it has a (60, 4, 4), b"),
        ({"images": IMAGES, "labels": LABELS[:7]}, 2, "labels have shape (7,)"),
        ({"images": IMAGES[0], "labels": LABELS}, 2, "shape (60,) for 4"),
        ({"features": np.full((60, 4), "a"), "labels": LABELS}, 2, "give numbers"),
        ({"images": IMAGES, "labels": LABELS / 7}, 2, "numpy.digitize"),
    ],
)
def test_bad_input_to_fit(tmp_path, capsys, arrays, bits, said):
    np.savez(tmp_path / "in.npz", **arrays)
    fails(capsys, ["fit", tmp_path / "in.npz", tmp_path / "model", "--bits", bits], said)
    assert not (tmp_path / "model").exists()


def test_bad_paths_and_options(folder, tmp_path, capsys):
    source, model = folder / "in.npz", tmp_path / "model"
    fails(capsys, ["fit", tmp_path / "none.npz", model, "--bits", 2], "none.npz")
    fails(capsys, ["fit", source, tmp_path / "no" / "model", "--bits", 2], "does not exist")
    fails(capsys, ["fit", source, model, "--bits", 2, "--sensors", "0-99"], "no column 99")
    fails(capsys, ["fit", source, model, "--bits", 2, "--seed", -1], "--seed -1")
    fails(capsys, ["curve", source, "--bits", "0,2"], "at least 1")
    (tmp_path / "text.npz").write_text("no archive")
    fails(capsys, ["fit", tmp_path / "text.npz", model, "--bits", 2], "is not an .npz file")
    with pytest.raises(SystemExit) as error:
        main(["curve", str(source), "--bits", "one"])
    assert error.value.code == 2


def test_a_model_of_other_dimensions_is_refused(folder, tmp_path, capsys):
    np.savez(tmp_path / "wide.npz", images=np.zeros((3, 8, 9), np.uint8))
    np.savez(tmp_path / "flat.npz", features=np.zeros((3, 63)))
    out = tmp_path / "out"
    fails(capsys, ["encode", folder / "model", tmp_path / "wide.npz", out], "8 x 8", "8 x 9")
    fails(capsys, ["encode", folder / "model", tmp_path / "flat.npz", out], "64", "63")
    assert not out.exists()


def test_damaged_messages_and_models_are_refused(folder, tmp_path, capsys):
    for name, other in (("messages", "model"), ("model", "messages")):
        data = (folder / name).read_bytes()
        for number, cut in enumerate((0, 1, len(data) // 2, len(data) - 1)):
            damaged = tmp_path / f"{name}{number}"
            damaged.write_bytes(data[:cut])
            pair = [damaged, folder / other] if name == "model" else [folder / other, damaged]
            fails(capsys, ["decode", *pair, tmp_path / "labels.npz"])
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 16
        (tmp_path / name).write_bytes(flipped)
        pair = [tmp_path / name, folder / other]
        fails(capsys, ["decode", *(pair if name == "model" else pair[::-1]), tmp_path / "l.npz"])
    fails(capsys, ["decode", folder / "messages", folder / "model", tmp_path / "l.npz"], "kind")
    assert not list(tmp_path.glob("*.npz"))
