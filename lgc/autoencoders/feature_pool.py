"""Pool of feature networks of different ages, as in FRePo.

Zhou, Nezhadarya and Ba (2022), "Dataset distillation using neural feature regression", section 3.2:
at each step a method that makes synthetic images evaluates them with one network of the pool
(`utility.ridge_loss`) and then trains this network for a step on them. A network that has reached
the maximum age is initialised again, so the images are optimised for all stages of a training.
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
      age: Int[pool], steps since initialisation.
    """

    params: Params
    optimizer: Any
    age: jax.Array


class Picked(NamedTuple):
    """One network of a pool.

    Attributes:
      place: Int[], its index in the pool.
      params: {"features": ..., "head": ...}.
      optimizer: of Adam.
    """

    place: jax.Array
    params: Params
    optimizer: Any


@dataclass(frozen=True)
class FeaturePool:
    """How a pool is initialised and updated.

    Attributes:
      features: a network whose outputs serve as features; a linear head is added to train it.
      image_shape: (height, width, channels).
      n_classes: K.
      size: networks.
      steps: age at which a network is initialised again.
      rate: learning rate of Adam.
    """

    features: Network
    image_shape: tuple[int, int, int]
    n_classes: int
    size: int = 4
    steps: int = 400
    rate: float = 1e-3

    def init(self, key: Key) -> Pool:
        """New networks with ages spread evenly, so that all ages occur from the start."""
        networks = jax.vmap(self._initialise)(jax.random.split(key, self.size))
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
        """The pool after a step of the picked network on images; initialised again if it is old.

        Args:
          key: of a new initialisation.
          pool: that it was picked from.
          picked: see `pick`.
          images: Float[n, H, W, C] in [0, 1]; no gradient flows to them.
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
        fresh = self._initialise(key)
        old = age >= self.steps
        params, optimizer = jax.tree.map(
            lambda new, trained: jnp.where(old, new, trained),
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

    def _initialise(self, key: Key) -> Params:
        key_features, key_head = jax.random.split(key)
        made = self.features.init(key_features)
        shape = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.float32)
        width = jax.eval_shape(self.features.apply, made, shape).shape[1]
        return {"features": made, "head": mlp((width, self.n_classes)).init(key_head)}
