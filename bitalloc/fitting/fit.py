"""Fitting a whole system: an encoder of B bits in a given mode, and the decoder that suits it.

Every choice (decoder, ridge, start) is made on the validation part. Nothing here ever sees a
test image: the functions take the two fitting samples and answer for `modes.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc import decoder as decoders
from bitalloc.encoders import bottleneck
from bitalloc.encoders import encoder as encoders
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting import classifier
from bitalloc.inputs import ImageShape, Label
from fewbits.coding import InputError

TRANSLATABLE_SIDE = 16
"""Images with a shorter side are not translated: a pixel is too much of them."""

RIDGES = (1e-4, 1e-3, 1e-2)

BUDGET_LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Budgets that compete with larger ones; along these, validation accuracy never falls."""


class Sample(NamedTuple):
    """Examples to fit or to choose on.

    Attributes:
      features: [N, M] as stored.
      labels: Int[N], class numbers.
    """

    features: np.ndarray
    labels: np.ndarray


class Problem(NamedTuple):
    """What is to be classified, and who sees it.

    Attributes:
      train: what encoders and decoders are fitted on.
      validation: what chooses between them.
      sensor_of: Int[M], the view.
      image_shape: (height, width), (height, width, channels), or None for feature vectors.
      classes: names of the classes, by number.
      refit: whether, after every choice, the validation part may be fitted on as well.
    """

    train: Sample
    validation: Sample
    sensor_of: np.ndarray
    image_shape: ImageShape
    classes: tuple[Label, ...]
    refit: bool = True


@dataclass(frozen=True)
class FitConfig:
    """Static choices of a fit; the defaults suit most data.

    Attributes:
      smaller_budgets: whether smaller budgets compete on the validation part, their messages
        padded with zeros: all of `BUDGET_LADDER` below the budget.
      informed_split: whether, with several sensors, a split of the bits by what a linear
        classifier makes of each sensor competes with the even one (`projection`, `decision`).
      precisions: bits per weight that are tried for the model's file, ascending: the first is
        taken that decodes as much of the validation part rightly as float32 does. Empty stores
        float32.
      n_levels: values that candidate thresholds keep apart, per feature.
      fine_levels: the same in a second search, tried too up to `fine_bits` bits; so few bits are
        hardly overfitted, and gain from thresholds that are placed exactly.
      fine_bits: see `fine_levels`.
      translated_below: augmentation: with fewer training images, pixel codes and their decoder
        are fitted on copies translated by one pixel each way as well.
      selection_ridge: ridge of the linear decoder that selects bits.
      swap_passes: how often each of those is tried for a swap.
      restarts: perturbed restarts of the search for a table's bits.
      networks: whether a network may be the decoder.
      lp_bits: up to so many bits the hinge program competes as linear decoder.
      lp_penalty: its l1 penalty.
      starts: how often a bottleneck is trained; the best on validation is taken.
      bottleneck: training of functionals; None takes settings by mode and budget.
      receiver: training of a network that decodes bits chosen without it.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> quick = bitalloc.FitConfig(smaller_budgets=False, restarts=0, networks=False)
      >>> bitalloc.fit(x, x[:, 0] > 0, 2, config=quick).bits
      2
    """

    smaller_budgets: bool = True
    informed_split: bool = True
    precisions: tuple[int, ...] = (4, 5, 6, 8, 10, 12, 16)
    n_levels: int = 17
    fine_levels: int = 65
    fine_bits: int = 4
    translated_below: int = 4_000
    selection_ridge: float = 1e-3
    swap_passes: int = 3
    restarts: int = 4
    networks: bool = True
    lp_bits: int = 16
    lp_penalty: float = 1e-4
    starts: int = 1
    bottleneck: BottleneckConfig | None = None
    receiver: BottleneckConfig = field(default_factory=lambda: BottleneckConfig(epochs=15))


def with_translations(sample: Sample, image_shape: tuple[int, ...]) -> Sample:
    """The images and their copies translated by one pixel up, down, left and right.

    The border's pixels are repeated outwards. A single pixel's value depends on how a garment lies
    in its frame, and a few hundred images do not show how much that varies.

    Args:
      sample: N images as rows of height * width * channels numbers.
      image_shape: (height, width) or (height, width, channels).

    Returns:
      5 N images, the originals first.
    """
    height, width, *channels = image_shape
    margin = [(0, 0), (1, 1), (1, 1)] + [(0, 0) for _ in channels]
    padded = np.pad(sample.features.reshape(-1, *image_shape), margin, "edge")
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    translated = [padded[:, y : y + height, x : x + width] for y, x in corners]
    features = np.concatenate([images.reshape(len(images), -1) for images in translated])
    return Sample(features, np.tile(sample.labels, len(corners)))


