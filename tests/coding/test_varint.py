from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError
from fewbits.coding.varint import ByteReader, exp_golomb, read_exp_golomb, unzigzag, varint, zigzag
from tests.coding.families import DETERMINISTIC


@DETERMINISTIC
@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(value):
    reader = ByteReader(varint(value), "numbers")
    assert reader.varint(2**64 - 1) == value
    reader.finish()


@DETERMINISTIC
@given(st.integers(-(2**40), 2**40))
def test_zigzag_comes_back(value):
    assert unzigzag(zigzag(value)) == value
    assert zigzag(value) >= 0


@DETERMINISTIC
@given(values=st.lists(st.integers(0, 2**20), max_size=50), order=st.integers(0, 7))
def test_exp_golomb_comes_back(values, order):
    reader = ByteReader(exp_golomb(values, order), "numbers")
    assert read_exp_golomb(reader, len(values), order) == values
    reader.finish()


def test_the_first_codes_of_exp_golomb():
    assert exp_golomb([0, 1, 2, 3], 0) == bytes([0b10100110, 0b01000000])
    assert exp_golomb([0, 3], 1) == bytes([0b10010100])
    assert exp_golomb([], 3) == b""


@pytest.mark.parametrize("value", [-1, 2**64])
def test_numbers_that_are_no_varint(value):
    with pytest.raises(ValueError, match=str(value)):
        varint(value)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 11, b"\x65"])
def test_damaged_varints(data):
    with pytest.raises(FormatError):
        ByteReader(data, "numbers").varint(100)


@pytest.mark.parametrize("count", [-1, 3, 1 << 62])
def test_bytes_that_are_not_there(count):
    reader = ByteReader(b"ab", "numbers")
    with pytest.raises(FormatError, match="wanted") as caught:
        reader.take(count)
    assert caught.value.section == "numbers"
    assert str(caught.value).startswith("section numbers: ")


def test_bytes_left_over():
    reader = ByteReader(b"ab", "numbers")
    assert (reader.byte(), reader.position, reader.remaining) == (97, 1, 1)
    with pytest.raises(FormatError, match="1 bytes follow"):
        reader.finish()
