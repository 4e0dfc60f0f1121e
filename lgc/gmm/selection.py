"""Number of components of each class: fit all candidates, select the shortest description.

By BIC (Schwarz 1978), or by the bits that the parameters take in the file. A class of few images
gets few components. Where any class is small, variances are regularised, and EM runs in float64:
in float32 it does not converge on covariances that are nearly singular.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import units
from fewbits.coding.weights import model_file
from lgc.config import Config, Progress, report
from lgc.gmm import component_counts, em, gaussian_mixture, mixture_code
from lgc.gmm.mixture_code import ClassMixture, Covariance

_FEW = 10
"""Samples for each dimension, below which a sample covariance is regularised."""
_REGULARISED = 1e-2
"""Of the variance of a latent dimension, which is 1."""
_SMALL_WORK = 20_000_000
"""Numbers in the padded latents times components in all; below it one program is faster."""


class Candidates(NamedTuple):
    """The mixtures of one class for every number of components that was tried.

    Attributes:
      latents: float32[n, d].
      mixtures: one for each number of components.
      bic: float[number of mixtures], nats; less is better.
      usable: bool[number of mixtures], whether the fit stayed finite.
    """

    latents: np.ndarray
    mixtures: list[ClassMixture]
    bic: np.ndarray
    usable: np.ndarray


def fit_candidates(
    latents: np.ndarray,
    classes: np.ndarray,
    config: Config,
    key: jax.Array,
    *,
    progress: Progress | None = None,
) -> list[Candidates]:
    """Fit mixtures to the latents of every class with every number of components."""
    parts = [latents[classes == index] for index in range(int(classes.max()) + 1)]
    n_latents = latents.shape[1]
    few = min(map(len, parts)) < _FEW * n_latents
    longest = max(map(len, parts))
    padded = np.stack([np.pad(part, ((0, longest - len(part)), (0, 0))) for part in parts])
    mask = np.arange(longest)[None] < np.array([[len(part)] for part in parts])
    limits = [most_components(len(part), n_latents, config.covariance) for part in parts]
    most = min(config.max_components, max(limits))
    tried = range(1, most + 1) if config.components is None else [config.components]
    fit_config = em.Config(kind=config.covariance, max_iterations=200)
    if few:
        fit_config = replace(fit_config, reg_covar=_REGULARISED, precision="float64")
    keys = [jax.random.fold_in(key, count) for count in tried]
    if _side_by_side(padded.size * sum(tried)):
        report(progress, "fitting mixtures", 0, 1)
        counts = jnp.array(list(tried))
        side_by_side = replace(fit_config, n_components=max(tried))
        fitted = _fit_side_by_side(jnp.stack(keys), padded, mask, counts, config=side_by_side)
        fits = [jax.tree.map(lambda a, i=i: np.asarray(a[i]), fitted) for i in range(len(keys))]
        report(progress, "fitting mixtures", 1, 1)
    else:
        fits = []
        for done, (count, each) in enumerate(zip(tried, keys, strict=True)):
            report(progress, "fitting mixtures", done, len(keys))
            swept = _fit_one_count(each, padded, mask, config=fit_config, component_counts=(count,))
            fits.append(jax.tree.map(lambda a: np.asarray(a[:, 0]), tuple(swept)))
        report(progress, "fitting mixtures", len(keys), len(keys))
    return [
        Candidates(
            part,
            [_plain(jax.tree.map(lambda a, i=i: a[i], fit[0]), config.covariance) for fit in fits],
            np.array([fit[2][i] for fit in fits]),
            np.array(
                [
                    fit[1].finite[i] and (count <= limits[i] or config.components is not None)
                    for count, fit in zip(tried, fits, strict=True)
                ]
            ),
        )
        for i, part in enumerate(parts)
    ]


def most_components(n_samples: int, n_dimensions: int, covariance: Covariance) -> int:
    """Components of a class at most: a full covariance needs as many samples as dimensions."""
    each = n_dimensions if covariance == "full" else 2
    return max(1, n_samples // each)


def _side_by_side(work: int) -> bool:
    """Whether to fit all classes and numbers of components in one program.

    Padding to the largest number and waiting for the slowest costs more arithmetic and one
    compilation instead of many: right for small data, and for an accelerator at any size.
    """
    return jax.default_backend() != "cpu" or work < _SMALL_WORK


_fit_one_count = jax.jit(component_counts.sweep, static_argnames=("config", "component_counts"))


@partial(jax.jit, static_argnames="config")
def _fit_side_by_side(
    keys: jax.Array, samples: jax.Array, mask: jax.Array, counts: jax.Array, *, config: em.Config
) -> tuple[gaussian_mixture.Mixture, em.FitInfo, jax.Array]:
    """Mixtures, infos and BIC with leading axes (numbers of components, classes)."""

    def one(key: jax.Array, part: jax.Array, used: jax.Array, count: jax.Array):
        mixture, info = em.fit(key, part, used, config, count)
        score = gaussian_mixture.bic(config.kind, mixture, info.log_likelihood, jnp.sum(used))
        return mixture, info, score

    def one_count(key: jax.Array, count: jax.Array):
        class_keys = jax.random.split(key, len(samples))
        return jax.vmap(one, in_axes=(0, 0, 0, None))(class_keys, samples, mask, count)

    return jax.vmap(one_count)(keys, counts)


def select(candidates: Candidates, config: Config) -> ClassMixture:
    """The mixture with the shortest description, by BIC or by the bits it takes in the file."""
    if config.selection == "bic":
        scores = candidates.bic
    else:
        scores = np.array(
            [
                description_bits(candidates.latents, mixture, config) if usable else np.inf
                for mixture, usable in zip(candidates.mixtures, candidates.usable, strict=True)
            ]
        )
    return candidates.mixtures[int(np.argmin(np.where(candidates.usable, scores, np.inf)))]


def description_bits(latents: np.ndarray, mixture: ClassMixture, config: Config) -> float:
    """Bits of the latents under the mixture as it will be read back, and of the mixture's file.

    Two-part code: -log2 p(z | stored parameters), at a common precision of the latents that
    drops out of comparisons, plus 8 times the bytes of the packed parameters.
    """
    tensors = mixture_code.to_tensors(mixture, config.covariance)
    header, sections = model_file.pack(tensors, config.bits)
    stored = model_file.unpack(header, sections)
    weights = mixture_code.weights_to_integers(mixture.weights)
    means, factors = mixture_code.from_tensors(stored, mixture.weights)
    nats = -mixture_code.log_density(latents, mixture.weights, means, factors).sum()
    file_bytes = (
        sum(map(len, sections.values())) + len(header.get("tables", b"")) + 3 * len(weights)
    )
    return float(units.nats_to_bits(nats)) + 8 * file_bytes


def _plain(mixture: gaussian_mixture.Mixture, kind: Covariance) -> ClassMixture:
    """A fitted mixture without its empty places."""
    used = np.asarray(mixture.mask)
    factors = np.asarray(mixture.factors, np.float64)
    if kind != "tied":
        factors = factors[used]
    if kind in ("full", "tied"):
        covariances = factors @ factors.swapaxes(-1, -2)
        covariances = covariances[0] if kind == "tied" else covariances
    else:
        covariances = factors**2
    weights = np.exp(np.asarray(mixture.log_weights, np.float64)[used])
    return ClassMixture(weights / weights.sum(), np.asarray(mixture.means)[used], covariances)
