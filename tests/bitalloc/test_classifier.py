"""The hinge program: certificate, another solver, invariances, and pricing of columns."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bitalloc.fitting import classifier


@pytest.fixture(scope="module")
def digits():
    data = load_digits(n_class=3)
    return data.data[:240] / 16.0, data.target[:240]


@pytest.fixture(scope="module")
def bits(digits):
    features, labels = digits
    return (features > 0.4).astype(float), labels


@pytest.fixture(scope="module")
def solved(bits):
    return classifier.fit_hinge(*bits, n_classes=3, penalty=0.01)


@pytest.mark.parametrize("penalty", [0.002, 0.03, 0.3])
def test_the_optimum_has_zero_duality_gap(digits, penalty):
    solution = classifier.fit_hinge(*digits, n_classes=3, penalty=penalty)
    assert solution.optimal
    assert abs(solution.duality_gap) < 1e-7
    assert solution.dual_infeasibility < 1e-7


def test_complementary_slackness(bits, solved):
    features, labels = bits
    gradient = solved.pull.T @ features
    used = np.abs(solved.weights) > 1e-9
    np.testing.assert_allclose(gradient[used], 0.01 * np.sign(solved.weights[used]), atol=1e-8)
    scores = features @ solved.weights.T + solved.bias
    rival = np.where(np.eye(3, dtype=bool)[labels], -np.inf, scores).max(axis=1)
    clear = scores[np.arange(len(labels)), labels] - rival > 1 + 1e-7
    assert clear.any()
    np.testing.assert_allclose(solved.pull[clear], 0, atol=1e-12)


def test_the_objective_agrees_with_another_modelling_of_it(bits, solved):
    import cvxpy as cp

    features, labels = bits
    weights, bias = cp.Variable((3, features.shape[1])), cp.Variable(3)
    scores = features @ weights.T + np.ones((len(labels), 1)) @ cp.reshape(bias, (1, 3), order="C")
    right = cp.sum(cp.multiply(scores, np.eye(3)[labels]), axis=1)
    rivals = cp.max(scores + 1.0 - np.eye(3)[labels], axis=1)
    hinge = cp.sum(rivals - right) / len(labels)
    problem = cp.Problem(cp.Minimize(hinge + 0.01 * cp.sum(cp.abs(weights))))
    problem.solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(solved.objective, problem.value, atol=1e-6)


def test_the_order_of_the_images_does_not_matter(bits, solved):
    features, labels = bits
    order = np.random.default_rng(0).permutation(len(labels))
    again = classifier.fit_hinge(features[order], labels[order], n_classes=3, penalty=0.01)
    np.testing.assert_array_equal(again.weights, solved.weights)
    np.testing.assert_array_equal(again.bias, solved.bias)
    np.testing.assert_array_equal(again.pull, solved.pull[order])


def test_repeating_every_image_changes_nothing(bits, solved):
    features, labels = bits
    twice = classifier.fit_hinge(np.tile(features, (2, 1)), np.tile(labels, 2), 3, 0.01)
    np.testing.assert_allclose(twice.weights, solved.weights, atol=1e-12)
    np.testing.assert_allclose(twice.objective, solved.objective, atol=1e-12)


def test_merged_rows_restore_the_images(bits):
    features, labels = bits
    rows, row_labels, row_of_image, multiplicity = classifier.merge_rows(features[:, :5], labels)
    np.testing.assert_array_equal(rows[row_of_image], features[:, :5])
    np.testing.assert_array_equal(row_labels[row_of_image], labels)
    assert multiplicity.sum() == len(labels) > len(rows)


def test_columns_without_violation_are_exactly_the_useless_ones(bits):
    features, labels = bits
    few, rest = features[:, :20], features[:, 20:]
    partial = classifier.fit_hinge(few, labels, 3, 0.01)
    price = classifier.reduced_costs(partial, rest, 0.01)
    best, worst = int(price.argmax()), int(price.argmin())
    assert price[best] > 0 > price[worst]
    for column, helps in ((best, True), (worst, False)):
        grown = classifier.fit_hinge(np.column_stack([few, rest[:, column]]), labels, 3, 0.01)
        assert (grown.objective < partial.objective - 1e-6) == helps


def test_column_generation_ends_at_the_full_optimum(bits, solved):
    features, labels = bits
    chosen = [0]
    for _ in range(features.shape[1]):
        partial = classifier.fit_hinge(features[:, chosen], labels, 3, 0.01)
        price = classifier.reduced_costs(partial, features, 0.01)
        if price.max() <= 1e-7:
            break
        chosen.extend(np.argsort(-price)[:5][np.sort(-price)[:5] < 0])
    assert len(chosen) < features.shape[1]
    np.testing.assert_allclose(partial.objective, solved.objective, atol=1e-7)


def test_a_heavy_penalty_gives_the_zero_classifier(bits):
    solution = classifier.fit_hinge(*bits, n_classes=3, penalty=10.0)
    np.testing.assert_array_equal(solution.weights, 0)


@pytest.mark.parametrize(
    ("n_classes", "penalty", "named"), [(3, 0.0, "0.0"), (3, float("nan"), "nan"), (1, 0.1, "1")]
)
def test_bad_settings_are_refused(bits, n_classes, penalty, named):
    with pytest.raises(ValueError, match=named):
        classifier.fit_hinge(*bits, n_classes=n_classes, penalty=penalty)
