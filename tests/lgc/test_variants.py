import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import trees
from lgc.autoencoders import decoders, variants

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("ae", 109_456),
        ("vae", 142_480),
        ("conditional_vae", 143_760),
        ("convolutional_vae", 54_513),
    ],
)
def test_decoders_have_the_reports_sizes(key, name, decoder):
    variant = variants.build(name, (28, 28, 1), 10)
    params = jax.eval_shape(variant.init, key)
    assert trees.size(params["decoder"]) == decoder
    if name == "vae":
        assert trees.size(params) == 292_496


@pytest.mark.parametrize("name", variants.NAMES)
def test_every_variant_learns_and_its_latents_fit_its_decoder(key, name):
    variant = variants.build(name, (4, 4, 1), 3, hidden=8, latent=4)
    params = variant.init(key)
    images, classes = jax.random.uniform(key, (12, 16)), jnp.arange(12) % 3
    loss = jax.jit(lambda p: variant.loss(key, p, (images, classes))[0])
    slope = jax.grad(loss)(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    moved = jax.tree.map(lambda p, g: p - 1e-3 * g, params, slope)
    assert loss(moved) < loss(params)
    latents = variant.encode(key, params["encoder"], images, classes)
    assert latents.shape == (12, 7 if name == "conditional_vae" else 4)
    decoders.check(params["decoder"], latents.shape[1], (4, 4, 1))
    decoded = decoders.decode(params["decoder"], latents, (4, 4, 1))
    assert ((decoded > 0) & (decoded < 1)).all()


def test_latents_of_a_variational_encoder_are_samples(key):
    variant = variants.build("vae", (4, 4, 1), 3, hidden=8, latent=4)
    encoder = variant.init(key)["encoder"]
    images = jnp.ones((2, 16))
    first, second = (
        variant.encode(jax.random.key(k), encoder, images, jnp.zeros(2, int)) for k in (1, 2)
    )
    assert not np.allclose(first, second)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="vea"):
        variants.build("vea", (4, 4, 1), 3)  # pyright: ignore[reportArgumentType]
