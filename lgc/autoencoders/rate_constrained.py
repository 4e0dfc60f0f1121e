"""Joint training of decoder and class mixtures under a rate constraint.

What is minimised over the encoder e, the decoder and the mixtures p(z | y) is

    distortion + kl_weight KL(q_e(z | x) || p(z | y)) / pixels
        + utility_weight ridge loss of real images given decoded samples
        + bits_weight (bits of decoder and mixtures in the file)

with decoder and mixtures quantised as in the file, straight through. The first line is the negative
ELBO of a conditional VAE with mixture priors. The second (`utility`) is the kernel ridge loss of
FRePo on samples: likelihood alone gives little variety near the class boundaries. Its feature
networks are the pool of `feature_pool`. The third is the rate (`rate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Batch, Key, Method, all_finite, as_arrays
from fewbits.training.models.convolution import FASTEST_NARROW
from fewbits.training.networks import Network, mlp
from lgc.autoencoders import decoders, rate, utility
from lgc.autoencoders.architectures import Params
from lgc.autoencoders.feature_pool import FeaturePool, Pool
from lgc.gmm import label_mixture

_HIDDEN = 256
"""Width of the encoder, which is not in the file."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], of Adam, for encoder, decoder and mixtures.
      bits_weight: Float[], lambda, per bit of the file.
      kl_weight: Float[].
      utility_weight: Float[].
    """

    learning_rate: jax.Array | float = 2e-3
    bits_weight: jax.Array | float = 1e-8
    kl_weight: jax.Array | float = 1.0
    utility_weight: jax.Array | float = 0.1


@dataclass(frozen=True)
class RateConstrainedConfig:
    """Static choices.

    Attributes:
      image_shape: (height, width, channels).
      n_classes: K.
      latent: numbers per image.
      components: Gaussians per class.
      widths: channels of the decoder; see `decoders.init_convolutional`.
      decoder_bits: of the grid of the decoder's kernels.
      bias_bits: of the grid of its biases, which are few.
      mixture_bits: of the grid of means and scales.
      synthetic: samples that a step draws, equally many of each class.
      pool: feature networks.
      pool_steps: steps after which a feature network is initialised again.
      pool_rate: their learning rate.
      warm_up: steps without the utility, while samples are still noise.
      ridge: see `utility.ridge_predictions`.
      hyperparameters: the values of a run that sweeps nothing.
    """

    image_shape: tuple[int, int, int]
    n_classes: int
    latent: int = 12
    components: int = 4
    widths: tuple[int, int, int] = (16, 16, 8)
    decoder_bits: int = 4
    bias_bits: int = 6
    mixture_bits: int = 6
    synthetic: int = 200
    pool: int = 4
    pool_steps: int = 400
    pool_rate: float = 1e-3
    warm_up: int = 500
    ridge: float = 1e-3
    hyperparameters: Hyperparameters = Hyperparameters()

    def bits(self, path: str) -> int:
        """Bits of a stored tensor, by its path."""
        if path.startswith("mixture/"):
            return self.mixture_bits
        return self.bias_bits if path.endswith("/bias") else self.decoder_bits


class RateConstrainedState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: {"encoder", "decoder", "mixture"}.
      optimizer: of Adam.
      pool: see there; None without a utility.
      step: Int[].
      hyperparameters: Float[] each.
    """

    params: Params
    optimizer: Any
    pool: Pool | None
    step: jax.Array
    hyperparameters: Hyperparameters


class RateConstrainedInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], all of it.
      distortion: Float[], cross-entropy of the pixels, nats each.
      kl_nats: Float[], per image.
      utility: Float[], the ridge loss; 0 without a utility.
      rate_bits: Float[], of decoder and mixtures.
      finite: Bool[].
    """

    loss_nats: jax.Array
    distortion: jax.Array
    kl_nats: jax.Array
    utility: jax.Array
    rate_bits: jax.Array
    finite: jax.Array


def init_params(key: Key, config: RateConstrainedConfig) -> Params:
    """Encoder, decoder and mixtures at random."""
    key_encoder, key_decoder, key_mixture = jax.random.split(key, 3)
    return {
        "encoder": _encoder(config).init(key_encoder),
        "decoder": decoders.init_convolutional(
            key_decoder, config.latent, config.image_shape, config.widths
        ),
        "mixture": label_mixture.init(
            key_mixture, config.n_classes, config.components, config.latent
        ),
    }


def stored(params: Params) -> Params:
    """What goes into the file: the mixture's weights have a place of their own there."""
    mixture = {name: params["mixture"][name] for name in ("means", "log_scale")}
    return {"decoder": params["decoder"], "mixture": mixture}


def on_grids(params: Params, config: RateConstrainedConfig) -> Params:
    """Decoder and mixtures as the file will hold them, straight through."""
    rounded = rate.quantised(stored(params), config.bits)
    return {
        "decoder": rounded["decoder"],
        "mixture": {**rounded["mixture"], "logits": params["mixture"]["logits"]},
    }


