"""The arithmetic coder of bits: round trips, lengths near the ideal, ends of streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.coding import binary_coder
from fewbits.coding.compiled import is_compiled

chances = st.integers(1, 65535)


def registers(data=None):
    found = np.zeros(binary_coder.REGISTERS, np.int64)
    binary_coder.start(found, data)
    return found


def written(pairs, code=binary_coder.code):
    coder, out = registers(), np.zeros(4 * len(pairs) + 4, np.uint8)
    for bit, chance in pairs:
        assert code(True, bit, chance, coder, out) == bit
    return out[: coder[binary_coder.PLACE]].tobytes() + binary_coder.last_bytes(coder)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), chances), max_size=60))
def test_bits_come_back(pairs):
    data = written(pairs)
    ideal = sum(-np.log2((chance if bit else 65536 - chance) / 65536) for bit, chance in pairs)
    assert 8 * len(data) <= ideal + 0.02 * len(pairs) + 8
    coder, array = registers(data), np.frombuffer(bytearray(data), np.uint8)
    read = [binary_coder.code(False, 0, chance, coder, array) for _, chance in pairs]
    assert read == [bit for bit, _ in pairs]


def test_compiled_and_interpreted_coders_agree():
    assert is_compiled()
    rng = np.random.default_rng(0)
    pairs = list(zip(rng.integers(0, 2, 500).tolist(), rng.integers(1, 65536, 500).tolist(),
                     strict=True))  # fmt: skip
    assert written(pairs) == written(pairs, binary_coder.code.py_func)


def test_what_does_not_fit_is_not_written():
    coder, out = registers(), np.zeros(3, np.uint8)
    for _ in range(80):
        binary_coder.code(True, 0, 1 << 15, coder, out[:2])
    assert coder[binary_coder.PLACE] == 10
    assert out[2] == 0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 2**32 - 1, b""),
        (1, 2**32 - 1, b"\x01"),
        (0x01000001, 0x0100FFFF, b"\x01\x00\x01"),
        (0x12345678, 0x12345678, b"\x12\x34\x56\x78"),
    ],
)
def test_the_ends_of_streams(low, high, expected):
    assert binary_coder.last_bytes(np.array([low, high, 0, 0], np.int64)) == expected
