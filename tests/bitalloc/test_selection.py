"""Selection of bits: every candidate's value by brute force, local optimality, and gains."""

from __future__ import annotations

import numpy as np
import pytest

from bitalloc import decoder
from bitalloc.fitting import selection


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    features = rng.integers(0, 6, size=(300, 7)).astype(np.uint8)
    features[:, 2] += (2 * (labels == 1)).astype(np.uint8)
    features[:, 5] += (3 * (labels == 2)).astype(np.uint8)
    candidates = selection.find_levels(features, selection.candidate_thresholds(features, 8))
    return features, labels, candidates


def accuracy(features, labels, candidates, bits) -> float:
    codes = np.stack([features[:, m] > candidates.thresholds[m, t] for m, t in bits], axis=1)
    depth = np.ones(len(bits), int)
    table = decoder.fit_table(codes.astype(int), labels, depth, 3, neighbour_weight=0.0)
    return float(np.mean(decoder.decode(table, codes.astype(int), depth) == labels))


@pytest.mark.parametrize("bits", [(), ((2, 3),), ((2, 3), (5, 4)), ((2, 3), (2, 1), (5, 4))])
def test_the_value_of_every_candidate_is_its_tables_accuracy(problem, bits):
    features, labels, candidates = problem
    value = selection.table_accuracy(candidates, labels, 3, bits)
    for m, t in np.ndindex(value.shape):
        if np.isfinite(candidates.thresholds[m, t]):
            expected = accuracy(features, labels, candidates, [*bits, (m, t)])
            np.testing.assert_allclose(value[m, t], expected, atol=1e-12)
        else:
            assert value[m, t] == -np.inf


def test_no_single_bit_can_be_bettered(problem):
    features, labels, candidates = problem
    chosen = selection.select_for_table(np.random.default_rng(0), candidates, labels, 3, 3)[0]
    np.testing.assert_allclose(
        chosen.accuracy, accuracy(features, labels, candidates, chosen.bits), atol=1e-12
    )
    for position in range(3):
        rest = chosen.bits[:position] + chosen.bits[position + 1 :]
        best = selection.table_accuracy(candidates, labels, 3, rest).max()
        assert best <= chosen.accuracy + 1e-12


def test_restarts_find_further_local_optima_and_never_lower_the_best(problem):
    features, labels, candidates = problem
    once, often = (
        selection.select_for_table(np.random.default_rng(0), candidates, labels, 3, 4, n_restarts=n)
        for n in (0, 5)
    )
    assert often[0].accuracy >= once[0].accuracy
    assert len({frozenset(found.bits) for found in often}) == len(often)
    for found in often:
        expected = accuracy(features, labels, candidates, found.bits)
        np.testing.assert_allclose(found.accuracy, expected, atol=1e-12)


def test_score_gain_is_the_squared_slope_over_the_variance(problem):
    features, labels, candidates = problem
    residual = np.eye(3)[labels] - np.eye(3)[labels].mean(axis=0)
    gain = selection.score_gains(candidates, residual, [(2, 3)])
    bit = (features[:, 5] > candidates.thresholds[5, 4]).astype(float)
    slope = residual.T @ (bit - bit.mean())
    np.testing.assert_allclose(gain[5, 4], (slope**2).sum() / (300 * bit.var()), rtol=1e-9)
    assert gain[2, 3] == -np.inf


def test_linear_selection_finds_the_informative_features_and_swaps_help(problem):
    _, labels, candidates = problem
    forward = selection.select_for_linear(candidates, labels, 3, 4, 1e-3)
    assert {feature for feature, _ in forward.bits[:2]} == {2, 5}
    assert len(set(forward.bits)) == 4
    swapped = selection.select_for_linear(candidates, labels, 3, 4, 1e-3, swap_passes=2)
    assert len(set(swapped.bits)) == 4
    assert swapped.accuracy > 0.6


def test_candidate_thresholds_keep_few_values_apart_and_skip_constants():
    features = np.array([[0, 7, 1.0], [0, 7, 2.0], [3, 7, 4.0], [3, 7, 8.0]])
    thresholds = selection.candidate_thresholds(features, 4)
    np.testing.assert_array_equal(thresholds[0], [1.5, np.inf, np.inf])
    assert np.all(np.isinf(thresholds[1]))
    np.testing.assert_array_equal(thresholds[2], [1.5, 3.0, 6.0])


def test_candidate_thresholds_of_many_values_are_quantiles():
    features = np.random.default_rng(0).normal(size=(1000, 1))
    thresholds = selection.candidate_thresholds(features, 4)[0]
    np.testing.assert_allclose(
        np.mean(features[:, :1] > thresholds[None], axis=0), [0.75, 0.5, 0.25], atol=2e-3
    )
