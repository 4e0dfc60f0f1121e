from __future__ import annotations

import numpy as np
import pytest

from fewbits.coding import FormatError, shared_tables, table_code
from fewbits.coding.varint import ByteReader


def total_bits(arrays):
    numbers, fitted = shared_tables.fit(arrays)
    symbols_bits = sum(
        fitted[n].table.cost_bits[a - fitted[n].table.minimum].sum()
        for a, n in zip(arrays, numbers, strict=True)
    )
    return symbols_bits + 8 * sum(len(one.code) for one in fitted)


def test_arrays_alike_share_and_arrays_unlike_do_not():
    rng = np.random.default_rng(0)
    alike = [rng.integers(0, 8, 300), rng.integers(0, 8, 200)]
    unlike = [rng.integers(0, 8, 30_000), 200 + rng.integers(0, 8, 30_000)]
    assert len(shared_tables.fit(alike)[1]) == 1
    assert len(shared_tables.fit(unlike)[1]) == 2


@pytest.mark.parametrize("seed", range(5))
def test_sharing_is_never_worse_than_a_table_each_or_one_for_all(seed):
    rng = np.random.default_rng(seed)
    arrays = [
        np.rint(rng.laplace(0, rng.choice([0.5, 3, 9]), rng.integers(1, 400))).astype(int)
        for _ in range(6)
    ]
    each = sum(table_code.fit(a).total_bits for a in arrays)
    together = table_code.fit(np.concatenate(arrays)).total_bits
    assert total_bits(arrays) <= min(each, together) + 1e-6


def test_tables_are_read_back():
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 3, 5000), rng.integers(-90, 90, 5000)]
    _, fitted = shared_tables.fit(arrays)
    codes = b"".join(one.code for one in fitted)
    assert shared_tables.read(ByteReader(codes, "header")) == [one.table for one in fitted]
    with pytest.raises(FormatError):
        shared_tables.read(ByteReader(codes[:-1], "header"))
