"""Weight files in the user's dtypes: errors are kept to there, tiny doubles are exact."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits.coding import params_from_bytes, params_to_bytes


@pytest.mark.parametrize(
    ("dtype", "scale", "max_mse"),
    [
        ("bfloat16", 1, 1e-5),
        ("bfloat16", 1, 1e-9),
        ("float16", 0.01, 1e-11),
        ("float32", 1e8, 100.0),
    ],
)
def test_an_error_is_kept_to_in_the_dtype_that_comes_back(dtype, scale, max_mse):
    rng = np.random.default_rng(3)
    tree = {"w": scale * rng.normal(size=(30, 30)), "b": scale * rng.normal(size=30)}
    tree = {name: x.astype(np.dtype(dtype)) for name, x in tree.items()}
    back = params_from_bytes(params_to_bytes(tree, max_mse=max_mse))
    squares = [(np.float64(tree[name]) - np.float64(back[name])) ** 2 for name in tree]
    assert np.concatenate([each.ravel() for each in squares]).mean() <= max_mse


def test_numbers_too_small_for_float32_are_stored_exactly():
    tree = {"w": 1e-50 * np.random.default_rng(0).normal(size=(9, 9)), "zero": np.zeros((3, 3))}
    back = params_from_bytes(params_to_bytes(tree))
    assert np.array_equal(back["w"], tree["w"])
    assert not back["zero"].any()
