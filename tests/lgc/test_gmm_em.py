"""EM against scikit-learn, against closed forms, and on data that should break it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

from lgc.gmm import component_counts, em, em_steps, gaussian_mixture
from lgc.gmm.covariances import KINDS
from tests.lgc.test_gmm import SKLEARN_NAMES

N_COMPONENTS = 4
fit = jax.jit(em.fit, static_argnums=3)
run = jax.jit(em.run, static_argnums=0)
expectation = jax.jit(em_steps.expectation)
sweep = jax.jit(
    component_counts.sweep,
    static_argnums=(3, 4),
    static_argnames=("counts_per_program", "runs_at_once"),
)
maximisation = jax.jit(em_steps.maximisation, static_argnums=0)
kmeans_start = jax.jit(em.kmeans_start, static_argnums=1)


N_SAMPLES, N_DIMENSIONS = 1500, 64


def digits_in_principal_axes() -> np.ndarray:
    """The first 16 axes, and 48 dead ones: the shape of the latents, so one program serves both."""
    pixels = load_digits().data[:N_SAMPLES]
    centred = pixels - pixels.mean(0)
    axes = centred @ np.linalg.svd(centred, full_matrices=False)[2][:16].T
    return np.pad(axes, ((0, 0), (0, N_DIMENSIONS - 16)))


def rectified_latents() -> np.ndarray:
    """What a ReLU bottleneck gives: 64 correlated dimensions, many zeros, some always zero."""
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(4, 20))[rng.integers(4, size=N_SAMPLES)] * 1.5
    hidden += rng.normal(size=hidden.shape) * 0.7
    latents = np.maximum(hidden @ rng.normal(size=(20, 64)) * 0.7 + rng.normal(size=64), 0)
    latents += rng.normal(size=latents.shape) * 0.1 * (latents > 0)
    latents[:, ::13] = 0
    return np.maximum(latents, 0)


DATA = {"digits": digits_in_principal_axes, "latents": rectified_latents}


def explicit_start(samples: np.ndarray, kind: str):
    """Weights, means and precisions of a crude clustering, in scikit-learn's shapes."""
    crude = GaussianMixture(
        N_COMPONENTS,
        covariance_type=SKLEARN_NAMES[kind],
        max_iter=0,
        reg_covar=1e-2,
        random_state=1,
    ).fit(samples)
    return crude.weights_, crude.means_, crude.precisions_


