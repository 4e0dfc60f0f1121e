import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding.weights import model_file, uniform_grid
from lgc.autoencoders import rate


def tree(key):
    first, second = jax.random.split(key)
    return {
        "a": {"kernel": jax.random.laplace(first, (60, 50))},
        "b": {"kernel": 0.1 * jax.random.laplace(second, (40, 30))},
    }


@pytest.mark.parametrize("bits", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_tensors_lie_on_the_grid_of_the_file(key, bits):
    found = rate.quantised(tree(key), lambda path: bits)
    stored = model_file.read_model(model_file.write_model(tree(key), bits=bits))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


def test_the_gradient_passes_straight_through(key):
    slope = jax.grad(
        lambda t: sum(jnp.sum(x) for x in jax.tree.leaves(rate.quantised(t, lambda _: 3)))
    )
    for leaf in jax.tree.leaves(slope(tree(key))):
        np.testing.assert_array_equal(leaf, 1.0)


@pytest.mark.parametrize("mean", [0.05, 0.5, 3.0])
def test_entropy_of_the_geometric_law(mean):
    """Against the sum over symbols, the law's q found by its mean."""
    q = (np.sqrt(1 + mean**2) - 1) / mean
    k = np.arange(-2000, 2001)
    p = (1 - q) / (1 + q) * q ** np.abs(k)
    p = p[p > 0]
    assert (np.abs(k)[: len(p)] >= 0).all()
    np.testing.assert_allclose(
        rate.geometric_entropy_bits(mean), -np.sum(p * np.log2(p)), rtol=1e-4
    )


@pytest.mark.parametrize("bits", [4, pytest.param(6, marks=pytest.mark.slow)])
def test_the_rate_is_close_to_the_symbols_entropy_and_not_far_below(key, bits):
    weights = tree(key)
    estimated = float(rate.rate_bits(weights, lambda path: bits))
    entropy = 0.0
    for leaf in jax.tree.leaves(weights):
        symbols = uniform_grid.quantise(np.asarray(leaf).ravel(), bits).symbols
        _, counts = np.unique(symbols, return_counts=True)
        entropy -= np.sum(counts * np.log2(counts / counts.sum()))
    assert estimated == pytest.approx(entropy, rel=0.08)


@pytest.mark.slow
def test_the_rate_falls_with_the_magnitude_of_the_small(key):
    """Shrinking all but the largest weight saves bits; its slope agrees with differences."""
    weights = jax.random.laplace(key, (500,)).at[0].set(10.0)

    def bits(w):
        return rate.rate_bits({"w": w}, lambda path: 5)

    small = bits(0.5 * weights.at[0].set(20.0))
    assert small < bits(weights)
    slope = jax.grad(bits)(weights)
    ahead, behind = (bits(weights.at[7].add(e)) for e in (1e-2, -1e-2))
    assert float(slope[7]) == pytest.approx(float((ahead - behind) / 2e-2), rel=0.05)
