"""Text files that decode anywhere: round trips, sizes, damage, what is said of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.codecs import text
from fewbits.codecs.text import archive, commands, mixed
from fewbits.codecs.text.mixing import coder
from fewbits.coding import FormatError, container
from fewbits.io import wikipedia

GOLDEN = Path(__file__).parent / "golden"
RANDOM = np.random.default_rng(0).bytes(9000)
KINDS = {
    "one byte": b"x",
    "zeros": bytes(30_000),
    "UTF-16": "Größe und Maß, ".encode("utf-16") * 40,
    "Chinese": "这是一个测试。我们压缩文本，然后解压缩。".encode() * 30,
    "log": b"2026-11-29 12:00:01 INFO request served in 12 ms\r\n" * 100,
    "JSON": json.dumps([{"id": n, "name": f"item {n}"} for n in range(100)]).encode(),
    "binary": np.arange(2000, dtype="<f4").tobytes(),
    "all bytes": bytes(range(256)) * 3,
}


@settings(max_examples=6, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_come_back(data: bytes):
    file = mixed.compress(data, prior=False)
    assert text.decompress(file) == data
    assert len(file) <= len(data) + mixed.OVERHEAD_BYTES


@pytest.mark.parametrize("fast", [False, True])
def test_kinds_of_files_come_back(fast: bool):
    for name, data in KINDS.items():
        file = mixed.compress(data, prior=False, fast=fast)
        assert text.decompress(file) == data, name
        if name in ("zeros", "UTF-16", "Chinese", "log"):
            assert len(file) < len(data) / 8, name


def test_nothing_and_random_bytes_are_stored():
    for data in (b"", RANDOM, np.random.default_rng(1).bytes(300_000)):
        file = text.compress(data)
        assert text.decompress(file) == data
        assert len(file) <= len(data) + mixed.OVERHEAD_BYTES
        assert mixed.salvage(file) == (data, None)
    sizes = [len(container.write_archive("text", {"scheme": 2}, {"stored": b""}))]
    # A section's length takes 1 to 5 bytes.
    assert sizes[0] + 4 <= mixed.OVERHEAD_BYTES <= 48


def test_every_damaged_byte_is_found():
    file = mixed.compress(b"A rose is a rose is a rose. " * 8, prior=False)
    for at in range(len(file)):
        for change in (1, 0x80, 0xFF):
            broken = bytearray(file)
            broken[at] ^= change
            with pytest.raises(FormatError):
                text.decompress(bytes(broken))
    for cut in range(len(file)):
        with pytest.raises(FormatError):
            text.decompress(file[:cut])


def test_damage_below_the_checksums_is_found():
    """What someone who recomputes the container's checksums could write."""
    data = wikipedia.made_up(3000)[:3000]
    payload = container.read_archive(mixed.compress(data, prior=False)).sections[mixed.MIXED]
    random = np.random.default_rng(2)
    for _ in range(12):
        broken = bytearray(payload)
        broken[random.integers(len(broken) - 8)] ^= 1 << int(random.integers(8))
        with pytest.raises(FormatError):
            text.decompress(
                container.write_archive("text", {"scheme": 2}, {"mixed": bytes(broken)})
            )
    for sections in (
        {"mixed": b""},
        {"mixed": b"\x00"},
        {"mixed": b"\x02" + payload[1:]},
        {"mixed": payload[:1] + b"\x28" + payload[2:]},
        {"mixed": payload + b"more!"},
        {"mixed": b"\x00\x0a" + b"\xff\xff\xff\xff\x07" + bytes(40)},
        {"other": payload},
        {"mixed": payload, "stored": b""},
        {},
    ):
        with pytest.raises(FormatError):
            text.decompress(container.write_archive("text", {"scheme": 2}, sections))
    for header in ({}, {"scheme": 3}, {"scheme": 2, "more": 1}):
        with pytest.raises(FormatError):
            text.decompress(container.write_archive("text", header, {"mixed": payload}))


@pytest.mark.slow
def test_salvage_gives_all_text_before_the_damage():
    data = wikipedia.made_up(200_000)[:200_000]
    file = mixed.compress(data, prior=False, fast=True)
    assert mixed.salvage(file) == (data, None)
    broken = bytearray(file)
    broken[3 * len(file) // 4] ^= 1
    found = mixed.salvage(bytes(broken))
    assert found.damage is not None
    assert "wrong between bytes" in found.damage
    assert len(found.text) == 2 * coder.CHECK_BYTES
    assert data.startswith(found.text)
    cut = mixed.salvage(file[: len(file) // 2])
    assert data.startswith(cut.text)
    assert len(cut.text) > 0.4 * len(data)
    assert text.decompress(bytes(broken), salvage=True) == found.text
    for damaged in (b"", b"no file at all", file[:20], b"\x89FWB\r\n" + bytes(100)):
        with pytest.raises(FormatError):
            mixed.salvage(damaged)


def test_salvage_of_stored_bytes():
    file = text.compress(RANDOM)
    broken = bytearray(file)
    broken[5000] ^= 1
    found = mixed.salvage(bytes(broken))
    assert sum(a != b for a, b in zip(found.text, RANDOM, strict=True)) == 1
    assert found.damage
    cut = mixed.salvage(file[:5000])
    assert RANDOM.startswith(cut.text)
    assert "too early" in str(cut.damage)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("poem").write_bytes(b"A rose is a rose is a rose. " * 20)
    for flags in (["--full"], ["--fast"]):
        assert commands.main(["compress", "poem", "poem.fwb", "--force", *flags]) == 0
        assert commands.main(["decompress", "poem.fwb", "back", "--force", "--quiet"]) == 0
        assert Path("back").read_bytes() == Path("poem").read_bytes()
    broken = bytearray(Path("poem.fwb").read_bytes())
    broken[-12] ^= 1
    Path("broken.fwb").write_bytes(broken)
    capsys.readouterr()
    assert commands.main(["decompress", "broken.fwb", "new", "--quiet"]) == 2
    assert "broken.fwb" in capsys.readouterr().err
    assert not Path("new").exists()
    assert commands.main(["decompress", "broken.fwb", "new", "--salvage", "--quiet"]) == 0
    assert "wrong between bytes 0 and 560" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "fast", "no_prior"])
def test_golden_files_keep_decoding(name: str):
    expected = json.loads((GOLDEN / "mixed.json").read_text())
    found = archive.decompress((GOLDEN / f"mixed_{name}.fwb").read_bytes())
    assert hashlib.sha256(found).hexdigest() == expected[name]


@pytest.mark.slow
def test_small_english_is_smaller_than_under_brotli():
    brotli = pytest.importorskip("brotli")
    words = Path(__file__).parents[3].joinpath("CONTRIBUTING.md").read_bytes()[:4000]
    assert len(text.compress(words)) < len(brotli.compress(words, quality=11))


@pytest.mark.slow
def test_salvaged_bytes_that_nothing_checks_are_said():
    stored = bytearray(mixed.compress(np.random.default_rng(0).bytes(3_000)))
    stored[1_000] ^= 1
    assert "stored, without checksums" in mixed.salvage(bytes(stored)).damage
    words = b" ".join(b"%d" % n for n in np.random.default_rng(1).integers(0, 1_000, 300))
    coded = bytearray(mixed.compress(words))
    coded[-1] ^= 1  # of the digest of the whole
    found = mixed.salvage(bytes(coded))
    assert found.text == words
    assert "beside it" in found.damage
    assert "none of them" in mixed.salvage(bytes(coded[:-80])).damage
