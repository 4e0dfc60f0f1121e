"""The encoders that each mode proposes, each with the receiver it was trained with, if any."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from bitalloc import decoder as decoders
from bitalloc.encoders import bottleneck, sensors
from bitalloc.encoders import encoder as encoders
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting import selection
from bitalloc.fitting.fit import (
    RIDGES,
    TRANSLATABLE_SIDE,
    FitConfig,
    Problem,
    receiver_layers,
    with_translations,
)
from fewbits.coding import InputError


def pixel_problem(problem: Problem, config: FitConfig) -> Problem:
    """The problem that pixel codes are fitted to: one sensor, few images with translated copies.

    Each code is computed from one feature, by whichever sensor sees it. Fitted as if one sensor saw
    them all, the bits and their decoder are the same in every view.
    """
    shape, train = problem.image_shape, problem.train
    large = shape is not None and min(shape[:2]) >= TRANSLATABLE_SIDE
    if shape is not None and large and len(train.labels) < config.translated_below:
        train = with_translations(train, shape)
    together = np.where(problem.sensor_of >= 0, 0, problem.sensor_of)
    return problem._replace(sensor_of=together, train=train)


def find_candidates(problem: Problem, n_levels: int) -> selection.Candidates:
    """All thresholds of the features that some sensor sees."""
    thresholds = selection.candidate_thresholds(problem.train.features, n_levels)
    thresholds[problem.sensor_of < 0] = np.inf
    return selection.find_levels(problem.train.features, thresholds)


def pixel_encoder(thresholds: np.ndarray, bits: tuple[selection.Bit, ...]) -> encoders.PixelEncoder:
    """One-bit codes, by feature and threshold."""
    ordered = sorted(bits)
    feature = np.array([bit[0] for bit in ordered])
    chosen = np.array([[thresholds[bit]] for bit in ordered])
    return encoders.PixelEncoder(feature, chosen, np.ones(len(ordered), int))


def by_sensor(
    encoder: encoders.PixelEncoder, decoder: decoders.Decoder, sensor_of: np.ndarray
) -> tuple[encoders.PixelEncoder, decoders.Decoder]:
    """The same codes, sensor by sensor, and the decoder of messages in that order.

    Args:
      encoder: one-bit codes.
      decoder: of its messages.
      sensor_of: Int[M], the view.
    """
    order = np.argsort(sensor_of[encoder.feature], kind="stable")
    sent = encoders.PixelEncoder(
        encoder.feature[order], encoder.thresholds[order], encoder.depth_bits[order]
    )
    return sent, decoders.reordered(decoder, order)


def propose_pixel(key, problem: Problem, bits: int, config: FitConfig):
    """Bits selected through the linear decoder and, up to a table's reach, through the table."""
    levels = (
        [config.n_levels, config.fine_levels] if bits <= config.fine_bits else [config.n_levels]
    )
    labels, n_classes = problem.train.labels, len(problem.classes)
    proposals = []
    for n_levels in levels:
        candidates = find_candidates(problem, n_levels)
        selections = []
        if bits <= decoders.MAX_TABLE_BITS:
            rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
            selections += selection.select_for_table(
                rng, candidates, labels, n_classes, bits, config.restarts
            )
        selections.append(
            selection.select_for_linear(
                candidates,
                labels,
                n_classes,
                bits,
                config.selection_ridge,
                swap_passes=config.swap_passes if bits <= 48 else 0,
            )
        )
        proposals += [
            (pixel_encoder(candidates.thresholds, chosen.bits), None) for chosen in selections
        ]
    return proposals


def views_of(problem: Problem):
    """(columns, shape) of each sensor; the shape is an image where the columns form one."""
    views = []
    for sensor in range(sensors.n_sensors(problem.sensor_of)):
        columns = np.flatnonzero(problem.sensor_of == sensor)
        shape: tuple[int, ...] = (len(columns),)
        if problem.image_shape is not None:
            channels = problem.image_shape[2:]
            pixel = columns // int(np.prod(channels))
            row, column = np.divmod(pixel, problem.image_shape[1])
            height, width = int(np.ptp(row)) + 1, int(np.ptp(column)) + 1
            if height * width * int(np.prod(channels)) == len(columns):
                shape = (height, width, *channels)
        views.append((columns, shape))
    return views


