"""Sensors and receiver trained together through a layer of bits.

Each sensor maps what it sees to as many functionals as it has bits; their signs are the
message, and a dense network reads it. Sensors and receiver minimise the cross-entropy of the
label together. The sign has no gradient, so each functional v is sent as sign(v + noise) with
logistic noise, and the derivative of tanh(v + noise) stands in for the sign's (the
straight-through estimator). The noise makes the receiver's loss smooth in v; at use there is none.

Linear functionals give the encoder of mode `projection`, networks that of mode `decision`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bitalloc.encoders.encoder import Head
from bitalloc.encoders.sensor_network import sensor_network
from bitalloc.inputs import ImageShape
from fewbits.training import gradient_descent, loop, networks
from fewbits.training.method import Method


@dataclass(frozen=True)
class BottleneckConfig:
    """How functionals and their receiver are trained, and the networks' sizes.

    With `min_steps` 0 and no evaluations the training takes `epochs` passes and its last
    parameters.

    Attributes:
      epochs: passes over the sample, or more where these are fewer than `min_steps` steps.
      min_steps: the fewest optimiser steps.
      evaluations: how often the validation part is looked at during the training, at equal
        distances; the parameters that do best there are returned, and a training that has not
        improved for half of them ends. 0 never looks.
      batch_size: examples per step.
      learning_rate: of AdamW at the start; falls to zero along a cosine.
      weight_decay: of AdamW.
      noise: scale of the logistic noise on the functionals.
      receiver_width: size of the receiver's two hidden layers; 0 makes it linear.
      sensor_width: size of a sensor's network (see `sensor_network`); 0 makes it linear.
      shift_pixels: augmentation: images are translated by up to so many pixels each way.
      flip: augmentation: images are mirrored at random.

    Example:
      >>> import bitalloc
      >>> bitalloc.FitConfig(bottleneck=bitalloc.BottleneckConfig(sensor_width=0, noise=0.3))
      FitConfig(...)
    """

    epochs: int = 20
    min_steps: int = 2_000
    evaluations: int = 20
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    noise: float = 0.1
    receiver_width: int = 128
    sensor_width: int = 0
    shift_pixels: int = 0
    flip: bool = False


def standardisation(features: np.ndarray, is_image: bool) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale of each feature, Float32[M] each.

    Pixels share a unit, and scaling each alone would blow up those that are nearly always dark:
    images get one shift and one scale. Other features may each have a unit of their own.
    """
    axis = None if is_image else 0
    shift = np.mean(features, axis=axis, dtype=np.float64)
    scale = np.std(features, axis=axis, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1.0)
    width = (features.shape[1],)
    return (
        np.broadcast_to(shift, width).astype(np.float32),
        np.broadcast_to(scale, width).astype(np.float32),
    )


def augment(key: jax.Array, images: jax.Array, shift_pixels: int, flip: bool) -> jax.Array:
    """Translates and mirrors each image at random; the border's pixels are repeated outwards.

    Args:
      key: typed key.
      images: Float[N, height, width] or Float[N, height, width, channels].
      shift_pixels: see `BottleneckConfig`.
      flip: likewise.
    """
    key_flip, key_shift = jax.random.split(key)
    n, height, width, *channels = images.shape
    if flip:
        mirrored = jax.random.bernoulli(key_flip, 0.5, (n, 1, 1, *(1 for _ in channels)))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    if shift_pixels:
        margin = [(0, 0), (shift_pixels, shift_pixels), (shift_pixels, shift_pixels)]
        margin += [(0, 0) for _ in channels]
        padded = jnp.pad(images, margin, mode="edge")
        corner = jax.random.randint(key_shift, (n, 2), 0, 2 * shift_pixels + 1)
        images = jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(
                image, (at[0], at[1], *(0 for _ in channels)), (height, width, *channels)
            )
        )(padded, corner)
    return images


def straight_through_sign(values: jax.Array) -> jax.Array:
    """sign(v) in {-1, +1}, with the derivative of tanh(v)."""
    soft = jnp.tanh(values)
    return soft + jax.lax.stop_gradient(jnp.where(values > 0, 1.0, -1.0) - soft)