@pytest.mark.parametrize("dtype", [pytest.param(np.float32, marks=pytest.mark.slow), np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DATA)
def test_em_agrees_with_scikit_learn_from_the_same_start(name, kind, dtype):
    samples = DATA[name]()
    weights, means, precisions = explicit_start(samples, kind)
    theirs = GaussianMixture(
        N_COMPONENTS,
        covariance_type=SKLEARN_NAMES[kind],
        weights_init=weights,
        means_init=means,
        precisions_init=precisions,
        max_iter=200,
    ).fit(samples)
    with jax.enable_x64(dtype == np.float64):
        config = em.Config(N_COMPONENTS, kind, max_iterations=200)
        weights, means, precisions = (jnp.asarray(a, dtype) for a in (weights, means, precisions))
        start = gaussian_mixture.from_precisions(kind, weights, means, precisions)
        data = jnp.asarray(samples, dtype)
        mixture, info = run(config, start, data, jnp.ones(len(samples), bool))
        assert mixture.means.dtype == dtype
        assert info.converged
        assert info.finite
        assert abs(int(info.iterations) - theirs.n_iter_) <= (0 if dtype == np.float64 else 1)
        found = np.asarray(jax.jit(gaussian_mixture.log_prob)(mixture, data), np.float64)
    assert abs(float(info.log_likelihood) - theirs.score(samples)) < 1e-3
    if dtype == np.float64:
        np.testing.assert_allclose(found, theirs.score_samples(samples), atol=1e-3)


def test_em_from_the_same_responsibilities_takes_the_same_steps():
    samples = digits_in_principal_axes()
    labels = np.random.default_rng(0).integers(3, size=len(samples))
    responsibilities = np.eye(3)[labels]
    theirs = GaussianMixture(3, max_iter=5, tol=0)
    theirs._initialize(samples, responsibilities)
    for _ in range(5):
        _, log_responsibilities = theirs._e_step(samples)
        theirs._m_step(samples, log_responsibilities)
    config = em.Config(3, max_iterations=5, tolerance=0)
    data = jnp.asarray(samples, jnp.float32)
    theirs_transposed = jnp.asarray(responsibilities.T, jnp.float32)
    start = maximisation("full", config.reg_covar, data, theirs_transposed)
    mixture, info = run(config, start, data, jnp.ones(len(data), bool))
    assert int(info.iterations) == 5
    assert not info.converged
    assert abs(float(info.log_likelihood) - theirs.score(samples)) < 1e-3
    np.testing.assert_allclose(mixture.means, theirs.means_, atol=2e-3)
    np.testing.assert_allclose(
        gaussian_mixture.covariance_matrices(mixture), theirs.covariances_, rtol=1e-3, atol=2e-2
    )


def small_config(kind) -> em.Config:
    """One setting for several tests, on 50 samples of 6 dimensions: compiled once."""
    return em.Config(5, kind, max_iterations=50)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_component_has_the_moments_of_the_data(key, kind):
    samples = np.random.default_rng(4).normal(size=(50, 6)) @ np.diag([1, 2, 3, 4, 5, 6]) + 100
    mixture, info = fit(
        key, jnp.asarray(samples, jnp.float32), jnp.ones(50, bool), small_config(kind), 1
    )
    scatter = np.cov(samples.T, bias=True)
    expected = {
        "full": scatter,
        "tied": scatter,
        "diagonal": np.diag(np.diag(scatter)),
        "spherical": np.eye(6) * np.trace(scatter) / 6,
    }[kind]
    assert info.converged
    assert int(mixture.mask.sum()) == 1
    np.testing.assert_allclose(mixture.means[0], samples.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        gaussian_mixture.covariance_matrices(mixture)[0], expected, rtol=1e-4, atol=1e-3
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), kind=st.sampled_from(KINDS))
def test_likelihood_never_falls(seed, kind):
    rng = np.random.default_rng(seed)
    data = jnp.asarray(rng.normal(size=(60, 2)) * rng.uniform(0.1, 3, size=(60, 1)), jnp.float32)
    responsibilities = jnp.asarray(rng.dirichlet(np.ones(3), size=60).T, jnp.float32)
    previous = -np.inf
    for _ in range(12):
        mixture = maximisation(kind, 1e-6, data, responsibilities)
        responsibilities, log_likelihood = expectation(mixture, data, jnp.ones(60))
        assert log_likelihood > previous - 1e-3
        previous = log_likelihood


def few_samples() -> tuple[np.ndarray, np.ndarray]:
    """30 samples of 100 dimensions in two clusters, and a crude clustering of them."""
    rng = np.random.default_rng(10)
    samples = rng.normal(size=(30, 100)) * np.geomspace(0.05, 2, 100)
    samples += 3 * (np.arange(30) % 2)[:, None] * rng.normal(size=100)
    return samples, rng.dirichlet([0.3, 0.3], size=30)


def test_few_samples_in_many_dimensions_agree_with_scikit_learn():
    samples, responsibilities = few_samples()
    data = jnp.asarray(samples, jnp.float32)
    start = maximisation("full", 1e-2, data, jnp.asarray(responsibilities.T, jnp.float32))
    factors = np.asarray(start.factors, np.float64)
    theirs = GaussianMixture(
        2,
        weights_init=np.exp(np.asarray(start.log_weights, np.float64)),
        means_init=np.asarray(start.means, np.float64),
        precisions_init=np.linalg.inv(factors @ factors.swapaxes(-1, -2)),
        max_iter=200,
    ).fit(samples)
    config = em.Config(2, max_iterations=200)
    mixture, info = run(config, start, data, jnp.ones(30, bool))
    assert mixture.means.dtype == jnp.float32
    assert info.finite
    assert info.converged
    assert abs(float(info.log_likelihood) - theirs.score(samples)) < 0.5


