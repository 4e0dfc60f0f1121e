from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import networks, trees

CONSTRUCTORS = [
    networks.lenet_300_100,
    networks.lenet_5_caffe,
    networks.report_classifier,
    networks.convnet,
]


def abstract_params(network):
    return jax.eval_shape(network.init, jax.random.key(0))


@pytest.mark.parametrize(
    ("network", "n_parameters"),
    [
        (networks.lenet_300_100(), 266_610),
        (networks.lenet_5_caffe(), 431_080),
        (networks.report_classifier(), 5_254),
        (networks.report_classifier((8, 8, 1)), 5_254),
        (networks.convnet((32, 32, 3)), 320_010),
        (networks.convnet((28, 28, 1)), 317_706),
        (networks.mlp((2, 25, 25, 1), jnp.tanh), 751),
        (networks.mlp((2, 5, 8, 1), jnp.tanh), 72),
    ],
)
def test_published_numbers_of_parameters(network, n_parameters):
    assert trees.size(abstract_params(network)) == n_parameters


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (20, 17, 2)])
@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_any_image_gives_one_logit_per_class(constructor, image_shape):
    network = constructor(image_shape, n_classes=7)
    pixels = jax.ShapeDtypeStruct((3, *image_shape), jnp.uint8)
    logits = jax.eval_shape(network.apply, abstract_params(network), pixels)
    assert (logits.shape, logits.dtype) == ((3, 7), jnp.float32)


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_report_classifier_flattens_to_64(image_shape):
    params = abstract_params(networks.report_classifier(image_shape))
    assert params["dense1"]["kernel"].shape == (64, 32)


def test_parameters_are_plain_dicts_with_readable_names():
    params = abstract_params(networks.report_classifier((8, 8, 1)))
    assert list(trees.named_leaves(params)) == [
        f"{layer}/{leaf}"
        for layer in ("conv1", "conv2", "dense1", "dense2", "output")
        for leaf in ("bias", "kernel")
    ]
    assert type(params) is dict
    assert type(params["conv1"]) is dict
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_bytes_are_scaled_floats_are_not():
    network = networks.mlp((4, 3))
    params = network.init(jax.random.key(0))
    pixels = jnp.array([[0, 51, 102, 255]], jnp.uint8)
    np.testing.assert_allclose(
        network.apply(params, pixels),
        network.apply(params, jnp.array([[0.0, 0.2, 0.4, 1.0]])),
        atol=1e-6,
    )


def test_mlp_is_its_formula():
    network = networks.mlp((2, 3, 1), jnp.tanh)
    p = network.init(jax.random.key(1))
    p = jax.tree.map(lambda leaf: leaf + 0.1, p)  # biases start at zero and would hide
    x = jnp.array([[0.3, -0.7], [1.0, 2.0]])
    hidden = jnp.tanh(x @ p["dense1"]["kernel"] + p["dense1"]["bias"].reshape(1, -1))
    expected = hidden @ p["output"]["kernel"] + p["output"]["bias"].reshape(1, -1)
    np.testing.assert_allclose(network.apply(p, x), expected, atol=1e-6)


def test_instance_norm_gives_each_image_and_channel_mean_and_spread():
    x = jax.random.uniform(jax.random.key(1), (2, 4, 4, 3))
    params = {"scale": jnp.array([1.0, 2.0, 3.0]), "bias": jnp.array([0.0, -1.0, 5.0])}
    y = jax.jit(networks._InstanceNorm().apply)({"params": params}, x)
    np.testing.assert_allclose(y.mean(axis=(1, 2)), [params["bias"]] * 2, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), [params["scale"]] * 2, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: networks.mlp((3,)), r"\(3,\)"),
        (lambda: networks.mlp((3, 0, 2)), r"\(3, 0, 2\)"),
        (lambda: networks.report_classifier((3, 8, 1)), r"\(3, 8, 1\)"),
        (lambda: networks.lenet_5_caffe((28, 28, 0)), r"\(28, 28, 0\)"),
        (lambda: networks.convnet((4, 4, 1)), r"at least 8.*\(4, 4, 1\)"),
        (lambda: networks.convnet(width=0), "width.*0"),
    ],
)
def test_refuses_impossible_shapes(make, words):
    with pytest.raises(ValueError, match=words):
        make()
