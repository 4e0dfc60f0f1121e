from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, cbor
from tests.coding.families import DETERMINISTIC

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: object, other: object) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    return repr(one) == repr(other)


@DETERMINISTIC
@given(VALUES)
def test_values_come_back(value):
    encoded = cbor.dumps(value)
    assert cbor.loads(encoded) == value
    assert cbor.dumps(cbor.loads(encoded)) == encoded


@pytest.mark.parametrize(
    "value", [0, -1, 23, 24, 255, 256, 65536, 2**32, True, 1.0, -0.0, 0.1, b"", ""]
)
def test_types_come_back(value):
    assert same(cbor.loads(cbor.dumps(value)), value)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [  # appendix A of RFC 8949
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000, "1a000f4240"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (100000.0, "fa47c35000"),
        (1.1, "fb3ff199999999999a"),
        (False, "f4"),
        (None, "f6"),
        (b"\1\2\3\4", "4401020304"),
        ("ü", "62c3bc"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    ],
)
def test_the_examples_of_cbor(value, encoded):
    assert cbor.dumps(value).hex() == encoded
    assert same(cbor.loads(bytes.fromhex(encoded)), value)


def test_the_order_of_keys_does_not_matter():
    assert cbor.dumps({"b": 1, "aa": 2, "a": 3}) == cbor.dumps({"a": 3, "aa": 2, "b": 1})
    assert list(cbor.loads(cbor.dumps({"aa": 1, "b": 2}))) == ["b", "aa"]


def test_scalars_of_numpy_and_jax_become_numbers():
    value = {"i": np.int64(3), "f": np.float32(0.5), "b": np.bool_(True), "t": (1, 2)}
    assert cbor.loads(cbor.dumps(value)) == {"i": 3, "f": 0.5, "b": True, "t": [1, 2]}
    assert cbor.loads(cbor.dumps([jnp.float32(0.5), jnp.int32(7)])) == [0.5, 7]


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        2**64,
        -(2**64) - 1,
        {1: 2},
        {"a": object()},
        {1, 2},
        np.zeros(2),
        nested(40),
        "\ud800",
    ],
)
def test_values_that_no_header_holds(value):
    with pytest.raises(ValueError):
        cbor.dumps(value)


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "1817",  # 23 in two bytes
        "190018",  # 24 in three
        "1a00000100",
        "1b0000000000000001",
        "fb3ff0000000000000",  # 1.0 as float64
        "f93c00",  # float16
        "fa7f800000",  # infinity
        "fa7fc00000",  # not a number
        "fb7ff8000000000000",
        "f7",  # undefined
        "f818",
        "c001",  # a tag
        "9f01ff",  # indefinite length
        "5f4101ff",
        "1f",
        "0000",  # two values
        "6180",  # not UTF-8
        "63edb080",  # half a surrogate pair
        "4401",  # cut
        "8201",
        "a16161",
        "a2616101616101",  # a key twice
        "a2616201616101",  # keys out of order
        "a10101",  # a key that is a number
        "9bffffffffffffffff",  # more entries than bytes
        "bb7fffffffffffffff",
        "5bffffffffffffffff",
    ],
)
def test_everything_but_the_deterministic_encoding_is_refused(encoded):
    with pytest.raises(FormatError) as caught:
        cbor.loads(bytes.fromhex(encoded))
    assert caught.value.section == "header"


def test_nesting_and_number_of_values_are_bounded():
    assert cbor.loads(b"\x81" * 32 + b"\x80")
    for deep in (b"\x81" * 33 + b"\x80", b"\x81" * 100_000, b"\xa1\x61a" * 50_000):
        with pytest.raises(FormatError, match="deep"):
            cbor.loads(deep)
    many = cbor.dumps([0] * cbor.MAX_VALUES)
    with pytest.raises(FormatError, match="more than"):
        cbor.loads(many)
