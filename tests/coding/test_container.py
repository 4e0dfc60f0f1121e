from __future__ import annotations

import os
import struct
import zlib
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits import coding
from fewbits.coding import FormatError, cbor, container, read_archive, write_archive
from fewbits.coding.varint import varint
from tests.coding.families import DETERMINISTIC

SECTIONS = {"symbols": bytes(range(256)) * 15, "tables": b"tables" * 20}
HEADER = {"tree": {"w": b"\2\2\2\3", "b": [0.5, 1]}, "name": "example"}


def assemble(
    header: bytes = b"\xa0",
    sections: tuple[tuple[bytes, bytes], ...] = (),
    *,
    version: bytes = b"\1",
    kind: bytes = b"model",
    count: int | None = None,
    lengths: tuple[int, ...] | None = None,
    header_length: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """A file with right checksums whatever it says: what someone can write on purpose."""
    body = container.MAGIC + version + varint(len(kind)) + kind
    body += varint(len(header) if header_length is None else header_length) + header
    body += varint(len(sections) if count is None else count)
    for number, (name, payload) in enumerate(sections):
        length = len(payload) if lengths is None else lengths[number]
        body += varint(len(name)) + name + varint(length) + struct.pack("<I", zlib.crc32(payload))
    body += b"".join(payload for _, payload in sections) + tail
    return body + blake2b(body, digest_size=8).digest()


@pytest.fixture(scope="module")
def archive() -> bytes:
    data = write_archive("model", HEADER, SECTIONS)
    assert 4000 <= len(data) <= 4200
    return data


@DETERMINISTIC
@given(
    kind=st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
    header=st.dictionaries(st.text(max_size=5), st.integers(-99, 99) | st.binary(max_size=9)),
    sections=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.binary(max_size=400), max_size=6
    ),
)
def test_what_is_written_is_read(kind, header, sections):
    data = write_archive(kind, header, sections)
    assert read_archive(data, kind=kind) == (kind, 1, header, sections)
    reordered = dict(reversed(sections.items()))
    assert write_archive(kind, dict(reversed(header.items())), reordered) == data


def test_the_public_names():
    assert coding.read_archive is read_archive
    assert container.FormatError is FormatError
    assert issubclass(FormatError, ValueError)


def test_overhead_is_at_most_64_bytes():
    assert container.overhead_bytes() <= 64


def test_our_own_assembly_agrees_with_the_writer():
    payloads = tuple((name.encode(), SECTIONS[name]) for name in sorted(SECTIONS))
    assert assemble(cbor.dumps(HEADER), payloads) == write_archive("model", HEADER, SECTIONS)


def test_every_truncation_is_refused(archive):
    for length in range(len(archive)):
        with pytest.raises(FormatError):
            read_archive(archive[:length])


def test_every_flipped_bit_is_refused(archive):
    damaged = bytearray(archive)
    for place in range(len(archive)):
        for bit in range(8):
            damaged[place] ^= 1 << bit
            with pytest.raises(FormatError):
                read_archive(bytes(damaged))
            damaged[place] ^= 1 << bit


def test_every_flipped_bit_of_a_payload_is_found_without_the_digest_too(archive):
    first = archive.index(SECTIONS["symbols"])
    damaged = bytearray(archive)
    for place in range(first, len(archive) - 8, 7):
        damaged[place] ^= 0x10
        body = bytes(damaged[:-8])
        signed = body + blake2b(body, digest_size=8).digest()
        expected = "symbols" if place < first + len(SECTIONS["symbols"]) else "tables"
        for data in (bytes(damaged), signed):
            with pytest.raises(FormatError, match="checksum") as caught:
                read_archive(data)
            assert caught.value.section == expected
        damaged[place] ^= 0x10


@pytest.mark.parametrize("extra", [b"\0", b"\n", bytes(100), container.MAGIC])
def test_bytes_after_the_end_are_refused(archive, extra):
    with pytest.raises(FormatError):
        read_archive(archive + extra)
    with pytest.raises(FormatError, match="follow the end"):
        read_archive(assemble(tail=extra))


def test_two_files_spliced_at_any_place_are_refused(archive):
    other = write_archive(
        "model", {**HEADER, "name": "another"}, {**SECTIONS, "symbols": b"x" * 3840}
    )
    assert len(other) == len(archive)
    for place in range(1, len(archive), 5):
        for data in (archive[:place] + other[place:], archive[:place] + other):
            if data not in (archive, other):
                with pytest.raises(FormatError):
                    read_archive(data)


def test_foreign_files_are_refused():
    rng = np.random.default_rng(0)
    foreign = [b"", b"\x89", b"\x89PNG\r\n\x1a\n", b"PK\3\4" + bytes(50), b"\x1f\x8b" + bytes(50)]
    foreign += [rng.bytes(int(rng.integers(1, 300))) for _ in range(1000)]
    foreign += [container.MAGIC + rng.bytes(int(rng.integers(0, 300))) for _ in range(2000)]
    foreign += [container.MAGIC + b"\1" + rng.bytes(int(rng.integers(0, 300))) for _ in range(2000)]
    for data in foreign:
        with pytest.raises(FormatError):
            read_archive(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (assemble(version=b"\3"), "format version 3"),
        (assemble(version=b"\0"), "format version 0"),
        (assemble(kind=b""), "a name is ''"),
        (assemble(kind=b"Model"), "a name is 'Model'"),
        (assemble(kind=b"model\n"), "a name is"),
        (assemble(kind=b"m" * 33), "length of a name is 33"),
        (assemble(kind=b"\xff"), "a name is"),
        (assemble(header=b""), "wanted"),
        (assemble(header=b"\x80"), "not a map"),
        (assemble(header=b"\xa0\xa0"), "follow the end"),
        (assemble(header_length=1 << 62), "length of the header"),
        (assemble(header_length=1 << 20), "wanted"),
        (assemble(count=1), "wanted"),
        (assemble(count=257), "number of sections is 257"),
        (assemble(sections=((b"a", b"1"), (b"a", b"2"))), "repeats or is out of order"),
        (assemble(sections=((b"b", b"1"), (b"a", b"2"))), "repeats or is out of order"),
        (assemble(sections=((b"a", b"1"),), lengths=(2,)), "wanted"),
        (assemble(sections=((b"a", b"12"),), lengths=(1,)), "checksum"),
        (assemble(sections=((b"a", b""),), lengths=(1 << 31,)), "wanted"),
        (assemble(sections=((b"a", b""),), lengths=((1 << 64) - 1,)), "length of 'a'"),
        (assemble(sections=((b"a", b""), (b"b", b"")), count=1), "follow the end"),
    ],
)
def test_what_right_checksums_do_not_excuse(data, message):
    with pytest.raises(FormatError, match=message):
        read_archive(data)


