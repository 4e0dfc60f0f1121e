"""Pixel codes whose first b bits are a message for every b: one order of bits, many decoders.

A set of bits that is best for eight need not contain the best two. The first eight are chosen for
the sum of the accuracies of their prefixes, by swaps from several starts: the best set of a few
bits, ordered by what can be left out last. Further bits are chosen in stages, each time the length
doubles, with the bits before them fixed. The order whose largest shortfall over all lengths is
smallest on the validation part is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.fitting import precision, proposals, selection
from bitalloc.fitting.fit import BUDGET_LADDER, RIDGES, FitConfig, Problem, check
from bitalloc.fitting.selection import Bit, Candidates
from bitalloc.model import Model, Prefix

_ANCHORS = (1, 4, 8)
"""Lengths whose best set an order begins with."""

_MOST_SWAPPED = 48
"""Bits up to which those of a stage are tried for swaps."""

_LOGISTIC = jax.jit(decoders.fit_logistic, static_argnums=(2, 4))
_NEIGHBOUR_WEIGHTS = (0.0, 0.02, 0.1, 0.3)


def fit(key: jax.Array, problem: Problem, bits: int, config: FitConfig) -> Model:
    """A nested pixel model of B bits.

    Args:
      key: typed key of every random choice.
      problem: samples, view and classes.
      bits: B.
      config: see `FitConfig`.
    """
    check(problem, bits)
    original, view = problem.train, problem.sensor_of
    problem = proposals.pixel_problem(problem, config)
    candidates = proposals.find_candidates(problem, config.n_levels)
    lengths = [b for b in BUDGET_LADDER if b < bits] + [bits]
    found = []
    for order in _orders(key, problem, candidates, bits, config):
        symbols = (
            selection.bit_columns(candidates, order),
            _columns(candidates, order, problem.validation.features),
        )
        found.append((order, [_decoder(problem, symbols, length) for length in lengths]))
    right = np.array([[score for _, score in each] for _, each in found])
    shortfall = (right.max(axis=0) - right).max(axis=1)
    order, each = found[int(np.lexsort((-right.mean(axis=1), shortfall))[0])]
    feature = np.array([bit[0] for bit in order])
    chosen = np.array([[candidates.thresholds[bit]] for bit in order])
    best = -1.0
    prefixes = []
    for length, (decoder, score) in zip(lengths, each, strict=True):
        if score > best:  # a longer prefix that is no better is read as the shorter one
            prefixes.append(Prefix(length, decoder))
            best = score
    own = prefixes[-1].bits
    encoder = encoders.PixelEncoder(feature[:own], chosen[:own], np.ones(own, int))
    model = Model(
        "pixel", view, problem.image_shape, problem.classes, encoder, prefixes[-1].decoder,
        len(original.labels), len(problem.validation.labels), bits - own,
        prefixes=tuple(prefixes[:-1]),
    )  # fmt: skip
    model, _ = precision.choose(model, original, problem.validation, config.precisions, best)
    return model


def _columns(candidates: Candidates, order: Sequence[Bit], features: np.ndarray) -> np.ndarray:
    above = [features[:, bit[0]] > candidates.thresholds[bit] for bit in order]
    return np.stack(above, axis=1).astype(np.uint8)


def _orders(key, problem: Problem, candidates: Candidates, bits: int, config: FitConfig):
    labels, n_classes = problem.train.labels, len(problem.classes)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    most = min(bits, decoders.MAX_TABLE_BITS)
    lengths = [b for b in BUDGET_LADDER if b < most] + [most]
    starts: list[list[Bit]] = []
    for anchor in [b for b in _ANCHORS if b <= bits]:
        best = selection.select_for_table(
            rng, candidates, labels, n_classes, anchor, config.restarts
        )[0]
        start = selection.importance_order(candidates, labels, n_classes, best.bits)
        start = selection.extend_for_table(candidates, labels, n_classes, start, most)
        starts.append(start)
        starts.append(selection.improve_prefixes(candidates, labels, n_classes, start, lengths))
    for order in {tuple(start): start for start in starts}.values():
        while len(order) < bits:
            length = min(bits, 2 * len(order))
            swaps = config.swap_passes if length <= _MOST_SWAPPED else 0
            found = selection.select_for_linear(
                candidates, labels, n_classes, length, config.selection_ridge,
                swap_passes=swaps, start=order,
            )  # fmt: skip
            order = list(found.bits)
        yield order


def _decoder(problem: Problem, symbols, length: int) -> tuple[decoders.Decoder, float]:
    """The best decoder of the first so many bits, and its validation accuracy."""
    fitted, held = (columns[:, :length].astype(np.int32) for columns in symbols)
    labels, n_classes = problem.train.labels, len(problem.classes)
    depth = np.ones(length, int)
    choices: list[decoders.Decoder] = []
    if length <= decoders.MAX_TABLE_BITS:
        choices += [
            decoders.fit_table(fitted, labels, depth, n_classes, weight)
            for weight in _NEIGHBOUR_WEIGHTS
        ]
    columns, owner = decoders.one_hot(fitted, depth)
    # Of one width, so that one compiled program fits them all.
    columns = np.pad(columns, ((0, 0), (0, symbols[0].shape[1] - length)))
    for ridge in RIDGES:
        found = _LOGISTIC(columns, jnp.asarray(labels), n_classes, ridge, 100)
        weights, bias = (np.asarray(array, np.float32) for array in found)
        choices.append(decoders.from_columns(weights[:, :length], bias, owner, depth))
    truth = problem.validation.labels
    scores = [float(np.mean(decoders.decode(one, held, depth) == truth)) for one in choices]
    best = int(np.argmax(scores))
    return choices[best], scores[best]
