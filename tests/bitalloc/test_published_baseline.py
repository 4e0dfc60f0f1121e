"""The published baseline on small digits: quantiser, budget, split and accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bitalloc import decoder
from bitalloc.encoders import encoder, sensors
from bitalloc.fitting import published_baseline
from bitalloc.fitting.fit import Problem, Sample


@pytest.fixture(scope="module")
def digits():
    data = load_digits(n_class=3)
    return data.data / 16.0, data.target


@pytest.mark.parametrize("view", ["central", "quadrants"])
@pytest.mark.parametrize("bits", [4, 16, 40])
def test_baseline_spends_the_budget_and_classifies(digits, view, bits):
    features, labels = digits
    sensor_of = sensors.parse(view, 64, (8, 8))
    train, test = slice(0, 300), slice(300, None)
    importance = published_baseline.importances(features[train], labels[train], 3, sensor_of, 3e-3)
    fitted = published_baseline.fit(
        features[train], labels[train], 3, sensor_of, bits, importance, retrain_penalty=1e-3
    )
    assert fitted.optimal
    depth = encoder.depth_bits(fitted.encoder)
    assert depth.sum() == bits
    if view == "quadrants":
        sender = encoder.symbol_sensor(fitted.encoder, sensor_of)
        assert np.all(np.diff(sender) >= 0)
        np.testing.assert_array_equal(np.bincount(sender, depth, 4), np.full(4, bits / 4))
    symbols = encoder.encode(fitted.encoder, features[test], sensor_of)
    accuracy = np.mean(decoder.decode(fitted.decoder, symbols, depth) == labels[test])
    assert accuracy > {4: 0.6, 16: 0.85, 40: 0.9}[bits]


def test_whole_systems_send_their_budget_and_decode_as_the_fitted_parts(digits):
    features, labels = digits
    view = sensors.central(64)
    train = Sample(features[:200], labels[:200])
    problem = Problem(train, train, view, (8, 8), (0, 1, 2))
    systems = published_baseline.fit_budgets(problem, (6, 20), 1e-2, 1e-3)
    assert [system.bits for system in systems] == [6, 20]
    importance = published_baseline.importances(*train, 3, view, 1e-2)
    fitted = published_baseline.fit(*train, 3, view, 20, importance, 1e-3)
    symbols = encoder.encode(fitted.encoder, features[200:], view)
    expected = decoder.decode(fitted.decoder, symbols, encoder.depth_bits(fitted.encoder))
    messages = systems[1].encode(features[200:])
    np.testing.assert_array_equal(systems[1].decode(messages, len(labels) - 200), expected)


def test_the_quantiser_takes_the_nearest_level_and_clips():
    train = np.array([[0.0, 5.0], [3.0, 5.0]])
    made, levels = published_baseline.uniform_quantiser(train, np.array([2, 0]), sensors.central(2))
    np.testing.assert_array_equal(made.feature, [0])
    np.testing.assert_allclose(levels, [[0, 1, 2, 3]])
    values = np.array([[-9.0, 0.0], [0.4, 0.0], [0.6, 0.0], [2.4, 0.0], [2.6, 0.0], [99.0, 0.0]])
    codes = encoder.encode(made, values, sensors.central(2))
    np.testing.assert_array_equal(codes[:, 0], [0, 0, 1, 2, 3, 3])


def test_the_decoder_equals_the_linear_classifier_of_the_quantised_values(digits):
    features, labels = digits
    view = sensors.central(64)
    importance = published_baseline.importances(features[:200], labels[:200], 3, view, 1e-2)
    fitted = published_baseline.fit(features[:200], labels[:200], 3, view, 20, importance, 1e-3)
    symbols = encoder.encode(fitted.encoder, features, view)
    _, levels = published_baseline.uniform_quantiser(
        features[:200], published_baseline.allocate(importance, view, 20), view
    )
    values = levels[np.arange(len(levels))[None, :], symbols]
    # Undo scores = level * weight at a level that is not zero.
    top = levels.max(axis=1)
    weights = fitted.decoder.scores[:, -1, :] / top[:, None]
    expected = np.argmax(values @ weights + fitted.decoder.bias, axis=1)
    depth = encoder.depth_bits(fitted.encoder)
    np.testing.assert_array_equal(decoder.decode(fitted.decoder, symbols, depth), expected)


def test_importance_of_what_tells_nothing_is_zero_and_refused():
    with pytest.raises(ValueError, match="no feature is worth a bit"):
        published_baseline.fit(
            np.zeros((4, 3)), np.array([0, 1, 0, 1]), 2, sensors.central(3), 4, np.zeros(3), 0.1
        )
