"""Decoders: the optimal table, the additive form, and logistic regression's optimum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bitalloc import decoder
from bitalloc.fitting import classifier


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 500)
    symbols = (rng.normal(size=(500, 6)) + 0.7 * (labels[:, None] == np.arange(6) % 3) > 0.4) * 1
    return symbols, labels, np.ones(6, int)


def test_no_decoder_beats_the_table_on_its_own_sample(sample):
    symbols, labels, depth = sample
    table = decoder.fit_table(symbols, labels, depth, 3, neighbour_weight=0.0)
    best = np.mean(decoder.decode(table, symbols, depth) == labels)
    number = decoder.message_number(symbols, depth)
    counts = decoder.cell_counts(number, labels, 64, 3)
    assert best == counts.max(axis=1).sum() / len(labels)
    columns, owner = decoder.one_hot(symbols, depth)
    hinge = classifier.fit_hinge(columns, labels, 3, 1e-3)
    linear = decoder.from_columns(hinge.weights, hinge.bias, owner, depth)
    assert np.mean(decoder.decode(linear, symbols, depth) == labels) <= best


def test_one_bit_tells_at_most_two_of_three_balanced_classes():
    labels = np.tile(np.arange(3), 40)
    for bit in range(8):
        symbols = (bit >> labels & 1)[:, None]
        table = decoder.fit_table(symbols, labels, np.array([1]), 3)
        accuracy = np.mean(decoder.decode(table, symbols, np.array([1])) == labels)
        assert accuracy <= 2 / 3 + 1e-12


def test_messages_never_seen_follow_their_neighbours():
    symbols, labels = np.array([[0, 0, 0], [1, 1, 1]] * 5), np.array([0, 1] * 5)
    table = decoder.fit_table(symbols, labels, np.ones(3, int), 2)
    np.testing.assert_array_equal(table.label, [0, 0, 0, 1, 0, 1, 1, 1])


def test_a_long_message_has_no_table(sample):
    with pytest.raises(ValueError, match="not 9"):
        decoder.fit_table(np.zeros((2, 9), int), np.array([0, 1]), np.ones(9, int), 2)


def test_one_hot_columns_rebuild_any_scores():
    rng = np.random.default_rng(1)
    depth = np.array([2, 1, 3])
    symbols = rng.integers(0, 1 << depth, size=(50, 3))
    columns, owner = decoder.one_hot(symbols, depth)
    assert columns.shape == (50, 3 + 1 + 7)
    weights, bias = rng.normal(size=(4, 11)), rng.normal(size=4)
    made = decoder.from_columns(weights, bias, owner, depth)
    expected = classifier.predict_linear(weights, bias, columns)
    np.testing.assert_array_equal(decoder.decode(made, symbols, depth), expected)


def test_logistic_agrees_with_another_solver(sample):
    symbols, labels, _ = sample
    ridge = 0.01
    fit = jax.jit(decoder.fit_logistic, static_argnums=(2, 4))
    weights, bias = fit(jnp.asarray(symbols, jnp.float32), jnp.asarray(labels), 3, ridge, 100)
    other = LogisticRegression(C=1 / (ridge * len(labels)), tol=1e-8, max_iter=1000)
    other.fit(symbols, labels)
    np.testing.assert_allclose(weights, other.coef_, atol=2e-3)
    np.testing.assert_allclose(bias - bias.mean(), other.intercept_, atol=2e-3)


def test_a_network_decoder_computes_its_layers():
    rng = np.random.default_rng(2)
    layers = (
        (rng.normal(size=(3, 5)), rng.normal(size=5)),
        (rng.normal(size=(5, 4)), rng.normal(size=4)),
    )
    symbols = rng.integers(0, 2, size=(20, 3))
    hidden = np.maximum((2.0 * symbols - 1) @ layers[0][0] + layers[0][1], 0)
    expected = np.argmax(hidden @ layers[1][0] + layers[1][1], axis=1)
    made = decoder.NetworkDecoder(layers)
    np.testing.assert_array_equal(decoder.decode(made, symbols, np.ones(3, int)), expected)
