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
from fewbits.training import gradient_descent, loop, networks
from fewbits.training.method import Method


@dataclass(frozen=True)
class BottleneckConfig:
    """Static choices of the training.

    Attributes:
      epochs: passes over the sample.
      batch_size: images per step.
      learning_rate: of AdamW at the start; falls to zero along a cosine.
      weight_decay: of AdamW.
      noise: scale of the logistic noise on the functionals.
      receiver_width: size of the receiver's two hidden layers; 0 makes it linear.
      sensor_width: size of a sensor's network (see `sensor_network`); 0 makes it linear.
      shift_pixels: images are moved by up to so many pixels each way.
      flip: images are mirrored at random.
    """

    epochs: int = 20
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
    """Moves and mirrors each image at random; what moves in repeats the border's pixels.

    Args:
      key: typed key.
      images: Float[N, height, width].
      shift_pixels: see `BottleneckConfig`.
      flip: likewise.
    """
    key_flip, key_shift = jax.random.split(key)
    n, height, width = images.shape
    if flip:
        mirrored = jax.random.bernoulli(key_flip, 0.5, (n, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    if shift_pixels:
        margin = ((0, 0), (shift_pixels, shift_pixels), (shift_pixels, shift_pixels))
        padded = jnp.pad(images, margin, mode="edge")
        corner = jax.random.randint(key_shift, (n, 2), 0, 2 * shift_pixels + 1)
        images = jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1]), (height, width))
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
    image_shape: tuple[int, int] | None,
    shift: np.ndarray,
    scale: np.ndarray,
    total_steps: int,
    head: Head = "signs",
) -> tuple[Method, Any]:
    """The training as a `Method` on batches (features [N, M] as they are stored, labels Int[N]).

    Args:
      config: see there.
      views: see `functionals`.
      sensor_bits: B_s; their sum is the message's length.
      n_classes: K.
      image_shape: (height, width) if the features are an image, for the augmentation.
      shift: Float[M], see `standardisation`.
      scale: Float[M].
      total_steps: where the learning rate reaches zero.
      head: `argmax` trains the functionals as the classes' scores themselves, with no receiver.

    Returns:
      The method, and init(key) -> {"sensors": [...], "receiver": ...}.
    """
    init_sensors, apply_sensors = functionals(config, views, sensor_bits)
    receiver = receiver_network(sum(sensor_bits), n_classes, config.receiver_width)
    moves = config.shift_pixels > 0 or config.flip

    def init(key):
        key_sensors, key_receiver = jax.random.split(key)
        sensors = init_sensors(key_sensors)
        return {"sensors": sensors, "receiver": receiver.init(key_receiver)}

    def loss(key, params, batch):
        features, labels = batch
        key_noise, key_augment = jax.random.split(key)
        x = (features.astype(jnp.float32) - shift[None, :]) / scale[None, :]
        if moves and image_shape is not None:
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

    settings = gradient_descent.GradientDescentConfig(
        gradient_descent.Hyperparameters(learning_rate=config.learning_rate)
    )
    optimizer = cosine_adamw(total_steps, config.weight_decay)
    return gradient_descent.build(settings, loss, optimizer), init


def train(
    key: jax.Array,
    config: BottleneckConfig,
    features: np.ndarray,
    labels: np.ndarray,
    views,
    sensor_bits: tuple[int, ...],
    n_classes: int,
    image_shape: tuple[int, int] | None,
    start: Any = None,
    head: Head = "signs",
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
      image_shape: (height, width) or None.
      start: parameters to begin from, None for random ones.
      head: see `build`.

    Returns:
      The loop's result, whose `params` are as in `build`, and the standardisation used.
    """
    key_init, key_run = jax.random.split(key)
    batch_size = min(config.batch_size, len(features))
    steps = config.epochs * (len(features) // batch_size)
    shift, scale = standardisation(features, image_shape is not None)
    method, init = build(
        config, views, sensor_bits, n_classes, image_shape, shift, scale, steps, head
    )
    plan = loop.Plan(steps, batch_size)
    params = init(key_init) if start is None else start
    run = jax.jit(lambda key, params, data: loop.run(method, plan, key, params, data))
    data = (jnp.asarray(features), jnp.asarray(labels, jnp.int32))
    return run(key_run, params, data), (shift, scale)