@pytest.mark.parametrize("precision", ["samples", pytest.param("float64", marks=pytest.mark.slow)])
def test_more_iterations_never_give_a_lower_likelihood(precision):
    samples, responsibilities = few_samples()
    data = jnp.asarray(samples, jnp.float32)
    start = maximisation("full", 1e-6, data, jnp.asarray(responsibilities.T, jnp.float32))
    found = [
        run(
            em.Config(2, max_iterations=count, tolerance=0, precision=precision),
            start, data, jnp.ones(30, bool),
        )[1].log_likelihood
        for count in (1, 2, 4, 8)
    ]  # fmt: skip
    assert (np.diff(found) >= 0).all()


def test_well_separated_clusters_are_found_whatever_the_padding(key):
    rng = np.random.default_rng(6)
    centres = 20 * np.eye(6)[:3]
    labels = rng.integers(3, size=45)
    samples = np.full((50, 6), np.nan)
    samples[:45] = centres[labels] + rng.normal(size=(45, 6))
    mask = jnp.arange(50) < 45
    mixture, info = fit(key, jnp.asarray(samples, jnp.float32), mask, small_config("diagonal"), 3)
    assert info.converged
    np.testing.assert_array_equal(mixture.mask, [True, True, True, False, False])
    order = np.argsort(np.asarray(mixture.means[:3]) @ np.arange(6))
    expected = np.stack([samples[:45][labels == label].mean(0) for label in range(3)])
    np.testing.assert_allclose(np.asarray(mixture.means[:3])[order], expected, atol=1e-3)
    shares = np.exp(mixture.log_weights)
    np.testing.assert_allclose(shares[:3][order], np.bincount(labels) / 45, atol=1e-4)
    assert shares[3:].sum() == 0


@pytest.mark.slow
def test_more_restarts_are_never_worse(key):
    data = jnp.asarray(digits_in_principal_axes()[:400, :16], jnp.float32)
    mask = jnp.ones(400, bool)
    keys = jax.random.split(key, 4)
    config = em.Config(6, "diagonal")
    single = [float(fit(k, data, mask, config)[1].log_likelihood) for k in keys]
    config = em.Config(6, "diagonal", n_restarts=4)
    _, info = fit(key, data, mask, config)
    assert max(single) - min(single) > 1e-3  # otherwise this test could not fail
    np.testing.assert_allclose(info.log_likelihood, max(single), atol=1e-4)


