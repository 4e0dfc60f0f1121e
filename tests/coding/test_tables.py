from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, table_code, tables, units
from fewbits.coding.tables import FrequencyTable
from fewbits.coding.varint import ByteReader, exp_golomb
from tests.coding.families import DETERMINISTIC, FAMILIES, random_table, symbols


def read(code: bytes) -> FrequencyTable:
    reader = ByteReader(code, "tables")
    table = table_code.read(reader)
    reader.finish()
    return table


@DETERMINISTIC
@given(
    weights=st.lists(st.floats(0, 1e300), min_size=1, max_size=200),
    precision=st.integers(8, 24),
)
def test_kraft_sum_is_one_and_every_symbol_has_a_count(weights, precision):
    table = tables.from_weights(weights, precision=precision)
    assert table.counts.sum() == 2**precision
    assert table.counts.min() >= 1
    assert np.exp2(-table.cost_bits).sum() == pytest.approx(1.0, rel=1e-9)


def test_counts_follow_the_weights():
    table = tables.from_weights([1, 2, 5], minimum=-1, precision=24)
    np.testing.assert_allclose(table.counts / 2**24, [0.125, 0.25, 0.625], atol=1e-6)
    assert (table.minimum, table.maximum, table.size) == (-1, 1, 3)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1e-300, 3e-300], [2**60, 2**60], [0, 0, 0]])
def test_extreme_weights(weights):
    assert tables.from_weights(weights).counts.sum() == 2**24


def test_integer_and_float_weights_of_moderate_size_give_the_same_table():
    weights = np.array([3, 0, 7, 1])
    by_floats = tables.from_weights(weights / 11.0).counts
    np.testing.assert_allclose(tables.from_weights(weights).counts, by_floats, atol=2)


@pytest.mark.parametrize(
    ("minimum", "counts", "precision", "message"),
    [
        (0, [], 0, "1 to 65536 counts"),
        (0, [[1, 1]], 1, "shape"),
        (0, [0.5, 0.5], 1, "integers"),
        (0, [1, 0], 0, "counts are 1 to"),
        (0, [1, 2], 1, "add up to 3"),
        (0, [3], 1, "counts are 1 to"),
        (0, [1 << 25], 25, "precision is 0 to 24"),
        (1 << 30, [1], 0, "within"),
        (-(1 << 31), [1], 0, "within"),
    ],
)
def test_a_wrong_table_is_refused(minimum, counts, precision, message):
    with pytest.raises(ValueError, match=message):
        FrequencyTable(minimum, np.array(counts), precision)


@pytest.mark.parametrize(
    "weights", [[], [np.nan], [-1.0], [np.inf], np.ones((2, 2)), np.ones(70_000)]
)
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        tables.from_weights(weights)


def test_too_many_symbols_for_a_precision():
    with pytest.raises(ValueError, match="do not fit"):
        tables.from_weights(np.ones(5), precision=2)


def test_a_table_cannot_be_changed():
    table = tables.uniform(0, 4)
    with pytest.raises(ValueError, match="read-only"):
        table.counts[0] = 1
    assert table == FrequencyTable(0, np.full(4, 1 << 22))
    assert table != tables.uniform(1, 4)


def test_histogram():
    minimum, counts = tables.histogram(np.array([[3, -1], [3, 2]]))
    assert minimum == -1
    assert counts.tolist() == [1, 0, 0, 1, 2]
    assert tables.histogram(np.array([], np.int32))[1].tolist() == [0]
    with pytest.raises(ValueError, match="integers"):
        tables.histogram(np.array([0.5]))
    with pytest.raises(ValueError, match="span"):
        tables.histogram(np.array([0, 1 << 20]))


@pytest.mark.parametrize("count", [0, 1, 2, 50, 5000])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fitted_table_is_what_its_description_expands_to(family, count):
    fitted = table_code.fit(symbols(family, count))
    assert read(fitted.code) == fitted.table
    assert fitted.table.counts.sum() == 2**24
    assert fitted.table.counts.min() >= 1


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "wide"])
def test_table_and_symbols_together_stay_close_to_the_entropy(family):
    values = symbols(family, 200_000)
    fitted = table_code.fit(values)
    entropy_bits = values.size * units.empirical_entropy_bits(tables.histogram(values)[1])
    assert fitted.total_bits <= entropy_bits * 1.002 + 8 * 100
    assert fitted.symbols_bits >= entropy_bits - 1


@pytest.mark.parametrize(
    ("family", "limit_bytes"), [("gaussian", 12), ("laplace", 12), ("uniform", 3), ("constant", 3)]
)
def test_simple_shapes_cost_a_dozen_bytes(family, limit_bytes):
    assert len(table_code.fit(symbols(family, 3000)).code) <= limit_bytes


