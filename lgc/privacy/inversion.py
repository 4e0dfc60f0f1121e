"""What an attacker who has the file computes about an image: scores for `lgc.privacy.membership`.

The attacker knows the image's class, decodes draws of that class, and looks for the latent vector
that explains the image best. Three scores, each larger where a member is likelier:

* `nearness`: minus the distance to the nearest drawn image;
* `reconstruction`: minus the mean squared error of the best explanation;
* `likelihood`: of that explanation, -|u|^2 / 2 - |x - D(m_k + A_k u)|^2 / (2 s^2), its log-density
  up to what does not depend on the image; m_k and A_k are a stored component's mean and factor, D
  the stored decoder and s a pixel's deviation.

The search climbs in u, where every component is a standard normal, from the nearest drawn image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training import evaluation
from lgc.archive import Contents
from lgc.autoencoders import decoders
from lgc.autoencoders.decoders import ImageShape, Params
from lgc.gmm.gaussian_mixture import Mixture


@dataclass(frozen=True)
class InversionConfig:
    """Effort of the attack.

    Attributes:
      draws: images decoded, of the class.
      steps: of Adam on u, from the nearest draw's.
      learning_rate: of Adam.
      deviation: s, of a pixel in [0, 1].
      batch_size: images at a time.
    """

    draws: int = 2_000
    steps: int = 40
    learning_rate: float = 0.1
    deviation: float = 0.1
    batch_size: int = 250

    def __post_init__(self):
        for name in ("draws", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}; use 0 or more")
        for name in ("learning_rate", "deviation"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; use a positive number")


class Scores(NamedTuple):
    """Of n images; larger for members.

    Attributes:
      nearness: Float[n], minus a Euclidean distance of images in [0, 1].
      reconstruction: Float[n], minus a mean squared error.
      likelihood: Float[n], nats.
    """

    nearness: jax.Array
    reconstruction: jax.Array
    likelihood: jax.Array


def class_mixtures(contents: Contents) -> list[Mixture]:
    """The mixtures of an archive, padded to equally many places."""
    most = max(contents.components)
    ends = np.cumsum(contents.components)
    found = []
    for count, end in zip(contents.components, ends, strict=True):
        part, spare = slice(end - count, end), most - count
        weights = np.pad(contents.weights[part], (0, spare))
        means = np.pad(contents.means[part], ((0, spare), (0, 0)))
        factors = contents.factors[part]
        empty = np.eye(means.shape[1]) if factors.ndim == 3 else np.ones(means.shape[1])
        factors = np.concatenate([factors, np.broadcast_to(empty, (spare, *empty.shape))])
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        found.append(
            Mixture(
                jnp.asarray(log_weights, jnp.float32),
                jnp.asarray(means, jnp.float32),
                jnp.asarray(factors, jnp.float32),
                jnp.arange(most) < count,
            )
        )
    return found


def scores(
    key: jax.Array,
    decoder: Params,
    mixture: Mixture,
    images: jax.Array,
    image_shape: ImageShape,
    config: InversionConfig,
) -> Scores:
    """Scores of images that are all of one class.

    Args:
      key: typed PRNG key, of the draws.
      decoder: as stored.
      mixture: of the class, as stored.
      images: UInt8[n, height * width * channels].
      image_shape: (height, width, channels).
      config: see there.
    """
    key_component, key_noise = jax.random.split(key)
    component = jax.random.categorical(key_component, mixture.log_weights, shape=(config.draws,))
    noise = jax.random.normal(key_noise, (config.draws, mixture.means.shape[1]))
    adam = optax.adam(config.learning_rate)

    def decode(drawn: tuple[jax.Array, jax.Array]) -> jax.Array:
        component, noise = drawn
        factors = mixture.factors[component]
        spread = jnp.einsum("nij,nj->ni", factors, noise) if factors.ndim == 3 else factors * noise
        return decoders.decode(decoder, mixture.means[component] + spread, image_shape)

    drawn = evaluation.map_batches(decode, (component, noise), config.batch_size)
    norms = jnp.sum(drawn**2, axis=1)

    def of_batch(batch: jax.Array) -> Scores:
        wanted = batch.astype(jnp.float32) / 255
        products = jnp.matmul(wanted, drawn.T, precision=jax.lax.Precision.HIGHEST)
        nearest = jnp.argmin(norms[None] - 2 * products, axis=1)
        distances = jnp.sqrt(jnp.sum((wanted - drawn[nearest]) ** 2, axis=1))

        def log_density(explained: jax.Array) -> tuple[jax.Array, jax.Array]:
            squares = jnp.sum((decode((component[nearest], explained)) - wanted) ** 2, axis=1)
            prior = -0.5 * jnp.sum(explained**2, axis=1)
            return prior - squares / (2 * config.deviation**2), squares

        def climb(carry: tuple[jax.Array, optax.OptState], _: None):
            explained, state = carry
            # Images do not share an explanation, so the sum's gradient is each image's own.
            slope = jax.grad(lambda u: -jnp.sum(log_density(u)[0]))(explained)
            updates, state = adam.update(slope, state)
            return (explained + cast(jax.Array, updates), state), None

        start = noise[nearest]
        (found, _), _ = jax.lax.scan(climb, (start, adam.init(start)), None, length=config.steps)
        # Adam may end below its start; the attacker takes the better of the two.
        (before, squares_before), (after, squares_after) = log_density(start), log_density(found)
        squares = jnp.where(after > before, squares_after, squares_before)
        return Scores(-distances, -squares / batch.shape[1], jnp.maximum(before, after))

    return evaluation.map_batches(of_batch, images, config.batch_size)
