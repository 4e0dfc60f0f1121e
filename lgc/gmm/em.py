"""Maximum likelihood for Gaussian mixtures by expectation-maximisation.

Dempster, Laird and Rubin (1977), in the log domain, stopped as scikit-learn stops: when the mean
log-likelihood moves by less than `tolerance` in one iteration. `fit` is for one data set; it is
pure and of fixed shape, so `jax.vmap` runs it over classes, keys and numbers of components (all
fits then wait for the slowest). `lgc.gmm.component_counts` runs that product one fit after another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from lgc.gmm import covariances, em_steps, kmeans
from lgc.gmm.covariances import Kind
from lgc.gmm.gaussian_mixture import Mixture

_FEW = 10
"""Samples for each dimension of a component, below which its covariance is nearly singular."""


@dataclass(frozen=True)
class Config:
    """How to fit; the defaults are scikit-learn's.

    Attributes:
      n_components: places for components, K.
      kind: shape of the covariances.
      tolerance: nats per sample.
      max_iterations: of EM.
      reg_covar: added to every variance, in squared sample units.
      n_restarts: independent starts; the result with the largest likelihood is returned.
      precision: "samples" computes in the samples' dtype, "float64" in double precision whatever
        JAX's global flag. "auto" takes float64 where dense covariances have fewer than ten samples
        for each dimension of each component: they are nearly singular then, and in float32 the
        likelihood of EM falls and does not converge.
    """

    n_components: int = 1
    kind: Kind = "full"
    tolerance: float = 1e-3
    max_iterations: int = 100
    reg_covar: float = 1e-6
    n_restarts: int = 1
    precision: Literal["auto", "samples", "float64"] = "auto"

    def __post_init__(self):
        covariances.check_kind(self.kind)
        if self.precision not in ("auto", "samples", "float64"):
            raise ValueError(f"precision {self.precision!r} is none of auto, samples, float64")
        for name in ("n_components", "max_iterations", "n_restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("tolerance", "reg_covar"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: it must be finite and >= 0")

    def in_float64(self, n_samples: int, n_dimensions: int) -> bool:
        """Whether samples of this shape are fitted in double precision."""
        few = n_samples < _FEW * n_dimensions * self.n_components
        dense = self.kind in ("full", "tied")
        return self.precision == "float64" or (self.precision == "auto" and dense and few)


class FitInfo(NamedTuple):
    """What happened in a fit.

    Attributes:
      converged: the last change of the log-likelihood was below the tolerance.
      finite: no iteration had to be thrown away because its likelihood was not finite.
      iterations: of EM.
      log_likelihood: of the returned mixture, nats per sample.
      change: of the log-likelihood in the last iteration, nats per sample.
    """

    converged: Bool[Array, ""]
    finite: Bool[Array, ""]
    iterations: Int[Array, ""]
    log_likelihood: Float[Array, ""]
    change: Float[Array, ""]


def run(
    config: Config, start: Mixture, samples: Float[Array, "n d"], mask: Bool[Array, " n"]
) -> tuple[Mixture, FitInfo]:
    """EM from a given start: E and M steps until the likelihood stands still.

    Args:
      config: n_restarts is not used, and of n_components what `precision` needs.
      start: mixture of the config's kind.
      samples: (N, D).
      mask: (N,) False for padding.

    Returns:
      The likeliest of the mixtures after each M step, the start included, and how it went: more
      iterations never give a lower likelihood. In exact arithmetic it is the last one, but for the
      effect of `reg_covar`. An iteration whose likelihood is not finite ends the loop.
    """
    config = replace(config, n_components=start.means.shape[0])
    if not config.in_float64(*samples.shape):
        return _run(config, start, samples, mask)
    with jax.enable_x64(True):
        start_in_double = jax.tree.map(_doubled, start)
        found = _run(config, start_in_double, _doubled(samples), mask)
        return jax.tree.map(partial(_back, dtype=samples.dtype), found)


def _doubled(leaf: Array) -> Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _back(leaf: Array, dtype: jnp.dtype) -> Array:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf.astype(dtype)
    return leaf.astype(jnp.int32) if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf


def _run(config: Config, start: Mixture, samples: Array, mask: Array) -> tuple[Mixture, FitInfo]:
    blocks = em_steps.cut(samples, mask, start.means.shape[0])
    start = start._replace(means=start.means - blocks.centre[None])

    class Carry(NamedTuple):
        mixture: Mixture
        log_likelihood: Array
        change: Array
        best: Mixture
        best_log_likelihood: Array
        finite: Array
        iterations: Array

    def unfinished(carry: Carry) -> Array:
        moving = ~(jnp.abs(carry.change) < config.tolerance)
        return moving & carry.finite & (carry.iterations < config.max_iterations)

    def iterate(carry: Carry) -> Carry:
        mixture, log_likelihood = em_steps.improve(
            config.kind, config.reg_covar, carry.mixture, blocks
        )
        sound = jnp.isfinite(log_likelihood)
        better = log_likelihood > carry.best_log_likelihood
        best = _either(better, carry.mixture, carry.best)
        for leaf in (mixture.means, mixture.factors):
            sound &= jnp.all(jnp.isfinite(leaf))
        return Carry(
            _either(sound, mixture, carry.mixture),
            log_likelihood,
            log_likelihood - carry.log_likelihood,
            best,
            jnp.where(better, log_likelihood, carry.best_log_likelihood),
            sound,
            carry.iterations + 1,
        )

    infinity = jnp.array(jnp.inf, samples.dtype)
    zero = jnp.array(0, jnp.int32)
    first = Carry(start, -infinity, infinity, start, -infinity, jnp.array(True), zero)
    last = jax.lax.while_loop(unfinished, iterate, first)
    log_likelihood = em_steps.log_likelihood(last.mixture, blocks)
    finite = last.finite & jnp.isfinite(log_likelihood)
    fell = log_likelihood < last.best_log_likelihood
    mixture = _either(fell, last.best, last.mixture)
    log_likelihood = jnp.where(fell, last.best_log_likelihood, log_likelihood)
    mixture = mixture._replace(means=mixture.means + blocks.centre[None])
    converged = finite & (jnp.abs(last.change) < config.tolerance)
    return mixture, FitInfo(converged, finite, last.iterations, log_likelihood, last.change)


def _either(first: Array, one: Mixture, other: Mixture) -> Mixture:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def kmeans_start(
    key: Array, config: Config, samples: Array, mask: Array, n_components: Array | None = None
) -> Mixture:
    """A mixture from k-means labels; components that k-means left empty are masked.

    Args:
      key: typed PRNG key.
      config: n_components, kind and reg_covar are used.
      samples: (N, D).
      mask: (N,) False for padding.
      n_components: how many of the config's places to use; all by default. May be traced.
    """
    samples, weights, centre = em_steps.centred(samples, mask)
    places = jnp.arange(config.n_components)
    active = places < (config.n_components if n_components is None else n_components)
    labels = kmeans.lloyd(key, samples, weights, active).labels
    responsibilities = weights[None] * (labels[None] == places[:, None])
    # The first place stays in use, so that even a data set without samples has a mixture.
    used = (jnp.sum(responsibilities, axis=-1) > 0) | (places == 0)
    mixture = em_steps.maximisation(config.kind, config.reg_covar, samples, responsibilities, used)
    return mixture._replace(means=mixture.means + centre[None])


def fit(
    key: Key[Array, ""],
    samples: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    config: Config,
    n_components: Array | None = None,
) -> tuple[Mixture, FitInfo]:
    """The result with the largest likelihood of `config.n_restarts` EM runs from k-means starts.

    Args:
      key: typed PRNG key.
      samples: (N, D).
      mask: (N,) False for padding, so that data sets of several sizes can be stacked.
      config: see `Config`.
      n_components: how many of the config's places to use; all by default. May be traced, so
        that one vmap covers several numbers of components.

    Returns:
      The mixture and how its run went. Never raises: look at `info.finite` and
      `info.converged`, and at `mixture.mask` for the components that exist.
    """

    def once(restart_key: Array) -> tuple[Mixture, FitInfo]:
        start = kmeans_start(restart_key, config, samples, mask, n_components)
        return run(config, start, samples, mask)

    if config.n_restarts == 1:
        return once(key)
    results = jax.lax.map(once, jax.random.split(key, config.n_restarts))
    scores = jnp.where(results[1].finite, results[1].log_likelihood, -jnp.inf)
    best = jnp.argmax(scores)
    return jax.tree.map(lambda leaf: leaf[best], results)
