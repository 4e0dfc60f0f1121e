"""One call from a user's arrays to a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import jax
import numpy as np
from jaxtyping import Key, Num, Shaped
from numpy.typing import ArrayLike

from bitalloc import inputs
from bitalloc.encoders import sensors as views
from bitalloc.fitting import modes, rivals
from bitalloc.fitting.fit import FitConfig, Problem, Sample
from bitalloc.model import Model, accuracy
from fewbits.coding import InputError

VALIDATION_SHARE = 1 / 6


def fit(
    features: Num[ArrayLike, "n ..."],
    labels: Shaped[ArrayLike, " n"],
    bits: int,
    *,
    mode: Literal["auto", "pixel", "projection", "decision"] = "auto",
    sensors: str | Sequence[Sequence[int]] = "central",
    sensor_bits: Sequence[int] | None = None,
    nested: bool = False,
    config: FitConfig = FitConfig(),  # noqa: B008
    key: Key[jax.Array, ""] | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
) -> Model:
    """Fit an encoder of B bits per example and the decoder that reads its messages.

    Maximises the accuracy of the decoded labels over encoders of exactly B bits: the feature
    compression problem of "Data Compression for Machine Learning" (a final project in linear
    programming, UCLA). With one sensor, mode `auto` looks for the best classifier there
    (logistic regression, kernel ridge regression, trees, boosted trees, networks, or a sum of
    their scores) by cross-validation and sends its class; no message of as many bits says more.
    Bits of mode `pixel` are selected for what they tell together with those already chosen;
    functionals of the other modes are trained through a layer of signs with the straight-through
    estimator (Bengio et al. 2013). Tables, linear classifiers and small networks compete as
    decoders on the validation part, and so do smaller budgets (see `FitConfig`).

    Args:
      features: N x M features, or N images of H x W or H x W x C; numbers in any unit, which is the
        unit `encode` expects. uint8 images keep their integers.
      labels: N integers, strings, booleans, or floats that are whole numbers.
      bits: B, bits per example, at least 1.
      mode: what a bit may depend on: `pixel`, one feature; `projection`, a linear functional of
        what a sensor sees; `decision`, any function of it (a small network). `auto` takes what does
        best: with one sensor any classifier, with several the best of the three.
      sensors: `central` (one sees all), `quadrants` of images, or the columns of each sensor, as
        sequences or as text such as "0-9/10-19".
      sensor_bits: bits of each sensor in the modes `projection` and `decision`; None lets
        the even and an informed split compete. In mode `pixel` they go where they are worth most.
      nested: whether the first bits of a message must be messages too, which `encode(bits=)` sends
        and `decode(bits=)` reads. Modes `auto`, whose messages always are with one sensor, and
        `pixel`, whose bits then come in the order of their worth and not sensor by sensor.
      config: see `FitConfig`.
      key: typed key of every random choice; None is `jax.random.key(0)`.
      validation: features and labels to choose on; None cuts a random sixth of every class, and
        mode `auto` with one sensor cross-validates and fits what it chose to all examples.

    Returns:
      The model; `model.bits` is B.

    Raises:
      InputError: arrays or options that cannot be used, in one line that says why.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(600, 6))
      >>> label = 2 * (x[:, 0] > 0) + (x[:, 4] > 1)
      >>> model = bitalloc.fit(x[:500], label[:500], 2)
      >>> messages = bitalloc.encode(model, x[500:])
      >>> len(messages), bool(np.mean(bitalloc.decode(model, messages, 100) == label[500:]) > 0.9)
      (25, True)
    """
    key = jax.random.key(0) if key is None else key
    if int(bits) != bits:
        raise InputError(f"bits is {bits}; use a whole number")
    given = problem(features, labels, sensors=sensors, key=key, validation=validation)
    share = None if sensor_bits is None else tuple(int(b) for b in sensor_bits)
    return modes.fit(key, given, mode, int(bits), config, share, nested)


def problem(
    features: Num[ArrayLike, "n ..."],
    labels: Shaped[ArrayLike, " n"],
    *,
    sensors: str | Sequence[Sequence[int]] = "central",
    key: jax.Array,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
) -> Problem:
    """What `fit` fits to, cut into its two parts; arguments and errors as there."""
    flat, image_shape = inputs.as_features(features)
    labels = inputs.as_labels(labels, len(flat))
    sensor_of = views.parse(sensors, flat.shape[1], image_shape)
    if validation is None:
        classes, numbers = checked_classes(labels)
        parts = inputs.cut(generator(key), labels, (VALIDATION_SHARE,))
        train, held = (Sample(flat[part], numbers[part]) for part in parts)
    else:
        classes, numbers = inputs.number_classes(labels)
        train = Sample(flat, numbers)
        held = _sample(validation, classes, flat.shape[1])
    return Problem(train, held, sensor_of, image_shape, classes, refit=validation is None)


def generator(key: jax.Array) -> np.random.Generator:
    """NumPy's source of random numbers of a typed key; of `jax.random.key(s)`, that of seed s."""
    seed = 0
    for word in np.asarray(jax.random.key_data(key)).tolist():
        seed = seed << 32 | word
    return np.random.default_rng(seed)


