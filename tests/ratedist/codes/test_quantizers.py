"""The dynamic programme against every partition there is, and descent against the programme."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

from ratedist import sources
from ratedist.codes import quantizers
from tests.ratedist.quick import quick

SCALAR = quick(quantizers.scalar_code)
SCALAR_AT = quick(quantizers.scalar_code_at)
ECVQ = quick(quantizers.ecvq)
LLOYD = quick(quantizers.lloyd_max)


def lagrangian(x, p, cell, s):
    """H + s E|x - y|^2 of any assignment, in plain NumPy."""
    total = 0.0
    for value in np.unique(cell):
        inside = cell == value
        w = p[inside].sum()
        if w > 0:
            y = p[inside] @ x[inside] / w
            total += s * (p[inside] @ (x[inside] - y) ** 2) - w * np.log2(w)
    return total


def partitions(size):
    """Every assignment of `size` letters to cells, up to names."""
    for cell in itertools.product(range(size), repeat=size):
        if all(c <= max(cell[:i], default=-1) + 1 for i, c in enumerate(cell)):
            yield np.array(cell)


@pytest.mark.parametrize("s", [0.0, 0.3, 2.0, 50.0])
def test_best_of_all_partitions(s):
    rng = np.random.default_rng(0)
    every = list(partitions(6))
    assert len(every) == 203
    for _ in range(3):
        x, p = rng.normal(size=6), rng.dirichlet(np.ones(6))
        code = SCALAR(p, x, s)
        best = min(lagrangian(x, p, cell, s) for cell in every)
        found = float(code.rate_bits + s * code.distortion)
        assert found == pytest.approx(best, abs=1e-12)
        assert lagrangian(x, p, np.asarray(code.cell), s) == pytest.approx(best, abs=1e-12)


def test_letters_of_probability_zero_and_equal_letters():
    x = np.array([1.0, 1.0, -2.0, 5.0, 0.5, 1.0])
    p = np.array([0.2, 0.1, 0.3, 0.0, 0.2, 0.2])
    code = SCALAR(p, x, 3.0)
    merged = SCALAR(np.array([0.3, 0.2, 0.5, 0, 0, 0]), np.array([-2.0, 0.5, 1.0, 5, 6, 7]), 3.0)
    assert float(code.rate_bits) == pytest.approx(float(merged.rate_bits), abs=1e-12)
    assert float(code.distortion) == pytest.approx(float(merged.distortion), abs=1e-12)


def test_corrected_table_of_the_report():
    source = sources.trimodal()
    for level, rate, distortion, cells in ((0.6, 1.7237, 0.5975, 4), (0.417, 1.9240, 0.3873, 6)):
        code = SCALAR_AT(source.p, source.points[:, 0], level)
        assert float(code.rate_bits) == pytest.approx(rate, abs=6e-5)
        assert float(code.distortion) == pytest.approx(distortion, abs=6e-5)
        assert int(np.asarray(code.used).sum()) == cells


def test_gap_of_the_gaussian_at_high_rate():
    source = sources.gaussian(600, reach=6.0)
    code = SCALAR(source.p, source.points[:, 0], 32.0)
    gap = code.rate_bits - 0.5 * np.log2(1.0 / code.distortion)
    assert 2.9 < code.rate_bits < 3.2
    assert float(gap) == pytest.approx(0.254, abs=3e-3)


def test_extreme_levels():
    x, p = np.arange(5.0), np.full(5, 0.2)
    exact = SCALAR_AT(p, x, 0.0)
    assert float(exact.rate_bits) == pytest.approx(np.log2(5))
    loose = SCALAR_AT(p, x, 100.0)
    assert float(loose.rate_bits) == 0.0
    assert float(loose.distortion) == pytest.approx(2.0)


def test_descent_stays_at_the_optimum_and_never_beats_it():
    source = sources.trimodal()
    x, p, s = source.points[:, 0], source.p, 1.3
    best = SCALAR(p, x, s)
    value = float(best.rate_bits + s * best.distortion)
    start = np.asarray(best.points)[np.asarray(best.used), 0]
    start = np.pad(start, (0, 8 - start.size), constant_values=40.0)
    # Lengths are not given to the descent, so it need not stay; it must not pass the optimum.
    for y in (start, np.linspace(-7, 7, 8)):
        code = ECVQ(p, x, y, s)
        assert float(code.rate_bits + s * code.distortion) >= value - 1e-12


def test_ecvq_ends_where_no_letter_wants_to_move():
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(80, 2)), rng.dirichlet(np.ones(80))
    s = 1.5
    code = ECVQ(p, x, x[:12], s)
    used = np.asarray(code.used)
    cost = s * sources.squared_error(x, code.points) - np.log2(np.where(used, code.mass, 1.0))
    cost = np.where(used, cost, np.inf)
    np.testing.assert_array_equal(cost.argmin(axis=1), code.cell)
    for j in np.flatnonzero(used):
        inside = np.asarray(code.cell) == j
        centroid = p[inside] @ x[inside] / p[inside].sum()
        np.testing.assert_allclose(code.points[j], centroid, atol=1e-12)
    fewer = ECVQ(p, x, x[:12], 0.2)
    assert int(np.asarray(fewer.used).sum()) < int(used.sum())


def test_lloyd_on_a_uniform_source_finds_equal_cells():
    x, p = (np.arange(60) + 0.5) / 60, np.full(60, 1 / 60)
    code = LLOYD(p, x, np.array([0.1, 0.2, 0.6, 0.9]))
    # Letters are 1/60 apart; fixed points of the iteration differ by up to two letters.
    points = np.sort(code.points[:, 0])
    np.testing.assert_allclose(points, [0.125, 0.375, 0.625, 0.875], atol=2.1 / 60)
    assert float(code.rate_bits) == pytest.approx(2.0, abs=0.01)


def test_masks_and_vmap_over_starts():
    rng = np.random.default_rng(2)
    x, p = rng.normal(size=(50, 3)), np.full(50, 0.02)
    starts = rng.normal(size=(3, 8, 3))
    mask = np.arange(8) < np.array([[8], [5], [1]])
    descend = quick(jax.vmap(lambda y, m: quantizers.ecvq(p, x, y, 1.0, mask=m)))
    together = descend(starts, mask)
    for i in range(3):
        assert not np.asarray(together.mass)[i, ~mask[i]].any()
    alone = quick(lambda y: quantizers.ecvq(p, x, y, 1.0))(starts[1, :5])
    assert float(together.rate_bits[1]) == pytest.approx(float(alone.rate_bits), abs=1e-12)
    assert float(together.rate_bits[2]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("p", "x", "s", "said"),
    [
        ([0.5, 0.4], [0.0, 1.0], 1.0, "sum to 0.9"),
        ([1.5, -0.5], [0.0, 1.0], 1.0, "-0.5 is negative"),
        ([0.5, 0.5], [0.0, np.nan], 1.0, "not finite"),
        ([0.5, 0.5], [0.0, 1.0, 2.0], 1.0, "shape"),
        ([0.5, 0.5], [0.0, 1.0], -1.0, "price of distortion -1.0"),
    ],
)
def test_bad_input(p, x, s, said):
    with pytest.raises(ValueError, match=said):
        quantizers.scalar_code(p, x, s)
    with pytest.raises(ValueError, match=said):
        quantizers.ecvq(p, x, [0.0], s)


def test_bad_levels():
    with pytest.raises(ValueError, match="level -1"):
        quantizers.scalar_code_at([1.0], [0.0], -1.0)


def test_one_letter():
    code = quantizers.scalar_code([1.0], [3.0], 2.0)
    assert float(code.rate_bits) == 0.0
    assert float(code.distortion) == 0.0
    assert float(code.points[0, 0]) == 3.0
