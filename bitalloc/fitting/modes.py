"""From a problem, a mode and a budget to a whole system.

Each mode proposes encoders (`proposals`), and the validation part chooses among them with their
decoders. Mode `auto` chooses among the modes: with one sensor that is a question of which
classifier to run there (`auto`), with several the modes compete on the validation part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from bitalloc.encoders import encoder as encoders
from bitalloc.encoders import sensors as views
from bitalloc.fitting import auto, nested_pixels, precision, proposals
from bitalloc.fitting.fit import (
    BUDGET_LADDER,
    FitConfig,
    Problem,
    check,
    choose_decoder,
)
from bitalloc.model import MAX_PADDING_BITS, Model, ValueRange, accuracy, value_range
from fewbits.coding import InputError

MODES = ("auto", "pixel", "projection", "decision")


def fit(
    key: jax.Array,
    problem: Problem,
    mode: str,
    bits: int,
    config: FitConfig,
    sensor_bits: tuple[int, ...] | None = None,
    nested: bool = False,
) -> Model:
    """Fit encoder and decoder of exactly `bits` bits per example.

    Args:
      key: typed key of every random choice.
      problem: samples, view and classes.
      mode: `auto`, `pixel`, `projection` or `decision`.
      bits: B.
      config: see `FitConfig`.
      sensor_bits: bits of each sensor for `projection` and `decision`, and no smaller budget
        competes; None lets splits compete. In `pixel` mode the bits go where they are worth most.
      nested: whether the first bits of a message must be messages too.

    Raises:
      InputError: for an unknown mode and for problems that `fit.check` refuses.
    """
    one_sensor = views.n_sensors(problem.sensor_of) == 1
    if not nested or (mode == "auto" and one_sensor):
        (model,) = fit_budgets(key, problem, mode, [bits], config, sensor_bits)
        return model
    if mode not in ("auto", "pixel"):
        raise InputError(f"mode {mode} has no nested messages; take auto or pixel")
    _check_budget(problem, bits, features_total_bits(problem), "the features can carry")
    model = nested_pixels.fit(key, problem, bits, config)
    return model._replace(value_range=_values(problem))


def _values(problem: Problem) -> ValueRange:
    return value_range(problem.train.features[:, problem.sensor_of >= 0])


def _check_budget(problem: Problem, bits: int, most: int, why: str) -> None:
    if bits > most:
        raise InputError(f"a budget of {bits} bits exceeds the {most} that {why}")


def fit_budgets(
    key: jax.Array,
    problem: Problem,
    mode: str,
    budgets: Sequence[int],
    config: FitConfig,
    sensor_bits: tuple[int, ...] | None = None,
) -> Iterator[Model]:
    """As `fit` for several ascending budgets, each of which competes with those before it."""
    check(problem, min(budgets))
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}: choose from {', '.join(MODES)}")
    classes_sent = mode == "auto" and views.n_sensors(problem.sensor_of) == 1
    # A class needs no more bits than its codeword has, and the others may always be padding.
    if classes_sent:
        _check_budget(problem, max(budgets), MAX_PADDING_BITS, "a message may have")
    else:
        most = features_total_bits(problem)
        _check_budget(problem, max(budgets), most, "the features can carry")
    if mode != "auto":
        found = _one_mode(key, problem, mode, budgets, config, sensor_bits)
    elif classes_sent:
        found = auto.fit_budgets(key, problem, sorted(budgets), config)
    else:
        found = _best_mode(key, problem, budgets, config, sensor_bits)
    values = _values(problem)
    for model in found:
        yield model._replace(value_range=values)


def _best_mode(key, problem: Problem, budgets, config: FitConfig, sensor_bits) -> Iterator[Model]:
    """For each budget the mode that does best on the validation part, the simplest on ties."""
    names = MODES[1:] if config.networks else MODES[1:3]
    each = [_one_mode(key, problem, name, budgets, config, sensor_bits) for name in names]
    held = problem.validation
    for models in zip(*each, strict=True):
        yield max(models, key=lambda model: accuracy(model, held.features, held.labels))


def _one_mode(key, problem: Problem, mode, budgets, config, sensor_bits) -> Iterator[Model]:
    largest = max(budgets)
    competing = config.smaller_budgets and sensor_bits is None
    ladder = [b for b in BUDGET_LADDER if b < largest] if competing else []
    best, best_accuracy = None, -1.0
    for bits in sorted({*ladder, *budgets}):
        # Nothing beats a model that is always right, and ties go to the fewer bits.
        if not competing or best_accuracy < 1.0:
            model, right = _fit_one(key, problem, mode, bits, config, sensor_bits)
            if not competing or right > best_accuracy:
                best, best_accuracy = model, right
        assert best is not None
        if bits in budgets:
            yield best._replace(padding_bits=bits - best.bits + best.padding_bits)


def _fit_one(key, problem: Problem, mode: str, bits: int, config: FitConfig, sensor_bits):
    """The model of one budget, smaller ones left aside, and its validation accuracy."""
    key_encoder, key_decoder = jax.random.split(key)
    sensor_of, n_train = problem.sensor_of, len(problem.train.labels)
    original = problem.train
    if mode == "pixel":
        problem = proposals.pixel_problem(problem, config)
        proposed = proposals.propose_pixel(key_encoder, problem, bits, config)
    elif mode == "projection":
        proposed = proposals.propose_projection(key_encoder, problem, bits, config, sensor_bits)
    else:
        proposed = proposals.propose_decision(key_encoder, problem, bits, config, sensor_bits)
    best, best_score = None, -1.0
    for encoder, receiver in proposed:
        decoder, score = choose_decoder(key_decoder, problem, encoder, config, receiver)
        if score > best_score:
            best, best_score = (encoder, decoder), score
    assert best is not None
    encoder, decoder = best
    if isinstance(encoder, encoders.PixelEncoder):
        best = proposals.by_sensor(encoder, decoder, sensor_of)
    model = Model(
        mode,
        sensor_of,
        problem.image_shape,
        problem.classes,
        *best,
        n_train=n_train,
        n_validation=len(problem.validation.labels),
    )
    return precision.choose(model, original, problem.validation, config.precisions, best_score)


def features_total_bits(problem: Problem) -> int:
    """Bits that tell apart every value the features take in the training sample."""
    seen = problem.train.features[:, problem.sensor_of >= 0]
    distinct = [len(np.unique(column)) for column in seen.T]
    return sum(encoders.code_bits(n) for n in distinct if n > 1)
