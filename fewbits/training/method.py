"""What a training method is: three pure functions on pytrees.

A method is made once, by `build(config, loss) -> Method`. Its config is static: a frozen dataclass
that shapes the program. What is *swept* (a learning rate, a penalty weight) must be an array,
or every value would compile a program of its own. So each method declares

* a `Hyperparameters` NamedTuple of scalars, every field with a default, and
* a config whose field `hyperparameters` holds the values of a run that sweeps nothing.

`init(key, params, hyperparameters)` puts the scalars, as arrays, into the State, and `step` reads
them there. `jax.vmap` over `init`'s third argument then runs a whole grid in one program, and two
runs with different values share one trace.

Random keys are typed (`jax.random.key`) and come first. Nothing in a method jits, prints, reads a
clock or a file, or raises because of a value: a run that diverges says so in `info.finite`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import optax

Key = jax.Array
"""A typed PRNG key, from `jax.random.key`."""

Params = Any
"""A pytree of float arrays; our networks use nested dicts with readable names."""

Batch = Any
"""A pytree of arrays that share their leading axis, usually `(inputs, labels)`."""

State = Any
"""A NamedTuple of arrays: what the next step needs, hyperparameters included."""

Info = Any
"""A NamedTuple of arrays for a person to read; has at least `loss_nats` and `finite`."""

Hyperparameters = Any
"""A NamedTuple of scalars, each method's own: what may be swept."""

OptimizerFactory = Callable[[Any], optax.GradientTransformation]
"""Learning rate (Float[]) -> optimiser, e.g. `optax.adam`; schedules: `gradient_descent.build`."""


class Loss(Protocol):
    """The data term that a method minimises: a mean over the examples of a batch."""

    def __call__(
        self, key: Key, params: Params, batch: Batch, /
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean loss in nats, and scalars worth logging.

        Args:
          key: typed PRNG key, for losses that draw (a VAE's sample, dropout, augmentation);
            a deterministic loss deletes it.
          params: the pytree being learned.
          batch: pytree of arrays with a common leading axis of examples.

        Returns:
          loss_nats: Float[], mean per example.
          aux: named scalar arrays, `{}` where there is nothing to add.
        """
        ...


class Init(Protocol):
    """Makes the first State."""

    def __call__(
        self, key: Key, params: Params, hyperparameters: Hyperparameters | None = None, /
    ) -> State:
        """Returns the state before the first step.

        Args:
          key: typed PRNG key; consumed.
          params: starting parameters.
          hyperparameters: the method's own NamedTuple of scalars or 0-d arrays (traced under
            a sweep); `None` takes those of the config.

        Returns:
          State: arrays only, with the structure, shapes and dtypes that `step` keeps.
        """
        ...


class Step(Protocol):
    """One step on one batch."""

    def __call__(self, key: Key, state: State, batch: Batch, /) -> tuple[State, Info]:
        """Returns the next state, same structure, shapes and dtypes, and what to log."""
        ...


class Finalize(Protocol):
    """The parameters that a trained State stands for."""

    def __call__(self, state: State, /) -> Params:
        """Returns parameters with the structure of those given to `init`."""
        ...


class Method(NamedTuple):
    """A training method: `build(config, loss) -> Method`.

    Attributes:
      init: (key, params, hyperparameters=None) -> State.
      step: (key, state, batch) -> (State, Info).
      finalize: State -> Params, e.g. weights with the mask applied.

    Example:
      >>> import jax.numpy as jnp
      >>> from fewbits.training import Method
      >>> method = Method(
      ...     init=lambda key, params, hyperparameters=None: params,
      ...     step=lambda key, state, batch: (0.5 * (state + batch.mean()), {}),
      ...     finalize=lambda state: state,
      ... )
      >>> float(method.finalize(method.step(None, jnp.array(0.0), jnp.array([1.0, 3.0]))[0]))
      1.0
    """

    init: Init
    step: Step
    finalize: Finalize


H = TypeVar("H", bound=tuple)


def as_arrays(hyperparameters: H) -> H:
    """Turns every scalar of a hyperparameter NamedTuple into a strongly typed float32 array.

    Without it a Python float would enter the state as a weakly typed scalar, which the first step
    turns into a strong one: a second trace. Every `init` passes its hyperparameters through here.

    Args:
      hyperparameters: NamedTuple of Python numbers or arrays, possibly traced.

    Returns:
      The same NamedTuple of float32 arrays (float64 where 64-bit types are enabled and given).
    """

    def convert(value):
        dtype = jnp.result_type(value)
        return jnp.asarray(value, dtype if dtype == jnp.float64 else jnp.float32)

    return jax.tree.map(convert, hyperparameters)


def all_finite(tree: Any) -> jax.Array:
    """Whether every number in a tree is finite.

    Args:
      tree: pytree of float arrays.

    Returns:
      Bool[].
    """
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
