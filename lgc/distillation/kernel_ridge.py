"""Dataset distillation under a rate constraint, by kernel ridge regression.

The images of a file are initialised with images of the set. Then their pixels p, real numbers until
they are rounded to grey levels, and the weights w of the upsampler are trained on

    ridge loss of real images given the stored ones  +  lambda (bits of the images / bits before)

where the stored images are drawn as a reader of the file draws them: rounded to their grey levels,
upsampled with quantised weights, augmented (all straight through). The ridge loss
(`lgc.autoencoders.utility`) is that of FRePo (Zhou, Nezhadarya and Ba 2022, "Dataset distillation
using neural feature regression", eq. 5), on features of a pool of networks of different ages that
are trained on the stored images (`feature_pool`). The rate term is ours: lambda rises while the
images take more bits than before and falls while they take fewer, so that as many of them fit.
Labels stay hard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training.method import Batch, Key, Method, Params, all_finite, as_arrays
from fewbits.training.models.convolution import FASTEST_NARROW
from fewbits.training.networks import convnet_features
from lgc.autoencoders import rate, utility
from lgc.autoencoders.feature_pool import FeaturePool, Pool
from lgc.distillation import pixel_rate, upsampler
from lgc.distillation.augmentation import Augmentation, augment
from lgc.distillation.quantised_images import QuantisedImages

_GAIN = 0.5
"""Change of log lambda per step when the images take twice their bits."""
_LIMITS = (1e-2, 1e2)
"""Of lambda."""
_RATED = 2_000
"""Images at most whose bits are counted at once."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      pixel_rate: Float[], learning rate of Adam for pixels, in levels.
      upsampler_rate: Float[], for the upsampler's weights.
      bits_weight: Float[], lambda at the start.
      bits_share: Float[], bits that the images may take, as a share of their bits before.
    """

    pixel_rate: jax.Array | float = 0.02
    upsampler_rate: jax.Array | float = 1e-3
    bits_weight: jax.Array | float = 0.3
    bits_share: jax.Array | float = 1.0


@dataclass(frozen=True)
class KernelRidgeConfig:
    """Static choices.

    Attributes:
      synthetic_batch: stored images of a step, at most.
      features_width: channels of the ConvNets that give the features.
      pool: number of these networks.
      pool_steps: steps after which a network is initialised again.
      upsampler_bits: of the grid of the upsampler's weights.
      ridge: see `utility.ridge_predictions`.
      hyperparameters: the values of a run that sweeps nothing.
    """

    synthetic_batch: int = 200
    features_width: int = 16
    pool: int = 6
    pool_steps: int = 300
    upsampler_bits: int = 4
    ridge: float = 1e-2
    hyperparameters: Hyperparameters = Hyperparameters()


class KernelRidgeState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: {"levels": Float[n, h, w, c], "upsampler": weights or None}.
      optimizer: of Adam.
      pool: see `feature_pool`.
      bits_weight: Float[], lambda.
      step: Int[].
      hyperparameters: Float[] each.
    """

    params: Params
    optimizer: Any
    pool: Pool
    bits_weight: jax.Array
    step: jax.Array
    hyperparameters: Hyperparameters


class KernelRidgeInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], the whole objective (its unit is that of the ridge loss).
      ridge_loss: Float[].
      bits_share: Float[], bits of the batch's images as a share of their bits before.
      bits_weight: Float[], lambda.
      finite: Bool[].
    """

    loss_nats: jax.Array
    ridge_loss: jax.Array
    bits_share: jax.Array
    bits_weight: jax.Array
    finite: jax.Array


def start(low: np.ndarray, images: QuantisedImages, weights: Params | None) -> Params:
    """Parameters that round to the given quantised images and lie near the unquantised ones.

    Args:
      low: UInt8[n, h, w, c], downsampled and not yet quantised.
      images: the same, quantised.
      weights: of the upsampler; None for interpolation.
    """
    numbers = np.interp(low, images.levels, np.arange(images.levels.size))
    # A grey halfway between two levels is quantised to the darker; rint would take the even one.
    numbers = np.clip(numbers, images.pixels - 0.49, images.pixels + 0.49)
    return {
        "levels": jnp.asarray(numbers, jnp.float32),
        "upsampler": None if weights is None else jax.tree.map(jnp.asarray, weights),
    }


def rounded(params: Params, images: QuantisedImages) -> QuantisedImages:
    """Quantised images with the pixels of trained parameters."""
    return images._replace(pixels=np.rint(np.asarray(params["levels"])).astype(np.uint8))


def build(
    config: KernelRidgeConfig,
    images: QuantisedImages,
    augmentation: Augmentation,
    rate_params: Params,
    total_steps: int,
) -> Method:
    """The training as a `Method` on batches of real images (UInt8[n, H, W, C], classes Int[n]).

    Args:
      config: see there.
      images: at initialisation; their classes stay.
      augmentation: of images drawn from the file.
      rate_params: of `pixel_rate`, trained on the quantised images of the whole set.
      total_steps: length of the cosine schedule of the learning rates.
    """
    n_levels, n_classes = images.levels.size, len(images.labels)
    grey_levels = jnp.asarray(images.levels, jnp.float32) / 255
    slopes = jnp.diff(grey_levels, append=grey_levels[-1:])
    classes = jnp.asarray(images.classes, jnp.int32)
    n_batch = min(config.synthetic_batch, len(images.classes))
    pool = FeaturePool(
        convnet_features(images.shape, config.features_width),
        images.shape,
        n_classes,
        config.pool,
        config.pool_steps,
    )
    adam = optax.scale_by_adam(b2=0.99)
    falling = optax.cosine_decay_schedule(1.0, total_steps)
    before = _mean_bits(rate_params, images)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> KernelRidgeState:
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        return KernelRidgeState(
            params,
            adam.init(params),
            pool.init(key),
            jnp.asarray(chosen.bits_weight),
            jnp.zeros((), jnp.int32),
            chosen,
        )

    def draw(key: Key, numbers: jax.Array, weights: Params | None) -> jax.Array:
        whole = jax.lax.stop_gradient(jnp.rint(numbers))
        place = whole.astype(jnp.int32)
        # The last level has no next one: its slope is that of the interval before.
        shown = grey_levels[place] + slopes[jnp.minimum(place, n_levels - 2)] * (
            numbers - jax.lax.stop_gradient(numbers)
        )
        if weights is None:
            shown = _interpolated(shown, images)
        else:
            held = rate.quantised(weights, lambda path: config.upsampler_bits)
            shown = jax.nn.sigmoid(upsampler.logits(held, shown, images.shape, FASTEST_NARROW))
        return augment(key, shown, augmentation, 1.0)

    def objective(
        params: Params,
        key: Key,
        network: Params,
        places: jax.Array,
        weight: jax.Array,
        batch: Batch,
    ):
        pixels, real_classes = batch
        numbers = params["levels"][places]
        drawn = draw(key, numbers, params["upsampler"])
        learned = utility.ridge_loss(
            pool.features.apply(network["features"], drawn),
            classes[places],
            jax.lax.stop_gradient(pool.features.apply(network["features"], pixels)),
            real_classes,
            n_classes,
            config.ridge,
        )
        whole = numbers + jax.lax.stop_gradient(jnp.rint(numbers) - numbers)
        bits = pixel_rate.bits(rate_params, whole, classes[places], n_levels).mean()
        share = bits / before
        return learned + weight * share, (learned, share, drawn)

    def step(
        key: Key, state: KernelRidgeState, batch: Batch
    ) -> tuple[KernelRidgeState, KernelRidgeInfo]:
        key_pick, key_places, key_draw, key_new = jax.random.split(key, 4)
        h = state.hyperparameters
        picked = pool.pick(key_pick, state.pool)
        places = jax.random.permutation(key_places, len(classes))[:n_batch]
        (loss, (learned, share, drawn)), slope = jax.value_and_grad(objective, has_aux=True)(
            state.params, key_draw, picked.params, places, state.bits_weight, batch
        )
        updates, optimizer = adam.update(slope, state.optimizer, state.params)
        rates = {"levels": h.pixel_rate, "upsampler": h.upsampler_rate}
        now = falling(state.step)
        params = jax.tree_util.tree_map_with_path(
            lambda path, old, update: old - now * rates[path[0].key] * update,
            state.params,
            updates,
        )
        params = {**params, "levels": jnp.clip(params["levels"], 0, n_levels - 1)}
        weight = state.bits_weight * jnp.exp(_GAIN * (share - h.bits_share))
        new = KernelRidgeState(
            params,
            optimizer,
            pool.trained(key_new, state.pool, picked, drawn, classes[places]),
            jnp.clip(weight, *_LIMITS),
            state.step + 1,
            h,
        )
        finite = jnp.isfinite(loss) & all_finite(params)
        return new, KernelRidgeInfo(loss, learned, share, state.bits_weight, finite)

    def finalize(state: KernelRidgeState) -> Params:
        return state.params

    return Method(init, step, finalize)


def _interpolated(shown: jax.Array, images: QuantisedImages) -> jax.Array:
    """`downsampling.interpolate` without its rounding."""
    n, rows, columns, channels = shown.shape
    height, width, _ = images.shape
    whole = (n, rows * images.factor, columns * images.factor, channels)
    return jax.image.resize(shown, whole, "linear")[:, :height, :width]


def _mean_bits(rate_params: Params, images: QuantisedImages) -> jax.Array:
    """Mean bits of an image at initialisation, Float[]; of a sample where there are many."""
    images = images.subset(slice(_RATED))
    found = pixel_rate.bits(
        rate_params,
        jnp.asarray(images.pixels, jnp.float32),
        jnp.asarray(images.classes, jnp.int32),
        images.levels.size,
    )
    return jnp.maximum(found.mean(), 1.0)
