"""Last-layer gradients in factors, against gradients that autodiff writes out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import losses, networks
from lgc.coresets import gradients

pytestmark = pytest.mark.slow

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def problem():
    """Two checkpoints of a small network, images, and the gradients [C, N, all of the layer]."""
    network = networks.mlp((64, 12, 7, 5))
    checkpoints = jax.jit(jax.vmap(network.init))(jax.random.split(jax.random.key(0), 2))
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (23, *SHAPE)), jnp.uint8)
    labels = jnp.asarray(rng.integers(0, 5, 23))
    loss = losses.cross_entropy(network.apply)

    def written_out(params, image, label):
        batch = image[None], label[None]
        whole, _ = jax.grad(loss, argnums=1, has_aux=True)(jax.random.key(0), params, batch)
        last = whole["output"]
        return jnp.concatenate([last["kernel"].ravel(), last["bias"]])

    each = jax.vmap(jax.vmap(written_out, (None, 0, 0)), (0, None, None))
    factors = jax.jit(lambda p, x, y: gradients.last_layer(network.apply, p, x, y, batch_size=10))(
        checkpoints, images, labels
    )
    return factors, np.asarray(jax.jit(each)(checkpoints, images, labels), np.float64)


def test_factors_are_the_layers_gradient(problem):
    factors, written_out = problem
    outer = jnp.einsum("cnw,cnk->cnwk", factors.inputs, factors.errors)
    np.testing.assert_allclose(outer.reshape(written_out.shape), written_out, atol=2e-6)
    assert factors.inputs.shape == (2, 23, 8)


def test_distances_are_those_of_the_written_out_gradients(problem):
    factors, written_out = problem
    differences = written_out[:, :, None] - written_out[:, None]
    expected = (differences**2).sum(-1).mean(0)
    found = gradients.squared_distances(factors, factors)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
    for block in (4, 100):
        blocks = gradients.pairwise_distances(factors, block=block)
        np.testing.assert_allclose(blocks, np.sqrt(expected), atol=4e-3 * np.sqrt(expected.max()))
        assert (np.diag(blocks) == 0).all()
    row = gradients.distances_to(factors)(jnp.array(3))
    np.testing.assert_allclose(row[4:], np.sqrt(expected)[3, 4:], rtol=1e-3)


def test_norms_and_kernel(problem):
    factors, written_out = problem
    norms = np.sqrt((written_out**2).sum(-1).mean(0))
    np.testing.assert_allclose(gradients.norms(factors), norms, rtol=1e-5)
    products = np.einsum("cnp,cmp->nm", written_out, written_out) / 2
    with_mean, products_with = gradients.kernel(factors)
    np.testing.assert_allclose(with_mean, products.mean(1), atol=1e-6 * np.abs(products).max() * 20)
    np.testing.assert_allclose(products_with(jnp.array(7)), products[7], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_inputs_of_a_convolutional_networks_last_layer():
    network = networks.report_classifier((12, 12, 1), 4)
    many = jax.jit(jax.vmap(network.init))(jax.random.split(jax.random.key(1), 1))
    x = jax.random.uniform(jax.random.key(2), (3, 12, 12, 1))

    @jax.jit
    def read(params):
        logits = network.apply(jax.tree.map(lambda leaf: leaf[0], params), x)
        return gradients.last_layer(network.apply, params, x, jnp.arange(3)), logits

    found, logits = read(many)
    weights = np.vstack([many["output"]["kernel"][0], many["output"]["bias"]])
    np.testing.assert_allclose(found.inputs[0] @ weights, logits, atol=1e-5)
    np.testing.assert_allclose(found.errors[0], jax.nn.softmax(logits) - np.eye(3, 4), atol=1e-5)
