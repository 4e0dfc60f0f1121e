"""Integer frequencies: exact totals, no zero, close to the softmax they round."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.codecs.text import tables
from fewbits.coding.bits_back.stream_stack import PRECISION


def _logits(seed: int, scale: float) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=(3, 256)) * scale, jnp.float32)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([0.0, 1.0, 10.0, 1e6]))
def test_counts_are_positive_and_add_up(seed: int, scale: float):
    found = tables.cumulative(np.asarray(tables.gaps(_logits(seed, scale))))
    assert found.dtype == np.int64
    assert (found[:, 0] == 0).all()
    assert (found[:, -1] == 1 << PRECISION).all()
    assert (np.diff(found, axis=-1) >= 1).all()


def test_rounding_costs_next_to_nothing():
    logits = _logits(0, 2.0)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    counts = np.diff(tables.cumulative(np.asarray(tables.gaps(logits))), axis=-1)
    q = counts / (1 << PRECISION)
    excess_bits = (p * np.log2(p / q)).sum(axis=-1)
    assert (excess_bits >= 0).all()
    assert (excess_bits < 2e-4).all()


def test_rows_do_not_depend_on_their_neighbours():
    gap = np.asarray(tables.gaps(_logits(1, 3.0)))
    together = tables.cumulative(gap)
    apart = np.stack([tables.cumulative(row[None])[0] for row in gap])
    np.testing.assert_array_equal(together, apart)


def test_what_is_not_a_number_still_gives_a_table():
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        logits = _logits(2, 1.0).at[1, 7].set(bad)
        found = tables.cumulative(np.asarray(tables.gaps(logits)))
        assert (found[:, -1] == 1 << PRECISION).all()
        assert (np.diff(found, axis=-1) >= 1).all()


def test_weights_are_the_exponential():
    gap = np.arange(tables.LARGEST_GAP + 1, dtype=np.int16)
    counts = np.diff(tables.cumulative(gap[None]), axis=-1)[0]
    expected = np.exp(-gap / tables.GAPS_PER_NAT)
    np.testing.assert_allclose(counts[:300] / counts[0], expected[:300], rtol=2e-3)
