"""Host-side, not traceable: choosing one-bit pixel codes by what they are worth together.

A bit is `x[m] > threshold`. Its worth is measured on the quantised data and given the bits
already chosen, not added up from separate importances: two neighbouring pixels may each be
worth a lot and together hardly more. Candidates are all thresholds of all features at once;
one histogram per class and cell values every one of them exactly.

Up to 8 bits the value of a set is the accuracy of its table decoder on the sample. Beyond, it
is measured through the linear decoder: the next bit is the one with the steepest gain in
likelihood (Rao's score test), the decoder being refitted as bits are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc import decoder as decoders

Bit = tuple[int, int]
"""(feature, index of its threshold)."""


class Candidates(NamedTuple):
    """All thresholds that may be chosen, and where each value lies between them.

    Attributes:
      thresholds: Float64[M, L-1], ascending per feature, filled up with +inf.
      level: UInt8[M, N], number of the feature's thresholds below the value; features first, since
        they are counted one at a time.
    """

    thresholds: np.ndarray
    level: np.ndarray


class Selection(NamedTuple):
    """Chosen bits and their worth on the sample they were chosen on.

    Attributes:
      bits: chosen (feature, threshold index) pairs, in order of choice.
      accuracy: share of the sample that their decoder gets right.
    """

    bits: tuple[Bit, ...]
    accuracy: float


def candidate_thresholds(features: np.ndarray, n_levels: int = 32) -> np.ndarray:
    """Up to `n_levels` - 1 thresholds per feature, between quantiles of its distinct values.

    Args:
      features: [N, M], the fitting sample.
      n_levels: L, at most 256. A feature with at most L distinct values keeps all of them apart.

    Returns:
      Float64[M, L-1], midpoints between neighbouring distinct values; a constant has none.
    """
    thresholds = np.full((features.shape[1], n_levels - 1), np.inf)
    shares = np.arange(1, n_levels) / n_levels
    for m in range(features.shape[1]):
        values, counts = np.unique(features[:, m], return_counts=True)
        values = values.astype(np.float64)
        if len(values) <= n_levels:
            last = np.arange(len(values) - 1)
        else:
            last = np.unique(np.searchsorted(np.cumsum(counts), shares * len(features)))
            last = last[last < len(values) - 1]
        # Halving each first: the sum of two large values may overflow.
        thresholds[m, : len(last)] = values[last] / 2 + values[last + 1] / 2
    return thresholds


def find_levels(features: np.ndarray, thresholds: np.ndarray) -> Candidates:
    """Where each value lies between the thresholds of its feature."""
    level = np.empty(features.shape[::-1], np.uint8)
    for m, edges in enumerate(thresholds):
        level[m] = np.searchsorted(edges, features[:, m], side="left")
    return Candidates(thresholds, level)


def bit_columns(candidates: Candidates, bits: Sequence[Bit]) -> np.ndarray:
    """The chosen bits of every image, UInt8[N, B]."""
    chosen = np.array(bits, int).reshape(-1, 2)
    above = candidates.level[chosen[:, 0]] > chosen[:, 1][:, None]
    return np.ascontiguousarray(above.T.astype(np.uint8))


def table_accuracy(
    candidates: Candidates, labels: np.ndarray, n_classes: int, bits: Sequence[Bit]
) -> np.ndarray:
    """Accuracy of the table decoder of `bits` and one more, for every candidate; Float[M, L-1].

    The best table gives each cell its commonest class, so the accuracy of a candidate is the
    sum of the largest class counts on either side of its threshold, over the present cells.
    """
    columns = bit_columns(candidates, bits)
    number = columns.astype(np.int64) @ (1 << np.arange(len(bits)))
    n_features, n_images = candidates.level.shape
    n_levels, n_cells = candidates.thresholds.shape[1] + 1, 1 << len(bits)
    group = (number * n_classes + labels) * n_levels
    shape = (n_cells, n_classes, n_levels)
    right = np.zeros((n_features, n_levels - 1))
    for m, level in enumerate(candidates.level):
        if not np.isfinite(candidates.thresholds[m, 0]):
            continue
        counts = np.bincount(group + level, minlength=n_cells * n_classes * n_levels).reshape(shape)
        below = counts.cumsum(axis=2)
        best = below.max(axis=1) + (below[:, :, -1:] - below).max(axis=1)
        right[m] = best.sum(axis=0)[:-1] / n_images
    return np.where(np.isfinite(candidates.thresholds), right, -np.inf)


def select_for_table(
    rng: np.random.Generator,
    candidates: Candidates,
    labels: np.ndarray,
    n_classes: int,
    n_bits: int,
    n_restarts: int = 0,
) -> list[Selection]:
    """Forward selection, then swaps until none helps; then again from perturbed starts.

    A swap replaces one bit by the best candidate given all others, so a result cannot be
    improved by changing any single bit. A restart drops half the bits of the best set so far,
    puts a random one in, and climbs again. Of two sets that are about as good on this sample,
    another sample decides: all are returned.

    Args:
      rng: source of the perturbations; the first climb does not use it.
      candidates: of the fitting sample.
      labels: Int[N].
      n_classes: K.
      n_bits: B, at most `decoder.MAX_TABLE_BITS`.
      n_restarts: how many perturbations to try.

    Returns:
      The distinct sets found, the best on this sample first.
    """
    found = [_climb(candidates, labels, n_classes, n_bits, [])]
    features = np.flatnonzero(np.isfinite(candidates.thresholds[:, 0]))
    for _ in range(n_restarts if n_bits > 1 else 0):
        best = max(found, key=lambda selection: selection.accuracy)
        retained = rng.permutation(n_bits)[: n_bits - max(2, n_bits // 2)]
        feature = int(rng.choice(features))
        n_thresholds = int(np.isfinite(candidates.thresholds[feature]).sum())
        start = [best.bits[i] for i in sorted(retained)] + [
            (feature, int(rng.integers(n_thresholds)))
        ]
        found.append(_climb(candidates, labels, n_classes, n_bits, start))
    distinct = {frozenset(selection.bits): selection for selection in found[::-1]}
    return sorted(distinct.values(), key=lambda selection: -selection.accuracy)


def importance_order(
    candidates: Candidates, labels: np.ndarray, n_classes: int, bits: Sequence[Bit]
) -> list[Bit]:
    """The bits in the reverse order in which a table's accuracy can best do without them."""
    remaining, dropped = list(bits), []
    while len(remaining) > 1:
        worth = []
        for i in range(len(remaining)):
            columns = bit_columns(candidates, remaining[:i] + remaining[i + 1 :]).astype(np.int64)
            number = columns @ (1 << np.arange(len(remaining) - 1))
            n_cells = 1 << (len(remaining) - 1)
            worth.append(decoders.cell_counts(number, labels, n_cells, n_classes).max(1).sum())
        dropped.append(remaining.pop(int(np.argmax(worth))))
    return remaining + dropped[::-1]


