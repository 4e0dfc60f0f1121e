from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fewbits.cli import main
from fewbits.coding import container, params_to_bytes, write_archive
from fewbits.coding.inspection.kinds import KINDS
from fewbits.coding.weights.model_file import pack, write_model

TREE = {"w": np.random.default_rng(0).normal(size=(10, 4)), "b": [np.ones(4)]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.model"
    container.save(path, write_model(TREE, bits={"w": 4, "*": "float16"}))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "data.lgc"
    header, sections = pack(TREE, 4, prefix="decoder_")
    container.save(path, write_archive("lgc", {"decoder": header, "classes": [1, 2]}, sections))
    return path


def test_inspect_says_what_a_model_holds(model, capsys):
    assert main(["inspect", str(model)]) == 0
    printed = capsys.readouterr().out
    size = model.stat().st_size
    assert printed.startswith(f"net.model: a checkpoint, {size} bytes\nkind model, format 1; read")
    assert "44 parameters in 2 tensors:\n  b/0  4       float16\n" in printed
    assert "  w    10 x 4  4-bit grid, step 0." in printed


@pytest.mark.parametrize("kept", [1.0, 0.2])
@pytest.mark.parametrize("how", [{}, {"bits": 5}, {"step": 0.1}, {"max_mse": 1e-3}])
def test_inspect_lists_the_tensors_of_every_form(kept, how, tmp_path, capsys):
    rng = np.random.default_rng(1)
    params = {"a": rng.normal(size=(9, 8)), "b": rng.normal(size=(8, 7))}
    params = {name: x * (rng.random(x.shape) < kept) for name, x in params.items()}
    container.save(tmp_path / "net", params_to_bytes(params, **how))
    assert main(["inspect", str(tmp_path / "net"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["path"]: one["shape"] for one in found["tensors"]} == {"a": [9, 8], "b": [8, 7]}
    assert main(["account", str(tmp_path / "net")]) == 0


def test_inspect_is_no_dump(archive, tmp_path, capsys):
    assert main(["inspect", str(archive)]) == 0
    printed = capsys.readouterr().out
    assert "  decoder/w    10 x 4  4-bit grid, step 0." in printed
    assert "  classes: 1, 2\n  decoder: tensors, see above\n" in printed
    assert not set("{}[]'") & set(printed)
    header = {"one": 1, "flag": True, "none": None, "many": list(range(99)), "blob": b"12",
              "nested": {"pairs": [[1, 2], [3, 4]], "far": [[0] * 50] * 3}}  # fmt: skip
    container.save(tmp_path / "other", write_archive("new_kind", header, {}))
    assert main(["inspect", str(tmp_path / "other")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("other: a file of kind 'new_kind', ")
    for line in ("one: 1", "flag: yes", "none: none", "blob: <2 bytes>", "far: 3 entries",
                 "many: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (99 in all)"):  # fmt: skip
        assert line in [one.strip() for one in lines]


def test_inspect_for_programs(model, archive, capsys):
    assert main(["inspect", str(model), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["version"]) == ("model", 1)
    assert found["bytes"] == model.stat().st_size
    assert {one["path"]: one["shape"] for one in found["tensors"]} == {"b/0": [4], "w": [10, 4]}
    assert main(["inspect", str(archive), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["header"]["classes"] == [1, 2]
    assert list(found["sections"]) == ["decoder_symbols"]


def test_account_adds_up(model, archive, capsys):
    for path in (model, archive):
        assert main(["account", str(path), "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert sum(row["size_bytes"] for row in rows) == path.stat().st_size
        assert main(["account", str(path)]) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.split()[:2] == ["total", str(path.stat().st_size)]


@pytest.mark.parametrize("command", ["inspect", "account"])
def test_a_bad_file_gives_one_line_and_status_two(command, model, tmp_path, capsys):
    data = model.read_bytes()
    (tmp_path / "cut").write_bytes(data[:-3])
    (tmp_path / "foreign").write_bytes(b"hello")
    (tmp_path / "nothing").write_bytes(b"")
    wrong = write_archive("model", {"tree": b"\x09"}, {})
    (tmp_path / "wrong").write_bytes(wrong)
    for name in ("cut", "foreign", "nothing", "wrong", "missing", "."):
        assert main([command, str(tmp_path / name)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert str(tmp_path / name) in printed.err


@pytest.mark.parametrize("arguments", [[], ["look"], ["inspect"], ["inspect", "a", "--xml"]])
def test_a_mistyped_command_gives_one_line_and_status_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_module_runs(model):
    command = [sys.executable, "-m", "fewbits", "account", str(model)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True
    )
    assert "section symbols: w" in done.stdout


def test_every_kind_of_file_is_described():
    root = Path(__file__).parents[2]
    found = {
        kind
        for package in ("fewbits", "lgc", "ratedist", "bitalloc", "pruning")
        for path in (root / package).rglob("*.py")
        for kind in re.findall(r'^(?:[A-Z_]*_)?KIND = "(\w+)"', path.read_text(), re.MULTILINE)
    }
    assert found == set(KINDS)


def test_a_file_of_another_kind_says_what_it_is(model, capsys):
    """Its name is a part of a word in the message, and is said all the same."""
    short = model.rename(model.parent / "m")
    with contextlib.chdir(model.parent):
        assert main(["lgc", "decompress", short.name, "out.npz"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: m: a file of kind 'model', not an image set")
    assert said.endswith(": a checkpoint; read it with `fewbits weights decode`\n")
