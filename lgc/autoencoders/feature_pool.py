"""Feature networks of different ages: what a classifier would see at any stage of its training.

A method that makes synthetic images asks one of them at each step what the images teach
(`utility.ridge_loss`), and then trains it for a step on those same images. When it is old it begins
anew, so the images have to serve a classifier throughout its training (the pool of FRePo: Zhou,
Nezhadarya and Ba 2022, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Key, Params
from fewbits.training.networks import Network, mlp


class Pool(NamedTuple):
    """Feature networks, with a leading axis of networks.

    Attributes:
      params: {"features": ..., "head": ...}.
      optimizer: of Adam.
      age: Int[pool], steps since they began.
    """

    params: Params
    optimizer: Any
    age: jax.Array


class Picked(NamedTuple):
    """One network of a pool.

    Attributes:
      place: Int[], where it stands.
      params: {"features": ..., "head": ...}.
      optimizer: of Adam.
    """

    place: jax.Array
    params: Params
    optimizer: Any


@dataclass(frozen=True)
class FeaturePool:
    """How a pool is made and kept.

    Attributes:
      features: a network whose outputs serve as features; a linear head is added to train it.
      image_shape: (height, width, channels).
      n_classes: K.
      size: networks.
      steps: after so many a network begins anew.
      rate: learning rate of Adam.
    """

    features: Network
    image_shape: tuple[int, int, int]
    n_classes: int
    size: int = 4
    steps: int = 400
    rate: float = 1e-3

    def init(self, key: Key) -> Pool:
        """New networks whose ages lie apart, so that young and old ones are met from the start."""
        networks = jax.vmap(self._begin)(jax.random.split(key, self.size))
        age = jnp.arange(self.size) * (self.steps // self.size)
        return Pool(networks, jax.vmap(self._adam.init)(networks), age)

    def pick(self, key: Key, pool: Pool) -> Picked:
        """One network at random."""
        place = jax.random.randint(key, (), 0, self.size)
        params, optimizer = jax.tree.map(lambda leaf: leaf[place], (pool.params, pool.optimizer))
        return Picked(place, params, optimizer)

    def trained(
        self, key: Key, pool: Pool, picked: Picked, images: jax.Array, classes: jax.Array
    ) -> Pool:
        """The pool after a step of the picked network on images; begun anew if it is old.

        Args:
          key: for a new beginning.
          pool: that it was picked from.
          picked: see `pick`.
          images: Float[n, H, W, C] in [0, 1]; a constant to whoever differentiates.
          classes: Int[n].
        """
        images = jax.lax.stop_gradient(images)

        def loss(network: Params) -> jax.Array:
            outputs = jax.nn.relu(self.features.apply(network["features"], images))
            scores = mlp((outputs.shape[1], self.n_classes)).apply(network["head"], outputs)
            return optax.softmax_cross_entropy_with_integer_labels(scores, classes).mean()

        slope = jax.grad(loss)(picked.params)
        updates, optimizer = self._adam.update(slope, picked.optimizer, picked.params)
        params = optax.apply_updates(picked.params, updates)
        age = pool.age[picked.place] + 1
        fresh = self._begin(key)
        old = age >= self.steps
        params, optimizer = jax.tree.map(
            lambda new, kept: jnp.where(old, new, kept),
            (fresh, self._adam.init(fresh)),
            (params, optimizer),
        )
        return Pool(
            *jax.tree.map(
                lambda all_, one: all_.at[picked.place].set(one),
                tuple(pool),
                (params, optimizer, jnp.where(old, 0, age)),
            )
        )

    @property
    def _adam(self) -> optax.GradientTransformation:
        return optax.adam(self.rate)

    def _begin(self, key: Key) -> Params:
        key_features, key_head = jax.random.split(key)
        made = self.features.init(key_features)
        shape = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.float32)
        width = jax.eval_shape(self.features.apply, made, shape).shape[1]
        return {"features": made, "head": mlp((width, self.n_classes)).init(key_head)}