def broken_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    dead = rng.normal(size=(50, 6))
    dead[:, 2:] = 0
    collinear = rng.normal(size=(50, 1)) * np.arange(1, 7)
    return {
        "duplicates": (np.ones((50, 6)), np.ones(50, bool)),
        "two distinct points": (np.repeat(np.eye(6)[:2], 25, 0), np.ones(50, bool)),
        "fewer samples than components": (rng.normal(size=(50, 6)), np.arange(50) < 3),
        "one sample": (rng.normal(size=(50, 6)) * 1e3, np.arange(50) < 1),
        "no sample": (np.full((50, 6), np.nan), np.zeros(50, bool)),
        "dead dimensions": (dead, np.ones(50, bool)),
        "collinear": (collinear, np.ones(50, bool)),
        "far from the origin": (rng.normal(size=(50, 6)) * 1e-2 + 1e4, np.ones(50, bool)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_data_gives_a_finite_mixture(key, kind):
    for name, (samples, mask) in broken_data().items():
        data = jnp.asarray(samples, jnp.float32)
        mixture, info = fit(key, data, jnp.asarray(mask), small_config(kind), 5)
        used = np.asarray(mixture.mask)
        assert info.finite, name
        # A collinear component has variances 36 and 1e-6, more apart than float32 can tell: the
        # likelihood is then known to a few hundredths of a nat, and `converged` says so.
        assert info.converged or name == "collinear", name
        assert used.any(), name
        assert np.isfinite(mixture.means).all(), name
        assert np.isfinite(mixture.factors).all(), name
        assert np.isfinite(np.asarray(mixture.log_weights)[used]).all(), name
        drawn, _ = gaussian_mixture.sample(key, mixture, 10)
        assert np.isfinite(drawn).all(), name
        distinct = len(np.unique(samples[mask], axis=0))
        assert used.sum() <= max(distinct, 1), name


def test_data_that_is_not_finite_is_reported_and_not_raised(key):
    data = jnp.ones((50, 6)).at[3, 1].set(jnp.nan)
    _, info = fit(key, data, jnp.ones(50, bool), small_config("full"), 5)
    assert not info.finite
    assert not info.converged


def two_classes() -> tuple[jax.Array, jax.Array]:
    """One class of one cluster, and one, smaller, of two."""
    rng = np.random.default_rng(8)
    one = rng.normal(size=(300, 3))
    two = rng.normal(size=(200, 3)) + 9 * rng.integers(2, size=(200, 1))
    samples = np.zeros((2, 300, 3), np.float32)
    samples[0], samples[1, :200] = one, two
    return jnp.asarray(samples), jnp.arange(300)[None] < jnp.array([300, 200])[:, None]


@pytest.mark.slow
def test_bic_chooses_the_number_of_clusters(key):
    samples, mask = two_classes()
    swept = sweep(key, samples, mask, em.Config(), (1, 2, 3))
    mixtures, infos, chosen = component_counts.select(swept)
    np.testing.assert_array_equal(chosen, [0, 1])
    np.testing.assert_array_equal(mixtures.mask.sum(-1), [1, 2])
    assert infos.log_likelihood.shape == (2,)


@pytest.mark.slow
def test_the_caller_can_choose_by_a_score_of_its_own(key):
    samples, mask = two_classes()
    swept = sweep(key, samples, mask, em.Config(), (1, 2, 3))
    bytes_on_disk = jnp.array([[30, 20, 10], [10, 30, 20]])
    _, infos, chosen = component_counts.select(swept, bytes_on_disk)
    np.testing.assert_array_equal(chosen, [2, 0])
    np.testing.assert_array_equal(
        infos.iterations, [swept.infos.iterations[0, 2], swept.infos.iterations[1, 0]]
    )


@pytest.mark.slow
def test_side_by_side_one_by_one_and_alone_give_the_same_fit(key):
    samples, mask = two_classes()
    apart = sweep(key, samples, mask, em.Config(), (1, 2, 3)).infos.log_likelihood[:, 1]
    together = sweep(key, samples, mask, em.Config(), (2,), runs_at_once=2).infos.log_likelihood
    np.testing.assert_allclose(apart, together[:, 0], atol=1e-3)
    for index in range(2):
        lane_key = jax.random.fold_in(jax.random.fold_in(key, index), 2)
        compiled = fit._cache_size()
        _, info = fit(lane_key, samples[index], mask[index], em.Config(2))
        np.testing.assert_allclose(info.log_likelihood, apart[index], atol=1e-3)
    assert fit._cache_size() == compiled  # the second class was not traced again


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_components", 0),
        ("kind", "diag"),
        ("tolerance", -1),
        ("reg_covar", float("nan")),
        ("precision", "half"),
    ],
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ValueError, match=str(value)):
        em.Config(**{field: value})


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_over_many_blocks_is_the_step_over_one(monkeypatch, kind):
    rng = np.random.default_rng(9)
    data = jnp.asarray(rng.normal(size=(60, 2)) + 50, jnp.float32)
    mask = jnp.arange(60) < 53
    mixture = maximisation(kind, 1e-6, data - 50, jnp.asarray(rng.dirichlet(np.ones(3), 60).T))
    whole = em_steps.cut(data, mask, 3)
    monkeypatch.setattr(em_steps, "_BLOCK_NUMBERS", 3 * 2 * 8)
    blocks = em_steps.cut(data, mask, 3)
    assert whole.samples.shape == (1, 60, 2)
    assert blocks.samples.shape == (8, 8, 2)
    step = jax.jit(em_steps.improve, static_argnums=0)
    (one, one_likelihood), (many, likelihood) = (
        step(kind, 1e-6, mixture, part) for part in (whole, blocks)
    )
    np.testing.assert_allclose(likelihood, one_likelihood, rtol=1e-5)
    np.testing.assert_allclose(many.means, one.means, atol=1e-5)
    np.testing.assert_allclose(many.factors, one.factors, atol=1e-5)
    responsibilities, total = expectation(mixture, whole.samples[0], whole.weights[0])
    apart = maximisation(kind, 1e-6, whole.samples[0], responsibilities)
    np.testing.assert_allclose(total / 53, likelihood, rtol=1e-5)
    np.testing.assert_allclose(many.factors, apart.factors, atol=1e-5)
