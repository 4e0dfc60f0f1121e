import jax
import numpy as np
import pytest

from lgc import Config
from lgc.autoencoders import initialisation, variants


def initialised(name: initialisation.Initialisation, key: jax.Array):
    return initialisation.initialise(name, key, variants.build("vae", (28, 28, 1), 10).init(key))


@pytest.mark.slow
def test_every_weight_and_bias_is_uniform_within_the_root_of_the_inputs(key):
    params = initialised("pytorch", key)
    layers = jax.tree.leaves(params, is_leaf=lambda node: "kernel" in node)
    assert len(layers) == 8
    for layer in layers:
        reach = layer["kernel"].shape[0] ** -0.5
        for leaf in layer.values():
            assert abs(leaf).max() <= reach
            # Deviation of a uniform one, and of so many values' own.
            assert leaf.std() == pytest.approx(reach / 3**0.5, rel=3 / leaf.size**0.5)
    together = np.concatenate([leaf.ravel()[:8] for leaf in jax.tree.leaves(params)])
    assert len(np.unique(together)) == together.size


def test_a_convolution_counts_its_window(key):
    layer = {"kernel": np.zeros((3, 3, 2, 200)), "bias": np.zeros(200)}
    found = initialisation.pytorch(key, {"first": layer})["first"]
    assert found["kernel"].shape == (3, 3, 2, 200)
    assert 0.95 * 18**-0.5 < abs(found["kernel"]).max() <= 18**-0.5


def test_the_default_is_left_as_it_is(key):
    params = variants.build("vae", (28, 28, 1), 10).init(key)
    assert initialisation.initialise("lecun_he", key, params) is params


def test_others_are_refused():
    with pytest.raises(ValueError, match="'keras'.*lecun_he, pytorch"):
        Config(initialisation="keras")  # pyright: ignore[reportArgumentType]
