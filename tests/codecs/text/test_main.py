"""The command line: files to files, one line for a mistake."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from fewbits.codecs.text import commands as command
from fewbits.codecs.text import offline, online
from fewbits.coding import container
from fewbits.training.models import transformer
from tests.codecs.text.test_archive import TINY


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
        (["compress", "in", "out", "--model", "in"], "in is not a fewbits file"),
        (["compress", "in", "out", "--model", "online.fwb"], "holds no network"),
        (["decompress", "in", "out"], "in is not a fewbits file"),
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
