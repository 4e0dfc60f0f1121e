"""What an image would teach: gradients of the last layer, compared without ever being written out.

The cross-entropy's gradient with respect to the last layer's weights is the outer product g h^T of
the error g = softmax(logits) - onehot(label) and the layer's inputs h; with 1 appended to h it
holds the biases' too. Products of two such matrices need no matrix:

    <g_i h_i^T, g_j h_j^T> = (g_i . g_j) (h_i . h_j)
    |g_i h_i^T - g_j h_j^T|^2 = |g_i|^2 |h_i|^2 + |g_j|^2 |h_j|^2 - 2 (g_i . g_j) (h_i . h_j)

It bounds the difference of full gradients up to a constant: Katharopoulos and Fleuret (2018),
arXiv:1803.00942; Mirzasoleiman, Cao and Leskovec (2020), "Coresets for robust training
of deep neural networks against noisy labels" (CRUST). Averages are over checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from fewbits.training import evaluation
from fewbits.training.method import Params

OUTPUT = "output"
"""The last layer's name in the networks of `fewbits.training.networks`."""


class LastLayer(NamedTuple):
    """Last-layer gradients of N images at C checkpoints, as their two factors.

    Attributes:
      errors: Float[C, N, classes], g.
      inputs: Float[C, N, width + 1], h with 1 appended.
    """

    errors: Array
    inputs: Array


def last_layer(
    apply: Callable[[Params, Array], Array],
    checkpoints: Params,
    images: Array,
    labels: Array,
    *,
    batch_size: int = 500,
) -> LastLayer:
    """Errors and last-layer inputs of all images at every checkpoint.

    The layer's inputs are read off as the derivative of the first logit with respect to its
    weights, so any network will do whose last layer is dense and named "output".

    Args:
      apply: (params, x) -> logits Float[batch, classes].
      checkpoints: parameters with a leading axis of C checkpoints on every array.
      images: [N, ...] as `apply` takes them.
      labels: Int[N].
      batch_size: images at a time.
    """

    def one(params: Params, batch: tuple[Array, Array]) -> tuple[Array, Array]:
        x, y = batch
        kernel = params[OUTPUT]["kernel"]

        def first_logit(column: Array, image: Array) -> tuple[Array, Array]:
            changed = {**params[OUTPUT], "kernel": kernel.at[:, 0].set(column)}
            logits = apply({**params, OUTPUT: changed}, image[None])[0]
            return logits[0], logits

        read = jax.vmap(jax.grad(first_logit, has_aux=True), in_axes=(None, 0))
        inputs, logits = read(kernel[:, 0], x)
        errors = jax.nn.softmax(logits) - jax.nn.one_hot(y, logits.shape[-1], dtype=logits.dtype)
        return errors, jnp.concatenate([inputs, jnp.ones_like(inputs[:, :1])], axis=-1)

    def at(params: Params) -> tuple[Array, Array]:
        return evaluation.map_batches(
            lambda batch: one(params, batch), (images, labels), batch_size
        )

    return LastLayer(*jax.lax.map(at, checkpoints))


def take(gradients: LastLayer, images: Array) -> LastLayer:
    """The gradients of some images, Int[n] or Int[]; of one, without the axis of images."""
    return LastLayer(gradients.errors[:, images], gradients.inputs[:, images])


def norms(gradients: LastLayer) -> Array:
    """Float[N]: square root of the mean squared norm; with the errors alone it would be EL2N."""
    return jnp.sqrt(_squared_norms(gradients))


def squared_distances(rows: LastLayer, columns: LastLayer) -> Array:
    """Float[n, m]: mean over checkpoints of the squared distances between two sets' gradients.

    Square roots of it are a metric (a norm of the checkpoints' gradients side by side).
    """
    sums = _squared_norms(rows)[:, None] + _squared_norms(columns)[None]
    # Rounding may leave less than nothing between equal gradients.
    return jnp.maximum(sums - 2 * products(rows, columns), 0)


def pairwise_distances(gradients: LastLayer, *, block: int = 500) -> Array:
    """Float[N, N]: distances (not squared) of all pairs, zero on the diagonal.

    Working memory beside the result is that of `block` rows.
    """
    n_images = gradients.errors.shape[1]

    def rows(numbers: Array) -> Array:
        return jnp.sqrt(squared_distances(take(gradients, numbers), gradients))

    distances = evaluation.map_batches(rows, jnp.arange(n_images), block)
    return jnp.where(jnp.eye(n_images, dtype=bool), 0, distances)


def distances_to(gradients: LastLayer) -> Callable[[Array], Array]:
    """Image number Int[] -> Float[N], its distances to all: rows of a matrix that is never made."""

    def row(image: Array) -> Array:
        one = take(gradients, image[None])
        return jnp.sqrt(squared_distances(one, gradients)[0])

    return row


def kernel(gradients: LastLayer) -> tuple[Array, Callable[[Array], Array]]:
    """The inner products that `lgc.coresets.herding` follows.

    Returns:
      Float[N], each gradient's product with the mean gradient, and a function from an image number
      Int[] to Float[N], its products with all.
    """
    n_images = gradients.errors.shape[1]
    mean = jnp.einsum("cnk,cnw->ckw", *gradients) / n_images
    with_mean = jnp.einsum("cnk,ckw,cnw->n", gradients.errors, mean, gradients.inputs)
    n_checkpoints = gradients.errors.shape[0]

    def row(image: Array) -> Array:
        return products(take(gradients, image[None]), gradients)[0]

    return with_mean / n_checkpoints, row


def products(rows: LastLayer, columns: LastLayer) -> Array:
    """Float[n, m]: mean over checkpoints of the inner products of two sets' gradients."""

    # One checkpoint after the other, so that no array has both axes and that of checkpoints.
    def add(total: Array, one: tuple[LastLayer, LastLayer]) -> tuple[Array, None]:
        left, right = one
        product = (left.errors @ right.errors.T) * (left.inputs @ right.inputs.T)
        return total + product, None

    shape = rows.errors.shape[1], columns.errors.shape[1]
    start = jnp.zeros(shape, rows.errors.dtype)
    total, _ = jax.lax.scan(add, start, (rows, columns))
    return total / rows.errors.shape[0]


def _squared_norms(gradients: LastLayer) -> Array:
    each = jnp.sum(gradients.errors**2, axis=-1) * jnp.sum(gradients.inputs**2, axis=-1)
    return each.mean(axis=0)
