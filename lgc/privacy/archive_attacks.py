"""What an attacker does with archives: scores of a pool's images, attacks, and distances."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.method import Key
from lgc import archive
from lgc.coresets import lossy_subset
from lgc.privacy import distance_ratios, inversion, membership
from lgc.privacy.shadow_archives import Pool

FALSE_POSITIVE_RATE = 0.001
_ROC_POINTS = 60

random_halves = jax.jit(membership.random_halves, static_argnums=2)
_invert = jax.jit(inversion.scores, static_argnums=(4, 5))
_nearest = jax.jit(distance_ratios.nearest, static_argnames="count")
_memorisation = jax.jit(distance_ratios.memorisation, static_argnames="permutations")
_calibrate = jax.jit(membership.calibrate)
_offline, _online = (
    jax.jit(jax.vmap(attack, in_axes=(0, None)))
    for attack in (membership.lira_offline, membership.lira_online)
)
_areas = jax.jit(jax.vmap(membership.auc))
_rates = jax.jit(
    jax.vmap(partial(membership.true_positive_rate, false_positive_rate=FALSE_POSITIVE_RATE))
)


def mixture_scores(
    data: bytes, pool: Pool, key: Key, config: inversion.InversionConfig
) -> np.ndarray:
    """Float32[scores, n]: `Scores` of every image of the pool under an archive."""
    contents = archive.read(data)
    parts = []
    for label, mixture in enumerate(inversion.class_mixtures(contents)):
        images = jnp.asarray(pool.flat[pool.classes == label])
        key_class = jax.random.fold_in(key, label)
        shape = contents.image_shape
        found = _invert(key_class, contents.decoder, mixture, images, shape, config)
        parts.append(np.stack(found))
    return np.concatenate(parts, axis=1)


def control_scores(data: bytes, pool: Pool) -> np.ndarray:
    """Float32[1, n]: minus the distance of every image of the pool to the nearest in a subset."""
    images, labels = lossy_subset.read(data)
    parts = []
    for label in range(pool.n_classes):
        own = images[labels == label].reshape(-1, pool.flat.shape[1])
        queries = jnp.asarray(pool.flat[pool.classes == label])
        parts.append(-np.asarray(_nearest(queries, jnp.asarray(own)).distances[:, 0]))
    return np.concatenate(parts)[None]


class Attacked(NamedTuple):
    """What one attack finds, for each target."""

    score: str
    calibration: str
    auc: np.ndarray
    standard_error: np.ndarray
    true_positive_percent: np.ndarray
    roc: dict[str, list[float]]
    """Of the first target."""


def attacks(scores: dict[str, jax.Array], inside: jax.Array, targets: jax.Array) -> list[Attacked]:
    """Every score, raw and calibrated, against every target.

    Args:
      scores: Float[shadows + targets, n] by name.
      inside: Bool[shadows, n].
      targets: Bool[targets, n].
    """
    found = []
    for name, values in scores.items():
        of_shadows, of_targets = values[: len(inside)], values[len(inside) :]
        shadows = _calibrate(of_shadows, inside)
        calibrations = {
            "raw": of_targets,
            "offline": _offline(of_targets, shadows),
            "online": _online(of_targets, shadows),
        }
        for calibration, evidence in calibrations.items():
            area = _areas(evidence, targets)
            found.append(
                Attacked(
                    name,
                    calibration,
                    np.asarray(area.value),
                    np.asarray(area.standard_error),
                    100 * np.asarray(_rates(evidence, targets), float),
                    roc(np.asarray(evidence[0]), np.asarray(targets[0])),
                )
            )
    return found


def roc(scores: np.ndarray, members: np.ndarray) -> dict[str, list[float]]:
    """Some points of a ROC curve, evenly spaced in the logarithm of the false-positive rate.

    Args:
      scores: float[n], larger for members.
      members: bool[n].
    """
    others = np.sort(scores[~members])[::-1]
    count = len(others)
    allowed = np.unique(np.geomspace(1, count, _ROC_POINTS).astype(int)) - 1
    ordered = np.sort(scores[members])
    above = len(ordered) - np.searchsorted(ordered, others[allowed], side="right")
    return {
        "false_positive_rate": (allowed / count).tolist(),
        "true_positive_rate": (above / len(ordered)).tolist(),
    }


class Distances(NamedTuple):
    """How much closer images lie to the members of the pool than to the others.

    Attributes:
      ratio_quantiles: of the distance ratio, at `distance_ratios.QUANTILES`.
      mean_log_ratio: its mean logarithm.
      closer_share: share of the images that are closer to members.
      p_value: see `Memorisation`.
    """

    ratio_quantiles: tuple[float, ...]
    mean_log_ratio: float
    closer_share: float
    p_value: float


def distances(
    key: Key,
    images: np.ndarray,
    pool: Pool,
    members: np.ndarray,
    neighbours: int,
    permutations: int,
) -> Distances:
    """Of images drawn from an archive.

    Args:
      key: of the permutations.
      images: UInt8[n, height, width, channels], drawn from an archive.
      pool: see there.
      members: Bool[pool], who was in the archive.
      neighbours: of each image that are examined.
      permutations: of the test.
    """
    drawn = jnp.asarray(images.reshape(len(images), -1))
    nearest = _nearest(drawn, jnp.asarray(pool.flat), count=neighbours)
    classes = jnp.asarray(pool.classes)
    found = _memorisation(key, nearest, jnp.asarray(members), classes, permutations=permutations)
    return Distances(
        tuple(np.asarray(found.ratio_quantiles).tolist()),
        float(found.mean_log_ratio),
        float(found.closer_share),
        float(found.p_value),
    )