def check(problem: Problem, bits: int) -> None:
    """Refuses what cannot be fitted, with one line that says why.

    Raises:
      InputError: budget below 1, no sensor that sees anything, one class, not a number, fewer
        images than classes, or constant features.
    """
    if bits < 1:
        raise InputError(f"a message needs at least 1 bit, got a budget of {bits}")
    for name, sample in (("training", problem.train), ("validation", problem.validation)):
        if len(sample.labels) == 0:
            raise InputError(f"the {name} part has no images")
        if not np.isfinite(sample.features).all():
            raise InputError(f"the {name} features hold NaN or infinity")
    present = len(np.unique(problem.train.labels))
    if len(problem.classes) < 2 or present < 2:
        raise InputError(
            f"there is one class only among the training labels of {len(problem.classes)}: "
            "nothing to tell apart"
        )
    if len(problem.train.labels) < len(problem.classes):
        raise InputError(
            f"{len(problem.train.labels)} training images for {len(problem.classes)} classes"
        )
    seen = problem.train.features[:, problem.sensor_of >= 0]
    if seen.size == 0 or (seen == seen[:1]).all():
        raise InputError("every feature that a sensor sees is constant: no bit can tell anything")


def choose_decoder(
    key: jax.Array,
    problem: Problem,
    encoder: encoders.Encoder,
    config: FitConfig,
    receiver: decoders.Decoder | None = None,
) -> tuple[decoders.Decoder, float]:
    """The decoder with the best validation accuracy, the simplest on ties.

    Tables compete up to `decoder.MAX_TABLE_BITS` bits; linear decoders always, fitted by
    logistic regression over `RIDGES` and up to `lp_bits` bits by the hinge program; a network
    beyond a table's reach. `receiver` is one that was trained with the encoder, if any.
    """
    train, validation = problem.train, problem.validation
    depth = encoders.depth_bits(encoder)
    symbols = encoders.encode(encoder, train.features, problem.sensor_of)
    held_out = encoders.encode(encoder, validation.features, problem.sensor_of)
    n_classes, n_bits = len(problem.classes), int(depth.sum())
    choices: list[decoders.Decoder] = []
    if n_bits <= decoders.MAX_TABLE_BITS:
        for neighbour_weight in (0.0, 0.02, 0.1, 0.3):
            choices.append(
                decoders.fit_table(symbols, train.labels, depth, n_classes, neighbour_weight)
            )
    columns, owner = decoders.one_hot(symbols, depth)
    fit = jax.jit(decoders.fit_logistic, static_argnums=(2, 4))
    for ridge in RIDGES:
        weights, bias = fit(columns, jnp.asarray(train.labels), n_classes, ridge, 100)
        choices.append(decoders.from_columns(np.asarray(weights), np.asarray(bias), owner, depth))
    if n_bits <= config.lp_bits:
        hinge = classifier.fit_hinge(columns, train.labels, n_classes, config.lp_penalty, 30.0)
        if hinge.optimal:
            choices.append(decoders.from_columns(hinge.weights, hinge.bias, owner, depth))
    if receiver is not None and config.networks:
        choices.append(receiver)
    if receiver is None and config.networks and n_bits > decoders.MAX_TABLE_BITS:
        pair = (held_out, validation.labels)
        choices.append(
            fit_receiver(key, symbols, train.labels, depth, n_classes, config.receiver, pair)
        )
    scores = [
        float(np.mean(decoders.decode(choice, held_out, depth) == validation.labels))
        for choice in choices
    ]
    best = int(np.argmax(scores))
    return choices[best], scores[best]


def fit_receiver(
    key, symbols, labels, depth, n_classes, config: BottleneckConfig, validation=None
) -> decoders.NetworkDecoder:
    """A network that reads given messages.

    Args:
      key: typed key.
      symbols: Int[N, J].
      labels: Int[N].
      depth: Int[J].
      n_classes: K.
      config: its receiver's width and its training.
      validation: symbols and labels that decide when to stop; see `bottleneck.run`.
    """
    from bitalloc import messages
    from fewbits.training import gradient_descent, losses

    def signs_of(symbols):
        return jnp.asarray(2 * messages.to_bits(symbols, depth).astype(np.float32) - 1)

    network = bottleneck.receiver_network(int(depth.sum()), n_classes, config.receiver_width)
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(
            gradient_descent.Hyperparameters(config.learning_rate)
        ),
        losses.cross_entropy(network.apply),
        bottleneck.cosine_adamw(bottleneck.n_steps(config, len(labels)), config.weight_decay),
    )
    key_init, key_run = jax.random.split(key)
    data = (signs_of(symbols), jnp.asarray(labels, jnp.int32))
    if validation is not None:
        validation = (signs_of(validation[0]), validation[1])
    params = network.init(key_init)
    params = bottleneck.run(key_run, config, method, network.apply, params, data, validation)
    return receiver_layers(params)


def receiver_layers(params) -> decoders.NetworkDecoder:
    """The decoder made of a trained receiver's parameters."""
    names = sorted(name for name in params if name.startswith("dense")) + ["output"]
    return decoders.NetworkDecoder(
        tuple(
            (np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"])) for name in names
        )
    )
