from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training.method import all_finite, as_arrays


class Pair(NamedTuple):
    rate: object
    strength: object


def test_scalars_become_strong_float32():
    """Python numbers, NumPy scalars and arrays all end as one type: one trace for all of them."""
    for pair in [Pair(1, 0.5), Pair(np.float64(1), np.int32(2)), Pair(jnp.int32(1), jnp.ones(()))]:
        for leaf in as_arrays(pair):
            assert (leaf.dtype, leaf.weak_type, leaf.shape) == (jnp.float32, False, ())


def test_lanes_keep_their_axis():
    assert as_arrays(Pair(jnp.arange(3), 0.5)).rate.shape == (3,)


def test_float64_is_kept_where_enabled():
    with jax.enable_x64(True):
        assert as_arrays(Pair(jnp.float64(0.1), np.float32(1))).rate.dtype == jnp.float64


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf])
def test_one_bad_number_is_enough(value):
    assert all_finite({"a": jnp.ones(3), "b": jnp.array([[1.0, 2.0]])})
    assert not all_finite({"a": jnp.ones(3), "b": jnp.array([[1.0, value]])})
    assert all_finite({})
