from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, entropy_coder, reference_coder, table_code, tables
from fewbits.coding.entropy_coder import StreamPlan, SymbolReader, SymbolStream
from fewbits.coding.tables import FrequencyTable
from tests.coding.families import DETERMINISTIC, FAMILIES, random_table, symbols


def plan_of(streams: list[SymbolStream]) -> list[StreamPlan]:
    return [StreamPlan(np.size(one.symbols), one.table, one.choice) for one in streams]


def assert_round_trip(streams: list[SymbolStream]) -> bytes:
    data = entropy_coder.encode(streams)
    decoded = entropy_coder.decode(data, plan_of(streams))
    for stream, values in zip(streams, decoded, strict=True):
        assert values.dtype == np.int32
        np.testing.assert_array_equal(values, np.ravel(stream.symbols))
    return data


def random_streams(rng: np.random.Generator) -> list[SymbolStream]:
    """One to four arrays, with one table or a choice of several, of every size and precision."""
    streams = []
    for _ in range(rng.integers(1, 5)):
        count = int(rng.choice([0, 1, 2, 7, 60]))
        size = int(rng.choice([1, 2, 3, 16, 300]))
        minimum = int(rng.integers(-1000, 1000))
        if rng.random() < 0.5:
            table = random_table(rng, size, minimum)
            drawn = rng.choice(size, count, p=table.counts / table.counts.sum())
            # Half of the time symbols that the table does not expect.
            values = drawn if rng.random() < 0.5 else rng.integers(0, size, count)
            streams.append(SymbolStream(values + minimum, table))
        else:
            several = [random_table(rng, size, minimum) for _ in range(rng.integers(1, 4))]
            choice = rng.integers(0, len(several), count)
            values = rng.integers(minimum, minimum + size, count)
            streams.append(SymbolStream(values, several, choice))
    return streams


def test_constriction_and_the_referee_write_the_same_thousand_streams():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        streams = random_streams(rng)
        data = entropy_coder.encode(streams)
        assert data == reference_coder.encode(streams)
        by_referee = reference_coder.decode(data, plan_of(streams))
        for stream, values in zip(streams, by_referee, strict=True):
            np.testing.assert_array_equal(values, stream.symbols)
        assert_round_trip(streams)


def test_the_referee_agrees_on_the_largest_alphabet():
    rng = np.random.default_rng(1)
    table = random_table(rng, tables.MAX_ALPHABET, -32768)
    streams = [SymbolStream(rng.integers(-32768, 32768, 20), table)]
    assert entropy_coder.encode(streams) == reference_coder.encode(streams)
    assert_round_trip(streams)


@pytest.mark.parametrize(
    "counts", [[1, 2**24 - 1], [2**24 - 1, 1], [1, 2**24 - 2, 1], [2**23, 2**23]]
)
def test_the_referee_agrees_on_the_most_unequal_counts(counts):
    table = FrequencyTable(0, np.array(counts))
    values = np.random.default_rng(2).integers(0, len(counts), 300)
    streams = [SymbolStream(values, table)]
    assert assert_round_trip(streams) == reference_coder.encode(streams)


def test_without_an_exact_constriction_the_reference_coder_writes_the_same(monkeypatch):
    streams = random_streams(np.random.default_rng(3))
    data = entropy_coder.encode(streams)
    monkeypatch.setattr(entropy_coder, "_constriction_is_exact", lambda: False)
    assert assert_round_trip(streams) == data
    with pytest.raises(FormatError):
        entropy_coder.decode(data + b"\1", plan_of(streams))
    with pytest.raises(ValueError, match="symbol 9 is not in 0 to 3"):
        entropy_coder.encode([SymbolStream(np.array([9]), tables.uniform(0, 4))])


def test_constriction_is_exact_here():
    assert entropy_coder._constriction_is_exact()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip_over_families_and_sizes(family, count):
    values = symbols(family, count)
    assert_round_trip([SymbolStream(values, table_code.fit(values).table)])


@DETERMINISTIC
@given(
    values=st.lists(st.integers(-300, 300), max_size=80),
    width=st.integers(0, 5),
    precision=st.integers(12, 24),
)
def test_round_trip_of_anything(values, width, precision):
    symbols = np.array(values, np.int64)
    minimum = int(symbols.min(initial=0)) - width
    size = int(symbols.max(initial=0)) + width - minimum + 1
    table = tables.from_weights(np.arange(size), minimum=minimum, precision=precision)
    assert_round_trip([SymbolStream(symbols, table), SymbolStream(symbols[::-1], table)])


