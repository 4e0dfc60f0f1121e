"""Membership inference: was this image among those that were compressed?

An attacker gives every image a score, larger where a member is likelier. An
attack is measured by the area under the ROC curve and, since identifying a few members with
certainty is worse than being slightly right about all, by the true-positive rate at a small
false-positive rate (Carlini et al. 2022, "Membership inference attacks from first principles").

Their likelihood-ratio attack (LiRA) calibrates a score by *shadows*: archives made as the target
was, of random halves of the same pool. What an image scores under shadows that held it, and under
shadows that did not, are two Gaussians, and the target's score is compared with both (online) or
with the second alone (offline, when the attacker has no shadow with the image).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

_SMALLEST_DEVIATION = 1e-6
"""Relative to the largest score, for an image whose shadows all agree."""


def random_halves(
    key: Key[Array, ""], classes: Int[Array, " n"], count: int
) -> Bool[Array, "count n"]:
    """Halves of a pool, class by class, in pairs that complement one another; Bool[count, n].

    So every image is in exactly half of the sets, and every set has as many of each class.

    Args:
      key: typed PRNG key.
      classes: Int[n], equally many of each class, an even number.
      count: of sets, an even number.

    Raises:
      ValueError: an odd number of sets.
    """
    if count < 2 or count % 2:
        raise ValueError(f"{count} sets do not make pairs; use an even number")

    def half(key: jax.Array) -> jax.Array:
        noise = jax.random.uniform(key, classes.shape)
        shuffled = jnp.lexsort((noise, classes))
        # Every other image of a random order within the classes.
        alternate = jnp.arange(len(classes)) % 2 == 0
        return jnp.zeros(classes.shape, bool).at[shuffled].set(alternate)

    first = jax.vmap(half)(jax.random.split(key, count // 2))
    return jnp.concatenate([first, ~first])


class Auc(NamedTuple):
    """Area under the ROC curve.

    Attributes:
      value: Float[], probability that a member scores higher than a non-member, ties by half.
      standard_error: Float[], over images, of one target: DeLong's.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]


def auc(scores: Float[Array, " n"], members: Bool[Array, " n"]) -> Auc:
    """The Mann-Whitney statistic of the scores, with its error (DeLong et al. 1988).

    Args:
      scores: Float[n], larger for members.
      members: Bool[n], some of each.
    """
    ordered_members = jnp.sort(jnp.where(members, scores, jnp.inf))
    ordered_others = jnp.sort(jnp.where(members, jnp.inf, scores))
    n_members = jnp.sum(members)
    n_others = len(scores) - n_members

    def below(ordered: jax.Array, count: jax.Array) -> jax.Array:
        """Share of the ordered scores below each score, ties by half."""
        # Infinities stand at the end, and no finite score reaches them.
        less = jnp.searchsorted(ordered, scores, side="left")
        at_most = jnp.searchsorted(ordered, scores, side="right")
        return 0.5 * (less + at_most) / count

    of_members = below(ordered_others, n_others)
    of_others = 1 - below(ordered_members, n_members)
    value = jnp.sum(jnp.where(members, of_members, 0)) / n_members

    def variance(placements: jax.Array, chosen: jax.Array, count: jax.Array) -> jax.Array:
        squares = jnp.where(chosen, (placements - value) ** 2, 0)
        return jnp.sum(squares) / jnp.maximum(count - 1, 1) / count

    error = variance(of_members, members, n_members) + variance(of_others, ~members, n_others)
    return Auc(value, jnp.sqrt(error))


def true_positive_rate(
    scores: Float[Array, " n"], members: Bool[Array, " n"], false_positive_rate: float
) -> Float[Array, ""]:
    """Share of members above the threshold that at most that share of the others exceed; Float[].

    Args:
      scores: Float[n].
      members: Bool[n].
      false_positive_rate: of the non-members, rounded down to whole ones.
    """
    n_others = jnp.sum(~members)
    allowed = jnp.floor(false_positive_rate * n_others + 1e-6).astype(jnp.int32)
    # The non-member after the allowed ones sets the threshold, which a member has to exceed.
    descending = -jnp.sort(jnp.where(members, jnp.inf, -scores))
    threshold = jnp.where(allowed < n_others, descending[allowed], -jnp.inf)
    return jnp.sum(members & (scores > threshold)) / jnp.sum(members)


class Calibration(NamedTuple):
    """What each image scores under the shadows.

    Attributes:
      inside_mean: Float[n], under shadows that held it.
      outside_mean: Float[n].
      inside_deviation: Float[n] or Float[1].
      outside_deviation: Float[n] or Float[1].
    """

    inside_mean: jax.Array
    outside_mean: jax.Array
    inside_deviation: jax.Array
    outside_deviation: jax.Array


def calibrate(
    scores: Float[Array, "shadows n"], inside: Bool[Array, "shadows n"], *, pooled: bool = True
) -> Calibration:
    """Fit the two Gaussians of every image.

    Args:
      scores: Float[shadows, n].
      inside: Bool[shadows, n], whether a shadow's archive was made with the image; each image at
        least twice in and twice out.
      pooled: one variance for all images, which with fewer than 64 shadows is better than each
        image's own (Carlini et al. 2022, sec. VI).
    """

    def fit(chosen: jax.Array) -> tuple[jax.Array, jax.Array]:
        count = jnp.sum(chosen, axis=0)
        mean = jnp.sum(jnp.where(chosen, scores, 0), axis=0) / count
        squares = jnp.sum(jnp.where(chosen, (scores - mean[None]) ** 2, 0), axis=0)
        if pooled:
            variance = jnp.sum(squares, keepdims=True) / jnp.sum(count - 1)
        else:
            variance = squares / (count - 1)
        floor = _SMALLEST_DEVIATION * jnp.max(jnp.abs(scores))
        return mean, jnp.maximum(jnp.sqrt(variance), floor)

    inside_mean, inside_deviation = fit(inside)
    outside_mean, outside_deviation = fit(~inside)
    return Calibration(inside_mean, outside_mean, inside_deviation, outside_deviation)


def lira_online(target: Float[Array, " n"], shadows: Calibration) -> Float[Array, " n"]:
    """Log likelihood ratio of the target's scores, member against not, in nats; Float[n].

    Args:
      target: Float[n], the target archive's scores.
      shadows: see `calibrate`.
    """

    def log_normal(mean: jax.Array, deviation: jax.Array) -> jax.Array:
        return -0.5 * ((target - mean) / deviation) ** 2 - jnp.log(deviation)

    return log_normal(shadows.inside_mean, shadows.inside_deviation) - log_normal(
        shadows.outside_mean, shadows.outside_deviation
    )


def lira_offline(target: Float[Array, " n"], shadows: Calibration) -> Float[Array, " n"]:
    """How far the target's scores lie above those of archives without the image; Float[n].

    In standard deviations: a monotone function of one minus the p-value.

    Args:
      target: Float[n].
      shadows: see `calibrate`; only what lies outside is used.
    """
    return (target - shadows.outside_mean) / shadows.outside_deviation
