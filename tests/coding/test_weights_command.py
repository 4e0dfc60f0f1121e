from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from fewbits.coding import account, container, params_from_bytes
from fewbits.coding.weights.commands import main
from fewbits.coding.weights.model_file import quantise
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io.checkpoints import read_checkpoint


def pruned():
    rng = np.random.default_rng(0)
    odds = 0.2 * np.exp(-(((np.arange(300) - 150) / 40.0) ** 2))[:, None]
    kernel = rng.normal(size=(300, 100)) * (rng.random((300, 100)) < odds)
    return {"dense1": {"kernel": kernel, "bias": rng.normal(size=100)}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "net.npz"
    np.savez(path, **{f"dense1/{name}": tensor for name, tensor in pruned()["dense1"].items()})
    return path


@pytest.mark.parametrize("out", ["back.npz", "back.safetensors"])
def test_encode_and_decode(checkpoint, tmp_path, capsys, out):
    assert main(["encode", str(checkpoint), str(tmp_path / "net.fwb"), "--bits", "5"]) == 0
    size = (tmp_path / "net.fwb").stat().st_size
    assert f"30,100 parameters in {size:,} bytes" in capsys.readouterr().out
    assert main(["decode", str(tmp_path / "net.fwb"), str(tmp_path / out)]) == 0
    back = read_checkpoint(tmp_path / out)
    expected = quantise(pruned(), 5)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_account_shows_the_tensors_of_an_adaptive_file(checkpoint, tmp_path):
    path = tmp_path / "net.fwb"
    assert main(["encode", str(checkpoint), str(path)]) == 0
    assert container.load(path).kind == "adaptive"
    rows = dict(account(path))
    assert sum(rows.values()) == path.stat().st_size
    assert {"envelope", "header tree", "section symbols: dense1/bias"} <= rows.keys()
    assert rows["section symbols: dense1/kernel"] > rows["section symbols: dense1/bias"] > 50


def test_account_shows_mask_signs_values_biases_and_header(tmp_path):
    path = tmp_path / "net.fwb"
    path.write_bytes(sparse_code.write_sparse(pruned(), 5))
    rows = account(path)
    assert sum(row.size_bytes for row in rows) == path.stat().st_size
    names = [row.part for row in rows]
    for part in ("kernel mask", "kernel signs", "kernel magnitudes", "bias values"):
        assert f"section symbols: dense1/{part}" in names
    assert {"envelope", "header tree", "header masks", "header tables"} <= set(names)


def test_floats_stay_floats(checkpoint, tmp_path):
    assert main(["encode", str(checkpoint), str(tmp_path / "net.fwb"), "--bits", "float32"]) == 0
    back = params_from_bytes((tmp_path / "net.fwb").read_bytes())
    np.testing.assert_array_equal(
        back["dense1"]["kernel"], pruned()["dense1"]["kernel"].astype(np.float32)
    )


def test_mistakes_are_one_line_and_leave_nothing(checkpoint, tmp_path, capsys):
    out = tmp_path / "out.fwb"
    (tmp_path / "noise.npz").write_bytes(b"noise")
    for arguments, message in (
        (["encode", str(checkpoint), str(out), "--bits", "99"], "99"),
        (["encode", str(checkpoint), str(out), "--bits", "few"], "'few'"),
        (["encode", str(tmp_path / "no.npz"), str(out)], "no.npz: No such file"),
        (["encode", str(tmp_path / "noise.npz"), str(out)], "noise.npz"),
        (["encode", str(checkpoint), str(tmp_path / "none" / "out.fwb")], "make it first"),
        (["decode", str(checkpoint), str(tmp_path / "back.npz")], "not a fewbits file"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.npz", "noise.npz"]


def test_decoding_to_another_suffix_is_refused(checkpoint, tmp_path, capsys):
    main(["encode", str(checkpoint), str(tmp_path / "net.fwb")])
    assert main(["decode", str(tmp_path / "net.fwb"), str(tmp_path / "net.h5")]) == 2
    assert ".npz or .safetensors" in capsys.readouterr().err


def test_a_step_in_place_of_bits(checkpoint, tmp_path: Path):
    out = tmp_path / "net.fwb"
    assert main(["encode", str(checkpoint), str(out), "--step", "0.25"]) == 0
    kernel = params_from_bytes(out.read_bytes())["dense1"]["kernel"]
    np.testing.assert_array_equal(kernel, np.rint(kernel / 0.25) * 0.25)
    with pytest.raises(SystemExit, match="2"):
        main(["encode", str(checkpoint), str(out), "--step", "0.25", "--bits", "4"])


def test_help_lists_verbs_and_defaults(capsys):
    for words, shown in ([["--help"], "verbs:\n  encode "], [["encode", "-h"], "--max-mse E"]):
        with pytest.raises(SystemExit, match="0"):
            main(words)
        assert shown in capsys.readouterr().out


def test_an_orbax_folder_is_new(checkpoint, tmp_path: Path, capsys):
    assert main(["encode", str(checkpoint), str(tmp_path / "net.fwb"), "--bits", "float32"]) == 0
    out = tmp_path / "net.orbax"
    assert main(["decode", str(tmp_path / "net.fwb"), str(out)]) == 0
    kernel = read_checkpoint(out)["dense1"]["kernel"]
    np.testing.assert_array_equal(kernel, pruned()["dense1"]["kernel"].astype(np.float32))
    assert main(["decode", str(tmp_path / "net.fwb"), str(out), "--force"]) == 2
    assert "net.orbax is not empty; name a new folder" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.fwb", "net.npz", "net.orbax"]
