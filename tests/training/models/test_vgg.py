"""VGG-16: its size, its normalisation against the textbook's, and the fold into a deployed net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import losses, trees
from fewbits.training.models import vgg

pytestmark = pytest.mark.slow

BLOCKS = ((256, 192), (256,))
"""With a width of 1/64 four, three and four channels: compiled in a tenth of VGG-16's time."""
N_IMAGES = 8


@pytest.fixture(scope="module")
def network() -> vgg.Vgg:
    net = vgg.vgg16((8, 8, 3), blocks=BLOCKS, width=1 / 64)
    return net._replace(
        apply=jax.jit(net.apply), fold=jax.jit(net.fold), apply_folded=jax.jit(net.apply_folded)
    )


@pytest.fixture(scope="module")
def params(network):
    """Every leaf away from its initial value, so that no part can be left out unnoticed."""
    random = np.random.default_rng(0)

    def drawn(path, leaf):
        centre = 1.0 if path[-1].key == "scale" else 0.0
        return (centre + 0.3 * random.standard_normal(leaf.shape)).astype(np.float32)

    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(drawn, shapes)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (N_IMAGES, 8, 8, 3), np.uint8)


def textbook(params, x):
    """Convolution with its bias, batch normalisation by its definition, windowed pooling."""
    x, number = x / 255, 0
    for block in BLOCKS:
        for _ in block:
            number += 1
            layer, norm = params[f"conv{number}"], params[f"norm{number}"]
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = np.asarray(x) + np.asarray(layer["bias"])
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
            x = (x - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + np.asarray(norm["bias"])
            x = np.maximum(x, 0)
        n, height, _, channels = x.shape
        x = x.reshape(n, height // 2, 2, height // 2, 2, channels).max(axis=(2, 4))
    x = x.reshape(len(x), -1)
    for name in ("dense1", "dense2", "output"):
        x = x @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])
        x = x if name == "output" else np.maximum(x, 0)
    return x


def test_published_number_of_parameters(key):
    shapes = jax.eval_shape(vgg.vgg16().init, key)
    sizes = {kind: 0 for kind in ("conv", "norm", "dens", "outp")}
    for name, layer in shapes.items():
        sizes[name[:4]] += trees.size(layer)
    assert sizes == {"conv": 14_714_688, "norm": 8_448, "dens": 525_312, "outp": 5_130}
    assert trees.size(shapes) == 15_253_578


def test_apply_is_the_textbook_network(network, params, images):
    with jax.numpy_rank_promotion("allow"):
        expected = textbook(params, np.asarray(images))
    np.testing.assert_allclose(network.apply(params, images), expected, rtol=2e-3, atol=2e-3)


def test_folded_is_trained_on_the_calibration_batch(network, params, images):
    folded = network.fold(params, images)
    assert jax.tree.map(jnp.shape, folded) == jax.tree.map(jnp.shape, params)
    trained, deployed = network.apply(params, images), network.apply_folded(folded, images)
    np.testing.assert_allclose(deployed, trained, rtol=1e-4, atol=1e-4)
    # Deployed, an image's logits depend on no other image; in training they do.
    others = np.where(np.arange(N_IMAGES).reshape(-1, 1, 1, 1) == 0, images, 255 - images)
    alone = network.apply_folded(folded, others)[0]
    np.testing.assert_allclose(alone, deployed[0], rtol=1e-5, atol=1e-5)
    assert not np.allclose(network.apply(params, others)[0], trained[0], atol=1e-2)


def test_fold_keeps_zeros_and_drops_dead_channels(network, params, images):
    mask = jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), params)
    mask["conv1"]["kernel"][:, :, :, 1:] = False
    mask["conv3"]["kernel"][:2] = False
    pruned = trees.masked(params, mask)
    pruned["norm1"] = {**pruned["norm1"], "bias": jnp.array([0.3, 0.5, -0.5, -0.1])}
    folded = network.fold(pruned, images)
    for name, layer in folded.items():
        if name.startswith("conv"):
            np.testing.assert_array_equal(layer["kernel"], pruned[name]["kernel"])
            assert not layer["bias"].any()
    np.testing.assert_array_equal(folded["norm1"]["scale"] != 0, [True, False, False, False])
    np.testing.assert_array_equal(folded["norm1"]["bias"] != 0, [True, True, False, False])
    np.testing.assert_allclose(
        network.apply_folded(folded, images), network.apply(pruned, images), rtol=1e-4, atol=1e-4
    )


def test_gradients_are_finite_and_reach_every_layer(network, params, images):
    """Of the loss with dropout; exactly zero at biases that the normalisation takes away."""
    labels = np.arange(N_IMAGES)

    def loss(params, key):
        apply = lambda p, x: network.apply(p, x, key)  # noqa: E731
        return losses.cross_entropy(apply)(key, params, (images, labels))[0]

    for name, leaf in trees.named_leaves(
        jax.jit(jax.grad(loss))(params, jax.random.key(4))
    ).items():
        assert np.isfinite(leaf).all(), name
        assert np.any(leaf) != (name.startswith("conv") and name.endswith("bias")), name


def test_dropout_is_drawn_from_the_key(network, params, images):
    one = network.apply(params, images, jax.random.key(5))
    np.testing.assert_array_equal(one, network.apply(params, images, jax.random.key(5)))
    assert not np.allclose(one, network.apply(params, images, jax.random.key(6)))
    assert not np.allclose(one, network.apply(params, images))


@pytest.mark.parametrize(
    "wrong",
    [{"image_shape": (28, 28, 1)}, {"width": 0.0}, {"width": float("nan")}, {"dropout": 1.0}],
)
def test_what_cannot_be_is_refused_by_its_value(wrong):
    (value,) = wrong.values()
    with pytest.raises(ValueError, match=str(value).replace("(", r"\(").replace(")", r"\)")):
        vgg.vgg16(**wrong)
