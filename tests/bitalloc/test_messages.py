"""Messages: exact lengths, round trips, and what is not a message."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitalloc import messages
from fewbits.coding import FormatError


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    depth=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    n_images=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_pack_and_unpack_round_trip(depth, n_images, seed):
    depth = np.array(depth)
    rng = np.random.default_rng(seed)
    symbols = rng.integers(0, 1 << depth, size=(n_images, len(depth)))
    data = messages.pack(symbols, depth)
    assert len(data) == -(-n_images * int(depth.sum()) // 8)
    np.testing.assert_array_equal(messages.unpack(data, n_images, depth), symbols)


def test_the_layout_is_symbol_by_symbol_highest_bit_first():
    symbols, depth = np.array([[2, 1, 5], [1, 0, 2]]), np.array([2, 1, 3])
    assert messages.pack(symbols, depth) == bytes([0b10110101, 0b00100000])


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b""])
def test_wrong_lengths_are_refused(change):
    depth = np.array([3, 2])
    data = messages.pack(np.array([[1, 2], [7, 3], [0, 0]]), depth)
    with pytest.raises(FormatError, match="3 messages of 5 bits"):
        messages.unpack(change(data), 3, depth)


def test_nonzero_padding_is_refused():
    data = messages.pack(np.array([[1, 2]]), np.array([3, 2]))
    with pytest.raises(FormatError, match="padding"):
        messages.unpack(bytes([data[0] | 1]), 1, np.array([3, 2]))


@pytest.mark.parametrize("symbol", [8, -1])
def test_symbols_outside_their_depth_are_refused(symbol):
    with pytest.raises(ValueError, match=str(symbol)):
        messages.pack(np.array([[symbol]]), np.array([3]))
