"""What the receiver computes from a message: a table, a sum of scores, or a small network.

* `table`: one class for every possible message; for 8 bits or fewer.
* `linear`: one score per class for every value of every symbol, summed. With one-bit symbols this
  is a linear classifier of the bits; with deeper ones it is linear in their indicator vectors,
  which includes any classifier that is linear in the quantised values.
* `network`: a dense network of the message's bits as -1 and +1.

Ties go to the lower class everywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc import messages

MAX_TABLE_BITS = 8


class TableDecoder(NamedTuple):
    """One class for every message.

    Attributes:
      label: Int[2^B], the class of each message read as a number, highest bit first.
    """

    label: np.ndarray


class LinearDecoder(NamedTuple):
    """score_k = bias_k + sum_j scores[j, symbol_j, k].

    Attributes:
      scores: Float[J, C, K], C the largest number of cells; entries past a symbol's own are 0.
      bias: Float[K].
    """

    scores: np.ndarray
    bias: np.ndarray


class NetworkDecoder(NamedTuple):
    """A dense network of the bits as signs.

    Attributes:
      layers: (kernel Float[I, O], bias Float[O]) of each dense layer, ReLU between them.
    """

    layers: tuple[tuple[Any, Any], ...]


Decoder = TableDecoder | LinearDecoder | NetworkDecoder


def decode(decoder: Decoder, symbols: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """The class of each message, Int[N].

    Args:
      decoder: any.
      symbols: Int[N, J].
      depth_bits: Int[J].
    """
    if isinstance(decoder, TableDecoder):
        return decoder.label[message_number(symbols, depth_bits)]
    if isinstance(decoder, LinearDecoder):
        scores = decoder.scores[np.arange(symbols.shape[1])[None, :], symbols].sum(axis=1)
        return np.argmax(scores + decoder.bias, axis=1)
    signs = 2.0 * messages.to_bits(symbols, depth_bits) - 1.0
    layers = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in decoder.layers]
    return np.argmax(_dense(layers, signs, np), axis=1)


def reordered(decoder: Decoder, order: np.ndarray) -> Decoder:
    """The decoder of messages whose one-bit symbols come as `order` lists them.

    Args:
      decoder: of messages of one-bit symbols.
      order: Int[B], a permutation: place i of a new message holds bit `order[i]` of an old one.
    """
    if isinstance(decoder, TableDecoder):
        return TableDecoder(decoder.label.reshape((2,) * len(order)).transpose(order).ravel())
    if isinstance(decoder, LinearDecoder):
        return decoder._replace(scores=decoder.scores[order])
    (kernel, bias), *rest = decoder.layers
    return NetworkDecoder(((kernel[order], bias), *rest))


def message_number(symbols: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """Each message as a number in 0..2^B-1, Int[N]."""
    bits = messages.to_bits(symbols, depth_bits)
    return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1])[::-1])


def _dense(layers, x, numpy):
    for kernel, bias in layers[:-1]:
        x = numpy.maximum(x @ kernel + bias, 0)
    kernel, bias = layers[-1]
    return x @ kernel + bias


def cell_counts(numbers: np.ndarray, labels: np.ndarray, n_cells: int, n_classes: int):
    """How often each class falls in each cell, Int[cells, K]."""
    flat = np.bincount(numbers * n_classes + labels, minlength=n_cells * n_classes)
    return flat.reshape(n_cells, n_classes)


def fit_table(
    symbols: np.ndarray,
    labels: np.ndarray,
    depth_bits: np.ndarray,
    n_classes: int,
    neighbour_weight: float = 0.02,
) -> TableDecoder:
    """The most probable class of every message, after smoothing over similar messages.

    The counts of each message are joined by those of all others, weighted by r^h for h
    differing bits: messages that were never seen, or hardly, follow their neighbours.

    Args:
      symbols: Int[N, J].
      labels: Int[N].
      depth_bits: Int[J], at most `MAX_TABLE_BITS` in all.
      n_classes: K.
      neighbour_weight: r in [0, 1]. With r = 0 this maximises the accuracy on the sample.

    Raises:
      ValueError: if the message is too long for a table.
    """
    n_bits = int(np.sum(depth_bits))
    if n_bits > MAX_TABLE_BITS:
        raise ValueError(f"a table decodes up to {MAX_TABLE_BITS} bits, not {n_bits}")
    counts = cell_counts(message_number(symbols, depth_bits), labels, 1 << n_bits, n_classes)
    smoothed = counts.astype(float).reshape((2,) * n_bits + (n_classes,))
    for axis in range(n_bits):
        smoothed = smoothed + neighbour_weight * np.flip(smoothed, axis)
    return TableDecoder(np.argmax(smoothed.reshape(-1, n_classes), axis=1).astype(np.int32))


def one_hot(symbols: np.ndarray, depth_bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indicator columns for every symbol's cells but its first.

    Returns:
      columns Float32[N, D] and owner Int[D, 2], the (symbol, cell) of each column.
    """
    owner = np.array(
        [(j, cell) for j, depth in enumerate(depth_bits) for cell in range(1, 1 << int(depth))]
    )
    return (symbols[:, owner[:, 0]] == owner[:, 1][None, :]).astype(np.float32), owner


