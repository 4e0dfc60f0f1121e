"""Maximum likelihood for Gaussian mixtures by expectation-maximisation.

Dempster, Laird and Rubin (1977), in the log domain, stopped as scikit-learn stops: when the mean
log-likelihood moves by less than `tolerance` in one iteration. `fit` is for one data set; it is
pure and of fixed shape, so `jax.vmap` runs it over classes, keys and numbers of components (all
fits then wait for the slowest). `sweep` runs that product one fit after another, which on a CPU is
faster: the matrix products are large enough already, and no fit waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from lgc.gmm import covariances, em_steps, gaussian_mixture, kmeans
from lgc.gmm.covariances import Kind
from lgc.gmm.gaussian_mixture import Mixture


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
    """

    n_components: int = 1
    kind: Kind = "full"
    tolerance: float = 1e-3
    max_iterations: int = 100
    reg_covar: float = 1e-6
    n_restarts: int = 1

    def __post_init__(self):
        covariances.check_kind(self.kind)
        for name in ("n_components", "max_iterations", "n_restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("tolerance", "reg_covar"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: it must be finite and >= 0")


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
      config: n_components and n_restarts are not used.
      start: mixture of the config's kind.
      samples: (N, D).
      mask: (N,) False for padding.

    Returns:
      The mixture after the last M step, and how it went. An iteration whose likelihood is not
      finite ends the loop, and the mixture before it is returned.
    """
    blocks = em_steps.cut(samples, mask, start.means.shape[0])
    start = start._replace(means=start.means - blocks.centre[None])

    class Carry(NamedTuple):
        mixture: Mixture
        log_likelihood: Array
        change: Array
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
        for leaf in (mixture.means, mixture.factors):
            sound &= jnp.all(jnp.isfinite(leaf))
        mixture = jax.tree.map(lambda new, old: jnp.where(sound, new, old), mixture, carry.mixture)
        change = log_likelihood - carry.log_likelihood
        return Carry(mixture, log_likelihood, change, sound, carry.iterations + 1)

    infinity = jnp.array(jnp.inf, samples.dtype)
    first = Carry(start, -infinity, infinity, jnp.array(True), jnp.array(0))
    last = jax.lax.while_loop(unfinished, iterate, first)
    log_likelihood = em_steps.log_likelihood(last.mixture, blocks)
    mixture = last.mixture._replace(means=last.mixture.means + blocks.centre[None])
    finite = last.finite & jnp.isfinite(log_likelihood)
    converged = finite & (jnp.abs(last.change) < config.tolerance)
    return mixture, FitInfo(converged, finite, last.iterations, log_likelihood, last.change)


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


class Sweep(NamedTuple):
    """Every class fitted with every number of components.

    Attributes:
      mixtures: leaves (C, number of counts, K_max, ...), smaller mixtures padded and masked.
      infos: leaves (C, number of counts).
      bic: (C, number of counts), nats; less is better.
    """

    mixtures: Mixture
    infos: FitInfo
    bic: Array


def sweep(
    key: Key[Array, ""],
    samples: Float[Array, "c n d"],
    mask: Bool[Array, "c n"],
    config: Config,
    component_counts: Sequence[int],
    *,
    counts_per_program: int = 2,
    runs_at_once: int | None = None,
) -> Sweep:
    """Fits every class with every number of components, none skipped.

    Args:
      key: typed PRNG key; a fit's own key depends on its class and count alone.
      samples: (C, N, D), padded to the largest class.
      mask: (C, N) False for padding.
      config: n_components is replaced by each count in turn.
      component_counts: numbers of components, for instance range(1, 11).
      counts_per_program: neighbouring counts that share one compiled loop with places for the
        largest of them: more compile less, fewer compute less on empty places.
      runs_at_once: fits that run in parallel under vmap. None, one after another, is fastest
        on a CPU; an accelerator wants as many as fit its memory.
    """
    counts = list(component_counts)
    classes = jnp.arange(samples.shape[0])
    groups = []
    for begin in range(0, len(counts), counts_per_program):
        group = counts[begin : begin + counts_per_program]
        each = replace(config, n_components=max(group))

        def fit_one(run: tuple[Array, Array], each: Config = each) -> Sweep:
            index, count = run
            fit_key = jax.random.fold_in(jax.random.fold_in(key, index), count)
            mixture, info = fit(fit_key, samples[index], mask[index], each, count)
            n_samples = jnp.maximum(jnp.sum(mask[index]), 1)
            score = gaussian_mixture.bic(config.kind, mixture, info.log_likelihood, n_samples)
            return Sweep(_pad(config.kind, mixture, max(counts)), info, score)

        runs = (jnp.repeat(classes, len(group)), jnp.tile(jnp.array(group), len(classes)))
        results = jax.lax.map(fit_one, runs, batch_size=runs_at_once)
        shape = (len(classes), len(group))
        groups.append(
            jax.tree.map(lambda leaf, s=shape: leaf.reshape(*s, *leaf.shape[1:]), results)
        )
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *groups)


def select(swept: Sweep, scores: Array | None = None) -> tuple[Mixture, FitInfo, Array]:
    """The mixture with the least score of every class.

    Args:
      swept: from `sweep`.
      scores: (C, number of counts), less is better: BIC by default, or what the caller measures
        (bytes of the file that results, for instance).

    Returns:
      mixtures (C, K_max, ...), infos (C,), and the chosen column (C,) of each class.
    """
    scores = swept.bic if scores is None else scores
    scores = jnp.where(swept.infos.finite, scores, jnp.inf)
    chosen = jnp.argmin(scores, axis=-1)

    def pick(leaf: Array) -> Array:
        return jax.vmap(lambda row, column: row[column])(leaf, chosen)

    mixtures, infos = jax.tree.map(pick, (swept.mixtures, swept.infos))
    return mixtures, infos, chosen


def _pad(kind: Kind, mixture: Mixture, n_places: int) -> Mixture:
    """The same mixture with more, empty, places."""
    n_components, n_dimensions = mixture.means.shape
    extra = n_places - n_components
    unit = covariances.identity_factors(kind, extra, n_dimensions, mixture.factors.dtype)
    factors = mixture.factors
    if kind != "tied":
        factors = jnp.concatenate([factors, unit])
    return Mixture(
        jnp.pad(mixture.log_weights, (0, extra), constant_values=-jnp.inf),
        jnp.pad(mixture.means, ((0, extra), (0, 0))),
        factors,
        jnp.pad(mixture.mask, (0, extra)),
    )
