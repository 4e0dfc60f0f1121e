from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import adaptive_bits
from fewbits.coding.adaptive_bits import ONE, AdaptiveBits
from fewbits.coding.entropy_coder import SymbolReader, encode
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights.sparse import context_mask, masked_tensor
from fewbits.coding.weights.sparse.context_mask import Geometry
from tests.coding.families import DETERMINISTIC


@given(st.integers(1, 2**52))
@DETERMINISTIC
def test_logarithms_round_down_within_a_step_of_the_mantissa(number):
    exact = math.log2(number) * ONE
    assert exact - 3 < int(adaptive_bits.log2(number)) <= exact + 1e-6


def test_logarithms_of_powers_of_two_are_exact_and_the_rest_is_monotone():
    np.testing.assert_array_equal(adaptive_bits.log2(1 << np.arange(50)), ONE * np.arange(50))
    assert (np.diff(adaptive_bits.log2(np.arange(1, 5000))) >= 0).all()


def test_tables_have_the_odds_of_their_levels():
    tables = adaptive_bits.level_tables()
    for log_odds in (-9 * ONE, -ONE // 2, 0, 3 * ONE):
        tails, heads = tables[int(adaptive_bits.levels(np.array(log_odds)))].counts
        assert math.log2(heads / tails) * ONE == pytest.approx(log_odds, abs=0.01)
    assert len(tables) == adaptive_bits.level_costs().shape[0]
    assert adaptive_bits.levels(np.array([-(10**6), 10**6])).tolist() == [0, len(tables) - 1]


def test_a_context_learns_the_odds_of_its_tosses():
    rng = np.random.default_rng(0)
    bits = AdaptiveBits(2, heads=1, tails=1)
    assert bits.base == 0
    for _ in range(200):
        contexts = rng.integers(0, 2, (1, 50))
        bits.learn(contexts, rng.random(50) < np.where(contexts[0] == 0, 0.1, 0.75))
    evidence = bits.evidence(np.array([0, 1])) / ONE
    np.testing.assert_allclose(evidence, np.log2([0.1 / 0.9, 3.0]), atol=0.1)


def test_nothing_is_believed_before_anything_was_seen():
    bits = AdaptiveBits(3, heads=5, tails=95)
    np.testing.assert_allclose(bits.evidence(np.arange(3)), 0, atol=3)
    assert bits.base / ONE == pytest.approx(math.log2(5 / 95), abs=0.02)


@pytest.mark.parametrize(
    ("shape", "n_inputs", "expected"),
    [
        ((784, 300), 0, [Geometry(1, 28)]),
        ((3072, 10), 0, [Geometry(3, 96)]),
        ((800, 500), 50, [Geometry(50, 200)]),
        ((300, 100), 300, [Geometry(3, 30)]),
        ((7, 5), 0, [Geometry(1, 2)]),
        ((3, 3, 16, 32), 16, [Geometry(16, 48), Geometry(1, 16)]),
    ],
)
def test_shapes_suggest_neighbours(shape, n_inputs, expected):
    assert context_mask.geometries(shape, n_inputs) == expected


def test_a_picture_is_cheaper_to_describe_with_its_own_geometry():
    rows, columns = np.mgrid[:28, :28]
    centre = np.hypot(rows - 14, columns - 14) < 7
    mask = (centre.ravel()[:, None] & (np.random.default_rng(1).random((784, 40)) < 0.3)).astype(
        int
    )
    none = np.zeros(784, np.int64)
    right, wrong = (
        masked_tensor.ideal_bits(
            masked_tensor.code(mask if width == 28 else mask[order], (784, 40), none[:0]).mask
        )
        for width, order in ((28, slice(None)), (0, np.random.default_rng(2).permutation(784)))
    )
    assert right < 0.9 * wrong


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(7, 9), (16, 4), (3, 3, 2, 4), (1, 5), (5, 1), (0, 4), (90, 2)]),
    st.floats(0, 1),
    st.booleans(),
)
@DETERMINISTIC
def test_signs_come_back(seed, shape, density, smooth):
    rng = np.random.default_rng(seed)
    symbols = rng.normal(size=shape) * (rng.random(shape) < density)
    symbols = np.abs(symbols) if smooth else symbols
    matrix = np.sign(symbols).astype(np.int32).reshape(masked_tensor.matrix_shape(shape))
    inputs = rng.integers(0, 9, shape[-2])
    coded = masked_tensor.code(matrix, shape, inputs)
    plan = masked_tensor.read_plan(ByteReader(coded.plan.to_bytes(), "masks"), shape)
    assert plan == coded.plan or plan.ones == 0
    reader = SymbolReader(encode([*coded.mask, *coded.signs]))
    back = masked_tensor.read_signs(reader, plan, shape, inputs, "symbols")
    reader.finish()
    np.testing.assert_array_equal(back, matrix)


@pytest.mark.parametrize("shape", [(30_000, 2), (9_001, 3), (2, 5), (4096, 4096), (1 << 20, 1)])
def test_rows_stay_in_proportion_to_the_size(shape):
    rows, columns = masked_tensor.matrix_shape(shape)
    assert rows * columns == math.prod(shape)
    assert rows <= min(1 << 13, 256 * columns)