@pytest.mark.parametrize("family", [*FAMILIES])
@pytest.mark.parametrize("count", [0, 1, 10, 200_000])
def test_length_is_within_a_thousandth_and_64_bits_of_the_ideal(family, count):
    values = symbols(family, count)
    table = table_code.fit(values).table
    ideal_bits = table.cost_bits[values - table.minimum].sum()
    coded_bits = 8 * len(entropy_coder.encode([SymbolStream(values, table)]))
    assert ideal_bits <= coded_bits <= ideal_bits * 1.001 + 64


def test_arrays_that_share_a_stream_pay_for_its_ends_once():
    values = [symbols("gaussian", 40, seed) for seed in range(20)]
    table = table_code.fit(np.concatenate(values)).table
    apart = sum(len(entropy_coder.encode([SymbolStream(one, table)])) for one in values)
    together = len(assert_round_trip([SymbolStream(one, table) for one in values]))
    assert together <= apart - 19 * 2


def test_a_choice_of_tables_costs_what_each_table_says():
    rng = np.random.default_rng(4)
    several = [tables.from_weights([1, 99]), tables.from_weights([99, 1])]
    choice = rng.integers(0, 2, 20_000)
    values = np.where(rng.random(20_000) < 0.99, 1 - choice, choice)
    data = assert_round_trip([SymbolStream(values, several, choice)])
    ideal_bits = sum(several[c].cost_bits[v] for c, v in zip(choice, values, strict=True))
    assert 8 * len(data) <= ideal_bits * 1.001 + 64


def test_a_reader_lets_tables_depend_on_what_came_before():
    sizes = np.array([3, 1, 4])
    values = [np.arange(n) for n in sizes]
    streams = [SymbolStream(sizes, tables.uniform(0, 10))]
    streams += [SymbolStream(one, tables.uniform(0, one.size)) for one in values]
    reader = SymbolReader(entropy_coder.encode(streams))
    for one, size in zip(values, reader.take(3, tables.uniform(0, 10)), strict=True):
        np.testing.assert_array_equal(reader.take(size, tables.uniform(0, int(size))), one)
    reader.finish()


def test_speed_of_a_lenet():
    values = symbols("gaussian", 266_610)
    table = table_code.fit(values).table
    seconds = []
    for _ in range(3):
        start = time.process_time()
        data = entropy_coder.encode([SymbolStream(values, table)])
        entropy_coder.decode(data, [StreamPlan(values.size, table)])
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("symbol", [-1, 4, 1 << 40, -(1 << 63), (1 << 63) - 1, (1 << 64) - 1])
def test_a_symbol_outside_its_table_is_named(symbol):
    with pytest.raises(ValueError, match=f"stream 1: symbol {symbol} is not in 0 to 3"):
        entropy_coder.encode(
            [
                SymbolStream(np.array([1]), tables.uniform(0, 4)),
                SymbolStream(np.array([symbol, symbol]), tables.uniform(0, 4)),
            ]
        )


def test_tables_of_a_choice_may_begin_and_end_anywhere():
    several = [tables.uniform(-1, 1), tables.uniform(40, 3), tables.uniform(-7, 300)]
    stream = SymbolStream(
        np.array([42, -1, 292, -1, -7, 40]), several, np.array([1, 0, 2, 2, 2, 1])
    )
    assert assert_round_trip([stream]) == reference_coder.encode([stream])
    for symbol, choice in ((39, 1), (43, 1), (0, 0), (293, 2)):
        with pytest.raises(ValueError, match=f"stream 0: symbol {symbol} is not in"):
            entropy_coder.encode([SymbolStream(np.array([5, symbol]), several, [2, choice])])


def test_a_huge_unsigned_symbol_is_not_taken_for_a_negative_one():
    with pytest.raises(ValueError, match="symbol 18446744073709551615 is not in -1 to 1"):
        entropy_coder.encode(
            [SymbolStream(np.array([2**64 - 1], np.uint64), tables.uniform(-1, 3))]
        )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_symbols_of_any_integer_type(dtype):
    values = np.array([[5, 6], [7, 5]], dtype)
    table = tables.uniform(-3, 20)
    assert entropy_coder.encode([SymbolStream(values, table)]) == assert_round_trip(
        [SymbolStream(values.astype(int), table)]
    )


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ((np.array([0.5]), tables.uniform(0, 4)), "integers"),
        ((np.array([0]), [tables.uniform(0, 4)]), "needs choice"),
        ((np.array([0]), tables.uniform(0, 4), np.array([0])), "list of tables"),
        ((np.array([0]), [tables.uniform(0, 4)], np.array([1])), "tables 0 to 0"),
        ((np.array([0]), [tables.uniform(0, 4)], np.array([-1])), "tables 0 to 0"),
        ((np.array([0]), [tables.uniform(0, 4)], np.array([0, 0])), "2 entries for 1"),
    ],
)
def test_an_unusable_stream_is_refused(stream, message):
    with pytest.raises(ValueError, match=message):
        entropy_coder.encode([SymbolStream(*stream)])


