"""Gaussian mixtures in JAX: EM with k-means++ starts, density, samples, selection by BIC.

p(x) = sum_k w_k N(x; m_k, C_k), with full, tied, diagonal or spherical covariances. `fit` is pure
and of fixed shape, so `jax.vmap` runs it over classes, keys and numbers of components; `sweep`
fits every class with every number of components, and `select` chooses among them.

>>> import jax, jax.numpy as jnp
>>> from lgc import gmm
>>> samples = jax.random.normal(jax.random.key(0), (60, 2)).at[:30].add(6)
>>> config = gmm.Config(n_components=2)
>>> mixture, info = gmm.fit(jax.random.key(1), samples, jnp.ones(60, bool), config)
>>> bool(info.converged), mixture.means.shape
(True, (2, 2))
>>> gmm.log_prob(mixture, samples).shape
(60,)
"""

from lgc.gmm.component_counts import Sweep, select, sweep
from lgc.gmm.covariances import Kind
from lgc.gmm.em import Config, FitInfo, fit, run
from lgc.gmm.gaussian_mixture import (
    Mixture,
    bic,
    covariance_matrices,
    from_precisions,
    log_prob,
    sample,
)

__all__ = [
    "Config",
    "FitInfo",
    "Kind",
    "Mixture",
    "Sweep",
    "bic",
    "covariance_matrices",
    "fit",
    "from_precisions",
    "log_prob",
    "run",
    "sample",
    "select",
    "sweep",
]
