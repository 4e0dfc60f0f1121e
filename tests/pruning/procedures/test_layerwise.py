import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import networks, trees
from pruning.procedures import layerwise

CONFIG = layerwise.LayerwiseConfig(steps=2000, learning_rate=0.01)


def test_expected_error_by_enumeration():
    """E over all gates of the mean squared difference, one output."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(30, 3)), rng.normal(size=(3, 1))
    w, gate = rng.normal(size=(3, 1)), rng.uniform(size=(3, 1))
    expected = 0.0
    for bits in itertools.product([0, 1], repeat=3):
        z = np.array(bits)[:, None]
        probability = np.prod(np.where(z, gate, 1 - gate))
        expected += probability * np.mean((x @ target - x @ (w * z)) ** 2)
    gram = x.T @ x / 30
    found = layerwise.expected_error(*(jnp.asarray(a) for a in (gram, target, w, gate)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_orthogonal_inputs_have_a_closed_form():
    """With E x x^T diagonal, a weight stays if and only if E x_i^2 W_ij^2 > alpha."""
    second_moments = jnp.array([0.5, 1.0, 4.0, 2.0])
    target = jax.random.normal(jax.random.key(0), (4, 5))
    solve = jax.jit(lambda a: layerwise.solve_layer(CONFIG, jnp.diag(second_moments), target, a))
    for alpha in (0.1, 0.5):
        found = solve(alpha)
        expected = jnp.where(second_moments[:, None] * target**2 > alpha, target, 0.0)
        np.testing.assert_allclose(found.weights, expected, atol=2e-2)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_correlated_inputs_against_all_subsets(seed):
    """The best of all 2^6 subsets, each with its own least-squares weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 6)) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    target = np.array([1.0, -0.8, 0.05, 0.6, 0.02, -0.04])
    gram, alpha = x.T @ x / 400, 0.05
    best = np.inf
    for bits in itertools.product([False, True], repeat=6):
        kept, w = np.array(bits), np.zeros(6)
        if kept.any():
            w[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], (gram @ target)[kept])
        error = (target - w) @ gram @ (target - w)
        best = min(best, error + alpha * kept.sum())
    found = layerwise.solve_layer(
        CONFIG, jnp.asarray(gram, jnp.float32), jnp.asarray(target[:, None], jnp.float32), alpha
    )
    value = float(found.residual) + alpha * int(jnp.count_nonzero(found.weights))
    assert best - 1e-4 <= value <= best + 1e-4
    assert found.converged


@pytest.mark.slow
def test_a_network_from_last_to_first_layer():
    """Inputs that carry nothing lose their weights, and outputs hardly change."""
    network = networks.mlp((8, 12, 3))
    params = network.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (500, 8)) * jnp.array([1.0] * 4 + [1e-3] * 4)[None]
    run = jax.jit(
        lambda p, x: layerwise.prune(CONFIG, p, layerwise.dense_stages(p), x, jnp.float32(3e-3))
    )
    pruned, solutions = run(params, x)
    assert not jnp.any(pruned["dense1"]["kernel"][4:])
    assert trees.nonzeros(pruned) < 0.8 * trees.nonzeros(params)
    assert len(solutions) == 2
    outputs = network.apply(params, x)
    error = jnp.mean(jnp.square(network.apply(pruned, x) - outputs))
    assert error < 0.05 * jnp.var(outputs)


@pytest.mark.parametrize(
    ("settings", "value"), [({"steps": 0}, "got 0"), ({"initial_gate": 0.0}, "0.0")]
)
def test_bad_configs_are_named(settings, value):
    with pytest.raises(ValueError, match=value):
        layerwise.LayerwiseConfig(**settings)
