"""Fits of several classes with several numbers of components, one after another.

On a CPU this is faster than `jax.vmap` of `lgc.gmm.fit`: the matrix products are large enough
already, and no fit waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Key

from lgc.gmm import covariances, gaussian_mixture
from lgc.gmm.covariances import Kind
from lgc.gmm.em import Config, FitInfo, fit
from lgc.gmm.gaussian_mixture import Mixture


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