def test_more_symbols_than_a_stream_may_hold():
    nothing = tables.uniform(7, 1)
    limit = entropy_coder.symbol_limit(2)
    data = entropy_coder.encode([SymbolStream(np.full(limit, 7, np.int8), nothing)])
    assert len(data) == 2
    assert entropy_coder.decode(data, [StreamPlan(limit, nothing)])[0].size == limit
    with pytest.raises(ValueError, match="too many"):
        entropy_coder.encode([SymbolStream(np.full(limit + 1, 7, np.int8), nothing)])
    for count in (limit + 1, 1 << 62, -1):
        with pytest.raises(FormatError, match="do not fit"):
            entropy_coder.decode(data, [StreamPlan(count, nothing)])
    with pytest.raises(FormatError, match="do not fit"):
        entropy_coder.decode(data, [StreamPlan(limit, nothing), StreamPlan(1, nothing)])


@pytest.fixture(scope="module")
def stream() -> tuple[bytes, list[StreamPlan], list[SymbolStream]]:
    values = symbols("gaussian", 1000)
    tables_ = [table_code.fit(values).table, tables.uniform(-30, 61)]
    choice = np.random.default_rng(5).integers(0, 2, 500)
    streams = [SymbolStream(values, tables_[0]), SymbolStream(values[:500], tables_, choice)]
    return entropy_coder.encode(streams), plan_of(streams), streams


def test_every_truncation_of_a_stream_is_noticed(stream):
    data, plan, _ = stream
    for length in range(len(data)):
        with pytest.raises(FormatError):
            entropy_coder.decode(data[:length], plan)


def test_a_wrong_plan_is_noticed(stream):
    data, plan, _ = stream
    for wrong in (
        plan[:1],
        plan[::-1],
        [plan[0]._replace(count=999), plan[1]],
        [plan[0]._replace(count=1001), plan[1]],
        [plan[0]._replace(table=tables.uniform(-30, 61)), plan[1]],
        [],
    ):
        with pytest.raises(FormatError, match="does not end") as caught:
            entropy_coder.decode(data, wrong, section="labels")
        assert caught.value.section == "labels"


@pytest.mark.parametrize("data", [b"", b"\0", b"\1\2\0", bytes(8), b"\1", b"\x17\xfb\1"])
def test_bytes_that_are_no_stream(data):
    with pytest.raises(FormatError):
        entropy_coder.decode(data, [])
    with pytest.raises(FormatError):
        reference_coder.decode(data, [])


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """One of: flipped bits, a cut, an insertion, random words, a repeated or zeroed part."""
    damaged = bytearray(data)
    kind = rng.integers(6)
    at, other = sorted(rng.integers(0, len(data), 2))
    if kind == 0:
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            damaged[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del damaged[at : other + 1]
    elif kind == 2:
        damaged[at:at] = rng.bytes(int(rng.integers(1, 12)))
    elif kind == 3:
        damaged = bytearray(rng.bytes(int(rng.integers(0, 2 * len(data)))))
    elif kind == 4:
        damaged[at:at] = damaged[at:other]
    else:
        damaged[at:other] = bytes(other - at)
    return bytes(damaged)


@pytest.mark.slow
def test_ten_thousand_damaged_streams_give_a_format_error_or_the_declared_size(stream):
    data, plan, _ = stream
    rng = np.random.default_rng(6)
    accepted = 0
    for _ in range(10_000):
        try:
            arrays = entropy_coder.decode(mutant(data, rng), plan)
        except FormatError:
            continue
        accepted += 1
        assert [one.size for one in arrays] == [one.count for one in plan]
    # The guard of sixteen bits lets hardly any through, even without the container's checksums.
    assert accepted <= 20


def test_damaged_streams_are_decoded_within_twice_the_declared_memory(stream):
    data, plan, _ = stream
    plan = [one._replace(count=50_000) for one in plan[:1]]
    rng = np.random.default_rng(7)
    for _ in range(100):
        damaged = mutant(data, rng)
        tracemalloc.start()
        try:
            entropy_coder.decode(damaged, plan)
        except FormatError:
            pass
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak <= 2 * 4 * plan[0].count


def test_the_referee_judges_damage_alike(stream):
    data, plan, _ = stream
    rng = np.random.default_rng(8)
    short = [StreamPlan(60, plan[0].table)]
    good = entropy_coder.encode([SymbolStream(symbols("gaussian", 60), plan[0].table)])
    for _ in range(200):
        damaged = mutant(good, rng)
        verdicts = []
        for coder in (entropy_coder, reference_coder):
            try:
                verdicts.append(coder.decode(damaged, short)[0].tolist())
            except FormatError:
                verdicts.append(None)
        assert verdicts[0] == verdicts[1]
