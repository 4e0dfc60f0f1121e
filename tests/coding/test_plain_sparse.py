"""The page is right: a reader written from FORMAT.md alone agrees with `read_sparse`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from fewbits.coding import container
from fewbits.coding.weights.sparse.sparse_code import read_sparse, write_sparse
from tests.coding import plain_sparse
from tests.coding.test_sparse_code import odd_tree, pruned_network


def smooth_picture_network() -> dict[str, Any]:
    """Signs that agree with their neighbours', as pixels' do, and a layer without zeros."""
    y, x = np.mgrid[:8, :8]
    waves = [np.sin(a * x + b * y) * (np.hypot(x - 4, y - 4) < 4) for a, b in np.eye(2) + 0.3]
    first = np.stack(waves * 4, axis=-1).reshape(64, 8)
    rng = np.random.default_rng(0)
    return {"a": first, "b": np.sign(rng.normal(size=(8, 5))), "c": rng.normal(size=5)}


def units_without_inputs(rng: np.random.Generator) -> list[np.ndarray]:
    """Only units that the first tensor feeds have weights in the second."""
    alive = rng.random(60) < 0.3
    first = (rng.random((12, 60)) < 0.4) * alive
    return [first * 1.0, (rng.random((60, 12)) < 0.6) * alive[:, None] * 1.0]


RNG = np.random.default_rng(3)
TREES = {
    "odd": odd_tree(),
    "pruned": pruned_network(0.05, sizes=(64, 20, 10)),
    "dense": pruned_network(0.6, seed=1, sizes=(36, 12, 6)),
    "picture": smooth_picture_network(),
    "units": units_without_inputs(RNG),
    "other units": units_without_inputs(RNG),
    "folded": [np.eye(300, 1), np.eye(515, 1), np.ones((1, 1))],
}


@pytest.mark.parametrize(("name", "bits"), [*((name, 5) for name in TREES), ("odd", 12)])
def test_a_reader_written_from_the_page_agrees(name, bits):
    data = write_sparse(TREES[name], bits)
    expected = jax.tree.leaves(read_sparse(data))
    found = plain_sparse.read(data).values()
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_array_equal(np.array(one.values, np.float32), other.ravel())


def test_the_networks_use_all_that_the_page_describes():
    """Every set of contexts, signs with contexts and without, several kinds of table."""
    kinds, tables = set(), set()
    for tree in TREES.values():
        archive = container.read_archive(write_sparse(tree, 5))
        tables.add(archive.header["tables"][0])
        plans = iter(archive.header["masks"])
        while (ones := next(plans, None)) is not None:
            while ones >= 128:
                ones = next(plans)
            if ones:
                for _ in range(2):
                    while next(plans) >= 128:
                        pass
                choice = next(plans)
                kinds.add(("signs", choice % 2))
                kinds.add(("set", choice // 12))
    assert kinds == {("signs", 0), ("signs", 1), *(("set", number) for number in range(4))}
    assert len(tables) >= 2
