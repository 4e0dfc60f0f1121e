"""The command line: files to files, one line for a mistake."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from coding import __main__ as coding_command
from coding import container
from coding.account import account
from tests.textcodec.test_archive import TINY
from textcodec import __main__ as command
from textcodec import commands, offline, online
from training import transformer


@pytest.fixture
def donor(tmp_path: Path) -> Path:
    network = offline.network_file(transformer.init(TINY, jax.random.key(0)))
    path = tmp_path / "donor.fwb"
    container.save(path, offline.compress(b"", TINY, network))
    return path


def test_under_the_network_of_another_file(donor: Path, tmp_path: Path, capsys):
    (tmp_path / "in").write_bytes(b"some bytes \x00\xff" * 20)
    arguments = ["compress", str(tmp_path / "in"), str(tmp_path / "out"), "--model", str(donor)]
    assert command.main(arguments) == 0
    assert "260 bytes in" in capsys.readouterr().out
    assert command.main(["decompress", str(tmp_path / "out"), str(tmp_path / "back")]) == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "in").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compress", "missing", "out"], "missing: No such file"),
        (["compress", ".", "out"], "not a regular file"),
        (["compress", "in", "no/such/out"], "make it first"),
        (["compress", "in", "."], "is a folder"),
        (["compress", "in", "out", "--seed", "-1"], "-1"),
        (["compress", "in", "out", "--model", "in"], "in: envelope: not a fewbits file"),
        (["compress", "in", "out", "--model", "online.fwb"], "holds no network"),
        (["decompress", "in", "out"], "in: envelope: not a fewbits file"),
        (["decompress", "missing", "out"], "missing: No such file"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_bytes(b"text")
    container.save("online.fwb", online.compress(b"", online.OnlineConfig(TINY)))
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


class _Entry:
    """What installed metadata would say."""

    module = "textcodec.commands"

    def __init__(self, name: str, function):
        self.name, self.load = name, lambda: function


def test_commands_of_the_ground_floor(donor: Path, tmp_path: Path, monkeypatch, capsys):
    found = [
        _Entry("compress-text", commands.add_compress),
        _Entry("decompress-text", commands.add_decompress),
    ]
    monkeypatch.setattr(coding_command, "entry_points", lambda group: found)
    (tmp_path / "in").write_bytes(b"ab")
    names = {name: str(tmp_path / name) for name in ("in", "out", "back")}
    arguments = ["compress-text", names["in"], names["out"], "--model", str(donor)]
    assert coding_command.main(arguments) == 0
    assert coding_command.main(["decompress-text", names["out"], names["back"]]) == 0
    assert (tmp_path / "back").read_bytes() == b"ab"
    assert sum(row.size_bytes for row in account(names["out"])) == Path(names["out"]).stat().st_size
    capsys.readouterr()
    assert coding_command.main(["decompress-text", names["in"], names["back"]]) == 2
    assert capsys.readouterr().err.endswith("in: envelope: not a fewbits file\n")


def test_commands_that_are_not_registered(monkeypatch, capsys):
    monkeypatch.setattr(coding_command, "entry_points", lambda group: [])
    assert coding_command.main(["compress-text", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "python -m textcodec compress" in error
    assert error.count("\n") == 1