def extend_for_table(
    candidates: Candidates, labels: np.ndarray, n_classes: int, bits: Sequence[Bit], n_bits: int
) -> list[Bit]:
    """The bits and further ones, each the best addition for a table decoder."""
    bits = list(bits)
    while len(bits) < n_bits:
        bits.append(_best_addition(candidates, labels, n_classes, bits)[0])
    return bits


def improve_prefixes(
    candidates: Candidates,
    labels: np.ndarray,
    n_classes: int,
    bits: Sequence[Bit],
    lengths: Sequence[int],
) -> list[Bit]:
    """Swaps until none raises the sum of the table decoders' accuracies over several prefixes.

    Args:
      candidates: of the fitting sample.
      labels: Int[N].
      n_classes: K.
      bits: to begin with, in order.
      lengths: of the prefixes whose accuracies are added.
    """
    bits, in_vain, position = list(bits), 0, 0
    while in_vain < len(bits):
        total = np.zeros(candidates.thresholds.shape)
        for length in lengths:
            if length > position:
                others = [bit for i, bit in enumerate(bits[:length]) if i != position]
                total += table_accuracy(candidates, labels, n_classes, others)
        feature, index = np.unravel_index(np.argmax(total), total.shape)
        in_vain += 1
        if total[feature, index] > total[bits[position]] + 1e-12:
            bits[position], in_vain = (int(feature), int(index)), 1
        position = (position + 1) % len(bits)
    return bits


def _best_addition(candidates, labels, n_classes, to: list[Bit]) -> tuple[Bit, float]:
    value = table_accuracy(candidates, labels, n_classes, to)
    feature, index = np.unravel_index(np.argmax(value), value.shape)
    return (int(feature), int(index)), float(value[feature, index])


def _climb(candidates, labels, n_classes, n_bits, start: Sequence[Bit]) -> Selection:
    bits, accuracy = list(start), 0.0

    def best_addition(to: list[Bit]) -> tuple[Bit, float]:
        return _best_addition(candidates, labels, n_classes, to)

    while len(bits) < n_bits:
        bit, accuracy = best_addition(bits)
        bits.append(bit)
    tried_in_vain, position = 0, 0
    while tried_in_vain < n_bits:
        rest = bits[:position] + bits[position + 1 :]
        bit, value = best_addition(rest)
        tried_in_vain += 1
        if value > accuracy + 1e-12:
            bits[position], accuracy, tried_in_vain = bit, value, 0
        position = (position + 1) % n_bits
    return Selection(tuple(bits), accuracy)