SHORT = ("adaptive", {"tree": b"\2\2\3", "pruned": 0}, {"symbols": bytes(range(200))})


def signed(body: bytes) -> bytes:
    """A file of version 2 with a right digest whatever it says."""
    body = container.MAGIC + body
    return body + blake2b(body, digest_size=4).digest()


def test_a_short_form_is_what_the_page_says():
    kind, header, sections = SHORT
    data = write_archive(*SHORT)
    assert data == signed(b"\2\0\6" + cbor.dumps([b"\2\2\3", 0]) + sections["symbols"])
    assert read_archive(data, kind=kind) == (kind, 2, header, sections)
    assert len(data) - 200 - len(b"\2\2\3") == 16
    headers = {**header, "beside": 1}, {}, {"pruned": 0}
    others = [(kind, one, sections) for one in headers]
    for other in (*others, (kind, header, {}), ("model", header, sections)):
        assert read_archive(write_archive(*other)).version == 1


def test_every_damage_to_a_short_form_is_refused():
    data = write_archive(*SHORT)
    wrong = [data[:length] for length in range(len(data))] + [data + b"\0", data + bytes(9)]
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            wrong.append(bytes(flipped))
    for each in wrong:
        with pytest.raises(FormatError):
            read_archive(each)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\2\1\2\x81\x40", "number of the form is 1"),
        (b"\2\0\1\xa0", "not the entries"),
        (b"\2\0\1\x80", "not the entries"),
        (b"\2\0\4\x83\x00\x00\x00", "not the entries"),
        (b"\2\0\3\x81", "wanted"),
        (b"\2\0\xff\xff\x7f\x80", "length of the header"),
        (b"\2", "wanted"),
    ],
)
def test_what_a_right_digest_of_a_short_form_does_not_excuse(body, message):
    with pytest.raises(FormatError, match=message):
        read_archive(signed(body))


def test_the_kind_that_is_expected():
    data = write_archive("lgc", {}, {})
    assert read_archive(data, kind="lgc").kind == read_archive(data).kind == "lgc"
    with pytest.raises(FormatError, match="a file of kind 'lgc', not 'model'"):
        read_archive(data, kind="model")


@pytest.mark.parametrize(
    ("kind", "header", "sections", "message"),
    [
        ("Model", {}, {}, "not 'Model'"),
        ("", {}, {}, "not ''"),
        ("model", {}, {"two words": b""}, "two words"),
        ("model", {}, {f"s{i}": b"" for i in range(257)}, "257 sections"),
        ("model", [], {}, "a header is a mapping"),
        ("model", {"big": bytes(1 << 20)}, {}, "a header of"),
        ("model", {"many": [0] * 20_000}, {}, "more than 16384 values"),
        ("model", {"number": float("nan")}, {}, "finite"),
    ],
)
def test_what_cannot_be_read_is_not_written(kind, header, sections, message):
    with pytest.raises(ValueError, match=message):
        write_archive(kind, header, sections)


def test_save_and_load(tmp_path: Path):
    path = tmp_path / "a.model"
    data = write_archive("model", HEADER, SECTIONS)
    for _ in range(2):  # the second time over the first
        container.save(path, data)
        assert path.read_bytes() == data
    assert container.load(path, kind="model").sections == SECTIONS
    assert container.load_bytes(str(path)) == data
    assert os.listdir(tmp_path) == ["a.model"]


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.model"
    path.write_bytes(b"before")

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        container.save(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.model"]
    with pytest.raises(OSError):
        container.save(tmp_path / "missing" / "a.model", b"")


def test_load_of_what_is_no_archive(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        container.load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        container.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not a regular file"):
        container.load(tmp_path / "pipe")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FormatError, match="not a fewbits file"):
        container.load(tmp_path / "text")
    # A sparse file of 2^33 bytes: refused by its size, not read.
    with (tmp_path / "huge").open("wb") as file:
        file.write(container.MAGIC)
        file.truncate(1 << 33)
    with pytest.raises(FormatError, match="8589934592 bytes"):
        container.load(tmp_path / "huge")


@pytest.mark.parametrize("payload", ["text", 3, None, [1, 2], np.zeros(3, np.uint8)])
def test_a_section_that_is_no_bytes_is_refused(payload):
    with pytest.raises(ValueError, match="section s is .*; give bytes"):
        container.write_archive("notes", {}, {"s": payload})


@pytest.mark.parametrize("name", [3, None, b"a"])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(ValueError, match="names are at most 32"):
        container.write_archive("notes", {}, {name: b""})
