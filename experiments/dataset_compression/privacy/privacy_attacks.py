"""What an attacker does with archives: scores of a pool's images, attacks, and distances."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.dataset_compression.privacy import lgc_privacy_tables
from experiments.dataset_compression.privacy.privacy_archives import Pool
from fewbits.training.method import Key
from lgc import archive
from lgc.coresets import lossy_subset
from lgc.privacy import distance_ratios, inversion, membership
from lgc.privacy.inversion import InversionConfig

FALSE_POSITIVE_RATE = 0.001

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


def mixture_scores(data: bytes, pool: Pool, key: Key, config: InversionConfig) -> np.ndarray:
    """Float32[scores, n]: `inversion.Scores` of every image of the pool under an archive."""
    contents = archive.read(data)
    parts = []
    for label, mixture in enumerate(inversion.class_mixtures(contents)):
        images = jnp.asarray(pool.flat[pool.classes == label])
        key_class = jax.random.fold_in(key, label)
        parts.append(
            np.stack(
                _invert(
                    key_class, contents.decoder, mixture, images, contents.image_shape, config
                )
            )
        )  # fmt: skip
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


def attacks(
    scores: dict[str, jax.Array], inside: jax.Array, targets: jax.Array
) -> list[dict[str, Any]]:
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
        for calibration, judged in calibrations.items():
            area = _areas(judged, targets)
            found.append(
                {
                    "score": name,
                    "calibration": calibration,
                    "auc": np.asarray(area.value).tolist(),
                    "standard_error": np.asarray(area.standard_error).tolist(),
                    "true_positive_rate": np.asarray(_rates(judged, targets)).tolist(),
                    "roc": lgc_privacy_tables.roc(np.asarray(judged[0]), np.asarray(targets[0])),
                }
            )
    return found


def distances(
    key: Key,
    images: np.ndarray,
    pool: Pool,
    members: np.ndarray,
    *,
    neighbours: int,
    permutations: int,
) -> dict[str, Any]:
    """How much closer images lie to the members of the pool than to the others.

    Args:
      key: of the permutations.
      images: UInt8[n, height, width, channels], drawn from an archive.
      pool: see `privacy_archives`.
      members: Bool[pool], who was in the archive.
      neighbours: of each image that are looked at.
      permutations: of the test.
    """
    drawn = jnp.asarray(images.reshape(len(images), -1))
    found = _memorisation(
        key,
        _nearest(drawn, jnp.asarray(pool.flat), count=neighbours),
        jnp.asarray(members),
        jnp.asarray(pool.classes),
        permutations=permutations,
    )
    return {
        "ratio_quantiles": np.asarray(found.ratio_quantiles).tolist(),
        "mean_log_ratio": float(found.mean_log_ratio),
        "closer_share": float(found.closer_share),
        "p_value": float(found.p_value),
    }