def test_every_kind_of_description_is_reached():
    kinds = {table_code.fit(symbols(family, 5000)).code[0] for family in FAMILIES}
    assert kinds == {table_code.UNIFORM, table_code.HISTOGRAM, table_code.BELL}


@pytest.mark.parametrize("size", [1, 2, 17, 1000])
def test_any_table_has_an_exact_description(size):
    rng = np.random.default_rng(size)
    table = random_table(rng, size, minimum=-3)
    assert read(table_code.exact(table)) == table


def test_a_bell_is_the_same_integers_for_ever():
    # Spike 1, linear 1/8, square 1/64, worked out with exact rationals from FORMAT.md's rule.
    code = bytes([table_code.BELL, 5, 6]) + b"".join(
        (exponent << 11).to_bytes(2, "little") for exponent in (16, 25, 22)
    )
    side = [2701757, 2275108, 1856889]
    assert read(code).counts.tolist() == [*side[::-1], 3109708, *side]
    distance = np.arange(1, 4)
    np.testing.assert_allclose(
        np.array(side) / 3109708, np.exp(-distance / 8 - distance**2 / 64), rtol=1e-5
    )


def test_a_histogram_is_the_same_integers_for_ever():
    # Levels 1, 3, 0, 2 in half octaves: weights 256, 512, 0, 362.
    code = bytes([table_code.HISTOGRAM, 0, 3, 0x10]) + exp_golomb([2, 4, 5, 4], 0)
    weights = np.array([256, 512, 0, 362])
    counts = 1 + weights * (2**24 - 4) // weights.sum()
    counts[1] += 2**24 - counts.sum()
    assert read(code).counts.tolist() == counts.tolist()


def test_symbols_that_never_occur_cost_next_to_nothing():
    fitted = table_code.fit(np.array([0] * 500 + [9] * 500))
    assert fitted.symbols_bits <= 1000 * 1.001


def test_occurrences_beyond_the_largest_level():
    fitted = table_code.fit_histogram(0, np.array([1 << 40, 1, 1 << 20]))
    assert fitted.table.size == 3


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x04\x00\x00",  # unknown kind
        b"\x00\x00",  # cut
        b"\x00\x00\x80\x80\x04",  # 65,537 symbols
        b"\x00\x80\x00\x00",  # minimum not in shortest form
        b"\x00\xff\xff\xff\xff\x7f\x00",  # minimum out of range
        b"\x00\x80\x80\x80\x80\x08\x05",  # largest symbol out of range
        b"\x01\x00\x01\x01\x00\x01",  # exact: total is 3, not 2
        b"\x01\x00\x00\x19\x00",  # exact: precision 25
        b"\x02\x00\x00\x5f\x80",  # histogram: step 5
        b"\x02\x00\x00\x08\x80",  # histogram: order 8
        b"\x02\x00\x01\x00\x00\x00\x00\x00\x00",  # histogram: endless prefix
        b"\x02\x00\x00\x00\x40",  # histogram: level -1
        b"\x02\x00\x00\x00\x81",  # histogram: padding is not zero
        b"\x02\x00\x00\x00\x01\x00\x00",  # histogram: a level beyond the last
        b"\x03\x02\x00\0\0\0\0\0\0",  # bell without zero
        b"\x03\x00\x02\0\0\0\0",  # bell cut short
    ],
)
def test_a_damaged_description_is_a_format_error(code):
    with pytest.raises(FormatError) as caught:
        read(code)
    assert caught.value.section == "tables"


def test_random_descriptions_end_in_a_table_or_a_format_error():
    rng = np.random.default_rng(0)
    tables_read = 0
    for _ in range(5000):
        code = bytes([rng.integers(0, 5), rng.integers(0, 40), rng.integers(0, 100)])
        code += rng.bytes(int(rng.integers(0, 60)))
        try:
            table = table_code.read(ByteReader(code, "tables"))
        except FormatError:
            continue
        tables_read += 1
        assert table.counts.sum() == 1 << table.precision
    assert tables_read > 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint64, bool])
def test_equal_weights_have_equal_counts_in_every_dtype(dtype):
    assert tables.from_weights(np.ones(2, dtype)).counts.tolist() == [1 << 23] * 2
    half = np.array([1, 0, 1], dtype)
    assert tables.from_weights(half, precision=8).counts.tolist() == [128, 1, 127]


@pytest.mark.parametrize("weights", [np.array([1j, 1]), np.array(["a"]), np.array([None, 1])])
def test_weights_that_are_no_real_numbers_are_refused(weights):
    with pytest.raises(ValueError, match="weights are real numbers, not"):
        tables.from_weights(weights)