def checked_classes(
    labels: np.ndarray, parts: int = 2
) -> tuple[tuple[inputs.Label, ...], np.ndarray]:
    """The classes and each example's class number, where every part can have its share.

    Args:
      labels: [N].
      parts: how many parts the examples are cut into.

    Raises:
      InputError: one class only, or too few examples.
    """
    classes, numbers = inputs.number_classes(labels)
    if len(classes) == 1:
        raise InputError(f"there is one class only, {classes[0]!s}; give two or more")
    if len(labels) < 12 or np.bincount(numbers).min() < parts:
        raise InputError(
            f"{len(labels)} examples of {len(classes)} classes are too few: give at least 12, and "
            f"{parts} of every class"
        )
    return classes, numbers


def _sample(pair, classes, n_features: int) -> Sample:
    flat, _ = inputs.as_features(pair[0], "validation features")
    if flat.shape[1] != n_features:
        raise InputError(f"validation has {flat.shape[1]} features, training {n_features}")
    labels = inputs.as_labels(pair[1], len(flat), "validation labels")
    return Sample(flat, inputs.class_numbers(labels, classes))


def validation_accuracy(model: Model, features, labels, key: jax.Array) -> float:
    """Accuracy on the validation part that `fit` cut from the same arrays with the same key.

    Of a model that was fitted on all of them it is that of cross-validation.
    """
    if model.estimate is not None:
        return model.estimate
    flat, _ = inputs.as_features(features)
    labels = inputs.as_labels(labels, len(flat))
    _, part = inputs.cut(generator(key), labels, (VALIDATION_SHARE,))
    return accuracy(model, flat[part], inputs.class_numbers(labels[part], model.classes))


def curve(
    features,
    labels,
    budgets: Sequence[int],
    held_out_share: float,
    *,
    mode: str,
    sensors: str | Sequence[Sequence[int]],
    config: FitConfig,
    key: jax.Array,
) -> Iterator[tuple[Model, float, float]]:
    """Models of ascending budgets, with their accuracy on validation and on held-out examples.

    Args:
      features: as in `fit`.
      labels: likewise.
      budgets: bits per example, ascending.
      held_out_share: of every class, in neither fitting nor choosing.
      mode: as in `fit`.
      sensors: likewise.
      config: likewise.
      key: likewise.
    """
    given, held_out = _three_parts(features, labels, held_out_share, sensors, key)
    for model in modes.fit_budgets(key, given, mode, budgets, config):
        right = accuracy(model, *given.validation) if model.estimate is None else model.estimate
        yield model, right, accuracy(model, *held_out)


def rival_curve(
    features, labels, budgets: Sequence[int], held_out_share: float, *, key: jax.Array
) -> dict[int, tuple[str, float]]:
    """The best usual way of each budget and its accuracy on the held-out examples of `curve`."""
    given, held_out = _three_parts(features, labels, held_out_share, "central", key)
    seed = int(generator(key).integers(1 << 31))
    found = rivals.best(given.train, given.validation, budgets, seed)
    return {
        bits: (one.name, float(np.mean(one.predict(held_out.features) == held_out.labels)))
        for bits, one in found.items()
    }


def _three_parts(features, labels, held_out_share: float, sensors, key) -> tuple[Problem, Sample]:
    flat, image_shape = inputs.as_features(features)
    labels = inputs.as_labels(labels, len(flat))
    sensor_of = views.parse(sensors, flat.shape[1], image_shape)
    classes, numbers = checked_classes(labels, parts=3)
    shares = ((1 - held_out_share) * VALIDATION_SHARE, held_out_share)
    parts = inputs.cut(generator(key), labels, shares)
    train, validation, held_out = (Sample(flat[part], numbers[part]) for part in parts)
    return Problem(train, validation, sensor_of, image_shape, classes), held_out
