import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.autoencoders import utility

pytestmark = pytest.mark.slow


def test_ridge_predictions_are_those_of_the_normal_equations(key):
    """Kernel and weight space give the same answer: two solvers that agree."""
    keys = jax.random.split(key, 3)
    synthetic, real = jax.random.normal(keys[0], (30, 8)), jax.random.normal(keys[1], (20, 8))
    targets = jax.random.normal(keys[2], (30, 3))
    found = utility.ridge_predictions(synthetic, targets, real, 0.1)
    x = np.asarray(synthetic, np.float64)
    strength = 0.1 * np.trace(x @ x.T) / 30
    weights = np.linalg.solve(x.T @ x + strength * np.eye(8), x.T @ np.asarray(targets))
    np.testing.assert_allclose(found, np.asarray(real) @ weights, atol=1e-4)


def test_separated_classes_cost_nothing_and_swapped_labels_a_lot(key):
    features = jnp.repeat(10 * jnp.eye(3), 5, axis=0)
    classes = jnp.repeat(jnp.arange(3), 5)
    right = utility.ridge_loss(features, classes, features, classes, 3)
    wrong = utility.ridge_loss(features, (classes + 1) % 3, features, classes, 3)
    assert right < 1e-4
    assert wrong > 1


def test_the_gradient_moves_samples_to_where_they_teach(key):
    """Samples of two classes that start mixed up learn to lie with the real ones."""
    real = jnp.array([[2.0, 0.0], [2.2, 0.3], [-2.0, 0.1], [-2.1, -0.2]])
    real_classes, classes = jnp.array([0, 0, 1, 1]), jnp.array([0, 1])
    samples = jax.random.normal(key, (2, 2))

    def loss(s):
        return utility.ridge_loss(s, classes, real, real_classes, 2, 0.1)

    before = loss(samples)
    for _ in range(100):
        samples = samples - 0.3 * jax.grad(loss)(samples)
    assert loss(samples) < 0.1 < before
