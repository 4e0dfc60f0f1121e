"""The command line: bounds, files, and one clear line for every bad input."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import ratedist
from ratedist import commands as command_line
from ratedist import sources
from ratedist.codes import commands as coding_commands

pytestmark = pytest.mark.slow

main = command_line.main


def printed(capsys, *arguments):
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def number(text, pattern):
    found = re.search(pattern + r"\D*?(-?[\d.]+(?:e-?\d+)?)", text)
    assert found, text
    return float(found[1])


def fails(capsys, arguments, *said):
    assert main([str(a) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for words in said:
        assert words in error


@pytest.fixture
def report(tmp_path):
    """The published fidelity set-up: 50 letters, 8 codewords, the two letters around zero."""
    source = sources.gaussian(50)
    np.savez(
        tmp_path / "report.npz",
        points=source.points,
        p=source.p,
        subset=np.abs(source.points[:, 0]) < 0.1,
        codebook=np.linspace(-3, 3, 8),
    )
    return tmp_path / "report.npz"


@pytest.mark.slow
def test_bound_of_the_report(report, capsys):
    text = printed(capsys, "bound", report, "--distortion", 0.5)
    assert number(text, "rate:") == pytest.approx(0.4827261, abs=1e-6)
    assert "1.4389" in text
    # subset_sum .015 as published is subset_mean .015 / P(S).
    mass = 0.015 / 0.0976998
    text = printed(capsys, "bound", report, "--distortion", 0.5, "--subset", mass)
    assert number(text, "rate:") == pytest.approx(0.5175, abs=1e-3)
    text = printed(capsys, "bound", report, "--distortion", 0.5, "--subset", 2.0)
    assert "slack" in text
    fails(capsys, ["bound", report, "--distortion", 0.01], "--distortion", "reaches 0.0")
    fails(capsys, ["bound", report, "--distortion", 0.5, "--subset", 0.01], "--subset")


@pytest.mark.slow
def test_bound_over_all_codebooks(tmp_path, capsys):
    source = sources.gaussian(40)
    np.savez(tmp_path / "s.npz", points=source.points[:, 0], p=source.p)
    text = printed(capsys, "bound", tmp_path / "s.npz", "--distortion", 0.5)
    inside, everywhere = number(text, "rate:"), number(text, "all reconstruction points: at least")
    assert 0.4 < everywhere <= inside


@pytest.mark.slow
def test_curve(tmp_path, capsys):
    np.savez(tmp_path / "s.npz", samples=np.random.default_rng(0).normal(size=40))
    out = tmp_path / "curve.csv"
    text = printed(capsys, "curve", tmp_path / "s.npz", "--points", 5, "--output", out)
    assert out.read_text() == text
    rows = np.array([[float(v) for v in line.split(",")] for line in text.splitlines()[1:]])
    assert rows.shape == (5, 5)
    assert (np.diff(rows[:, 1]) < 0).all()
    assert (rows[:, 3] <= 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("--dimension", 2), marks=pytest.mark.slow),
        pytest.param(("--code", "trellis"), marks=pytest.mark.slow),
    ],
    ids=["scalar", "pairs", "trellis"],
)
def test_encode_and_decode(tmp_path, capsys, monkeypatch, options):
    monkeypatch.setattr(coding_commands, "_GROUPS", 100)
    x = np.random.default_rng(0).normal(size=(200, 50))
    np.savez(tmp_path / "x.npz", samples=x)
    file, back = tmp_path / "x.fwb", tmp_path / "back.npz"
    text = printed(capsys, "encode", tmp_path / "x.npz", file, "--distortion", 0.2, *options)
    command = [sys.executable, "-m", "ratedist", "decode", file, back]
    subprocess.run(command, check=True, capture_output=True)
    values = np.load(back)["values"]
    assert values.shape == x.shape
    error = ((values - x) ** 2).mean()
    assert error <= 0.2
    assert error > 0.17
    assert number(text, "distortion:") == pytest.approx(error, rel=1e-4)
    bits, bound = number(text, "rate:"), number(text, "bound:")
    assert bits == pytest.approx(8 * file.stat().st_size / x.size, abs=1e-3)
    assert 0.5 < bound < bits < bound + 1.5


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"samples": np.array([1.0, np.nan])}, "1 NaN"),
        ({"samples": np.zeros((0,))}, "empty"),
        ({"samples": np.array(["a"])}, "real numbers"),
        ({"samples": np.zeros((2, 2, 2))}, "shape (2, 2, 2)"),
        ({"points": [0.0, 1.0], "p": [1.5, -0.5]}, "-0.5 is negative"),
        ({"points": [0.0, 1.0], "p": [0.5, 0.4]}, "sum to 0.9"),
        ({"points": [0.0, 1.0], "p": [1.0]}, "shape (1,)"),
        ({"points": [0.0, 1.0]}, "save samples"),
        ({"samples": [0.0, 1.0], "subset": [0, 0]}, "empty"),
        ({"samples": [0.0, 1.0], "subset": [1]}, "2 booleans"),
        ({"samples": [1.0, 1.0], "subset": [0, 1]}, "partly inside"),
        ({"samples": [0.0, 1.0], "codebook": [[0.0, 1.0]]}, "2 numbers"),
        ({"samples": np.arange(3000.0)}, "3,000 distinct"),
    ],
)
def test_bad_sources(tmp_path, capsys, arrays, said):
    np.savez(tmp_path / "s.npz", **arrays)
    fails(capsys, ["bound", tmp_path / "s.npz", "--distortion", 0.1], said)
    out = tmp_path / "c.csv"
    fails(capsys, ["curve", tmp_path / "s.npz", "--output", out], said)
    assert not out.exists()


def test_what_is_decoded_has_the_form_that_the_name_asks_for(tmp_path, capsys):
    source, file = tmp_path / "s.npz", tmp_path / "s.fwb"
    np.savez(source, samples=np.arange(24, dtype=np.uint8).reshape(4, 6))
    printed(capsys, "encode", source, file, "--distortion", 0.5)
    assert "array 'values'" in printed(capsys, "decode", file, tmp_path / "a.npz")
    assert "array of shape (4, 6), float32" in printed(capsys, "decode", file, tmp_path / "a.npy")
    with np.load(tmp_path / "a.npz") as named:
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), named["values"])
    fails(capsys, ["decode", file, tmp_path / "a.png"], "encode with --block auto")
    assert not (tmp_path / "a.png").exists()


def test_damaged_pictures_are_refused(tmp_path, capsys):
    from PIL import Image

    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)).save(whole)
    cut.write_bytes(whole.read_bytes()[:500])
    encode = ["encode", cut, tmp_path / "cut.fwb", "--distortion", 1]
    fails(capsys, encode, "cut.png cannot be read as a picture")


def test_bad_options(tmp_path, capsys):
    source, out = tmp_path / "s.npz", tmp_path / "out"
    np.savez(source, samples=np.arange(7.0))
    encode = ["encode", source, out, "--distortion"]
    fails(capsys, ["bound", source, "--distortion", -1], "--distortion -1")
    fails(capsys, ["bound", source, "--distortion", "nan"], "nan")
    fails(capsys, ["bound", source, "--distortion", 1, "--subset", 1], "no array 'subset'")
    fails(capsys, ["bound", source, "--distortion", 1, "--tolerance", 0], "--tolerance 0")
    fails(capsys, ["curve", source, "--distortions", "1,-2"], "--distortions -2")
    fails(capsys, ["curve", source, "--tolerance", 0], "--tolerance 0")
    fails(capsys, [*encode, 0], "positive")
    fails(capsys, [*encode, 0.1, "--dimension", 2], "7 numbers")
    fails(capsys, [*encode, 0.1, "--dimension", 5], "dimension 5")
    fails(capsys, [*encode, 0.1, "--code", "trellis", "--dimension", 2], "trellis")
    fails(capsys, [*encode, 0.1, "--array", "x"], "--array")
    fails(capsys, ["encode", source, tmp_path / "no" / "f", "--distortion", 1], "does not exist")
    fails(capsys, ["bound", tmp_path / "none.npz", "--distortion", 1], "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    fails(capsys, ["bound", tmp_path / "text.npz", "--distortion", 1], "not an .npz file")
    fails(capsys, ["decode", source, tmp_path / "x.npz"], "not a fewbits file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.npz", "text.npz"]


@pytest.mark.parametrize("gap", [np.nan, 1e-3])
def test_what_is_not_certified_is_not_printed(tmp_path, capsys, monkeypatch, gap):
    source, out = tmp_path / "s.npz", tmp_path / "c.csv"
    np.savez(source, samples=np.arange(7.0))

    def uncertain(solve):
        def call(*args, **kwargs):
            point = solve(*args, **kwargs)
            return point._replace(gap_bits=np.full_like(point.gap_bits, gap))

        return call

    for name in ("solve_fixed", "curve"):
        monkeypatch.setattr(ratedist, name, uncertain(getattr(ratedist, name)))
    fails(capsys, ["bound", source, "--distortion", 1], "not certified")
    fails(capsys, ["curve", source, "--points", 2, "--output", out], "not certified")
    assert not out.exists()
    np.savez(source, samples=1e200 * np.arange(7.0))
    fails(capsys, ["bound", source, "--distortion", 1], "rescale")
    fails(capsys, ["curve", source], "rescale")


@pytest.mark.slow
def test_one_letter_needs_no_bits(tmp_path, capsys):
    np.savez(tmp_path / "s.npz", samples=np.full(100, 2.5))
    text = printed(capsys, "bound", tmp_path / "s.npz", "--distortion", 0.0)
    assert number(text, "rate:") == 0.0
    text = printed(capsys, "encode", tmp_path / "s.npz", tmp_path / "f", "--distortion", 0.1)
    assert number(text, "bound:") == 0.0
