from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import sampling


def test_examples_are_rows_of_any_shape():
    data = {"pixels": np.arange(2 * 3 * 3 * 2).reshape(2, 3, 3, 2), "labels": np.array([5, 7])}
    drawn = sampling.examples(jax.tree.map(jnp.asarray, data), jnp.array([1, 1, 0]))
    np.testing.assert_array_equal(drawn["pixels"], data["pixels"][[1, 1, 0]])
    np.testing.assert_array_equal(drawn["labels"], [7, 7, 5])


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000])
def test_order_of_a_tpu_is_a_permutation(size, key):
    found = sampling._without_sorting(key, size)
    np.testing.assert_array_equal(np.sort(found), np.arange(size))


def test_order_of_a_tpu_is_uniform_and_without_a_sort():
    """Pairs of places: chi-squared over 4 x 3 of them in 2,400 permutations of four numbers."""
    keys = jax.random.split(jax.random.key(0), 2400)
    orders = np.asarray(jax.vmap(lambda key: sampling._without_sorting(key, 4))(keys))
    counts = np.bincount(orders[:, 0] * 4 + orders[:, 1], minlength=16).reshape(4, 4)
    assert counts.trace() == 0
    chosen = counts[~np.eye(4, dtype=bool)]
    assert ((chosen - 200) ** 2 / 200).sum() < 31.3  # p = 0.001 with 11 degrees of freedom
    for platform, sorts in (("tpu", 0), ("cpu", 1)):
        exported = jax.export.export(
            jax.jit(lambda key: sampling.permutation(key, 1000)), platforms=[platform]
        )(jax.random.key(0))
        assert (exported.mlir_module().count("stablehlo.sort") > 0) == sorts