def score_gains(
    candidates: Candidates, residual: np.ndarray, chosen: Sequence[Bit] = ()
) -> np.ndarray:
    """Likelihood gain of each candidate to second order: g' g / var, Float[M, L-1].

    With residual r = y - p of the fitted decoder, g_k = sum_i r_ik (h_i - mean h) is the slope
    of the likelihood in h's weight for class k, and N var(h) bounds its curvature up to a
    constant. Chosen bits get -inf.
    """
    n_features, n_images = candidates.level.shape
    n_levels = candidates.thresholds.shape[1] + 1
    share = np.empty((n_features, n_levels - 1))
    gain = np.zeros((n_features, n_levels - 1))
    centred = np.ascontiguousarray((residual - residual.mean(axis=0)).T)
    for m, level in enumerate(candidates.level):
        index = level.astype(np.intp)
        share[m] = np.bincount(index, minlength=n_levels).cumsum()[:-1] / n_images
        slope = np.stack([np.bincount(index, row, n_levels) for row in centred])
        gain[m] = (slope.cumsum(axis=1)[:, :-1] ** 2).sum(axis=0)
    # A bit that hardly ever differs is valued with the variance of one that differs in 1 of 500.
    gain /= n_images * np.maximum(share * (1 - share), 0.002)
    gain[~np.isfinite(candidates.thresholds)] = -np.inf
    for feature, index in chosen:
        gain[feature, index] = -np.inf
    return gain


def select_for_linear(
    candidates: Candidates,
    labels: np.ndarray,
    n_classes: int,
    n_bits: int,
    ridge: float,
    batch_share: float = 0.05,
    swap_passes: int = 0,
    start: Sequence[Bit] = (),
) -> Selection:
    """Forward selection for the linear decoder, then swaps.

    Each pass refits the logistic decoder of the bits so far and adds the best candidate, or,
    once there are many bits, a few at a time from different features. Without swaps every prefix
    is the selection for its own budget.

    A swap takes one bit out, refits, puts the best candidate in its place and stays if the
    penalised likelihood has risen.

    Args:
      candidates: of the fitting sample.
      labels: Int[N].
      n_classes: K.
      n_bits: B.
      ridge: see `decoder.fit_logistic`.
      batch_share: bits added per pass as a share of those chosen, at least one.
      swap_passes: how often each bit is tried for a swap, at most.
      start: bits that are chosen already; they lead and stay.
    """
    target = np.eye(n_classes)[labels]
    # Columns are padded to one width, since every width is another program.
    width = n_bits if n_bits <= 32 else -(-n_bits // 32) * 32
    fit = jax.jit(decoders.fit_logistic, static_argnums=(2, 4))
    value = jax.jit(decoders.logistic_loss)

    def refit(bits: list[Bit]) -> tuple[np.ndarray, float, float]:
        columns = jnp.asarray(_padded(bit_columns(candidates, bits), width))
        weights, bias = fit(columns, jnp.asarray(labels), n_classes, ridge, 30)
        loss = float(value(weights, bias, columns, jnp.asarray(labels), ridge))
        scores = np.asarray(columns @ weights.T + bias[None, :])
        accuracy = float(np.mean(np.argmax(scores, axis=1) == labels))
        return target - np.asarray(jax.nn.softmax(scores)), loss, accuracy

    def best_of(gain: np.ndarray, feature: int) -> Bit:
        return int(feature), int(gain[feature].argmax())

    bits: list[Bit] = list(start)
    residual = target - target.mean(axis=0)
    loss, accuracy = np.inf, 0.0
    if bits:
        residual, loss, accuracy = refit(bits)
    while len(bits) < n_bits:
        gain = score_gains(candidates, residual, bits)
        n_new = min(n_bits - len(bits), max(1, int(batch_share * len(bits))))
        of_feature = gain.max(axis=1)
        order = np.argsort(-of_feature, kind="stable")[:n_new]
        order = order[np.isfinite(of_feature[order])]
        if not order.size:
            raise ValueError(f"there are no {n_bits} thresholds to choose")
        bits += [best_of(gain, feature) for feature in order]
        residual, loss, accuracy = refit(bits)
    tried_in_vain, n_free = 0, n_bits - len(start)
    for trial in range(swap_passes * n_free):
        position = len(start) + trial % n_free
        rest = bits[:position] + bits[position + 1 :]
        gain = score_gains(candidates, refit(rest)[0], rest)
        swap = [*rest, best_of(gain, int(np.argmax(gain.max(axis=1))))]
        _, swap_loss, swap_accuracy = refit(swap)
        tried_in_vain += 1
        if swap_loss < loss - 1e-6:
            bits[position], loss, accuracy, tried_in_vain = swap[-1], swap_loss, swap_accuracy, 0
        if tried_in_vain == n_free:
            break
    return Selection(tuple(bits), accuracy)


def _padded(columns: np.ndarray, width: int) -> np.ndarray:
    """Float32[N, width], filled up with zeros."""
    return np.pad(columns.astype(np.float32), ((0, 0), (0, width - columns.shape[1])))
