"""Text files: back in a subprocess, byte for byte; damage gives FormatError, never a text."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from fewbits.codecs.text import archive, contexts, header, offline, online, streams
from fewbits.coding import FormatError, container
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig

ROOT = Path(__file__).resolve().parents[3]
TINY = TransformerConfig(width=16, layers=1, heads=2, window=8, expansion=2)
LEARNING = online.Learning(streams=256, bytes_per_stream=200, segment=16, warm_up_steps=5)
CONFIG = online.OnlineConfig(dataclasses.replace(TINY, contexts=contexts.SHAPE), LEARNING)


def english(size: int) -> bytes:
    """The repository's own pages, over and over if need be."""
    pages = b"\n".join(path.read_bytes() for path in sorted((ROOT / "docs").glob("*.md")))
    return (pages * (1 + size // len(pages)))[:size]


@pytest.fixture(scope="module")
def network() -> bytes:
    return offline.network_file(transformer.init(TINY, jax.random.key(0)))


def fresh(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "fewbits", "text", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_50_kilobytes_come_back_in_a_subprocess(mode: str, network: bytes, tmp_path: Path):
    text = english(50_000)
    if mode == "online":
        data = online.compress(text, CONFIG)
        assert len(data) < 0.8 * len(text)
    else:
        data = offline.compress(text, TINY, network)
    container.save(tmp_path / "text.fwb", data)
    done = fresh(["decompress", "text.fwb", "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == text


@pytest.mark.nightly
def test_a_megabyte_comes_back_in_a_subprocess(tmp_path: Path):
    text = english(1_000_000)
    config = dataclasses.replace(
        CONFIG, learning=dataclasses.replace(LEARNING, streams=512, bytes_per_stream=1000)
    )
    container.save(tmp_path / "text.fwb", online.compress(text, config))
    done = fresh(["decompress", "text.fwb", "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == text


@pytest.mark.slow
@pytest.mark.parametrize("text", [b"", b"x", bytes(range(256)) * 2 + b"end"])
def test_short_texts_come_back(text: bytes, network: bytes):
    plain = online.OnlineConfig(TINY, LEARNING)
    assert archive.decompress(online.compress(text, plain)) == text
    assert archive.decompress(offline.compress(text, TINY, network)) == text


def test_flipped_bits_and_cuts_are_found(network: bytes):
    random = np.random.default_rng(0)
    for data in (
        online.compress(b"", CONFIG),
        offline.compress(english(300), TINY, network, max_streams=1),
    ):
        for at in random.integers(0, len(data), 200):
            broken = bytearray(data)
            broken[at] ^= 1 << random.integers(8)
            with pytest.raises(FormatError):
                archive.decompress(bytes(broken))
        for cut in (*range(0, 40), *random.integers(0, len(data), 40)):
            with pytest.raises(FormatError):
                archive.decompress(data[:cut])


def test_damage_below_the_checksums_is_found(network: bytes):
    """What someone who recomputes checksums could write."""
    text = english(400)
    data = offline.compress(text, TINY, network, max_streams=1)
    read = container.read_archive(data)

    def altered(change: dict, sections: dict[str, bytes] | None = None) -> bytes:
        return container.write_archive(
            header.KIND,
            {**read.header, **change},
            {**read.sections, **(sections or {})},
        )

    model = read.header["model"]
    for change in (
        {"scheme": 2},
        {"mode": "both"},
        {"bytes": -1},
        {"bytes": 1 << 40},
        {"bytes": 399},
        {"bytes": True},
        {"lanes": 0},
        {"lanes": 1 << 20},
        {"lanes": 2},
        {"checks": b""},
        {"made_with": 3},
        {"extra": 1},
        {"offline": {"a": 1}},
        {"model": {**model, "width": 1 << 14, "layers": 1 << 10}},
        {"model": {**model, "width": 15}},
        {"model": {**model, "width": "16"}},
        {"model": {**model, "contexts": None}},
        {"model": {**model, "contexts": True}},
        {"model": {**model, "compute": "float8"}},
        {"model": {}},
        {"model": 3},
    ):
        with pytest.raises(FormatError):
            archive.decompress(altered(change))
    for sections in (
        {"text": b""},
        {"text": bytes(100)},
        {"network": b"no"},
        {"other": b""},
    ):
        with pytest.raises(FormatError):
            archive.decompress(altered({}, sections))
    with pytest.raises(FormatError, match=r"another kind of device.*made on elsewhere"):
        archive.decompress(
            altered({"checks": bytes(len(read.header["checks"])), "made_with": "elsewhere"})
        )


@pytest.mark.parametrize(
    "change",
    [
        {"method": "unknown"},
        {"segment": 0},
        {"lanes": 7},
        {"learning_rate": "fast"},
        {"seed": -1},
        {"clip": 0.0},
    ],
)
def test_learning_is_checked(change: dict):
    data = online.compress(b"", online.OnlineConfig(TINY, LEARNING))
    read = container.read_archive(data)
    altered = {
        **read.header,
        "bytes": 5000,
        "online": {**read.header["online"], **change},
    }
    with pytest.raises(FormatError):
        archive.decompress(container.write_archive(header.KIND, altered, read.sections))


def test_a_network_of_another_shape_is_refused(network: bytes):
    wider = dataclasses.replace(TINY, width=32)
    with pytest.raises(FormatError, match="not those of the network"):
        offline.compress(b"abc", wider, network)


@pytest.mark.slow
def test_a_network_goes_on_where_it_stopped():
    """Stopped within a segment, with parameters, tables of contexts and a method's state."""
    text = english(3000)
    whole = online.compress(text, CONFIG)

    def interrupted(coding: streams.Encoder | streams.Decoder) -> None:
        coding.advance(100)
        states.append(coding.state())
        raise KeyboardInterrupt

    def going_on(coding: streams.Encoder | streams.Decoder) -> None:
        coding.restore(states.pop())
        streams.run(coding)

    states = []
    with pytest.raises(KeyboardInterrupt):
        online.compress(text, CONFIG, run=interrupted)
    assert online.compress(text, CONFIG, run=going_on) == whole
    with pytest.raises(KeyboardInterrupt):
        archive.decompress(whole, run=interrupted)
    assert archive.decompress(whole, run=going_on) == text
