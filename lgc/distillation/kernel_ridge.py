"""Exemplars moved away from the images they were, to what a classifier learns most from.

A file of exemplars within a budget begins with images of the set. Here their pixels p, real numbers
until they are rounded to levels, and the weights w of the enlarger are trained on

    ridge loss of real images given drawn exemplars  +  lambda (bits of the exemplars / bits before)

where exemplars are drawn as the file's reader will draw them: rounded to their levels, enlarged by
weights on their grid, moved at random (all straight through). The ridge loss (`utility`) is what a
network's features make of them, for networks of all ages that are trained on the exemplars
themselves (`feature_pool`). lambda rises while the exemplars cost more than they did and falls
while they cost less, so that as many of them fit. What comes out is distilled: labels stay hard,
images need no longer be likely, only useful.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training.convolution import training_implementation
from fewbits.training.method import Batch, Key, Method, Params, all_finite, as_arrays
from fewbits.training.networks import convnet_features
from lgc.autoencoders import rate, utility
from lgc.autoencoders.feature_pool import FeaturePool, Pool
from lgc.distillation import augmentation, pixel_rate, upsampler
from lgc.distillation.augmentation import Deformation
from lgc.distillation.quantised_images import SmallImages

_GAIN = 0.5
"""Of the logarithm of lambda, a step, for exemplars that cost twice what they did."""
_LIMITS = (1e-2, 1e2)
"""Of lambda."""
_PRICED = 2_000
"""Exemplars at most whose bits are counted at once."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      pixel_rate: Float[], learning rate of Adam for pixels, in levels.
      enlarger_rate: Float[], for the enlarger's weights.
      bits_weight: Float[], lambda at the start.
      bits_share: Float[], what exemplars may cost, as a share of what they cost before.
    """

    pixel_rate: jax.Array | float = 0.02
    enlarger_rate: jax.Array | float = 1e-3
    bits_weight: jax.Array | float = 0.3
    bits_share: jax.Array | float = 1.0


@dataclass(frozen=True)
class RefinementConfig:
    """Static choices.

    Attributes:
      drawn: exemplars that a step draws, at most.
      features_width: channels of the ConvNets whose features judge.
      pool: of them.
      pool_steps: after so many steps one begins anew.
      enlarger_bits: of the grid of the enlarger's weights.
      ridge: see `utility.ridge_predictions`.
      hyperparameters: the values of a run that sweeps nothing.
    """

    drawn: int = 200
    features_width: int = 16
    pool: int = 6
    pool_steps: int = 300
    enlarger_bits: int = 4
    ridge: float = 1e-2
    hyperparameters: Hyperparameters = Hyperparameters()


class RefinementState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: {"levels": Float[n, h, w, c], "enlarger": weights or None}.
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


class RefinementInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], the whole objective (its unit is that of the ridge loss).
      ridge_loss: Float[].
      bits_share: Float[], bits of the drawn exemplars as a share of what exemplars cost before.
      bits_weight: Float[], lambda.
      finite: Bool[].
    """

    loss_nats: jax.Array
    ridge_loss: jax.Array
    bits_share: jax.Array
    bits_weight: jax.Array
    finite: jax.Array


def start(images: np.ndarray, small: SmallImages, weights: Params | None) -> Params:
    """Parameters that are rounded to the given small images, but lie where the images lay.

    Args:
      images: UInt8[n, h, w, c], shrunken and not yet in few greys.
      small: the same in their levels.
      weights: of the enlarger; None for interpolation.
    """
    numbers = np.interp(images, small.levels, np.arange(small.levels.size))
    # A grey in the middle of two levels is rounded to the darker, here it would be to the even.
    numbers = np.clip(numbers, small.pixels - 0.49, small.pixels + 0.49)
    return {
        "levels": jnp.asarray(numbers, jnp.float32),
        "enlarger": None if weights is None else jax.tree.map(jnp.asarray, weights),
    }


def rounded(params: Params, small: SmallImages) -> SmallImages:
    """Small images with the pixels of trained parameters."""
    return small._replace(pixels=np.rint(np.asarray(params["levels"])).astype(np.uint8))