def cosine_adamw(total_steps: int, weight_decay: float):
    """AdamW whose rate falls to zero along a cosine, as a function of the starting rate."""

    def optimizer(rate):
        # The schedule multiplies what AdamW proposes, so that the rate may be a traced array.
        return optax.chain(
            optax.adamw(rate, weight_decay=weight_decay),
            optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, total_steps)),
        )

    return optimizer


def receiver_network(n_bits: int, n_classes: int, width: int) -> networks.Network:
    """Reads B signs, gives K scores."""
    sizes = (n_bits, width, width, n_classes) if width else (n_bits, n_classes)
    return networks.mlp(sizes)


def functionals(config: BottleneckConfig, views, sensor_bits: tuple[int, ...]):
    """init(key) and apply(params, x) of all sensors' functionals side by side.

    Args:
      config: its `sensor_width` chooses linear functionals or networks.
      views: for each sensor (columns, shape): the columns it sees and how they lie.
      sensor_bits: bits of each sensor; sensors without bits take no part.
    """
    senders = [s for s, bits in enumerate(sensor_bits) if bits]

    def network(sensor):
        columns, shape = views[sensor]
        if config.sensor_width:
            return sensor_network(shape, sensor_bits[sensor], config.sensor_width)
        return networks.mlp((len(columns), sensor_bits[sensor]))

    pairs = {s: network(s)[:2] for s in senders}

    def init(key):
        return [pairs[s][0](jax.random.fold_in(key, s)) for s in senders]

    def apply(params, x):
        values = [
            pairs[s][1](p, jnp.take(x, jnp.asarray(views[s][0]), axis=1))
            for s, p in zip(senders, params, strict=True)
        ]
        return jnp.concatenate(values, axis=1)

    return init, apply


def build(
    config: BottleneckConfig,
    views,
    sensor_bits: tuple[int, ...],
    n_classes: int,
    image_shape: ImageShape,
    shift: np.ndarray,
    scale: np.ndarray,
    total_steps: int,
    head: Head = "signs",
) -> tuple[Method, Any, Any]:
    """The training as a `Method` on batches (features [N, M] as they are stored, labels Int[N]).

    Args:
      config: see there.
      views: see `functionals`.
      sensor_bits: B_s; their sum is the message's length.
      n_classes: K.
      image_shape: of images, for their augmentation; None for feature vectors.
      shift: Float[M], see `standardisation`.
      scale: Float[M].
      total_steps: where the learning rate reaches zero.
      head: `argmax` trains the functionals as the classes' scores themselves, with no receiver.

    Returns:
      The method, init(key) -> {"sensors": [...], "receiver": ...}, and scores(params, features)
      as they are at use, without noise.
    """
    init_sensors, apply_sensors = functionals(config, views, sensor_bits)
    receiver = receiver_network(sum(sensor_bits), n_classes, config.receiver_width)
    augmented = config.shift_pixels > 0 or config.flip

    def init(key):
        key_sensors, key_receiver = jax.random.split(key)
        sensors = init_sensors(key_sensors)
        return {"sensors": sensors, "receiver": receiver.init(key_receiver)}

    def loss(key, params, batch):
        features, labels = batch
        key_noise, key_augment = jax.random.split(key)
        x = (features.astype(jnp.float32) - shift[None, :]) / scale[None, :]
        if augmented and image_shape is not None:
            images = x.reshape(-1, *image_shape)
            x = augment(key_augment, images, config.shift_pixels, config.flip).reshape(x.shape)
        values = apply_sensors(params["sensors"], x)
        if head == "argmax":
            scores = values
        else:
            noise = config.noise * jax.random.logistic(key_noise, values.shape)
            scores = receiver.apply(params["receiver"], straight_through_sign(values + noise))
        loss_nats = optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()
        return loss_nats, {"accuracy": jnp.mean(jnp.argmax(scores, axis=1) == labels)}

    def scores_at_use(params, features):
        x = (features.astype(jnp.float32) - shift[None, :]) / scale[None, :]
        values = apply_sensors(params["sensors"], x)
        if head == "argmax":
            return values
        return receiver.apply(params["receiver"], jnp.where(values > 0, 1.0, -1.0))

    settings = gradient_descent.GradientDescentConfig(
        gradient_descent.Hyperparameters(learning_rate=config.learning_rate)
    )
    optimizer = cosine_adamw(total_steps, config.weight_decay)
    return gradient_descent.build(settings, loss, optimizer), init, scores_at_use


