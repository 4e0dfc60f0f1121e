from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.autoencoders import architectures, decoders


def test_the_reports_autoencoder_has_its_parameters(key):
    params = architectures.dense(784).init(key)
    sizes = {
        name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in params.items()
    }
    assert sizes == {"encoder": 108_736, "decoder": 109_456}


@pytest.mark.slow
def test_decoded_pixels_lie_between_0_and_1_and_latents_are_rectified(key):
    autoencoder = architectures.dense(64, hidden=16, latent=8)
    params = autoencoder.init(key)
    latents = autoencoder.encode(params["encoder"], jax.random.uniform(key, (10, 64)))
    images = autoencoder.decode(params["decoder"], latents)
    assert latents.shape == (10, 8)
    assert (latents >= 0).all()
    assert ((images > 0) & (images < 1)).all()


@pytest.mark.slow
def test_folding_moves_an_affine_map_into_the_decoder(key):
    decoder = architectures.dense(20, hidden=9, latent=6).init(key)["decoder"]
    shift = jax.random.normal(key, (6,))
    scale = jnp.array([1.0, 0.0, 2.0, 0.5, 0.0, 3.0])
    kept = jnp.array([0, 2, 3, 5])
    folded = architectures.fold_latents(decoder, shift, scale, kept)
    standard = jax.random.normal(key, (11, 4))
    latents = jnp.tile(shift, (11, 1)).at[:, kept].add(scale[kept][None] * standard)
    np.testing.assert_allclose(
        decoders.decode_dense(folded, standard),
        decoders.decode_dense(decoder, latents),
        atol=1e-6,
    )