def build(config: RateConstrainedConfig, features: Network | None, total_steps: int) -> Method:
    """The training as a `Method` on batches (images UInt8[n, H, W, C], classes Int[n]).

    Args:
      config: see there.
      features: a network whose outputs serve as features; a linear head is added to train it.
        None leaves the utility out, which is most of a step's work; its weight is then ignored.
      total_steps: length of the cosine schedule of the learning rate.
    """
    encoder = _encoder(config)
    schedule = optax.cosine_decay_schedule(1.0, total_steps)
    adam = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(schedule))
    pool = features and FeaturePool(
        features,
        config.image_shape,
        config.n_classes,
        config.pool,
        config.pool_steps,
        config.pool_rate,
    )
    n_pixels = config.image_shape[0] * config.image_shape[1] * config.image_shape[2]
    per_class = max(1, config.synthetic // config.n_classes)
    drawn_classes = jnp.repeat(jnp.arange(config.n_classes), per_class)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> RateConstrainedState:
        return RateConstrainedState(
            params,
            adam.init(params),
            pool and pool.init(key),
            jnp.zeros((), jnp.int32),
            as_arrays(hyperparameters or config.hyperparameters),
        )

    def decode(held: Params, latents: jax.Array) -> jax.Array:
        shape = config.image_shape
        return decoders.decode(held["decoder"], latents, shape, implementation=FASTEST_NARROW)

    def likelihood(params: Params, held: Params, key: Key, flat: jax.Array, classes: jax.Array):
        mean, log_scale = jnp.split(encoder.apply(params["encoder"], flat), 2, axis=1)
        log_scale = jnp.clip(log_scale, -7, 3)
        noise = jax.random.normal(key, mean.shape)
        latents = mean + jnp.exp(log_scale) * noise
        decoded = jnp.clip(decode(held, latents), 1e-6, 1 - 1e-6)
        distortion = -jnp.mean(flat * jnp.log(decoded) + (1 - flat) * jnp.log1p(-decoded))
        log_q = jnp.sum(-0.5 * jnp.square(noise) - log_scale - 0.5 * jnp.log(2 * jnp.pi), axis=1)
        kl = jnp.mean(log_q - label_mixture.log_density(held["mixture"], latents, classes))
        return distortion, kl

    def utility_loss(seen: Callable[[jax.Array], jax.Array], held: Params, key: Key, batch: Batch):
        pixels, classes = batch
        latents = label_mixture.sample(key, held["mixture"], drawn_classes)
        synthetic = decode(held, latents).reshape(-1, *config.image_shape)
        loss = utility.ridge_loss(
            seen(synthetic),
            drawn_classes,
            jax.lax.stop_gradient(seen(pixels)),
            classes,
            config.n_classes,
            config.ridge,
        )
        return loss, synthetic

    def objective(params: Params, key: Key, network: Params | None, state: Any, batch: Batch):
        pixels, classes = batch
        key_latent, key_draw = jax.random.split(key)
        flat = pixels.reshape(len(pixels), -1).astype(jnp.float32) / 255
        held = on_grids(params, config)
        distortion, kl = likelihood(params, held, key_latent, flat, classes)
        bits = rate.rate_bits(stored(params), config.bits)
        h = state.hyperparameters
        loss = distortion + h.kl_weight * kl / n_pixels + h.bits_weight * bits
        if features is None or network is None:
            return loss, (distortion, kl, jnp.zeros(()), bits, None)
        seen = partial(features.apply, network["features"])
        learned, synthetic = utility_loss(seen, held, key_draw, batch)
        loss += jnp.where(state.step < config.warm_up, 0.0, h.utility_weight) * learned
        return loss, (distortion, kl, learned, bits, synthetic)

    def step(
        key: Key, state: RateConstrainedState, batch: Batch
    ) -> tuple[RateConstrainedState, RateConstrainedInfo]:
        key_choice, key_loss, key_new = jax.random.split(key, 3)
        networks, picked = state.pool, None
        if pool and networks:
            picked = pool.pick(key_choice, networks)
        (loss, parts), gradient = jax.value_and_grad(objective, has_aux=True)(
            state.params, key_loss, picked and picked.params, state, batch
        )
        distortion, kl, learned, bits, synthetic = parts
        updates, optimizer = adam.update(gradient, state.optimizer, state.params)
        rate_now = state.hyperparameters.learning_rate
        params = jax.tree.map(lambda p, u: p - rate_now * u, state.params, updates)

        if pool and networks and picked:
            networks = pool.trained(key_new, networks, picked, synthetic, drawn_classes)
        new = RateConstrainedState(
            params, optimizer, networks, state.step + 1, state.hyperparameters
        )
        finite = jnp.isfinite(loss) & all_finite(params)
        return new, RateConstrainedInfo(loss, distortion, kl, learned, bits, finite)

    def finalize(state: RateConstrainedState) -> Params:
        return state.params

    return Method(init, step, finalize)


def _encoder(config: RateConstrainedConfig) -> Network:
    """Flat images to mean and log scale of each latent."""
    height, width, channels = config.image_shape
    return mlp((height * width * channels, _HIDDEN, _HIDDEN, 2 * config.latent))
