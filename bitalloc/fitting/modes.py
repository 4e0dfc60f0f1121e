"""From a problem, a mode and a budget to a whole system.

Each mode proposes encoders (`proposals`), and the validation part chooses among them with their
decoders.
"""

from __future__ import annotations

import jax
import numpy as np

from bitalloc.encoders import encoder as encoders
from bitalloc.fitting import proposals
from bitalloc.fitting.fit import (
    MOVABLE_SIDE,
    FitConfig,
    Problem,
    check,
    choose_decoder,
    with_moved_copies,
)
from bitalloc.model import Model
from fewbits.coding import InputError

MODES = ("pixel", "projection", "decision")


def fit(
    key: jax.Array,
    problem: Problem,
    mode: str,
    bits: int,
    config: FitConfig,
    sensor_bits: tuple[int, ...] | None = None,
) -> Model:
    """Fit encoder and decoder of exactly `bits` bits per image.

    Args:
      key: typed key of every random choice.
      problem: samples, view and classes.
      mode: `pixel`, `projection` or `decision`.
      bits: B.
      config: see `FitConfig`.
      sensor_bits: bits of each sensor for `projection` and `decision`; None shares equally. In
        `pixel` mode the bits go where they are worth most.

    Raises:
      InputError: for an unknown mode and for problems that `fit.check` refuses.
    """
    check(problem, bits)
    total = features_total_bits(problem)
    if bits > total:
        raise InputError(f"a budget of {bits} bits exceeds the {total} that the features can carry")
    key_encoder, key_decoder = jax.random.split(key)
    sensor_of, n_train = problem.sensor_of, len(problem.train.labels)
    if mode == "pixel":
        # Each code is computed from one feature, by whichever sensor sees it. Fitted as if one
        # sensor saw them all, the bits and their decoder are the same in every view.
        problem = problem._replace(sensor_of=np.where(sensor_of >= 0, 0, sensor_of))
        shape = problem.image_shape
        if shape is not None and min(shape) >= MOVABLE_SIDE and n_train < config.moved_below:
            problem = problem._replace(train=with_moved_copies(problem.train, shape))
        proposed = proposals.propose_pixel(key_encoder, problem, bits, config)
    elif mode == "projection":
        proposed = proposals.propose_projection(key_encoder, problem, bits, config, sensor_bits)
    elif mode == "decision":
        proposed = proposals.propose_decision(key_encoder, problem, bits, config, sensor_bits)
    else:
        raise InputError(f"unknown mode {mode!r}: choose from {', '.join(MODES)}")
    best, best_score = None, -1.0
    for encoder, receiver in proposed:
        decoder, score = choose_decoder(key_decoder, problem, encoder, config, receiver)
        if score > best_score:
            best, best_score = (encoder, decoder), score
    assert best is not None
    if isinstance(best[0], encoders.PixelEncoder):
        best = proposals.by_sensor(*best, sensor_of)
    return Model(
        mode,
        sensor_of,
        problem.image_shape,
        problem.classes,
        *best,
        n_train=n_train,
        n_validation=len(problem.validation.labels),
    )


def features_total_bits(problem: Problem) -> int:
    """Bits that tell apart every value the features take in the training sample."""
    seen = problem.train.features[:, problem.sensor_of >= 0]
    distinct = [len(np.unique(column)) for column in seen.T]
    return sum(encoders.code_bits(n) for n in distinct if n > 1)