def build(
    config: RefinementConfig,
    small: SmallImages,
    moves: Deformation,
    rate_params: Params,
    total_steps: int,
) -> Method:
    """The training as a `Method` on batches of real images (UInt8[n, H, W, C], classes Int[n]).

    Args:
      config: see there.
      small: the exemplars at the start; their classes stay.
      moves: of drawn exemplars.
      rate_params: of `pixel_rate`, trained on the small images of the whole set.
      total_steps: where the learning rates have fallen to zero, along a cosine.
    """
    n_levels, n_classes = small.levels.size, len(small.labels)
    greys = jnp.asarray(small.levels, jnp.float32) / 255
    slopes = jnp.diff(greys, append=greys[-1:])
    classes = jnp.asarray(small.classes, jnp.int32)
    n_drawn = min(config.drawn, len(small.classes))
    pool = FeaturePool(
        convnet_features(small.shape, config.features_width),
        small.shape,
        n_classes,
        config.pool,
        config.pool_steps,
    )
    adam = optax.scale_by_adam(b2=0.99)
    falling = optax.cosine_decay_schedule(1.0, total_steps)
    before = _mean_bits(rate_params, small)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> RefinementState:
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        return RefinementState(
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
        # Past the last level there is none: there the slope is that of the step before.
        shown = greys[place] + slopes[jnp.minimum(place, n_levels - 2)] * (
            numbers - jax.lax.stop_gradient(numbers)
        )
        if weights is None:
            shown = _interpolated(shown, small)
        else:
            held = rate.quantised(weights, lambda path: config.enlarger_bits)
            shown = jax.nn.sigmoid(
                upsampler.logits(held, shown, small.shape, training_implementation())
            )
        return augmentation.deform(key, shown, moves, 1.0)

    def objective(
        params: Params, key: Key, judge: Params, places: jax.Array, weight: jax.Array, batch: Batch
    ):
        pixels, real_classes = batch
        numbers = params["levels"][places]
        drawn = draw(key, numbers, params["enlarger"])
        learned = utility.ridge_loss(
            pool.features.apply(judge["features"], drawn),
            classes[places],
            jax.lax.stop_gradient(pool.features.apply(judge["features"], pixels)),
            real_classes,
            n_classes,
            config.ridge,
        )
        whole = numbers + jax.lax.stop_gradient(jnp.rint(numbers) - numbers)
        bits = pixel_rate.bits(rate_params, whole, classes[places], n_levels).mean()
        share = bits / before
        return learned + weight * share, (learned, share, drawn)

    def step(
        key: Key, state: RefinementState, batch: Batch
    ) -> tuple[RefinementState, RefinementInfo]:
        key_pick, key_places, key_draw, key_begin = jax.random.split(key, 4)
        h = state.hyperparameters
        judge = pool.pick(key_pick, state.pool)
        places = jax.random.permutation(key_places, len(classes))[:n_drawn]
        (loss, (learned, share, drawn)), slope = jax.value_and_grad(objective, has_aux=True)(
            state.params, key_draw, judge.params, places, state.bits_weight, batch
        )
        updates, optimizer = adam.update(slope, state.optimizer, state.params)
        rates = {"levels": h.pixel_rate, "enlarger": h.enlarger_rate}
        now = falling(state.step)
        params = jax.tree_util.tree_map_with_path(
            lambda path, old, update: old - now * rates[path[0].key] * update,
            state.params,
            updates,
        )
        params = {**params, "levels": jnp.clip(params["levels"], 0, n_levels - 1)}
        weight = state.bits_weight * jnp.exp(_GAIN * (share - h.bits_share))
        new = RefinementState(
            params,
            optimizer,
            pool.trained(key_begin, state.pool, judge, drawn, classes[places]),
            jnp.clip(weight, *_LIMITS),
            state.step + 1,
            h,
        )
        finite = jnp.isfinite(loss) & all_finite(params)
        return new, RefinementInfo(loss, learned, share, state.bits_weight, finite)

    def finalize(state: RefinementState) -> Params:
        return state.params

    return Method(init, step, finalize)


def _interpolated(shown: jax.Array, small: SmallImages) -> jax.Array:
    """`reduction.enlarge` without its rounding."""
    n, rows, columns, channels = shown.shape
    height, width, _ = small.shape
    whole = (n, rows * small.factor, columns * small.factor, channels)
    return jax.image.resize(shown, whole, "linear")[:, :height, :width]


def _mean_bits(rate_params: Params, small: SmallImages) -> jax.Array:
    """Bits of an exemplar before, Float[]; of the first of many, which are a sample."""
    small = small.subset(slice(_PRICED))
    found = pixel_rate.bits(
        rate_params,
        jnp.asarray(small.pixels, jnp.float32),
        jnp.asarray(small.classes, jnp.int32),
        small.levels.size,
    )
    return jnp.maximum(found.mean(), 1.0)