def linear_scores(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The logistic classifier of all features, best ridge on validation: W and c on raw x."""
    train, validation = problem.train, problem.validation
    seen = (problem.sensor_of >= 0).astype(np.float32)
    shift, scale = bottleneck.standardisation(train.features, problem.image_shape is not None)
    fit = jax.jit(decoders.fit_logistic, static_argnums=(2, 4))
    columns = jnp.asarray((train.features - shift) / scale * seen)
    best, best_score = None, -1.0
    for ridge in RIDGES:
        weights, bias = map(
            np.asarray, fit(columns, jnp.asarray(train.labels), len(problem.classes), ridge, 100)
        )
        raw = weights * seen / scale
        offset = bias - raw @ shift
        score = np.mean(
            np.argmax(validation.features @ raw.T + offset, axis=1) == validation.labels
        )
        if score > best_score:
            best, best_score = (raw, offset), score
    assert best is not None
    return best


def pairwise_differences(weights: np.ndarray, bias: np.ndarray):
    """Functionals whose signs tell the largest score: W_a - W_b for every pair a < b."""
    first, second = np.triu_indices(len(bias), k=1)
    return weights[first] - weights[second], bias[first] - bias[second]


def propose_projection(key, problem: Problem, bits, config: FitConfig, sensor_bits):
    """Closed forms of the linear classifier where one sensor sees all, and trained functionals."""
    n_classes, n_sensors = len(problem.classes), sensors.n_sensors(problem.sensor_of)
    proposals = []
    if n_sensors == 1 and bits == encoders.code_bits(n_classes):
        weights, bias = linear_scores(problem)
        proposals.append((_projection(weights, bias, "argmax"), None))
    if n_sensors == 1 and bits >= n_classes * (n_classes - 1) // 2:
        weights, bias = pairwise_differences(*linear_scores(problem))
        # Bits beyond the pairs repeat their functionals at shifted thresholds.
        extra = np.arange(bits - len(bias))
        source = extra % len(bias)
        values = problem.train.features[:5000] @ weights.T + bias
        shift = np.std(values, axis=0) * 0.5
        offsets = bias[source] + shift[source] * (-1.0) ** (extra // len(bias)) * (
            1 + extra // (2 * len(bias))
        )
        proposals.append(
            (
                _projection(
                    np.concatenate([weights, weights[source]]),
                    np.concatenate([bias, offsets]),
                    "signs",
                ),
                None,
            )
        )
    settings = config.bottleneck or default_bottleneck("projection", bits)
    settings = replace(settings, sensor_width=0)
    return proposals + _trained(key, problem, bits, config, settings, sensor_bits)


def propose_decision(key, problem: Problem, bits, config: FitConfig, sensor_bits):
    """A network's decision where that fits the budget exactly, trained bits otherwise."""
    settings = config.bottleneck or default_bottleneck("decision", bits)
    n_classes = len(problem.classes)
    if sensors.n_sensors(problem.sensor_of) > 1 or bits != encoders.code_bits(n_classes):
        return _trained(key, problem, bits, config, settings, sensor_bits)
    return [
        (decision_network(jax.random.fold_in(key, number), problem, settings), None)
        for number in range(config.starts)
    ]


def decision_network(key, problem: Problem, settings: BottleneckConfig) -> encoders.NetworkEncoder:
    """One network that sees all and whose outputs are the classes' scores.

    Args:
      key: typed key of the training.
      problem: its validation part decides when to stop; one sensor.
      settings: see `BottleneckConfig`.
    """
    n_classes, views = len(problem.classes), views_of(problem)
    params, scaling = bottleneck.train(
        key,
        settings,
        problem.train.features,
        problem.train.labels,
        views,
        (n_classes,),
        n_classes,
        problem.image_shape,
        head="argmax",
        validation=problem.validation,
    )
    encoder = _network(params["sensors"], (n_classes,), settings, views, scaling)
    # What mirrored images were trained on is averaged over them as well.
    return encoder._replace(head="argmax", mirrored=settings.flip)


def default_bottleneck(mode: str, bits: int) -> BottleneckConfig:
    """Settings from trials on Fashion-MNIST; noise up to 48 bits by one seed's validation part."""
    if mode == "decision":
        return BottleneckConfig(sensor_width=24, noise=0.3, weight_decay=0.01, shift_pixels=2)
    if bits <= 48:
        return BottleneckConfig(noise=0.3, weight_decay=0.3)
    return BottleneckConfig(noise=0.5, weight_decay=0.05, shift_pixels=1)


def informed_split(problem: Problem, bits: int) -> tuple[int, ...]:
    """The budget shared as sensors move the scores of the linear classifier of all features.

    A sensor's share is that of its contributions' variance over the training part, summed over
    classes; remainders go to the largest ones first.
    """
    weights, _ = linear_scores(problem)
    share = np.zeros(sensors.n_sensors(problem.sensor_of))
    for sensor in range(len(share)):
        seen = problem.sensor_of == sensor
        share[sensor] = np.var(problem.train.features[:, seen] @ weights[:, seen].T, axis=0).sum()
    exact = bits * share / max(share.sum(), np.finfo(float).tiny)
    split = np.floor(exact).astype(int)
    split[np.argsort(split - exact, kind="stable")[: bits - split.sum()]] += 1
    return tuple(split.tolist())


def _trained(key, problem, bits, config, settings, sensor_bits):
    views = views_of(problem)
    if sensor_bits is not None:
        splits = [sensor_bits]
    else:
        splits = [tuple(int(b) for b in sensors.even_split(bits, len(views)))]
        if config.informed_split and len(views) > 1:
            splits = list(dict.fromkeys([*splits, informed_split(problem, bits)]))
    return [
        proposal
        for split in splits
        for proposal in _trained_with(key, problem, bits, config, settings, views, split)
    ]


def _trained_with(key, problem, bits, config, settings, views, sensor_bits):
    if len(sensor_bits) != len(views) or sum(sensor_bits) != bits or min(sensor_bits) < 0:
        raise InputError(f"bits {sensor_bits} do not share {bits} among {len(views)} sensors")
    proposals = []
    for number in range(config.starts):
        params, (shift, scale) = bottleneck.train(
            jax.random.fold_in(key, number),
            settings,
            problem.train.features,
            problem.train.labels,
            views,
            sensor_bits,
            len(problem.classes),
            problem.image_shape,
            validation=problem.validation,
        )
        if settings.sensor_width:
            encoder = _network(params["sensors"], sensor_bits, settings, views, (shift, scale))
        else:
            encoder = _linear(params["sensors"], sensor_bits, views, shift, scale)
        receiver = receiver_layers(params["receiver"]) if settings.receiver_width else None
        proposals.append((encoder, receiver))
    return proposals


def _projection(weights, bias, head) -> encoders.ProjectionEncoder:
    return encoders.ProjectionEncoder(
        np.asarray(weights, np.float32), np.asarray(bias, np.float32), head
    )


def _linear(params, sensor_bits, views, shift, scale) -> encoders.ProjectionEncoder:
    """One affine map on raw features, zero outside each functional's own sensor."""
    n_bits, n_features = sum(sensor_bits), len(shift)
    weights, bias = np.zeros((n_bits, n_features)), np.zeros(n_bits)
    first, trees = 0, iter(params)
    for (columns, _), n in zip(views, sensor_bits, strict=True):
        if n == 0:
            continue
        layer = next(trees)["output"]
        weights[first : first + n, columns] = np.asarray(layer["kernel"]).T / scale[columns]
        bias[first : first + n] = np.asarray(layer["bias"])
        first += n
    return _projection(weights, bias - weights @ shift, "signs")


def _network(params, outputs, settings, views, scaling) -> encoders.NetworkEncoder:
    senders = tuple(s for s, n in enumerate(outputs) if n)
    return encoders.NetworkEncoder(
        params=tuple(jax.tree.map(np.asarray, tree) for tree in params),
        sensors=senders,
        outputs=tuple(outputs[s] for s in senders),
        width=settings.sensor_width,
        sensor_shape=tuple(views[s][1] for s in senders),
        shift=scaling[0],
        scale=scaling[1],
        head="signs",
    )
