"""The command line on a user's files, and on a user's mistakes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lgc import Config, decompress
from lgc.commands import main, parser
from lgc.distillation.search import config as search_config
from lgc.distillation.search.ranking import Ranking


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = rng.integers(0, 80, size=(60, 6, 6)) + 60 * labels[:, None, None]
    return {"images": pixels.astype(np.uint8), "labels": labels}


def _save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.slow
def test_compress_inspect_decompress(tmp_path, images, capsys):
    source, packed, out = tmp_path / "in.npz", tmp_path / "out.lgc", tmp_path / "back.npz"
    _save(source, **images)
    assert main(["compress", str(source), str(packed), "--epochs", "2", "--components", "1"]) == 0
    assert f"{packed.stat().st_size:,} bytes" in capsys.readouterr().out
    assert main(["inspect", str(packed), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["bytes"] == packed.stat().st_size == sum(summary["account"].values())
    assert summary["counts"] == [20, 20, 20]
    assert main(["decompress", str(packed), str(out), "--per-class", "7", "--seed", "3"]) == 0
    with np.load(out) as decoded:
        assert decoded["images"].shape == (21, 6, 6)
        assert decoded["labels"].tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert main(["inspect", str(packed)]) == 0


def _refused(capsys, arguments, *words):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("error: ")
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: {**a, "images": a["images"] + 1j}, ("complex128",)),
        (lambda a: {**a, "images": np.full((60, 6, 6), np.nan)}, ("NaN",)),
        (lambda a: {"images": a["images"]}, ("labels", "numpy.savez")),
        (lambda a: {"labels": a["labels"]}, ("images",)),
        (lambda a: {**a, "labels": a["labels"][:-1]}, ("59",)),
        (lambda a: {**a, "labels": np.r_[a["labels"][:-1], 9]}, ("class 9 has one image",)),
        (lambda a: {**a, "labels": a["labels"] / 2}, ("whole numbers",)),
        (lambda a: {**a, "images": a["images"].reshape(60, 36)}, ("(60, 36)",)),
        (lambda a: {**a, "images": a["images"][:0], "labels": a["labels"][:0]}, ("(0,",)),
        (lambda a: {**a, "labels": np.r_[["cat"], ["dog"] * 59]}, ("class cat has one image",)),
    ],
)
def test_bad_arrays_give_one_line(tmp_path, images, capsys, change, words):
    source, out = _save(tmp_path / "in.npz", **change(images)), tmp_path / "out.lgc"
    _refused(capsys, ["compress", source, str(out)], *words)
    assert [p.name for p in tmp_path.iterdir()] == ["in.npz"]


def test_unreadable_inputs_give_one_line(tmp_path, capsys):
    out = str(tmp_path / "out.lgc")
    _refused(capsys, ["compress", str(tmp_path / "absent.npz"), out], "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    _refused(capsys, ["compress", str(text), out], "text.npz")
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    _refused(capsys, ["compress", str(single), out], "savez")
    pickled = _save(tmp_path / "p.npz", images=np.array([{}], object), labels=np.zeros(1))
    _refused(capsys, ["compress", pickled, out], "p.npz")


def test_a_half_written_input_gives_one_line(tmp_path, images, capsys):
    source = tmp_path / "in.npz"
    _save(source, **images)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    _refused(capsys, ["compress", str(source), str(tmp_path / "out.lgc")], "in.npz")


def test_output_that_cannot_be_written(tmp_path, images, capsys):
    source = _save(tmp_path / "in.npz", **images)
    _refused(capsys, ["compress", source, str(tmp_path / "no" / "out.lgc")], "does not exist")
    _refused(capsys, ["compress", source, str(tmp_path)], "folder")


@pytest.mark.slow
def test_damaged_archives_and_bad_numbers(tmp_path, images, capsys):
    source, packed = _save(tmp_path / "in.npz", **images), tmp_path / "out.lgc"
    assert main(["compress", source, str(packed), "--epochs", "1", "--components", "1"]) == 0
    capsys.readouterr()
    out = str(tmp_path / "back.npz")
    _refused(capsys, ["decompress", source, out], "not a fewbits file")
    _refused(capsys, ["decompress", str(packed), out, "--per-class", "0"], "--per-class 0")
    _refused(capsys, ["decompress", str(packed), out, "--seed", "-1"], "--seed -1")
    packed.write_bytes(packed.read_bytes()[:-1])
    _refused(capsys, ["decompress", str(packed), out])
    _refused(capsys, ["inspect", str(packed)])
    assert not (tmp_path / "back.npz").exists()


@pytest.mark.parametrize("flag", ["--components=0", "--bits=17", "--bits=x", "--epochs=-1"])
def test_bad_flags_exit_with_status_2(flag, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compress", "a.npz", "b.lgc", flag])
    assert stopped.value.code == 2
    assert flag.split("=")[1] in capsys.readouterr().err


def test_every_variant_can_be_named():
    from lgc.autoencoders import variants

    for name in variants.NAMES:
        options = parser("lgc").parse_args(["compress", "in.npz", "out.lgc", "--variant", name])
        assert options.variant == name


def test_flags_without_effect_are_refused(tmp_path, images, capsys):
    source, out = str(tmp_path / "in.npz"), str(tmp_path / "out.lgc")
    _save(source, **images, groups=np.arange(60) % 2)
    fixed = ["compress", source, out, "--components", "2"]
    _refused(capsys, [*fixed, "--selection", "bic"], "--selection", "--components")
    _refused(capsys, ["compress", source, out, "--variant", "ae"], "--variant", "'groups'")
    _refused(capsys, ["compress", source, out, "--rate-weight", "0"], "--rate-weight", "'groups'")
    _refused(capsys, ["distill", source, out, "--budget-bytes", "900"], "'groups'")


def test_distill_refuses_what_it_cannot_do(tmp_path, images, capsys):
    source = _save(tmp_path / "in.npz", **images)
    out = str(tmp_path / "out.lgc")
    distill = ["distill", source, out, "--budget-bytes", "900"]
    _refused(capsys, [*distill, "--preview", out], "--preview")
    _refused(capsys, distill, "8 pixels or more")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


@pytest.mark.slow
def test_distill_prints_json(tmp_path, images, capsys, monkeypatch):
    quick = search_config.DistillConfig.quick()
    monkeypatch.setattr(search_config, "DistillConfig", lambda teacher: quick)
    source, packed = str(tmp_path / "in.npz"), tmp_path / "out.lgc"
    wide = np.pad(images["images"], ((0, 0), (1, 1), (1, 1)))
    _save(source, images=wide, labels=images["labels"])
    arguments = ["distill", source, str(packed), "--budget-bytes", "400", "--quiet"]
    assert main([*arguments, "--json", "--preview", str(tmp_path / "out.png")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bytes"] == packed.stat().st_size <= 400
    assert result["stored_images"] >= 3
    assert (tmp_path / "out.png").stat().st_size > 0
    assert main(["decompress", str(packed), str(tmp_path / "back.npz"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_an_interruption_keeps_the_best_file(tmp_path, images, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Ranking, "ranked", interrupted)
    source, packed = str(tmp_path / "in.npz"), tmp_path / "out.lgc"
    wide = np.pad(images["images"], ((0, 0), (1, 1), (1, 1)))
    _save(source, images=wide, labels=images["labels"])
    assert main(["distill", source, str(packed), "--budget-bytes", "400"]) == 130
    assert "holds the best file so far" in capsys.readouterr().err
    assert len(decompress(packed.read_bytes()).images) >= 3


def test_defaults_of_the_command_line_are_those_of_the_config():
    options = parser("lgc").parse_args(["compress", "in.npz", "out.lgc"])
    config = Config()
    for name in ("variant", "components", "covariance", "bits", "epochs", "selection"):
        assert getattr(options, name) == getattr(config, name)


@pytest.mark.parametrize("verb", ["compress", "distill", "decompress"])
def test_help_shows_defaults(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = capsys.readouterr().out
    assert "(default: 0)" in said
    assert "--quiet" in said
    assert "--json" in said


def test_a_rate_weight_stands_alone(tmp_path, images, capsys):
    source, packed = _save(tmp_path / "in.npz", **images), str(tmp_path / "out.lgc")
    weighted = ["compress", source, packed, "--rate-weight", "1e-4"]
    _refused(capsys, weighted, "(6, 6)", "needs 8 pixels")
    for flag in ("--variant=vae", "--components=2", "--covariance=tied", "--bits=8"):
        _refused(capsys, [*weighted, flag], flag.split("=")[0], "--rate-weight")
    with pytest.raises(SystemExit) as stopped:
        main([*weighted[:-1], "2"])
    assert stopped.value.code == 2
    assert "from 0 to 1" in capsys.readouterr().err