def n_steps(config: BottleneckConfig, n_examples: int) -> int:
    """Optimiser steps of a training on so many examples."""
    batch_size = min(config.batch_size, n_examples)
    return max(1, config.min_steps, config.epochs * (n_examples // batch_size))


def run(key, config: BottleneckConfig, method: Method, scores, params, data, validation=None):
    """Trains a method; returns its parameters, those best on validation if that is given.

    The order is accuracy on the validation part, then its cross-entropy in nats. Up to
    `MOST_EVALUATED` of its examples are used.

    Args:
      key: typed key of the run.
      config: its steps, batch size and evaluations.
      method: from `fewbits.training`.
      scores: scores(params, inputs) -> Float[N, K].
      params: starting parameters.
      data: (inputs, labels) to train on.
      validation: likewise, or None.
    """
    n_examples = len(data[1])
    plan = loop.Plan(n_steps(config, n_examples), min(config.batch_size, n_examples))
    if validation is None or config.evaluations == 0:
        whole = jax.jit(lambda key, params, data: loop.run(method, plan, key, params, data))
        return whole(key, params, data).params
    inputs, labels = (jnp.asarray(array[:MOST_EVALUATED]) for array in validation)

    @jax.jit
    def begin(key, params, data):
        return loop.start(method, plan, key, params, data)

    @jax.jit
    def advance(carry, data, first, last, inputs, labels):
        carry = loop.advance(method, plan, carry, data, first, last)
        params = method.finalize(carry.state)
        found = scores(params, inputs)
        loss_nats = optax.softmax_cross_entropy_with_integer_labels(found, labels).mean()
        return carry, params, jnp.mean(jnp.argmax(found, axis=1) == labels), loss_nats

    carry = begin(key, params, data)
    ends = np.unique(np.linspace(0, plan.steps, config.evaluations + 1).astype(int))
    best, best_rank, in_vain = params, (-1.0, 0.0), 0
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        carry, params, right, loss_nats = advance(carry, data, first, last, inputs, labels)
        rank = (float(right), -float(loss_nats))
        in_vain += 1
        if rank > best_rank:
            best, best_rank, in_vain = params, rank, 0
        if 2 * in_vain >= config.evaluations:
            break
    return best


MOST_EVALUATED = 5_000
"""Examples of the validation part that a training is stopped on, at most."""


def train(
    key: jax.Array,
    config: BottleneckConfig,
    features: np.ndarray,
    labels: np.ndarray,
    views,
    sensor_bits: tuple[int, ...],
    n_classes: int,
    image_shape: ImageShape,
    head: Head = "signs",
    validation: tuple[np.ndarray, np.ndarray] | None = None,
):
    """Trains sensors and receiver; see `build` for the arguments.

    Args:
      key: typed key of the whole training.
      config: see there.
      features: [N, M] as stored.
      labels: Int[N].
      views: see `functionals`.
      sensor_bits: B_s.
      n_classes: K.
      image_shape: of images, None for feature vectors.
      head: see `build`.
      validation: features and labels that decide when to stop; see `BottleneckConfig.evaluations`.

    Returns:
      The parameters, as in `build`, and the standardisation used.
    """
    key_init, key_run = jax.random.split(key)
    shift, scale = standardisation(features, image_shape is not None)
    method, init, scores = build(
        config,
        views,
        sensor_bits,
        n_classes,
        image_shape,
        shift,
        scale,
        n_steps(config, len(features)),
        head,
    )
    data = (jnp.asarray(features), jnp.asarray(labels, jnp.int32))
    params = run(key_run, config, method, scores, init(key_init), data, validation)
    return params, (shift, scale)
