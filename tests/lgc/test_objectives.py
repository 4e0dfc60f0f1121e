import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.autoencoders import objectives


def test_squared_error_and_cross_entropy_are_what_they_say(key):
    decoded, images = jax.random.uniform(key, (2, 7, 12))
    d, x = np.asarray(decoded, np.float64), np.asarray(images, np.float64)
    error = np.mean((d - x) ** 2)
    np.testing.assert_allclose(objectives.squared_error(decoded, images), error, rtol=1e-5)
    expected = -np.mean(np.sum(x * np.log(d) + (1 - x) * np.log(1 - d), axis=1))
    np.testing.assert_allclose(objectives.cross_entropy(decoded, images), expected, rtol=1e-5)


@pytest.mark.slow
def test_kl_is_that_of_samples(key):
    mean, log_variance = jnp.array([[0.5, -1.0]]), jnp.array([[0.2, -0.7]])
    scale = jnp.exp(0.5 * log_variance)
    z = mean + scale * jax.random.normal(key, (200_000, 2))
    normal = jax.scipy.stats.norm
    log_ratio = normal.logpdf(z, mean, scale) - normal.logpdf(z)
    sampled = log_ratio.sum(axis=1).mean()
    assert float(objectives.gaussian_kl(mean, log_variance)) == pytest.approx(
        float(sampled), rel=0.02
    )


def contrastive_by_loops(z, classes, temperature, form):
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        alike = [p for p in others if classes[p] == classes[i]]
        if not alike:
            continue
        e = {a: np.exp(z[i] @ z[a] / temperature) for a in others}
        total = sum(e.values())
        if form == "printed":
            losses.append(np.mean([-np.log(e[p] / total) for p in alike]))
        else:
            losses.append(-np.log(sum(e[p] for p in alike) / total))
    return np.mean(losses)


@pytest.mark.parametrize("form", ["printed", pytest.param("coded", marks=pytest.mark.slow)])
def test_contrastive_loss_is_the_sum_as_written(key, form):
    z = jax.random.normal(key, (9, 4))
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
    found = objectives.supervised_contrastive(z, classes, 0.5, form)
    expected = contrastive_by_loops(np.asarray(z, np.float64), classes, 0.5, form)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["printed", "coded"])
def test_its_gradient_is_finite_and_pulls_together(key, form):
    z = jax.random.normal(key, (8, 3))
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    value_and_grad = jax.value_and_grad(
        lambda z: objectives.supervised_contrastive(z, classes, 0.5, form)
    )
    before, slope = value_and_grad(z)
    assert jnp.isfinite(slope).all()
    after, _ = value_and_grad(z - 0.1 * slope)
    assert after < before


@pytest.mark.slow
def test_nobody_alike_costs_nothing(key):
    z = jax.random.normal(key, (3, 2))
    assert objectives.supervised_contrastive(z, np.arange(3), 0.5) == 0
