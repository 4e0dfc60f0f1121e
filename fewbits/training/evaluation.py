"""A network over a whole data set, batch by batch inside one program: predictions, accuracy, loss.

Pure and traceable, so that `vmap` evaluates all runs of a sweep (over `params`) at once.

>>> import jax.numpy as jnp
>>> from fewbits.training import evaluation
>>> x, labels = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), jnp.array([0, 1, 1])
>>> scaled = lambda scale, x: scale * x
>>> evaluation.predictions(scaled, 1.0, x, batch_size=2).tolist()
[0, 1, 0]
>>> round(float(evaluation.accuracy(scaled, 1.0, x, labels)), 3)
0.667
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from fewbits.training.losses import Apply
from fewbits.training.method import Params


def map_batches(function: Callable[[Any], Any], data: Any, batch_size: int) -> Any:
    """function(data) for a function that treats examples one by one, in batches of bounded memory.

    Args:
      function: batch -> pytree of arrays with the batch's leading axis.
      data: pytree of arrays with a common leading axis of n examples.
      batch_size: examples at a time.

    Returns:
      The pytree of arrays [n, ...].

    Raises:
      ValueError: a batch size below 1, or no examples.
    """
    n = jax.tree.leaves(data)[0].shape[0]
    if batch_size < 1 or n < 1:
        raise ValueError(f"need at least one example and batch_size >= 1, got {n}, {batch_size}")
    batch_size = min(batch_size, n)
    n_whole = n // batch_size * batch_size
    whole = jax.tree.map(lambda a: a[:n_whole].reshape(-1, batch_size, *a.shape[1:]), data)
    results = jax.tree.map(lambda a: a.reshape(n_whole, *a.shape[2:]), jax.lax.map(function, whole))
    if n_whole == n:
        return results
    rest = function(jax.tree.map(lambda a: a[n_whole:], data))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), results, rest)


def predictions(
    apply: Apply, params: Params, inputs: Num[Array, "n ..."], *, batch_size: int = 1000
) -> Int[Array, " n"]:
    """The class with the largest logit of each example; arguments as for `accuracy`."""
    return map_batches(lambda x: jnp.argmax(apply(params, x), axis=-1), inputs, batch_size)


def accuracy(
    apply: Apply,
    params: Params,
    inputs: Num[Array, "n ..."],
    labels: Int[Array, " n"],
    *,
    batch_size: int = 1000,
) -> Float[Array, ""]:
    """Share of examples whose largest logit is the label's.

    Args:
      apply: (params, x) -> logits Float[batch, classes].
      params: the network's.
      inputs: what `apply` reads, examples first.
      labels: class of each example.
      batch_size: examples at a time; the result does not depend on it.

    Returns:
      Float[] in [0, 1]; the count of right answers is exact.
    """
    right = predictions(apply, params, inputs, batch_size=batch_size) == labels
    return jnp.count_nonzero(right) / labels.shape[0]


def mean_cross_entropy(
    apply: Apply,
    params: Params,
    inputs: Num[Array, "n ..."],
    labels: Int[Array, " n"],
    *,
    batch_size: int = 1000,
) -> Float[Array, ""]:
    """Mean over all examples of -ln softmax(apply(params, x))[label], in nats, as `accuracy`."""

    def per_example(batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, y = batch
        log_probabilities = jax.nn.log_softmax(apply(params, x))
        return -jnp.take_along_axis(log_probabilities, y[:, None], axis=-1)[:, 0]

    return map_batches(per_example, (inputs, labels), batch_size).mean()
