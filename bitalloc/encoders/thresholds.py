"""The best thresholds of one feature at every depth, exactly, by dynamic programming.

With cells that are intervals of the feature's value, the mutual information of cell and class
is a sum over cells, so the best cut into c cells follows from the best cuts into c - 1: this is
the optimal scalar quantiser's recursion (Bruce 1964) with the class histogram in place of the
squared error. All features are solved together.

The result feeds the knapsack of `allocation`: `gain_bits[m, d]` is what a depth of d bits of
feature m tells about the class on its own, and unlike the published baseline's gain it is measured.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding.units import nats_to_bits


class Quantisers(NamedTuple):
    """The best cells of every feature at every depth.

    Attributes:
      gain_bits: Float[M, D], mutual information of class and cell at depth d; 0 at d = 0.
      edges: Int[M, D, 2^(D-1) - 1]: with depth d, cell boundaries: a value of level l lies in cell
        #{e : edges[m, d, e] <= l}. Unused entries are L, past every level.
    """

    gain_bits: jax.Array
    edges: jax.Array


def class_histograms(level: np.ndarray, labels: np.ndarray, n_levels: int, n_classes: int):
    """Counts of (level, class) for every feature, Int[M, L, K].

    Args:
      level: Int[M, N] in 0..L-1.
      labels: Int[N] in 0..K-1.
      n_levels: L.
      n_classes: K.
    """
    size = n_levels * n_classes
    flat = level.astype(np.int64) * n_classes + labels[None, :]
    counts = [np.bincount(row, minlength=size) for row in flat]
    return np.stack(counts).reshape(len(level), n_levels, n_classes)


def best_quantisers(histogram: jax.Array, n_depths: int) -> Quantisers:
    """Cut the levels of every feature into 2^d intervals that tell most about the class.

    maximise I(Y; C) = sum_c sum_k p(c, k) ln(p(c, k) / (p(c) p(k))) over cuts of the levels into
    at most 2^d intervals, for each d = 0..D-1. Adding a cell never lowers the optimum, so the
    recursion over exactly c (possibly empty) cells gives the optimum over at most c.

    Args:
      histogram: Float or Int[M, L, K], counts of each level and class.
      n_depths: D, at least 1.

    Returns:
      The gains and edges; see `Quantisers`.

    Raises:
      ValueError: if the histogram is no M x L x K array or D is below 1.

    Cost: O(M 2^(D-1) L^2) time, O(M L^2) memory.
    """
    if histogram.ndim != 3 or n_depths < 1:
        raise ValueError(f"got a histogram of shape {histogram.shape} and {n_depths} depths")
    n_levels, n_cells = histogram.shape[1], 1 << (n_depths - 1)

    def one_feature(counts):
        share = counts / jnp.maximum(counts.sum(), 1)
        prior = share.sum(axis=0)
        total = jnp.concatenate([jnp.zeros((1, share.shape[1])), jnp.cumsum(share, axis=0)])
        # cell[a, b]: worth of the cell of levels a..b-1; empty where a >= b.
        inside = jnp.maximum(total[None, :, :] - total[:, None, :], 0.0)
        mass = inside.sum(axis=2, keepdims=True)
        ratio = inside / jnp.maximum(mass * prior[None, None, :], jnp.finfo(share.dtype).tiny)
        worth = jnp.where(inside > 0, inside * jnp.log(jnp.where(inside > 0, ratio, 1.0)), 0.0)
        cell = worth.sum(axis=2)
        first, last = jnp.meshgrid(
            jnp.arange(n_levels + 1), jnp.arange(n_levels + 1), indexing="ij"
        )
        cell = jnp.where(first <= last, cell, -jnp.inf)

        def add_cell(best, _):
            candidates = best[:, None] + cell
            return jnp.max(candidates, axis=0), (jnp.max(candidates, axis=0), candidates.argmax(0))

        one_cell = cell[0]
        _, (values, starts) = jax.lax.scan(add_cell, one_cell, length=n_cells - 1)
        values = jnp.concatenate([one_cell[None], values])[:, n_levels]

        def cut(n_used):
            # Read backwards from the last cell; steps beyond the first cell repeat its start.
            def take_back(end, step):
                start = jnp.where(step < n_used - 1, starts[step, end], end)
                edge = jnp.where(step < n_used - 1, start, n_levels)
                return start, edge

            _, edges = jax.lax.scan(take_back, jnp.array(n_levels), jnp.arange(n_cells - 1)[::-1])
            return jnp.sort(edges)

        depths = 2 ** jnp.arange(n_depths)
        return values[depths - 1], jax.vmap(cut)(depths)

    gain_nats, edges = jax.vmap(one_feature)(jnp.asarray(histogram))
    gain_bits = jnp.maximum(nats_to_bits(gain_nats), 0.0)
    # One cell tells nothing; its sum of logs is zero only to rounding.
    return Quantisers(gain_bits.at[:, 0].set(0.0), edges)


def edge_thresholds(thresholds: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Levels' edges as thresholds on the value, ascending, +inf where unused.

    Args:
      thresholds: Float[L-1], between the levels of one feature.
      edges: Int[E], first level of each further cell.
    """
    padded = np.append(np.asarray(thresholds, float), np.inf)
    return np.where(edges <= 0, -np.inf, padded[np.clip(edges, 1, len(padded)) - 1])