def from_columns(
    weights: np.ndarray, bias: np.ndarray, owner: np.ndarray, depth_bits: np.ndarray
) -> LinearDecoder:
    """The decoder of a classifier that is linear in `one_hot`'s columns.

    Args:
      weights: Float[K, D].
      bias: Float[K].
      owner: Int[D, 2], from `one_hot`.
      depth_bits: Int[J].
    """
    n_cells = 1 << int(np.max(depth_bits))
    scores = np.zeros((len(depth_bits), n_cells, len(bias)))
    scores[owner[:, 0], owner[:, 1]] = weights.T
    return LinearDecoder(scores, np.asarray(bias, float))


def logistic_loss(weights, bias, columns, labels, ridge):
    """Mean multinomial log loss, nats per image, plus (ridge / 2) |W|^2."""
    scores = columns @ weights.T + bias[None, :]
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
    return -likelihood.mean() + 0.5 * ridge * jnp.sum(weights**2)


def fit_logistic(
    columns: jax.Array,
    labels: jax.Array,
    n_classes: int,
    ridge: jax.Array | float,
    steps: int = 100,
) -> tuple[jax.Array, jax.Array]:
    """Multinomial logistic regression: minimises `logistic_loss`, by a fixed number of steps.

    The loss's Hessian lies below I (x) (X'X / 2N + ridge) (Boehning 1992). Minimising that bound
    is one triangular solve with a matrix that never changes; Nesterov's momentum speeds it up.

    Args:
      columns: Float[N, D].
      labels: Int[N].
      n_classes: K.
      ridge: weight of |W|^2 / 2, positive.
      steps: gradient evaluations.

    Returns:
      Weights Float[K, D] and biases Float[K].
    """
    n_images, n_columns = columns.shape
    mean = columns.mean(axis=0)
    # Centred, the bias and the weights no longer pull on one another in the bound.
    centred = columns - mean[None, :]
    bound = centred.T @ centred / (2 * n_images) + (ridge + 1e-7) * jnp.eye(n_columns)
    factor = jax.scipy.linalg.cho_factor(bound)
    target = jax.nn.one_hot(labels, n_classes)

    def descend(weights, bias):
        excess = jax.nn.softmax(centred @ weights + bias[None, :]) - target
        slope = centred.T @ excess / n_images + ridge * weights
        return weights - jax.scipy.linalg.cho_solve(factor, slope), bias - 2 * excess.mean(axis=0)

    def step(carry, number):
        here, ahead = carry
        there = descend(*ahead)
        momentum = number / (number + 3.0)
        return (there, jax.tree.map(lambda a, b: a + momentum * (a - b), there, here)), None

    start = (jnp.zeros((n_columns, n_classes)), jnp.zeros(n_classes))
    ((weights, bias), _), _ = jax.lax.scan(step, (start, start), jnp.arange(steps, dtype=float))
    return weights.T, bias - mean @ weights
